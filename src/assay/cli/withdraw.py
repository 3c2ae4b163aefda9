"""The command that takes the effect of batches back."""

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
    from assay.pipelines.withdraw import Withdrawal


@click.command(cls=Command)
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="BATCH...")
@click.option("--reason", required=True, help="Why; kept with the decision.")
@click.option("--yes", is_flag=True, help="Carry it out; without it only what would change is shown.")
@project_options
@json_option
def withdraw(
    numbers: tuple[int, ...], reason: str, yes: bool, folder: Path, target: str | None, as_json: bool
) -> None:
    """Take the effect of a done BATCH out of every store again, as if it had never been delivered.

    Shows first what would go, what would come back, and what depends on it; nothing is changed without --yes.
    Several batches of one pipeline are withdrawn together.

    Example: assay withdraw 7 --reason "sent by the wrong office"
    """
    from assay.pipelines.withdraw import masked, preview
    from assay.pipelines.withdraw import withdraw as carry_out

    with admitted(load(folder, target)) as door:
        (zone, *_) = [door.batch(number, four_eyes=False).zone for number in numbers]
        platform, shown = door.platform, progress(as_json=as_json)
        found = carry_out(platform, numbers, reason, shown) if yes else preview(platform, numbers, shown)
        found = masked(found, door.shown(zone))
    if as_json:
        output.print_json({**found.to_dict(), "withdrawn": yes})
    else:
        progress_done()
        _show(found, done=yes)
    words = " ".join(str(batch.id) for batch in found.batches)
    if found.dependents:
        words = " ".join(str(one) for one in sorted({*(batch.id for batch in found.batches), *found.blocking}))
        output.next_step(f'assay withdraw {words} --reason "..."  (theirs too, or correct them first)')
    elif not yes:
        output.next_step(f'assay withdraw {words} --reason "{reason}" --yes')


def _show(found: Withdrawal, *, done: bool) -> None:
    for batch in found.batches:
        click.echo(f"{batch.label}: {'withdrawn' if done else 'would be withdrawn'}")
    show_differences(found.differences)
    if found.dependents:
        output.table(
            ("refers to what would go", "batch", "rows", "to", "values"),
            [(d.table, d.batch, d.rows, d.parent, ", ".join(d.examples)) for d in found.dependents],
        )
    if found.later:
        output.table(
            ("other batch", "rows of the withdrawn that stand as it made them"), sorted(found.later.items())
        )
    if found.publications:
        output.table(
            ("publication", "subscribers"),
            [(name, ", ".join(zones) or "none") for name, zones in found.publications.items()],
        )
