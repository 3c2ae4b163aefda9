"""The command that makes a dataset anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.difference_view import show_differences
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options
from assay.cli.progress import progress, progress_done

if TYPE_CHECKING:
    from assay.pipelines.rebuild import Rebuilt
    from assay.pipelines.run import Result


@click.command(cls=Command)
@click.argument("dataset", metavar="ZONE.DATASET")
@click.option("--since", default=None, metavar="BATCH|DATE", help="Only what this and later batches brought.")
@click.option("--as-of", "version", default=None, help="Under this applied configuration instead of that of now.")
@click.option("--yes", is_flag=True, help="Carry it out; without it only what would change is shown.")
@project_options
@json_option
def rebuild(
    dataset: str,
    since: str | None,
    version: str | None,
    yes: bool,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Make a dataset (operational.x, analytical.x or staging.x of a zone) anew from what was delivered.

    Shows first which batches would be gone through and which rows would be added, removed or changed; nothing is
    replaced without --yes. A rebuild of staging that was cut short goes on with the same command.

    Example: assay rebuild corporate_finance.analytical.expense_by_month --yes
    """
    from assay.pipelines.rebuild import masked, preview
    from assay.pipelines.rebuild import rebuild as carry_out

    results: list[Result] = []
    with admitted(load(folder, target)) as door:
        zone, _, _ = dataset.partition(".")
        platform = door.of_zone(zone)
        shown = progress(as_json=as_json)
        if yes:
            found, results = carry_out(platform, dataset, since=since, version=version, progress=shown)
        else:
            found = preview(platform, dataset, since=since, version=version, progress=shown)
        found = masked(found, door.shown(zone))
    if as_json:
        replays = [{"batch": r.batch.id, "replaces": r.batch.replaces, "state": r.batch.state} for r in results]
        output.print_json({**found.to_dict(), "rebuilt": yes, "replays": replays})
    else:
        progress_done()
        _show(found, results, done=yes)
    held = [result for result in results if result.batch.state == "held"]
    if found.dependents:
        return
    if not yes:
        more = (f" --since {since}" if since else "") + (f" --as-of {version}" if version else "")
        output.next_step(f"assay rebuild {dataset}{more} --yes")
    elif found.rejected:
        output.next_step(f"assay batch show {next(iter(found.rejected))}")
        raise click.exceptions.Exit(3)
    elif held:
        output.next_step(f"assay review show {held[0].batch.id}")
        raise click.exceptions.Exit(4)


def _show(found: Rebuilt, results: list[Result], *, done: bool) -> None:
    word = "rebuilt" if done else "would be rebuilt"
    click.echo(f"{found.dataset}: {word} under configuration {found.version}")
    if found.batches:
        verb = "went" if done else "would go"
        click.echo(f"{len(found.batches)} batches {verb} through {', '.join(found.segments)} again")
    if found.passed_over:
        output.table(("passed over", "why"), list(found.passed_over.items()))
    if found.rejected:
        output.table(("refused", "why"), list(found.rejected.items()))
    if results:
        output.table(
            ("batch", "file", "in the place of", "state"),
            [(r.batch.id, r.batch.file_name, r.batch.replaces, r.batch.state) for r in results],
        )
    else:
        show_differences(found.differences)
    if found.dependents:
        output.table(
            ("would refer to nothing", "batch", "rows", "to", "values"),
            [(d.table, d.batch, d.rows, d.parent, ", ".join(d.examples)) for d in found.dependents],
        )
