"""status: where batches are, and what waits for whom."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import json_option, load, project_options

if TYPE_CHECKING:
    from assay.pipelines.overview import Overview


@click.command(cls=Command)
@project_options
@json_option
def status(folder: Path, target: str | None, as_json: bool) -> None:
    """Show how many batches rest in which state, per pipeline, and what waits for whom.

    Example: assay status
    """
    from assay.pipelines.overview import overview
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found = overview(platform)
    if as_json:
        output.print_json(found.to_dict())
        return
    _show(found)
    for step in found.next_steps[:1]:
        output.next_step(step)


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
