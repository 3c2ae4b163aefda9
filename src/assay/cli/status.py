"""status: where batches are, and what waits for whom."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options

if TYPE_CHECKING:
    from assay.pipelines.overview import Overview
    from assay.pipelines.platform import Platform
    from assay.pipelines.progress import Regard


@click.command(cls=Command)
@click.option("--watch", is_flag=True, help="Go on showing what is under way, until Ctrl-C.")
@project_options
@json_option
def status(watch: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """Show how many batches rest in which state, what is under way, and what waits for whom.

    Example: assay status
    """
    from assay.cli import follow, publishing
    from assay.orchestration.schedule import upcoming
    from assay.pipelines.offers import subscriptions, waiting
    from assay.pipelines.overview import overview
    from assay.pipelines.progress import observed

    with admitted(load(folder, target)) as door:
        sight = door.sight()
        platform, regard = door.platform, door.regard(sight)
        if watch:
            _watch(platform, regard, as_json)
            return
        found, moving = overview(platform, sight), observed(platform, regard=regard)
        schedules = [one for one in upcoming(platform, datetime.now(UTC)) if sight.covers(one.zone)]
        asked = waiting(subscriptions(platform.connection, publishing.viewer(platform)))
    steps = [*found.next_steps, *moving.next_steps, *(f"assay subscription show {one.id}" for one in asked)]
    if as_json:
        due = [asdict(one) for one in schedules]
        open_ones = [one.to_dict() for one in asked]
        values = {**found.to_dict(), **moving.to_dict(), "schedules": due, "subscriptions": open_ones, "next": steps}
        output.print_json(values)
        return
    _show(found)
    follow.show(moving)
    if schedules:
        click.echo()
        rows = [(f"{one.zone}/{one.pipeline}", one.schedule, f"{one.due:%Y-%m-%d %H:%M} UTC") for one in schedules]
        output.table(("starts by the clock", "schedule", "next"), rows)
    if asked:
        click.echo()
        waits = [(one.id, one.name, one.to, one.state, one.last.reason) for one in asked]
        output.table(("subscription", "to", "for", "state", "because"), waits)
    for step in steps[:1]:
        output.next_step(step)


def _watch(platform: Platform, regard: Regard, as_json: bool) -> None:
    from assay.cli import follow
    from assay.pipelines.progress import observed

    leaving = threading.Event()
    try:
        if as_json:
            while not leaving.wait(follow.LOOK_SECONDS):
                click.echo(json.dumps(observed(platform, regard=regard).to_dict(), default=str, ensure_ascii=False))
        else:
            follow.follow(lambda: observed(platform, rested_seconds=follow.RESTED_SECONDS, regard=regard), leaving)
    except KeyboardInterrupt:
        return


def _show(found: Overview) -> None:
    configured = "applied" if found.applied == found.version else f"not applied; {found.applied or 'none'} is"
    click.echo(f"{found.platform}: configuration {found.version} ({configured})")
    click.echo()
    output.table(
        ("pipeline", "under way", "held", "done", "rejected", "last activity"),
        [
            (
                f"{one.zone}/{one.pipeline}" + ("" if one.configured else " (no longer configured)"),
                one.under_way,
                one.states.get("held", 0),
                one.states.get("done", 0),
                one.states.get("rejected", 0),
                None if one.last_activity is None else f"{one.last_activity:%Y-%m-%d %H:%M:%S}",
            )
            for one in found.pipelines
        ],
        null="never",
    )
    if found.held:
        click.echo()
        output.table(
            ("batch", "held in", "file", "since", "findings", "waits for"),
            [
                (
                    one.batch,
                    f"{one.zone}/{one.pipeline}",
                    one.file_name,
                    f"{one.since:%Y-%m-%d %H:%M:%S}",
                    one.findings,
                    ", ".join(one.stewards) or f"a steward of {one.zone} (none is named)",
                )
                for one in found.held
            ],
        )
    _show_late(found)
    _show_undelivered(found)


def _show_late(found: Overview) -> None:
    """What was due by its contract and has not come."""
    if found.late:
        click.echo()
        output.table(
            ("late", "pipeline", "due", "last came"),
            [
                (
                    one.dataset,
                    f"{one.zone}/{one.pipeline}",
                    f"{one.due:%Y-%m-%d %H:%M:%S}",
                    None if one.last is None else f"{one.last:%Y-%m-%d %H:%M:%S}",
                )
                for one in found.late
            ],
            null="never",
        )


def _show_undelivered(found: Overview) -> None:
    """What should have been told to somebody, and was not."""
    rows = [
        (f"{one.event} of batch {one.batch}" if one.batch else one.event, one.recipient, _again(one.state, one.next_at),
         one.attempts, output.visible(one.error))
        for one in found.undelivered
    ] + [
        (one.reader, None, _again("waiting", one.retry_at), one.attempts, output.visible(one.failure))
        for one in found.stuck
    ]  # fmt: skip
    if rows:
        click.echo()
        output.table(("not told", "to", "again", "tries", "because"), rows)


def _again(state: str, moment: datetime) -> str:
    return "given up" if state == "given_up" else f"{moment:%Y-%m-%d %H:%M:%S}"
