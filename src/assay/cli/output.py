"""One shape for every answer: a table for people, JSON for programs. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from assay.errors import AssayError, Misconfigured, Rejected, Usage
from assay.findings import Finding

#: Wide enough for any row where nobody's terminal breaks it.
UNBROKEN = 100_000

#: How a missing value of a store is shown, to tell it from an empty text.
NULL = "NULL"

#: The least room in which the widest column of a table may be broken into lines.
COLUMN_LEAST = 24

#: Control characters, which could move the cursor or colour what follows, as people can read them.
VISIBLE = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def print_json(value: Any) -> None:
    """Prints a value as JSON; decimals, dates and times as text."""
    click.echo(json.dumps(value, default=str, ensure_ascii=False, indent=2))


def next_step(command: str) -> None:
    """Says, last and beside the result, what to type next."""
    click.echo(f"Next: {command}", err=True)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None, *, null: str = ""
) -> None:
    """Prints rows as a table: numbers to the right, a missing value as `null`; no line ends in blanks.

    On a terminal long cells are broken into lines; anywhere else a row is one line.
    """
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else UNBROKEN, highlight=False)
    shown = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold" if terminal else "", show_edge=False
    )
    filled = [list(row) for row in rows]
    for number, column in enumerate(columns):
        right = any(row[number] is not None for row in filled) and all(_numeric(row[number]) for row in filled)
        shown.add_column(visible(column), justify="right" if right else "left", overflow="fold", no_wrap=not terminal)
    for row in filled:
        shown.add_row(*(_cell(value, null) for value in row))
    with console.capture() as captured:
        console.print(shown)
    if title:
        click.echo(title)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def data(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints rows of a store: a table, or where the terminal is too narrow for it one row below the other."""
    filled = [list(row) for row in rows]
    if sys.stdout.isatty() and filled and not _fits(columns, filled, shutil.get_terminal_size().columns):
        _records(columns, filled)
    else:
        table(columns, filled, null=NULL)


def _fits(columns: Sequence[str], rows: list[list[Any]], width: int) -> bool:
    """Whether every column but the widest has the room that it needs, and that one enough to be read."""
    from rich.cells import cell_len

    lengths = [
        max(cell_len(visible(column)), *(cell_len(visible(str(row[number]))) for row in rows))
        for number, column in enumerate(columns)
    ]
    needed = sum(lengths) + 2 * len(lengths)
    return needed <= width or needed - max(lengths) + COLUMN_LEAST <= width


def _records(columns: Sequence[str], rows: list[list[Any]]) -> None:
    names = [visible(column) for column in columns]
    room = max(len(name) for name in names) + 2
    for number, row in enumerate(rows, 1):
        click.echo(f"row {number}")
        for name, value in zip(names, row, strict=True):
            click.echo(f"  {name:<{room}}{NULL if value is None else visible(str(value))}".rstrip())


def _cell(value: Any, null: str) -> Any:
    from rich.text import Text

    # `Text`, not markup: a cell of a delivered file must not style or link anything.
    if value is None:
        return Text(null, style="dim")
    return Text(visible(str(value)))


def visible(text: str) -> str:
    """The text with control characters written out, so that a delivered cell cannot act on the terminal."""
    return text.translate(VISIBLE)


def _without_secrets(value: Any) -> Any:
    """A text, or the texts of an error's values, with secrets masked."""
    from assay.security.secrets import redact

    if isinstance(value, dict):
        return {key: _without_secrets(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return redact(value) if isinstance(value, str) else value


def _numeric(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def findings(found: Iterable[tuple[str, Finding]]) -> None:
    """Prints findings, each with the segment that made it and its first cells."""
    rows: list[tuple[Any, ...]] = []
    for segment, finding in found:
        first = (finding.severity, segment, finding.message)
        for number, cell in enumerate(finding.cells or (None,)):
            place = "" if cell is None else str(cell)
            text = "" if cell is None or cell.found is None else repr(cell.found)
            rows.append((*(first if number == 0 else ("", "", "")), place, text, finding.expected or ""))
        hidden = finding.count - len(finding.cells)
        if finding.cells and hidden > 0:
            rows.append(("", "", "", f"and {hidden:,} more", "", ""))
    if rows:
        table(("severity", "segment", "what", "cell", "found", "expected"), rows)


def show_error(error: AssayError, *, as_json: bool) -> None:
    """Prints an error: as JSON to stdout where it was asked for, else in words to stderr, the next step last."""
    if as_json:
        print_json(_without_secrets(error.to_dict()))
        return
    problems = error.problems if isinstance(error, Misconfigured) else ()
    _echo(f"error: {_where(error)}{error.what}", error.expected, "  ")
    for problem in problems:
        _echo(f"  {_where(problem)}{problem.what}", problem.expected, "    ")
    if isinstance(error, Rejected):
        for finding in error.findings:
            _echo(f"  {finding.message}", finding.expected, "    ")
    step = error.next or next((problem.next for problem in problems if problem.next), None)
    next_step(_without_secrets(step or _fallback(error)))


def _fallback(error: AssayError) -> str:
    """What to type after an error that does not say so itself."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if isinstance(error, Misconfigured) and not (error.where or "").startswith("your "):
        return "assay plan, when the file is corrected"
    if isinstance(error, Usage | Misconfigured):
        return f"assay {command} --help".replace("  ", " ")
    return "assay doctor"


def _echo(text: str, expected: str | None, indent: str) -> None:
    click.echo(visible(_without_secrets(text)), err=True)
    if expected:
        click.echo(f"{indent}expected: {visible(_without_secrets(expected))}", err=True)


def _where(error: AssayError) -> str:
    """The place, its path as seen from here."""
    if not error.where:
        return ""
    here = f"{Path.cwd()}/"
    return error.where.removeprefix(here) + ": "


def show_usage(error: click.ClickException, *, as_json: bool) -> None:
    """Prints a wrongly typed command in the shape of every error."""
    context = getattr(error, "ctx", None)
    command = "assay" if context is None else context.command_path.replace("python -m assay.cli", "assay")
    if as_json:
        values = {"error": "Usage", "what": error.format_message(), "where": None, "expected": None}
        print_json({**values, "next": f"{command} --help"})
        return
    click.echo(f"error: {error.format_message()}", err=True)
    next_step(f"{command} --help")


def show_bug(error: Exception) -> None:
    """Says that assay itself failed, and where the details are."""
    with tempfile.NamedTemporaryFile("w", prefix="assay-bug-", suffix=".txt", delete=False) as file:
        file.write(_without_secrets("".join(traceback.format_exception(error))))
    click.echo(_without_secrets(f"error: assay itself failed: {type(error).__name__}: {error}"), err=True)
    click.echo(f"The details are in {file.name}; nothing was changed that is not recorded.", err=True)
    next_step("assay doctor")
