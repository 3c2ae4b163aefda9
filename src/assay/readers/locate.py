"""Where a contract's fields stand in a file: by header names, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from assay.errors import nearest
from assay.findings import Cell, Finding, column_letter
from assay.readers.grid import Grid

if TYPE_CHECKING:
    from assay.zones.contract import Contract
    from assay.zones.project import ReaderHints

#: How far down a header may stand when no hint says where.
HEADER_WITHIN_ROWS = 100


@dataclass(frozen=True)
class Located:
    """The sheet and row that carry the header, and the column of each field found.

    `missing` has the fields that had to be there; `duplicates` the columns that matched one field more than
    once (their sameness is judged on the rows of the grid that was given, so give the whole file to be sure).
    """

    grid: Grid
    header_row: int
    columns: Mapping[str, int]
    unknown: tuple[tuple[int, str], ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    duplicates: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Candidate:
    grid: Grid
    position: int
    row: int
    headers: tuple[str, ...]
    matches: Mapping[str, tuple[int, ...]]


def normalised(header: str | None) -> str:
    """A header as it is compared: stripped, blanks collapsed, without case."""
    return " ".join((header or "").split()).casefold()


def locate(grids: Sequence[Grid], contract: Contract, hints: ReaderHints) -> Located:
    """The best matching header row in any visible sheet, or in the sheet and row that the hints name."""
    known = _known(contract)
    sheets = [grid for grid in grids if (grid.sheet == hints.sheet if hints.sheet else not grid.hidden)]
    per_sheet = [found for grid in sheets if (found := _best(grid, known, hints)) is not None]
    best = max(per_sheet, key=_score, default=None)
    if best is None:
        return _nowhere(grids, sheets, contract, hints)
    rivals = [one for one in per_sheet if one is not best and _score(one) == _score(best) and _has_data(one)]
    findings: list[Finding] = []
    if rivals and not hints.sheet:
        names = ", ".join(f'"{one.grid.sheet}"' for one in [best, *rivals])
        findings.append(
            Finding("ambiguous_sheet", f"several sheets fit the contract: {names}; name one in `reader.sheet`")
        )
    columns, doubled = _columns(best, findings)
    missing = _missing(best, contract, columns, findings)
    unknown = _unknown(best, contract, missing, findings)
    return Located(best.grid, best.row, columns, unknown, missing, tuple(findings), doubled)


def _known(contract: Contract) -> dict[str, str]:
    """Normalised header → field; the first field that claims a header has it."""
    known: dict[str, str] = {}
    for field in contract.fields:
        for header in field.headers:
            known.setdefault(normalised(header), field.name)
    return known


def _score(candidate: _Candidate) -> int:
    return len(candidate.matches)


def _has_data(candidate: _Candidate) -> bool:
    return candidate.grid.height > candidate.position + 1


def _best(grid: Grid, known: Mapping[str, str], hints: ReaderHints) -> _Candidate | None:
    best: _Candidate | None = None
    numbers = grid.table["row"].to_pylist()
    top = grid.table if hints.header_row is not None else grid.table.slice(0, HEADER_WITHIN_ROWS)
    for position in range(top.num_rows):
        if hints.header_row is not None and numbers[position] != hints.header_row:
            continue
        candidate = _candidate(grid, position, numbers[position], known)
        if candidate.matches and (best is None or _score(candidate) > _score(best)):
            best = candidate
    return best


def _candidate(grid: Grid, position: int, row: int, known: Mapping[str, str]) -> _Candidate:
    headers = tuple(grid.table[f"c{index}"][position].as_py() or "" for index in range(grid.width))
    matches: dict[str, list[int]] = {}
    blank: list[int] = []
    for index, header in enumerate(headers):
        name = normalised(header)
        if not name:
            blank.append(index)
        elif name in known:
            matches.setdefault(known[name], []).append(index)
    # A blank header means something only within a header row, for a column with data, and as a last resort.
    if matches and "" in known and known[""] not in matches:
        filled = [index for index in blank if not _is_blank(grid, index, position)]
        if filled:
            matches[known[""]] = filled
    return _Candidate(grid, position, row, headers, {field: tuple(at) for field, at in matches.items()})


def _cells(grid: Grid, index: int, position: int) -> pa.ChunkedArray:
    return pc.fill_null(grid.table[f"c{index}"].slice(position + 1), "")


def _is_blank(grid: Grid, index: int, position: int) -> bool:
    below = _cells(grid, index, position)
    return len(below) == 0 or not pc.any(pc.not_equal(pc.utf8_trim_whitespace(below), "")).as_py()


def _place(found: _Candidate, index: int) -> Cell:
    return Cell(found.row, column_letter(index), found.headers[index], found.grid.sheet)


def _columns(found: _Candidate, findings: list[Finding]) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    doubled = {field: at for field, at in found.matches.items() if len(at) > 1}
    for field, at in doubled.items():
        first = _cells(found.grid, at[0], found.position)
        same = all(_cells(found.grid, other, found.position).equals(first) for other in at[1:])
        letters = ", ".join(column_letter(index) for index in at)
        findings.append(
            Finding(
                "duplicate_column",
                f'the columns {letters} all stand for "{field}" '
                + ("and are identical: the first is used" if same else "and differ"),
                severity="info" if same else "error",
                field=field,
                expected="one column",
                count=len(at),
                cells=tuple(_place(found, index) for index in at[:5]),
            )
        )
    return {field: at[0] for field, at in found.matches.items()}, doubled


def _missing(
    found: _Candidate, contract: Contract, columns: Mapping[str, int], findings: list[Finding]
) -> tuple[str, ...]:
    missing = [field for field in contract.fields if field.name not in columns and not field.may_be_absent]
    for field in missing:
        expected = " or ".join(f'"{header}"' if header else "a blank header" for header in field.headers)
        near = nearest(field.headers[0] if field.headers else field.name, [one for one in found.headers if one])
        findings.append(
            Finding(
                "missing_column",
                f'no column for "{field.name}" in header row {found.row}'
                + (f'; the nearest header is "{near}"' if near else ""),
                field=field.name,
                expected=expected,
                cells=(Cell(row=found.row, sheet=found.grid.sheet),),
            )
        )
    return tuple(field.name for field in missing)


def _unknown(
    found: _Candidate, contract: Contract, missing: tuple[str, ...], findings: list[Finding]
) -> tuple[tuple[int, str], ...]:
    taken = {index for at in found.matches.values() for index in at}
    unknown = tuple(
        (index, header)
        for index, header in enumerate(found.headers)
        if index not in taken and (normalised(header) or not _is_blank(found.grid, index, found.position))
    )
    reject = contract.unknown_columns == "reject"
    for index, header in unknown:
        called = f'"{header}"' if normalised(header) else "with a blank header"
        findings.append(
            Finding(
                "unknown_column",
                f"column {column_letter(index)} {called} is not in the contract"
                + ("" if reject else " and is left out"),
                severity="error" if reject else "info",
                cells=(_place(found, index),),
            )
        )
    return unknown


def _nowhere(
    grids: Sequence[Grid], sheets: Sequence[Grid], contract: Contract, hints: ReaderHints
) -> Located:
    names = tuple(field.name for field in contract.fields if not field.may_be_absent)
    if hints.sheet and not sheets:
        there = ", ".join(f'"{grid.sheet}"' for grid in grids) or "none"
        finding = Finding("missing_sheet", f'no sheet is named "{hints.sheet}"; there are: {there}')
    else:
        at = f"row {hints.header_row}" if hints.header_row else f"the first {HEADER_WITHIN_ROWS} rows"
        wanted = ", ".join(field.headers[0] if field.headers else field.name for field in contract.fields[:8])
        finding = Finding("missing_header", f"no row with the contract's headers in {at}", expected=wanted)
    table = pa.table({"row": pa.array([], pa.int64()), "cells": pa.array([], pa.int32())})
    grid = (sheets or grids or [Grid(None, False, table)])[0]
    return Located(grid, 0, {}, (), names, (finding,), {})
