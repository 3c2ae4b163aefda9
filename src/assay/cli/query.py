"""Commands that ask: sql, lineage."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options
from assay.errors import Usage

if TYPE_CHECKING:
    from assay.pipelines.trace import ColumnOrigin, Origins
    from assay.serving.answer import Answer

#: How many rows a terminal is shown; a pipe and a program get all of them.
ROWS_ON_TERMINAL = 100

limit_option = click.option(
    "--limit", default=None, type=click.IntRange(min=0), help="At most so many rows; 0 shows all of them."
)


@click.command(cls=Command)
@click.argument("statement")
@click.option("--zone", default=None, help="The zone whose tables are meant, where several have one of the name.")
@click.option("--as", "user", default=None, metavar="USER", help="Ask as USER, where identity is local.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV; a missing value is left empty.")
@click.option("--timeout", default=60.0, type=click.FloatRange(min=0, min_open=True), help="Seconds that it may take.")
@limit_option
@project_options
@json_option
def sql(
    statement: str,
    zone: str | None,
    user: str | None,
    as_csv: bool,
    timeout: float,
    limit: int | None,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Ask a question: one SELECT in DuckDB's SQL over readable.x, staging.x, quarantine.x, operational.x, analytical.x.

    It sees the tables, rows and cells that you may see. Where several zones have a table of the name, write
    zone.store.x, or give --zone; zone.published.x is what a zone publishes. SHOW TABLES lists what you may read,
    DESCRIBE a table of it. Nothing can be changed, and files outside the stores cannot be read.

    Example: assay sql "SELECT month, sum(amount) AS amount FROM analytical.expense_by_month GROUP BY month"
    """
    from assay.pipelines.platform import opened
    from assay.serving.client import Connection, named

    if as_csv and as_json:
        raise Usage("--csv and --json exclude each other")
    if limit is None and sys.stdout.isatty() and not (as_csv or as_json):
        limit = ROWS_ON_TERMINAL
    project = load(folder, target)
    with (
        opened(project, user=named(project, user)) as platform,
        Connection(platform, seconds=timeout) as connection,
        connection.sql(statement, zone=zone) as answer,
    ):
        rows = answer.rows()
        shown = itertools.islice(rows, limit) if limit else rows
        if as_csv:
            _print_csv(answer.columns, shown)
        elif as_json:
            _print_json_rows(answer.columns, shown)
        else:
            output.data(answer.columns, shown)
        more = sum(1 for _ in rows)
    _tell_hidden(answer)
    if more:
        click.echo(f"{more:,} more rows: --limit 0 shows all of them", err=True)


def _tell_hidden(answer: Answer) -> None:
    """Says, beside the result, that it is not the whole."""
    if answer.filtered:
        click.echo(f"you see some of the rows of {', '.join(answer.filtered)}", err=True)
    if answer.masked:
        click.echo(f"masked for you: {', '.join(answer.masked)}", err=True)


def _print_csv(columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    from assay.stewardship.formulas import neutralised

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([neutralised(column) for column in columns])
    for row in rows:
        writer.writerow([neutralised(value) if isinstance(value, str) else value for value in row])


def _print_json_rows(columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """The rows as one JSON array, written as they come."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise Usage(
            f"several columns are called {', '.join(twice)}", expected="names that are unique, for JSON",
            next="give each of them its own name with AS",
        )  # fmt: skip
    separator = "[\n  "
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        click.echo(separator + json.dumps(values, default=str, ensure_ascii=False), nl=False)
        separator = ",\n  "
    click.echo("[]" if separator.startswith("[") else "\n]")


@click.command(cls=Command)
@click.argument("dataset")
@click.option("--where", default=None, metavar="CONDITION", help="An SQL condition that picks rows of DATASET.")
@click.option("--zone", default=None, help="The zone of DATASET, where several have one of the name.")
@click.option("--table", default=None, help="Trace to this table that the SQL reads, instead of the first.")
@click.option("--columns", is_flag=True, help="Show where each column comes from, instead of rows.")
@limit_option
@project_options
@json_option
def lineage(
    dataset: str,
    where: str | None,
    zone: str | None,
    table: str | None,
    columns: bool,
    limit: int | None,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Trace rows of DATASET (such as analytical.expense_by_month) back to batch, file, sheet and row.

    An analytical row leads to exactly those operational rows that its SQL made it of, with the file, its SHA-256,
    the contract's version and the steward's decision; SQL that cannot be followed is refused, saying why.

    Example: assay lineage operational.expense_line --where "amount < -100"
    """
    from assay.pipelines.trace import ROWS_SHOWN, column_origins, origins, traced

    if columns and (where or table):
        raise Usage("--columns speaks of all rows", expected="--columns without --where and --table")
    project = load(folder, target)
    chosen, _, _ = traced(project, dataset, zone)
    with admitted(project) as door:
        platform = door.dataset(chosen.name, dataset)
        if columns:
            _show_columns(column_origins(project, dataset, chosen.name), as_json)
            return
        if where is not None:
            door.dataset(chosen.name, dataset, "read")
        found = origins(
            platform, dataset, where, chosen.name, table=table, limit=ROWS_SHOWN if limit is None else limit or None,
            cells=door.shown(chosen.name),
        )  # fmt: skip
        if found.table != dataset:
            door.dataset(chosen.name, found.table)
        if not door.reads(chosen.name, found.table):
            found = found.places()
    if as_json:
        output.print_json(_as_json(found))
    else:
        _show_rows(found)


def _as_json(found: Origins) -> dict[str, Any]:
    return {
        "dataset": found.dataset,
        "table": found.table,
        "total": found.total,
        "rows": [dict(zip(found.columns, row, strict=True)) for row in found.rows],
        "batches": [vars(evidence) for evidence in found.evidence.values()],
        "other_tables": found.others,
        "other_zones": found.closed,
    }


def _show_rows(found: Origins) -> None:
    if not found.rows:
        click.echo(f"no row of {found.dataset} keeps the condition, or none of {found.table} is behind it", err=True)
        return
    click.echo(f"{found.total:,} rows of {found.table} are behind {found.dataset}")
    output.table(
        ("batch", "file", "sha256", "period", "contract", "configuration", "delivered by", "released by"),
        [
            (
                one.batch,
                one.file_name,
                one.sha256[:12],
                one.period,
                one.contract,
                one.config_version,
                one.delivered_by,
                f"{one.released_by}: {one.reason}" if one.released_by else "no steward was asked",
            )
            for one in found.evidence.values()
        ],
    )
    click.echo()
    output.data(found.columns, found.rows)
    for one in found.evidence.values():
        if one.landing_removed_at is not None:
            words = f"the delivered file of batch {one.batch} was removed on {one.landing_removed_at:%Y-%m-%d}"
            click.echo(f"{words}, past its retention; this is its record", err=True)
    if found.total > len(found.rows):
        hidden = found.total - len(found.rows)
        click.echo(f"{hidden:,} more rows: --limit 0 shows all of them", err=True)
    if found.others:
        click.echo(f"also read: {', '.join(found.others)}; --table NAME traces to one of them", err=True)
    if found.closed:
        click.echo(f"published by other zones, to be traced there: {', '.join(found.closed)}", err=True)


def _show_columns(found: list[ColumnOrigin], as_json: bool) -> None:
    if as_json:
        output.print_json([{"column": one.column, "from": list(one.steps)} for one in found])
        return
    rows = [(one.column, " <- ".join(one.steps) or "made by the SQL itself: a constant or a count") for one in found]
    output.table(("column", "comes from"), rows)
