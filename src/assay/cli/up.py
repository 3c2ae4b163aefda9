"""up: the service in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from assay.cli.help import Command
from assay.cli.options import command_name, json_option, project_options


@click.command(cls=Command)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="How many batches at a time.")
@project_options
@json_option
def up(workers: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Run the service: take in files as they arrive, and carry every batch on until it is done or waits for a person.

    It stays in the foreground; Ctrl-C ends it once what is under way is finished. Several may run on one platform.

    Example: assay up --workers 2
    """
    from assay import log
    from assay.orchestration.link import Place
    from assay.orchestration.service import Crew, serve
    from assay.pipelines.door import Door
    from assay.zones.project import find_root

    begin = _as_json if as_json else log.start_service
    begin()
    place, name = Place(find_root(folder.resolve()), target), command_name()
    serve(place, Crew(workers, begin), lambda platform: Door(platform, name).of_platform())


def _as_json() -> None:
    from assay import log

    log.start("json", sys.stdout)
