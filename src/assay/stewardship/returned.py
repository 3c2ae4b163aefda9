"""The sender's own file returned with what is wrong with it.

It stands here and not with the segments because it renders a report for a person and moves no data between stores.
A workbook comes back as itself, its bad cells marked and commented, with a first sheet that lists them; older and
other spreadsheets as an xlsx copy of what was read; a delimited file as its bad rows with the reasons in front; any
other file, and one that cannot be opened, as the list alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.errors import Rejected, Usage
from assay.findings import Cell
from assay.stewardship.formulas import neutralised
from assay.stewardship.limited import run_limited
from assay.stewardship.report import Problem, Report
from assay.stores.objects import translated

if TYPE_CHECKING:
    from assay.readers.limits import Limits
    from assay.zones.model import ReaderHints

#: How many cells a returned file shows.
CELLS_MOST = 10_000

Form = Literal["workbook", "copy", "rows", "listing"]

#: Kinds whose rows went missing from the data even where the contract tolerates it.
_WENT_MISSING = frozenset({"type_mismatch", "ambiguous_date", "rounded_number", "missing_value", "extra_rows"})
#: Kinds whose cells only show where something was looked for.
_NOWHERE = frozenset({"missing_column", "missing_header", "missing_sheet", "empty_file"})
_TEXTS = frozenset({".csv", ".tsv", ".tab", ".txt", ".psv", ".dat", ""})
_TABLES = _TEXTS - {""} | {
    ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".xltx", ".xltm", ".xlt", ".json", ".jsonl", ".ndjson", ".parquet",
    ".zip", ".gz",
}  # fmt: skip
_COPIED = ("The copy shows the values that were read; formulas, colours and drawings are in your own file only.",)
_KEPT = ("Correct it here or in your own file; drawings, charts and pivot tables may be missing in this one.",)


@dataclass(frozen=True)
class Returned:
    """A returned file: where it is, what it is, how many cells it shows, and how many more there are."""

    path: Path
    form: Form
    note: str
    cells: int
    more_cells: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class Mark:
    """A problem of one cell or row."""

    number: int
    problem: Problem
    cell: Cell


def return_file(
    delivered: Path,
    made: Report,
    hints: ReaderHints,
    scratch: Path,
    into: Path,
    *,
    header_row: int | None,
    limits: Limits | None = None,
    replace_it: bool = False,
) -> Returned:
    """Writes the returned file, which appears whole or not at all.

    `made` is a report with all cells; `header_row` is the header's row in a delimited file, None where the file
    could not be read. The suffix of `into` gives way to that of the form that is written.
    Raises `Usage` when there is nothing to return, or a file of that name is there and not to be replaced.
    """
    problems = [problem for group in made.groups for problem in group.problems if _counts(problem)]
    if not problems:
        raise Usage(f"nothing is wrong with {made.file}: there is nothing to return")
    numbered = list(enumerate(problems, start=1))
    marks = [Mark(number, problem, cell) for number, problem in numbered for cell in problem.cells]
    shown = marks[:CELLS_MOST]
    more = sum(problem.more_cells for problem in problems) + len(marks) - len(shown)
    readable = made.rows_total is not None
    form = _form(delivered, hints, shown, header_row) if readable else "listing"
    limits = limits or _declared(hints)
    if form == "rows" and header_row is not None:
        file = _rows(delivered, hints, shown, header_row, more, scratch)
        return _settled(file, into, delivered, form, "the rows with a problem, as delivered", shown, more, replace_it)
    request = _request(made, numbered, shown, more)
    note = "a list of the problems"
    if form in ("workbook", "copy"):
        why = _marked(form, delivered, hints, request, scratch, limits)
        if why is None:
            kind = "the delivered workbook" if form == "workbook" else "a copy of the delivered workbook"
            words = f"{kind} with the cells marked, and a first sheet that lists them"
            return _settled(scratch / "returned.xlsx", into, delivered, form, words, shown, more, replace_it)
        note += f", because the workbook itself could not be marked: {why}"
    why = run_limited("assay.stewardship.marking", {**request, "form": "listing"} | _out(scratch), limits)
    if why is not None:
        raise Usage(f"the list of the problems could not be written: {why}")
    return _settled(scratch / "returned.xlsx", into, delivered, "listing", note, shown, more, replace_it)


def _declared(hints: ReaderHints) -> Limits:
    """What the reader's hints allow a file to cost, where they speak of it."""
    from assay.readers.limits import Limits

    declared = getattr(hints, "limits", None)
    return Limits() if declared is None else declared.value()


def suggested_name(file_name: str) -> str:
    """What a returned file is called unless its name was chosen."""
    path = Path(file_name)
    return f"{path.stem}.returned{path.suffix}"


def _counts(problem: Problem) -> bool:
    return problem.severity != "info" or problem.kind in _WENT_MISSING


def _form(delivered: Path, hints: ReaderHints, marks: Sequence[Mark], header_row: int | None) -> Form:
    """How the file goes back, by its content."""
    with delivered.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK"):
        return _archive_form(delivered)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        return "copy"
    declared = getattr(hints, "format", "auto")
    text = declared == "csv" or (declared == "auto" and _is_text(delivered, start))
    rows = any(mark.cell.row is not None and mark.cell.sheet is None for mark in marks)
    return "rows" if text and rows and header_row is not None else "listing"


def _archive_form(delivered: Path) -> Form:
    try:
        with zipfile.ZipFile(delivered) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return "listing"
    if "xl/workbook.xml" in names:
        return "workbook"
    return "copy" if names & {"xl/workbook.bin", "content.xml"} else "listing"


def _is_text(delivered: Path, start: bytes) -> bool:
    binary = start.startswith((b"PAR1", b"\x1f\x8b"))
    return not binary and start[:1] not in (b"{", b"[") and delivered.suffix.casefold() in _TEXTS


# --- workbooks ----------------------------------------------------------------------------------------------------


def _request(
    made: Report, numbered: Sequence[tuple[int, Problem]], marks: Sequence[Mark], more: int
) -> dict[str, Any]:
    return {
        "summary": made.summary,
        "next": made.next,
        "notes": [],
        "problems": [
            {
                "number": number, "severity": problem.severity, "says": _capital(problem.says),
                "column": problem.column or "", "count": problem.count, "next": problem.next,
            }
            for number, problem in numbered
        ],
        "cells": [
            {
                "number": mark.number, "severity": mark.problem.severity, "place": str(mark.cell),
                "sheet": mark.cell.sheet, "row": mark.cell.row, "column": mark.cell.column,
                # Quotation marks: the value begins with no sign that would make it a formula.
                "found": "" if mark.cell.found is None else f'"{mark.cell.found}"',
                "expected": mark.problem.expected or "", "comment": _comment(mark.problem),
                "marked": mark.problem.kind not in _NOWHERE,
            }
            for mark in marks
        ],
        "more": more,
        "grids": [],
    }  # fmt: skip


def _comment(problem: Problem) -> str:
    """What is said at a cell: what it must be, and nothing of any other cell."""
    if problem.kind == "type_mismatch":
        return f"Must be {problem.expected}."
    if problem.kind == "missing_value":
        return f"Must be filled: {problem.expected}."
    return f"{_capital(problem.says)}. {problem.next}" if problem.rule else problem.next


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _out(scratch: Path) -> dict[str, str]:
    return {"out": str((scratch / "returned.xlsx").resolve())}


def _marked(
    form: Form, delivered: Path, hints: ReaderHints, request: dict[str, Any], scratch: Path, limits: Limits
) -> str | None:
    """Makes the marked workbook; says in words why not, where that is so."""
    request = {**request, **_out(scratch), "form": form, "path": str(delivered.resolve())}
    request["notes"] = [*(_KEPT if form == "workbook" else _COPIED)]
    if form == "copy":
        try:
            request["grids"] = _grids(delivered, hints, scratch, limits)
        except Rejected as error:
            return error.what
    return run_limited("assay.stewardship.marking", request, limits)


def _grids(delivered: Path, hints: ReaderHints, scratch: Path, limits: Limits) -> list[dict[str, Any]]:
    import pyarrow as pa

    from assay.readers.limits import read_limited

    kept = []
    for number, grid in enumerate(read_limited(delivered, hints, scratch, limits)):
        file = scratch / f"returned-{number}.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, grid.table.schema) as writer:
            writer.write_table(grid.table)
        kept.append({"sheet": grid.sheet or f"Sheet{number + 1}", "hidden": grid.hidden, "file": str(file.resolve())})
    return kept


# --- delimited files ----------------------------------------------------------------------------------------------


def _rows(
    delivered: Path, hints: ReaderHints, marks: Sequence[Mark], header_row: int, more: int, scratch: Path
) -> Path:
    """The bad rows as they were delivered. The two cells of ours stand in front: a row that is too short or too long
    would carry them elsewhere."""
    from assay.readers import csv, lines

    dialect = csv.detect(delivered, hints)
    text = csv.to_utf8(delivered, dialect, scratch / "returned.utf8")
    codec, mark = lines.writing(delivered, dialect)
    reasons = _reasons(marks)
    file = scratch / "returned.csv"
    end = lines.line_end(text)

    def line(number: str, words: str, record: str) -> bytes:
        ours = dialect.delimiter.join(_cell(one, dialect.delimiter, dialect.quote) for one in (number, words))
        return f"{ours}{dialect.delimiter}{record}{end}".encode(codec, errors="backslashreplace")

    with file.open("wb") as out:
        out.write(mark)
        records = dict(_wanted(lines.delivered_records(text, dialect), {*reasons, header_row}))
        out.write(line("row", "problem", records.get(header_row, "")))
        out.writelines(line("", words, "") for words in reasons.get(0, ()))
        for number in sorted(reasons.keys() - {0}):
            out.write(line(str(number), "; ".join(reasons[number]), records.get(number, "")))
        if more:
            out.write(line("", f"... and {more:,} more", ""))
    return file


def _reasons(marks: Sequence[Mark]) -> dict[int, list[str]]:
    """The words for each row; those for the file as a whole under 0."""
    reasons: dict[int, list[str]] = {}
    for mark in marks:
        problem, row = mark.problem, mark.cell.row or 0
        words = _comment(problem) if problem.kind in ("type_mismatch", "missing_value") else problem.says
        where = f"{problem.column}: " if problem.column and problem.column not in words else ""
        told = reasons.setdefault(row, [])
        if (one := f"{where}{words}".rstrip(".")) not in told:
            told.append(one)
    return reasons


def _wanted(records: Iterator[tuple[int, str]], numbers: set[int]) -> Iterator[tuple[int, str]]:
    last = max(numbers)
    for number, record in records:
        if number in numbers:
            yield number, record
        if number >= last:
            return


def _cell(text: str, delimiter: str, quote: str) -> str:
    text = neutralised(text)
    if quote:
        return f"{quote}{text.replace(quote, quote * 2)}{quote}"
    return text.replace(delimiter, " ").replace("\n", " ").replace("\r", " ")


# --- the file -----------------------------------------------------------------------------------------------------


def _settled(
    made: Path,
    into: Path,
    delivered: Path,
    form: Form,
    note: str,
    marks: Sequence[Mark],
    more: int,
    replace_it: bool,
) -> Returned:
    """Gives the complete file its name in one step."""
    target = _named(into, _suffix(form, delivered))
    if target.exists() and (not replace_it or target.resolve() == delivered.resolve()):
        raise Usage(
            f"{target} is there already", next="name another file, or say --force where it may be replaced"
        )
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        shutil.copyfile(made, temporary)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise translated(error, target) from error
    return Returned(target, form, note, len(marks), more)


def _named(into: Path, suffix: str) -> Path:
    """The file's name with the suffix of what it is, so that the right program opens it."""
    if into.suffix.casefold() == suffix.casefold():
        return into
    return into.with_suffix(suffix) if into.suffix.casefold() in _TABLES else into.with_name(into.name + suffix)


def _suffix(form: Form, delivered: Path) -> str:
    if form == "rows":
        return delivered.suffix or ".csv"
    if form == "workbook" and _has_macros(delivered):
        return ".xlsm"
    return ".xlsx"


def _has_macros(delivered: Path) -> bool:
    with zipfile.ZipFile(delivered) as archive:
        return "xl/vbaProject.bin" in archive.namelist()
