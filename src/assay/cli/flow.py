"""Commands that move data: ingest, run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from assay.batch import Batch
from assay.cli import output
from assay.cli.options import json_option, load, project_options
from assay.errors import Usage


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", required=True)
@click.option("--pipeline", required=True)
@click.option("--source", default=None, help="The source; found by the file's name when not given.")
@project_options
@json_option
def ingest(
    files: tuple[Path, ...],
    zone: str,
    pipeline: str,
    source: str | None,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Deliver FILES to a pipeline by hand.

    Example: assay ingest card-2025-03.xlsx --zone corporate_finance --pipeline expenses
    """
    from assay.pipelines.platform import opened
    from assay.pipelines.run import ingest as take_in
    from assay.pipelines.run import pipeline_of

    with opened(load(folder, target)) as platform:
        results = take_in(platform, pipeline_of(platform, zone, pipeline), list(files), source, _progress(as_json))
    _show(results, as_json)


@click.command()
@click.argument("where", required=False)
@project_options
@json_option
def run(where: str | None, folder: Path, target: str | None, as_json: bool) -> None:
    """Take in everything that waits in the ingress folders; WHERE is a ZONE or ZONE/PIPELINE.

    Example: assay run corporate_finance/expenses
    """
    from assay.pipelines.order import in_order
    from assay.pipelines.platform import opened
    from assay.pipelines.run import pipeline_of
    from assay.pipelines.run import run as take_in

    project = load(folder, target)
    with opened(project) as platform:
        if where and "/" in where:
            zone, _, name = where.partition("/")
            chosen = [pipeline_of(platform, zone, name)]
        else:
            if where and where not in project.zones:
                raise Usage(f"there is no zone {where}", expected=", ".join(project.zones))
            chosen = [p for p in in_order(project) if where is None or p.zone == where]
        results = take_in(platform, chosen, _progress(as_json))
    _show(results, as_json)


def _progress(as_json: bool) -> Any:
    if as_json or not sys.stderr.isatty():
        return None

    def show(batch: Batch, segment: str) -> None:
        click.echo(f"\r\033[K{batch.label}: {segment}", nl=False, err=True)

    return show


def _show(results: list[Any], as_json: bool) -> None:
    if not as_json and sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    if as_json:
        output.print_json(
            [
                {
                    "batch": r.batch.id,
                    "file": r.batch.file_name,
                    "source": r.batch.source,
                    "state": r.batch.state,
                    "duplicate": r.duplicate,
                    "error": r.error.to_dict() if r.error else None,
                }
                for r in results
            ]
        )
    else:
        output.table(
            ("batch", "file", "zone/pipeline", "source", "state", ""),
            [
                (
                    r.batch.id,
                    r.batch.file_name,
                    f"{r.batch.zone}/{r.batch.pipeline}",
                    r.batch.source,
                    r.batch.state,
                    "same bytes as before: not processed again" if r.duplicate else (r.error.what if r.error else ""),
                )
                for r in results
            ],
        )
        if not results:
            click.echo("nothing was waiting", err=True)
    rejected = [r for r in results if r.batch.state == "rejected"]
    held = [r for r in results if r.batch.state == "held"]
    if rejected:
        click.echo(f"Next: assay batch show {rejected[0].batch.id}", err=True)
        raise click.exceptions.Exit(3)
    if held:
        click.echo(f"Next: assay review release {held[0].batch.id} --reason ...", err=True)
        raise click.exceptions.Exit(4)
