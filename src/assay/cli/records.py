"""Commands about batches: batch list, batch show, batch return."""

from __future__ import annotations

from pathlib import Path

import click

from assay.batch import STATES
from assay.cli import output
from assay.cli.batch_view import BatchRecord, show_batch
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options
from assay.cli.report import batch_return, replacement
from assay.errors import Usage, nearest


@click.group(cls=Group)
def batch() -> None:
    """List batches, show one with everything that happened to it, or return its file.

    Example: assay batch list --state rejected
    """


batch.add_command(batch_return)


@batch.command(name="list", short_help="List batches, newest first.")
@click.option("--zone", default=None, help="Only of this zone.")
@click.option("--pipeline", default=None, help="Only of this pipeline.")
@click.option("--state", default=None, help="Only in this state, such as held or rejected.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="How many, the newest first.")
@project_options
@json_option
def batch_list(
    zone: str | None,
    pipeline: str | None,
    state: str | None,
    limit: int,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """List batches, newest first.

    Example: assay batch list --state rejected
    """
    from assay.catalog import records

    if state is not None and state not in STATES:
        raise Usage(f"there is no state {state}", expected=nearest(state, STATES) or ", ".join(STATES))
    with admitted(load(folder, target)) as door:
        sight = door.sight(zone)
        platform = door.platform
        found = records.batches(
            platform.connection,
            sight=sight,
            zone=zone,
            pipeline=pipeline,
            states=(state,) if state else None,
            newest_first=True,
            limit=limit + 1,
        )
        numbers = [one.id for one in found]
        counted = records.delivered_rows(platform.connection, numbers)
        after = records.successors(platform.connection, numbers)
    shown = found[:limit]
    if as_json:
        output.print_json(
            [{**vars(one), "rows": counted.get(one.id), "replaced_by": after.get(one.id)} for one in shown]
        )
        return
    output.table(
        ("batch", "pipeline", "source", "file", "period", "rows", "state", "delivered", "by", "remark"),
        [
            (
                one.id,
                f"{one.zone}/{one.pipeline}",
                one.source,
                one.file_name,
                one.period,
                counted.get(one.id),
                one.state,
                f"{one.delivered_at:%Y-%m-%d %H:%M}",
                one.delivered_by,
                replacement(one, after.get(one.id)),
            )
            for one in shown
        ],
    )
    if not shown:
        click.echo("no batch yet" if not (zone or pipeline or state) else "no batch like that", err=True)
    if len(found) > limit:
        output.next_step(f"assay batch list --limit {limit * 10}  (there are older ones)")


@batch.command(name="show")
@click.argument("number", type=int)
@project_options
@json_option
def batch_show(number: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Show a batch: what happened to it, how it adds up, and what was found.

    Example: assay batch show 7
    """
    from assay.catalog import records, upkeep
    from assay.pipelines.returns import batch_report
    from assay.stewardship.masking import masked_detail, masked_finding, masked_tally

    with admitted(load(folder, target)) as door:
        found = door.batch(number)
        platform, cells = door.platform, door.cells_of(found)
        runs = records.runs(platform.connection, number)
        record = BatchRecord(
            found,
            [{**run, "detail": masked_detail(run["detail"], cells)} for run in runs],
            [masked_tally(one, cells) for one in records.tallies(platform.connection, number)],
            [(segment, masked_finding(one, cells)) for segment, one in records.findings(platform.connection, number)],
            records.decisions(platform.connection, number),
            batch_report(platform, number, cells=cells),
            records.successors(platform.connection, [number]).get(number),
            upkeep.removals(platform.connection, [number]),
        )
    if as_json:
        output.print_json(record.to_dict())
        return
    show_batch(record)
    if found.state == "held":
        output.next_step(f"assay review show {number}")
    elif found.state == "rejected" and record.report.groups:
        output.next_step(f"assay batch return {number}, and assay ingest FILE once it is corrected")
    elif found.state == "rejected":
        output.next_step(f"assay ingest FILE --zone {found.zone} --pipeline {found.pipeline}, once FILE is corrected")
