"""retry: what waits for a person because it failed is tried again."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options


@click.command(cls=Command)
@click.argument("batch", type=int, required=False)
@project_options
@json_option
def retry(batch: int | None, folder: Path, target: str | None, as_json: bool) -> None:
    """Let BATCH, or every batch that failed, be tried again at once: its cause is mended.

    A service that runs takes it on; without one, assay run does.

    Example: assay retry 12
    """
    from assay.catalog import progress, queue

    project = load(folder, target)
    with admitted(project) as door:
        if batch is not None:
            door.batch(batch)
            pipelines = None
        else:
            zones = door.zones(refuse_none=True) & project.zones.keys()
            pipelines = [(zone, name) for zone in zones for name in project.zones[zone].pipelines]
        platform = door.platform
        count = queue.take_up(platform.connection, number=batch, pipelines=pipelines)
        served = any(one.kind == "service" for one in progress.at_work(platform.connection))
    if as_json:
        output.print_json({"taken_up": count})
        return
    click.echo(f"{count} batches are tried again" if count != 1 else "1 batch is tried again")
    if count:
        output.next_step("assay status --watch" if served else "assay run")
