"""Commands for rows that were set aside."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options


@click.group(cls=Group)
def quarantine() -> None:
    """List, show and export rows that were set aside.

    Example: assay quarantine list
    """


@quarantine.command(name="list")
@click.option("--zone", default=None, help="Only this zone.")
@project_options
@json_option
def quarantine_list(zone: str | None, folder: Path, target: str | None, as_json: bool) -> None:
    """List what stands aside, by batch and reason.

    Example: assay quarantine list --zone corporate_finance
    """
    from assay.pipelines.quarantine import listing

    with admitted(load(folder, target)) as door:
        sight = door.sight(zone)
        found = listing(door.platform, zone, sight)
    if as_json:
        output.print_json([one.__dict__ for one in found])
        return
    output.table(
        ("batch", "zone", "source", "file", "set aside by", "reason", "rows"),
        [(one.batch, one.zone, one.source, one.file, one.segment, one.reason, one.rows) for one in found],
    )
    if not found:
        click.echo("nothing stands aside", err=True)


@quarantine.command(name="show")
@click.argument("number", type=int)
@click.option("--limit", default=20, show_default=True, help="How many rows are shown.")
@project_options
@json_option
def quarantine_show(number: int, limit: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Show the rows of batch NUMBER that stand aside, with the reason.

    Example: assay quarantine show 7
    """
    from assay.pipelines.quarantine import rows_of

    with admitted(load(folder, target)) as door:
        found = door.batch(number)
        columns, rows = rows_of(door.platform, number, door.cells_of(found, "quarantine"))
    if as_json:
        output.print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    output.table(columns, rows[:limit])
    if len(rows) > limit:
        click.echo(f"{len(rows) - limit} more; all of them: assay quarantine export {number}", err=True)


@quarantine.command(name="export")
@click.argument("number", type=int)
@click.option("-o", "--output", "into", type=click.Path(path_type=Path), help="The workbook to write.")
@project_options
@json_option
def quarantine_export(number: int, into: Path | None, folder: Path, target: str | None, as_json: bool) -> None:
    """Write the rows of batch NUMBER that stand aside to a workbook, each with its reason.

    Corrected, the workbook can be delivered to the same source: the columns of ours are not read.

    Example: assay quarantine export 7 -o corrections.xlsx
    """
    from assay.pipelines.quarantine import export

    path = into or Path(f"quarantine-{number}.xlsx")
    with admitted(load(folder, target)) as door:
        found = door.batch(number)
        rows = export(door.platform, number, path, door.cells_of(found, "quarantine"))
    if as_json:
        output.print_json({"batch": number, "rows": rows, "file": str(path)})
    else:
        click.echo(f"{rows} row{'' if rows == 1 else 's'} in {path}")
