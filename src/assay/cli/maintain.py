"""maintain: housekeeping of the stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options
from assay.errors import Usage, nearest

if TYPE_CHECKING:
    from assay.pipelines.maintain import Report


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--only", default=None, metavar="TASKS", help="Some of: retention, compact, expire, orphans, vacuum; with commas."
)
@click.option("--zone", default=None, help="Only the stores of this zone.")
@project_options
@json_option
def maintain(
    dry_run: bool, only: str | None, zone: str | None, folder: Path, target: str | None, as_json: bool
) -> None:
    """Keep the stores in order: retention, small files, earlier states, orphaned files, vacuum.

    It runs beside loads and questions. Files that nothing needs any more are removed when `maintain.grace` of
    assay.yaml is over; what somebody is reading stays until he is done.

    Example: assay maintain --dry-run
    """
    from assay.pipelines.maintain import maintain as keep_in_order
    from assay.pipelines.upkeep.scope import TASKS

    names = TASKS if only is None else tuple(word.strip() for word in only.split(","))
    for name in names:
        if name not in TASKS:
            raise Usage(f"there is no task {name}", expected=nearest(name, TASKS) or ", ".join(TASKS))
    with admitted(load(folder, target)) as door:
        chosen: Any = names
        report = keep_in_order(door.of_platform(), only=chosen, zone=zone, dry_run=dry_run)
    if as_json:
        output.print_json(report.to_dict())
    else:
        _show(report)
    if report.failed:
        output.next_step("assay doctor")
        raise click.exceptions.Exit(1)


def _show(report: Report) -> None:
    if report.steps:
        output.table(
            ("task", "what", "done" if not report.dry else "to do", "files before", "after", "freed"),
            [
                (one.task, one.subject, one.words, one.files_before, one.files_after, _size(one.bytes_freed))
                for one in report.steps
            ],
        )
    else:
        click.echo("everything is in order")
    if report.bytes_freed:
        click.echo(f"{_size(report.bytes_freed)} {'can be' if report.dry else 'were'} freed")


def _size(count: int | None) -> str | None:
    """Bytes as people read them; nothing for nothing."""
    if not count:
        return None
    amount, units = float(count), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
