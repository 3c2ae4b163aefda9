"""The report on a delivery in the terminal, and the command that returns the sender's file with it."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options

if TYPE_CHECKING:
    from assay.batch import Batch
    from assay.stewardship.report import Group, Problem, Report
    from assay.stewardship.returned import Returned

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
_LABEL = 10


@click.command(name="return", cls=Command)
@click.argument("number", type=int)
@click.option(
    "-o", "--output", "into", default=None, type=click.Path(path_type=Path),
    help="The file to write; default: one here, named after the delivered file.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@project_options
@json_option
def batch_return(number: int, into: Path | None, force: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """Write a batch's file back for its sender: a workbook with the bad cells marked, or the bad rows of a text file.

    Example: assay batch return 7 -o for-the-card-office.xlsx
    """
    from assay.pipelines.returns import return_batch

    if sys.stderr.isatty() and not as_json:
        click.echo("examining the file for all its cells; a large workbook takes minutes to mark", err=True)
    with admitted(load(folder, target)) as door:
        door.whole_file(number)
        returned = return_batch(door.platform, number, into, replace_it=force)
    if as_json:
        output.print_json(returned.to_dict())
    else:
        click.echo(f"{returned.path}: {returned.note}")


def replacement(batch: Batch, successor: int | None) -> str:
    """Which batch this one replaces, and which replaces it, in words."""
    words = [f"replaces batch {batch.replaces}"] if batch.replaces is not None else []
    words += [f"replaced by batch {successor}"] if successor is not None else []
    return ", ".join(words)


def show_report(report: Report) -> None:
    """Prints a report: what became of the file, then each problem with its first cells and what to do."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(_text(report.summary, "bold"))
    for group in report.groups:
        _show_group(console, group)
    if report.groups:
        console.print()
    console.print(_text(report.next))


def show_returned(returned: Returned) -> None:
    """Says which file was written, and what it is."""
    click.echo(f"{returned.path}: {returned.note}", err=True)


def _text(words: str, style: str = "") -> Any:
    """`Text`, not markup: what stands in a delivered file must not style or link anything."""
    from rich.text import Text

    return Text(words, style=style)


def _show_group(console: Any, group: Group) -> None:
    console.print()
    console.print(_text(group.heading, f"bold {_COLOURS[group.severity]}"))
    for problem in group.problems:
        console.print()
        console.print(_text("  ").append(_heading(problem), style="bold"))
        _show_lines(console, _lines(problem))
    if group.more:
        console.print(_text(f"\n  … and {group.more} more kinds"))


def _heading(problem: Problem) -> str:
    """`Amount (column F): 2 cells are not a number`; the column only where the words do not name it."""
    if problem.column is None or problem.kind in ("missing_column", "renamed_column", "duplicate_column"):
        return problem.says[:1].upper() + problem.says[1:]
    letters = ", ".join(problem.letters[:3])
    where = f" (column {letters})" if letters else ""
    return f"{problem.column}{where}: {problem.says}"


def _lines(problem: Problem) -> list[tuple[str, str]]:
    """Label and text of each line: the first cells, then what to do."""
    cells = [(str(cell), "" if cell.found is None else repr(cell.found)) for cell in problem.cells if str(cell)]
    width = max((len(place) for place, found in cells if found), default=0)
    places = [f"{place:<{width}}   {found}".rstrip() for place, found in cells]
    if problem.more_cells:
        places.append(f"… and {problem.more_cells:,} more")
    return [*(("where" if number == 0 else "", place) for number, place in enumerate(places)), ("do", problem.next)]


def _show_lines(console: Any, lines: list[tuple[str, str]]) -> None:
    """Labels to the left, texts wrapped beside them."""
    for label, words in lines:
        head = f"{'':4}{label:<{_LABEL - 4}}"
        for part in textwrap.wrap(words, max(20, console.width - _LABEL), drop_whitespace=False) or [""]:
            console.print(_text(head, "dim").append(part, style="not dim"), soft_wrap=True)
            head = " " * _LABEL
