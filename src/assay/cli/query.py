"""Commands that ask: sql, lineage."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.options import json_option, load, project_options


@click.command()
@click.argument("statement")
@click.option("--zone", default=None, help="The zone whose tables are meant; needed where there are several.")
@project_options
@json_option
def sql(statement: str, zone: str | None, folder: Path, target: str | None, as_json: bool) -> None:
    """Ask a question in SQL: staging.x, operational.x, analytical.x of a zone, and what it subscribes to.

    Example: assay sql "SELECT month, sum(amount) FROM analytical.expense_by_month GROUP BY month"
    """
    from assay.pipelines.platform import opened
    from assay.pipelines.query import ask

    with opened(load(folder, target)) as platform:
        columns, rows = ask(platform, statement, zone)
    if as_json:
        output.print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        output.table(columns, rows)


@click.command()
@click.argument("dataset")
@click.option("--where", default=None, help="An SQL condition that picks rows.")
@click.option("--zone", default=None)
@click.option("--columns", is_flag=True, help="Show where each column comes from instead.")
@project_options
@json_option
def lineage(
    dataset: str,
    where: str | None,
    zone: str | None,
    columns: bool,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Trace rows of DATASET (such as operational.expense_line) back to batch, file, sheet and row.

    Example: assay lineage operational.expense_line --where "amount < -100"
    """
    from assay.pipelines.platform import opened
    from assay.pipelines.trace import column_origins, row_origins

    project = load(folder, target)
    if columns:
        names: tuple[str, ...] = ("column", "comes from")
        rows = column_origins(project, dataset, zone)
    else:
        with opened(project) as platform:
            names, rows = row_origins(platform, dataset, where, zone)
    if as_json:
        output.print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        output.table(names, rows)
