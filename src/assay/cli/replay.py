"""The command that takes a batch, or what went wrong, through the pipeline again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.difference_view import show_differences
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options
from assay.cli.progress import progress, progress_done
from assay.errors import Usage

if TYPE_CHECKING:
    from assay.batch import Batch
    from assay.pipelines.replay import Preview, Start
    from assay.pipelines.run import Result

#: The words of `pipelines.replay.STARTS`, here so that help does not load it.
STARTS = ("approve", "clean", "conform", "denormalize")


@click.command(cls=Command)
@click.argument("number", type=int, required=False, metavar="[BATCH]")
@click.option(
    "--from", "start", type=click.Choice(STARTS), default="approve", show_default=True,
    help="Begin with this segment; what stands in the store before it is taken as it is.",
)  # fmt: skip
@click.option("--as-of", "version", default=None, help="Under this applied configuration instead of that of now.")
@click.option("--failed", default=None, metavar="WHERE", help="All that went wrong in a ZONE or ZONE/PIPELINE.")
@click.option("--yes", is_flag=True, help="Carry it out; without it only what would change is shown.")
@project_options
@json_option
def replay(
    number: int | None,
    start: Start,
    version: str | None,
    failed: str | None,
    yes: bool,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Take the delivered bytes of a BATCH through the pipeline again, under the configuration of now.

    Shows first which rows would be added, removed or changed; nothing is replaced without --yes. A replay that was
    cut short goes on with the same command.

    Example: assay replay 7 --yes
    """
    if (number is None) == (failed is None):
        raise Usage("name one batch, or what went wrong with --failed ZONE/PIPELINE")
    if failed is not None:
        if start != "approve" or version is not None:
            raise Usage("--failed tries everything again as it would go on now: leave out --from and --as-of")
        _again(failed, yes, folder, target, as_json)
        return
    assert number is not None
    from assay.pipelines.replay import masked, preview, under_way
    from assay.pipelines.replay import replay as carry_out

    with admitted(load(folder, target)) as door:
        batch_asked = door.batch(number)
        platform = door.platform
        going_on = under_way(platform, number) is not None
        found = None if going_on else preview(platform, number, start=start, version=version)
        if found is not None:
            found = masked(found, door.cells_of(batch_asked), door.shown(batch_asked.zone))
        result = None
        if (yes or going_on) and (found is None or found.verdict != "Rejected"):
            shown = progress(as_json=as_json)
            result = carry_out(platform, number, shown, start=start, version=version)
    if as_json:
        batch = None if result is None else {"batch": result.batch.id, "state": result.batch.state}
        output.print_json({**(found.to_dict() if found else {"batch": number}), "replay": batch})
    else:
        progress_done()
        if found is not None:
            _show(found)
        if result is not None and result.batch.id == number:
            click.echo(f"batch {number}: what it touched was recomputed")
        elif result is not None:
            click.echo(f"batch {result.batch.id} takes the place of batch {number}: {result.batch.state}")
    _end(found, result, number, start, version)


def _show(found: Preview) -> None:
    click.echo(f"{found.batch.label}: would be {found.verdict.lower()} now")
    if found.differences:
        show_differences(found.differences)
    if found.effects:
        output.table(
            ("canonical table", "brings", "adds", "changes", "removes"),
            [(e.table, e.brought, e.added, e.changed, e.removed) for e in found.effects],
        )
    output.findings(("replay", finding) for finding in found.findings)


def _end(found: Preview | None, result: Result | None, number: int, start: Start, version: str | None) -> None:
    if found is not None and found.verdict == "Rejected":
        raise click.exceptions.Exit(3)
    if result is None:
        more = ("" if start == "approve" else f" --from {start}") + (f" --as-of {version}" if version else "")
        output.next_step(f"assay replay {number}{more} --yes")
    elif result.batch.state == "held":
        output.next_step(f"assay review show {result.batch.id}")
        raise click.exceptions.Exit(4)
    elif result.batch.state == "rejected":
        output.next_step(f"assay batch show {result.batch.id}")
        raise click.exceptions.Exit(3)


def _again(where: str, yes: bool, folder: Path, target: str | None, as_json: bool) -> None:
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.replay import again
    from assay.pipelines.replay import failed as gone_wrong

    zone, _, name = where.partition("/")
    results: list[Result] = []
    project = load(folder, target)
    if zone not in project.zones:
        raise Usage(f"there is no zone {zone}", expected=", ".join(project.zones))
    with admitted(project) as door:
        platform = door.of_zone(zone)
        if name:
            pipeline_of(platform, zone, name)
        found = gone_wrong(platform, zone, name or None)
        if yes:
            shown = progress(as_json=as_json)
            results = [again(platform, batch, shown) for batch in found]
    if as_json:
        tried = [{"batch": r.batch.id, "state": r.batch.state, "replaces": r.batch.replaces} for r in results]
        output.print_json({"failed": [_as_json(batch) for batch in found], "tried": tried})
    else:
        progress_done()
        output.table(
            ("batch", "file", "pipeline", "source", "was", "is now"),
            [
                (
                    batch.id,
                    batch.file_name,
                    f"{batch.zone}/{batch.pipeline}",
                    batch.source,
                    batch.state,
                    _now(batch, results[place]) if results else None,
                )
                for place, batch in enumerate(found)
            ],
        )
        if not found:
            click.echo("nothing has gone wrong that nobody answered", err=True)
    if found and not yes:
        output.next_step(f"assay replay --failed {where} --yes")
    elif any(result.batch.state == "rejected" for result in results):
        raise click.exceptions.Exit(3)


def _now(batch: Batch, result: Result) -> str:
    return result.batch.state if result.batch.id == batch.id else f"batch {result.batch.id}: {result.batch.state}"


def _as_json(batch: Batch) -> dict[str, object]:
    return {"batch": batch.id, "file": batch.file_name, "source": batch.source, "state": batch.state}
