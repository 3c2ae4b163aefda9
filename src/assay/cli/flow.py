"""Commands that move data: ingest, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options
from assay.cli.progress import progress, progress_done
from assay.errors import Usage, nearest

if TYPE_CHECKING:
    from assay.pipelines.arrivals import Misfit
    from assay.pipelines.run import Result


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", required=True, help="The zone that the files are for.")
@click.option("--pipeline", required=True, help="The pipeline that expects them.")
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
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.run import ingest as take_in

    with admitted(load(folder, target)) as door:
        platform = door.of_zone(zone)
        chosen = pipeline_of(platform, zone, pipeline)
        results = take_in(platform, chosen, list(files), source, progress(as_json=as_json))
    _show(results, as_json)


@click.command(cls=Command)
@click.argument("where", required=False)
@click.option("--watch", is_flag=True, help="Show batches moving through the stages meanwhile.")
@project_options
@json_option
def run(where: str | None, watch: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """Take in everything that waits in the ingress folders; WHERE is a ZONE or ZONE/PIPELINE.

    Example: assay run corporate_finance/expenses
    """
    from assay.catalog.sight import Sight
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.order import in_order
    from assay.pipelines.run import run as take_in

    project = load(folder, target)
    zone, _, name = (where or "").partition("/")
    if zone and zone not in project.zones:
        raise Usage(f"there is no zone {zone}", expected=nearest(zone, project.zones) or ", ".join(project.zones))
    with admitted(project) as door:
        zones = door.zones(zone or None, refuse_none=True)
        platform = door.platform
        chosen = [pipeline_of(platform, zone, name)] if name else [p for p in in_order(project) if p.zone in zones]
        if watch and not as_json:
            from assay.cli.follow import followed

            with followed(platform, door.regard(Sight(zones))):
                results = take_in(platform, chosen)
        else:
            results = take_in(platform, chosen, progress(as_json=as_json))
        results = [door.masked_result(one) for one in results]
    _show(results, as_json)


def _show(found: Sequence[Result | Misfit], as_json: bool) -> None:
    from assay.pipelines.run import Result

    results = [one for one in found if isinstance(one, Result)]
    misfits = [one for one in found if not isinstance(one, Result)]
    if as_json:
        output.print_json([_as_json(result) for result in results] + [_misfit_as_json(one) for one in misfits])
    else:
        progress_done()
        _show_results(results, misfits)
    rejected = [r for r in results if r.batch.state == "rejected"]
    held = [r for r in results if r.batch.state == "held"]
    if rejected:
        output.next_step(f"assay batch show {rejected[0].batch.id}")
        raise click.exceptions.Exit(3)
    if held:
        output.next_step(f"assay review show {held[0].batch.id}")
        raise click.exceptions.Exit(4)
    if misfits:
        if misfits[0].error.next:
            output.next_step(misfits[0].error.next)
        raise click.exceptions.Exit(misfits[0].error.exit_code)


def _show_results(results: list[Result], misfits: list[Misfit]) -> None:
    if not results and not misfits:
        click.echo("nothing was waiting", err=True)
        return
    output.table(
        ("batch", "file", "pipeline", "source", "state", "remark"),
        [
            (
                r.batch.id,
                r.batch.file_name,
                f"{r.batch.zone}/{r.batch.pipeline}",
                r.batch.source,
                r.batch.state,
                "same bytes as before: not processed again" if r.duplicate else (r.error.what if r.error else None),
            )
            for r in results
        ]
        + [
            (None, one.path.name, f"{one.zone}/{one.pipeline}", None, "not taken in", one.error.what)
            for one in misfits
        ],
    )


def _misfit_as_json(misfit: Misfit) -> dict[str, Any]:
    return {
        "batch": None,
        "zone": misfit.zone,
        "pipeline": misfit.pipeline,
        "file": misfit.path.name,
        "source": None,
        "state": None,
        "duplicate": False,
        "error": misfit.error.to_dict(),
    }


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "batch": result.batch.id,
        "zone": result.batch.zone,
        "pipeline": result.batch.pipeline,
        "file": result.batch.file_name,
        "source": result.batch.source,
        "state": result.batch.state,
        "duplicate": result.duplicate,
        "error": result.error.to_dict() if result.error else None,
    }
