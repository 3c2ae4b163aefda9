"""Commands about batches: status, batch list, batch show, review."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.options import json_option, load, project_options
from assay.cli.report import batch_return, replacement, show_report


@click.command()
@project_options
@json_option
def status(folder: Path, target: str | None, as_json: bool) -> None:
    """Show how many batches rest in which state, per pipeline.

    Example: assay status
    """
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        rows = platform.connection.execute(
            "SELECT zone, pipeline, state, count(*), max(moved_at) FROM assay.batch "
            "GROUP BY zone, pipeline, state ORDER BY zone, pipeline, state"
        ).fetchall()
    names = ("zone", "pipeline", "state", "batches", "last moved")
    if as_json:
        output.print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        output.table(names, [(*row[:4], f"{row[4]:%Y-%m-%d %H:%M:%S}") for row in rows])
        if not rows:
            click.echo("no batch yet", err=True)


@click.group()
def batch() -> None:
    """List batches, show one with its report, or return its file."""


batch.add_command(batch_return)


@batch.command(name="list")
@click.option("--zone", default=None)
@click.option("--pipeline", default=None)
@click.option("--state", default=None)
@click.option("--limit", default=100, show_default=True)
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
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found = records.batches(
            platform.connection,
            zone=zone,
            pipeline=pipeline,
            states=(state,) if state else None,  # type: ignore[arg-type]
            newest_first=True,
            limit=limit,
        )
        after = records.successors(platform.connection, [b.id for b in found])
    names = ("batch", "zone", "pipeline", "source", "file", "period", "state", "delivered by")
    rows = [(b.id, b.zone, b.pipeline, b.source, b.file_name, b.period, b.state, b.delivered_by) for b in found]
    if as_json:
        links = [{"replaces": b.replaces, "replaced by": after.get(b.id)} for b in found]
        output.print_json([dict(zip(names, row, strict=True)) | link for row, link in zip(rows, links, strict=True)])
    else:
        notes = [replacement(b, after.get(b.id)) for b in found]
        output.table((*names, ""), [(*row, note) for row, note in zip(rows, notes, strict=True)])


@batch.command(name="show")
@click.argument("number", type=int)
@project_options
@json_option
def batch_show(number: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Show a batch: what happened to it, how it adds up, and what was found.

    Example: assay batch show 7
    """
    from assay.catalog import records
    from assay.pipelines.platform import opened
    from assay.pipelines.returns import batch_report

    with opened(load(folder, target)) as platform:
        found = records.batch(platform.connection, number)
        after = records.successors(platform.connection, [number]).get(number)
        made = batch_report(platform, number)
        runs = records.runs(platform.connection, number)
        tallies = records.tallies(platform.connection, number)
        findings = records.findings(platform.connection, number)
    if as_json:
        output.print_json(
            {
                "batch": {**found.__dict__, "replaced_by": after},
                "runs": runs,
                "reconciliation": [tally.to_dict() for tally in tallies],
                "findings": [{"segment": segment, **finding.to_dict()} for segment, finding in findings],
                "report": made.to_dict(),
            }
        )
        return
    click.echo(f"{found.label}: {found.state}")
    click.echo(f"delivered by {found.delivered_by} at {found.delivered_at:%Y-%m-%d %H:%M:%S}, sha256 {found.sha256}")
    if replacement(found, after):
        click.echo(replacement(found, after))
    output.table(
        ("segment", "outcome", "seconds"), [(r["segment"], r["outcome"], f"{r['seconds']:.2f}") for r in runs]
    )
    sums = sorted({name for tally in tallies for name in tally.sums})
    if tallies:
        output.table(
            ("store", "rows", *(f"sum of {name}" for name in sums)),
            [(t.store, t.rows, *(t.sums.get(name) for name in sums)) for t in tallies],
            title="reconciliation",
        )
    show_report(made)
    if found.state in ("rejected", "held") and made.groups:
        click.echo(f"Next: assay batch return {number}", err=True)


@click.group()
def review() -> None:
    """Decide about batches that wait for a steward."""


def _decide(number: int, decision: str, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    from assay.pipelines.platform import opened
    from assay.pipelines.review import decide

    with opened(load(folder, target)) as platform:
        result = decide(platform, number, decision, reason)
    if as_json:
        output.print_json({"batch": number, "decision": decision, "state": result.batch.state})
    else:
        click.echo(f"batch {number}: {decision}, now {result.batch.state}")


@review.command(name="release")
@click.argument("number", type=int)
@click.option("--reason", required=True)
@project_options
@json_option
def review_release(number: int, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Let a held batch go on.

    Example: assay review release 7 --reason "checked with the card office"
    """
    _decide(number, "release", reason, folder, target, as_json)


@review.command(name="reject")
@click.argument("number", type=int)
@click.option("--reason", required=True)
@project_options
@json_option
def review_reject(number: int, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Refuse a held batch.

    Example: assay review reject 7 --reason "wrong month"
    """
    _decide(number, "reject", reason, folder, target, as_json)
