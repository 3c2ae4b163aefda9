"""Commands of the steward's gate: what waits, the evidence, and the decision."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.batch_view import show_reconciliation
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options
from assay.cli.progress import progress, progress_done

if TYPE_CHECKING:
    from assay.pipelines.review import Review, WaitingBatch
    from assay.pipelines.run import Result


@click.group(cls=Group)
def review() -> None:
    """See which batches wait for a steward and what speaks for and against each; release or reject them.

    Example: assay review list
    """


@review.command(name="list")
@click.option("--zone", default=None, help="Only of this zone.")
@click.option("--mine", is_flag=True, help="Only those that wait for you.")
@project_options
@json_option
def review_list(zone: str | None, mine: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """List the batches that wait for a steward, the longest first.

    Example: assay review list --mine
    """
    from assay.pipelines.review import waiting

    with admitted(load(folder, target)) as door:
        sight = door.sight(zone)
        found = waiting(door.platform, zone=zone, sight=sight)
        if mine:
            found = [one for one in found if one.is_for(door.user.name) and door.may_decide(one.batch)]
    if as_json:
        output.print_json([one.to_dict() for one in found])
        return
    output.table(
        ("batch", "held in", "file", "waits for", "since", "findings", "why", "remark"),
        [
            (
                one.batch.id,
                f"{one.batch.zone}/{one.batch.pipeline}",
                one.batch.file_name,
                _whom(one),
                f"{one.since:%Y-%m-%d %H:%M} ({_length(one.waited)})",
                one.findings,
                one.why,
                _remark(one),
            )
            for one in found
        ],
    )
    if found:
        output.next_step(f"assay review show {found[0].batch.id}")
    else:
        click.echo("nothing waits for you" if mine else "nothing waits for a steward", err=True)


@review.command(name="show")
@click.argument("number", type=int, metavar="BATCH")
@project_options
@json_option
def review_show(number: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Show what speaks for and against releasing a held BATCH, and what a release would change.

    The evidence's fingerprint stands last; a decision with `--evidence` refers to exactly what was shown.

    Example: assay review show 7
    """
    from assay.pipelines.review import masked
    from assay.pipelines.review import review as review_of

    with admitted(load(folder, target)) as door:
        batch = door.batch(number, store="clean")
        found = masked(review_of(door.platform, number), door.cells_of(batch, "clean"))
    if as_json:
        output.print_json(found.to_dict())
        return
    _show(found)
    if found.waiting.replaced_by is not None:
        later = found.waiting.replaced_by
        output.next_step(f'assay review reject {number} --reason "replaced by batch {later}"')
    else:
        output.next_step(
            f'assay review release {number} --evidence {found.evidence} --reason "..."  (or reject)'
        )


@review.command(name="release")
@click.argument("number", type=int, metavar="BATCH")
@click.option("--reason", required=True, help="Why; kept with the decision.")
@click.option("--evidence", default=None, help="The fingerprint that `review show` printed; default: that of now.")
@project_options
@json_option
def review_release(
    number: int, reason: str, evidence: str | None, folder: Path, target: str | None, as_json: bool
) -> None:
    """Let a held batch go on.

    Example: assay review release 7 --reason "checked with the card office"
    """
    _decide(number, "release", reason, evidence, folder, target, as_json)


@review.command(name="reject")
@click.argument("number", type=int, metavar="BATCH")
@click.option("--reason", required=True, help="Why; kept with the decision.")
@click.option("--evidence", default=None, help="The fingerprint that `review show` printed; default: that of now.")
@project_options
@json_option
def review_reject(
    number: int, reason: str, evidence: str | None, folder: Path, target: str | None, as_json: bool
) -> None:
    """Refuse a held batch.

    Example: assay review reject 7 --reason "wrong month"
    """
    _decide(number, "reject", reason, evidence, folder, target, as_json)


def _decide(
    number: int, decision: str, reason: str, evidence: str | None, folder: Path, target: str | None, as_json: bool
) -> None:
    from assay.pipelines.review import decide

    with admitted(load(folder, target)) as door:
        door.batch(number)
        result = decide(
            door.platform, number, decision, reason, evidence=evidence, progress=progress(as_json=as_json)
        )
    done = {"release": "released", "reject": "rejected"}[decision]
    if as_json:
        output.print_json({"batch": number, "decision": decision, "state": result.batch.state})
    else:
        progress_done()
        click.echo(f"batch {number} is {done}, its state is now {result.batch.state}")
    _end(result, decision)


def _end(result: Result, decision: str) -> None:
    """A batch that was let go and refused further on, by a key, ends the command as a rejection."""
    if decision == "release" and result.batch.state == "rejected":
        output.next_step(f"assay batch show {result.batch.id}")
        raise click.exceptions.Exit(3)


def _show(found: Review) -> None:
    one, batch = found.waiting, found.waiting.batch
    click.echo(f"batch {batch.id}: held, {one.why}")
    facts = {
        "file": batch.file_name,
        "pipeline": f"{batch.zone}/{batch.pipeline}, source {batch.source}",
        "period": batch.period,
        "delivered": f"{batch.delivered_at:%Y-%m-%d %H:%M:%S} by {batch.delivered_by}",
        "waits": f"since {one.since:%Y-%m-%d %H:%M:%S} ({_length(one.waited)}) for {_whom(one)}",
        "remark": _remark(one) or None,
    }
    for name, value in facts.items():
        if value is not None:
            click.echo(f"  {name:<14}{output.visible(value)}")
    if found.findings:
        click.echo()
        output.findings(found.findings)
    if found.set_aside:
        click.echo()
        output.table(("set aside by", "reason", "rows"), found.set_aside)
    show_reconciliation(list(found.tallies))
    _show_history(found)
    if found.sample.rows:
        click.echo()
        output.table(found.sample.columns, found.sample.rows, title="the first rows", null=output.NULL)
    click.echo()
    if found.refusal is not None:
        click.echo(f"a release would be refused: {output.visible(found.refusal)}")
    elif found.effects:
        output.table(
            ("a release would change", "brings", "adds", "changes", "removes"),
            [(f"operational.{e.table}", e.brought, e.added, e.changed, e.removed) for e in found.effects],
        )
    click.echo(f"evidence {found.evidence}")


def _show_history(found: Review) -> None:
    if found.profile is None or not found.history:
        return
    measures = [name for name, column in found.profile.columns.items() if column.total is not None]
    rows = [("this one", None, found.profile), *((f"batch {n}", period, p) for n, _, period, p in found.history)]
    click.echo()
    output.table(
        ("beside earlier ones", "period", "rows", *(f"sum of {name}" for name in measures)),
        [
            (
                name,
                period,
                profile.rows,
                *(profile.columns[measure].total if measure in profile.columns else None for measure in measures),
            )
            for name, period, profile in rows
        ],
        null="-",
    )


def _whom(one: WaitingBatch) -> str:
    names = ", ".join(dict.fromkeys((*one.stewards, *one.escalated_to)))
    return names or f"a steward of {one.batch.zone} (none is named)"


def _remark(one: WaitingBatch) -> str:
    words = [] if one.replaced_by is None else [f"replaced by batch {one.replaced_by}: can only be rejected"]
    words += ["reminded"] if one.reminders else []
    words += ["escalated"] if one.escalated_to else []
    return "; ".join(words)


def _length(waited: timedelta) -> str:
    """A span of time in its largest unit."""
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number = int(waited.total_seconds() // seconds)
        if number:
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "just now"
