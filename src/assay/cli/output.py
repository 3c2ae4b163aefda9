"""One shape for every answer: a table for people, JSON for programs. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import click

from assay.errors import AssayError, Misconfigured, Rejected
from assay.findings import Finding


def print_json(value: Any) -> None:
    """Prints a value as JSON; decimals and dates as text."""
    click.echo(json.dumps(value, default=str, ensure_ascii=False, indent=2))


def next_step(command: str) -> None:
    """Says, last and beside the result, what to type next."""
    click.echo(f"Next: {command}", err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Prints rows as a table; off a terminal it is as wide as its text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 200)
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    shown_rows = [list(row) for row in rows]
    for number, column in enumerate(columns):
        right = bool(shown_rows) and all(_numeric(row[number]) for row in shown_rows)
        shown.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in shown_rows:
        # `Text`, not markup: a cell of a delivered file must not style or link anything.
        shown.add_row(*(Text("" if value is None else str(value)) for value in row))
    console.print(shown)


def _numeric(value: Any) -> bool:
    from decimal import Decimal

    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def findings(found: Iterable[Finding]) -> None:
    """Prints findings with their first cells."""
    rows = []
    for finding in found:
        cells = finding.cells or (None,)
        for number, cell in enumerate(cells):
            rows.append(
                (
                    finding.severity if number == 0 else "",
                    finding.message if number == 0 else "",
                    str(cell) if cell else "",
                    "" if cell is None or cell.found is None else repr(cell.found),
                    (finding.expected or "") if number == 0 else "",
                )
            )
    if rows:
        table(("severity", "what", "cell", "found", "expected"), rows)


def show_error(error: AssayError, *, as_json: bool) -> None:
    """Prints an error: as JSON to stdout where it was asked for, else in words to stderr."""
    if as_json:
        click.echo(json.dumps(error.to_dict(), default=str, ensure_ascii=False, indent=2))
        return
    problems = error.problems if isinstance(error, Misconfigured) else ()
    click.echo(f"error: {error}", err=True)
    for problem in problems:
        click.echo(f"  {problem}".replace("\n", "\n    "), err=True)
    if isinstance(error, Rejected):
        for finding in error.findings:
            click.echo(f"  {finding.message}", err=True)


def show_bug(error: Exception) -> None:
    """Says that assay itself failed, and where the details are."""
    with tempfile.NamedTemporaryFile("w", prefix="assay-bug-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    click.echo(f"error: assay itself failed: {type(error).__name__}: {error}", err=True)
    click.echo(f"The details are in {file.name}; nothing was changed that is not recorded.", err=True)
