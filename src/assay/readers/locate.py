"""Where a contract's fields stand in a file: by header names, never by position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from assay.errors import nearest
from assay.findings import Cell, Finding, Severity, column_letter, masked
from assay.readers.grid import Grid

if TYPE_CHECKING:
    from assay.zones.contract import Answer, Contract
    from assay.zones.model import ReaderHints

#: How many rows are searched for a header at first; one further down is looked for by its first name.
HEADER_WITHIN_ROWS = 100
#: How many rows further down are tried.
FURTHER_ROWS = 50

#: Columns of ours in a file that was returned or exported, and comes back corrected: they are no data.
OWN_HEADER = "assay:"

_SEVERITY: dict[str, Severity] = {"reject": "error", "hold": "warning", "tolerate": "info"}


@dataclass(frozen=True)
class Located:
    """The sheet and row that carry the header, and the column of each field found.

    `header_row` is the header's last row, `headers` what stands in it. `missing` has the fields that had to be
    there; `duplicates` the columns that matched one field more than once (their sameness is judged on the rows of
    the grid that was given, so give the whole file to be sure).
    """

    grid: Grid
    header_row: int
    headers: tuple[str, ...]
    columns: Mapping[str, int]
    unknown: tuple[tuple[int, str], ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    duplicates: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Candidate:
    """A row, or a few rows, that may be the header."""

    grid: Grid
    position: int
    row: int
    rows: int
    headers: tuple[str, ...]
    matches: Mapping[str, tuple[int, ...]]

    @property
    def score(self) -> tuple[int, int]:
        """How many fields it names; of two equal ones the shorter."""
        return len(self.matches), -self.rows


def normalised(header: str | None) -> str:
    """A header as it is compared: stripped, blanks collapsed, without case."""
    return " ".join((header or "").split()).casefold()


def answered(answer: Answer, kind: str, message: str, **more: object) -> Finding:
    """A finding as grave as the contract's answer to this kind of drift makes it."""
    return Finding(kind, message, severity=_SEVERITY[answer], holds=answer == "hold", **more)  # type: ignore[arg-type]


def locate(grids: Sequence[Grid], contract: Contract, hints: ReaderHints) -> tuple[Located, ...]:
    """The sheets that carry the contract's header: the best one, or all that the hints' sheet pattern names.

    A hidden sheet is never taken unless the hints say so. Where no sheet carries a header, one `Located` without
    columns says why.
    """
    known = _known(contract)
    sheets = [grid for grid in grids if hints.hidden_sheets or not grid.hidden]
    named = [grid for grid in sheets if hints.sheet and _called(grid, hints.sheet)]
    candidates = [found for grid in (named if hints.sheet else sheets) if (found := _best(grid, known, hints))]
    if not candidates:
        return (_nowhere(grids, sheets, named, contract, hints),)
    if hints.sheet:
        without = [grid for grid in named if not any(one.grid is grid for one in candidates)]
        carrying = [_located(candidate, contract, hints) for candidate in candidates]
        return (*carrying, *(_nowhere([grid], [grid], [grid], contract, hints) for grid in without if grid.height))
    best = max(candidates, key=lambda one: one.score)
    rivals = [one for one in candidates if one is not best and len(one.matches) == len(best.matches) and _has_data(one)]
    located = _located(best, contract, hints)
    if rivals and _has_data(best):
        names = ", ".join(f'"{one.grid.sheet}"' for one in [best, *rivals])
        what = f"several sheets fit the contract: {names}; name one, or a pattern for all of them, in `reader.sheet`"
        located = replace(located, findings=(*located.findings, Finding("ambiguous_sheet", what)))
    return (located,)


def _called(grid: Grid, pattern: str) -> bool:
    name = grid.sheet or ""
    return name == pattern or fnmatchcase(name, pattern)


def _known(contract: Contract) -> dict[str, str]:
    """Normalised header → field; the first field that claims a header has it."""
    known: dict[str, str] = {}
    for field in contract.fields:
        for header in field.headers:
            known.setdefault(normalised(header), field.name)
    return known


def _has_data(candidate: _Candidate) -> bool:
    return candidate.grid.height > candidate.position + 1


def _best(grid: Grid, known: Mapping[str, str], hints: ReaderHints) -> _Candidate | None:
    best: _Candidate | None = None
    for position in _positions(grid, known, hints):
        for rows in range(1, min(hints.header_rows, position + 1) + 1):
            found = _candidate(grid, position, rows, known)
            if found.matches and (best is None or found.score > best.score):
                best = found
        if best is not None and best.rows == 1 and len(best.matches) == len(set(known.values())):
            break  # no row further down can be better
    return best


def _positions(grid: Grid, known: Mapping[str, str], hints: ReaderHints) -> Iterator[int]:
    """Where a header may stand: at the declared row, near the top, or wherever one of the names stands."""
    numbers = grid.table["row"]
    if hints.header_row is not None:
        where = pc.index(numbers, pa.scalar(hints.header_row, pa.int64())).as_py()
        if where >= 0:
            yield where
        return
    yield from range(min(grid.height, HEADER_WITHIN_ROWS))
    if grid.height <= HEADER_WITHIN_ROWS:
        return
    further: set[int] = set()
    words = pa.array([word for word in known if word], pa.string())
    for index in range(grid.width):
        below = grid.table[f"c{index}"].slice(HEADER_WITHIN_ROWS)
        hits = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(below)), value_set=words)
        places = pc.indices_nonzero(pc.fill_null(hits, False)).to_pylist()[:FURTHER_ROWS]
        further.update(place + HEADER_WITHIN_ROWS for place in places)
    yield from sorted(further)[:FURTHER_ROWS]


def _candidate(grid: Grid, position: int, rows: int, known: Mapping[str, str]) -> _Candidate:
    names = _names(grid, position, rows)
    matches: dict[str, list[int]] = {}
    blank: list[int] = []
    for index, candidates in enumerate(names):
        field = next((known[one] for name in candidates if (one := normalised(name)) and one in known), None)
        if field is not None:
            matches.setdefault(field, []).append(index)
        elif not any(normalised(name) for name in candidates):
            blank.append(index)
    # A blank header means something only within a header row, for a column with data, and as a last resort.
    if matches and "" in known and known[""] not in matches:
        filled = [index for index in blank if not _is_blank(grid, index, position)]
        if filled:
            matches[known[""]] = filled
    number = grid.table["row"][position].as_py()
    headers = tuple(candidates[0] if candidates else "" for candidates in names)
    return _Candidate(grid, position, number, rows, headers, {field: tuple(at) for field, at in matches.items()})


def _names(grid: Grid, position: int, rows: int) -> list[list[str]]:
    """For each column the names that its header may be taken for, the fullest first.

    In a header of several rows, an upper cell that is followed by blank ones names the group of columns under it,
    as a merged cell does: "Travel" over "Air" and "Surface" gives "Travel Air" and "Travel Surface".
    """
    levels = [_level(grid, position - above, spread=above > 0) for above in range(rows - 1, -1, -1)]
    names = []
    for parts in zip(*levels, strict=True):
        filled = [part for part in dict.fromkeys(parts) if part]
        options = [" ".join(filled)] if filled else [""]
        if rows > 1 and parts[-1]:
            options.append(parts[-1])
        elif rows > 1 and filled:
            options.append(filled[-1])
        names.append(list(dict.fromkeys(options)))
    return names


def _level(grid: Grid, position: int, *, spread: bool) -> list[str]:
    texts = [(grid.table[f"c{index}"][position].as_py() or "").strip() for index in range(grid.width)]
    if not spread:
        return texts
    below = [(grid.table[f"c{index}"][position + 1].as_py() or "").strip() for index in range(grid.width)]
    last = ""
    for index, text in enumerate(texts):
        if text:
            last = text
        elif below[index]:
            texts[index] = last
        else:
            last = ""
    return texts


def _cells(grid: Grid, index: int, position: int) -> pa.ChunkedArray:
    return pc.fill_null(grid.table[f"c{index}"].slice(position + 1), "")


def _is_blank(grid: Grid, index: int, position: int) -> bool:
    below = _cells(grid, index, position)
    return len(below) == 0 or not pc.any(pc.not_equal(pc.utf8_trim_whitespace(below), "")).as_py()


def _place(found: _Candidate, index: int) -> Cell:
    return Cell(found.row, column_letter(index), found.headers[index], found.grid.sheet)


def _located(found: _Candidate, contract: Contract, hints: ReaderHints) -> Located:
    findings: list[Finding] = []
    columns, doubled = _columns(found, findings)
    unknown = _unknown(found)
    columns, unknown = _renamed(found, contract, columns, unknown, findings)
    missing = _missing(found, contract, columns, unknown, hints.group_rows, findings)
    _say_unknown(found, contract, unknown, findings)
    return Located(found.grid, found.row, found.headers, columns, unknown, missing, tuple(findings), doubled)


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


def _unknown(found: _Candidate) -> tuple[tuple[int, str], ...]:
    taken = {index for at in found.matches.values() for index in at}
    return tuple(
        (index, header)
        for index, header in enumerate(found.headers)
        if index not in taken
        and not normalised(header).startswith(OWN_HEADER)
        and (normalised(header) or not _is_blank(found.grid, index, found.position))
    )


def _renamed(
    found: _Candidate,
    contract: Contract,
    columns: Mapping[str, int],
    unknown: tuple[tuple[int, str], ...],
    findings: list[Finding],
) -> tuple[dict[str, int], tuple[tuple[int, str], ...]]:
    """Takes an unknown column whose name is very like a missing field's, where the contract lets it."""
    answer = contract.drift.renamed
    taken = dict(columns)
    left = dict(unknown)
    for field in contract.fields:
        if field.name in taken or answer == "reject":
            continue
        headers = {normalised(header): index for index, header in left.items() if normalised(header)}
        near = next((n for h in field.headers if (n := nearest(normalised(h), headers))), None)
        if near is None:
            continue
        index = headers[near]
        header = left.pop(index)
        taken[field.name] = index
        findings.append(
            answered(
                answer,
                "renamed_column",
                f'column {column_letter(index)} "{header}" is taken for "{field.name}"',
                field=field.name,
                expected=_expected(field.headers),
                cells=(_place(found, index),),
            )
        )
    return taken, tuple(left.items())


def _expected(headers: Iterable[str]) -> str:
    return " or ".join(f'"{header}"' if header else "a blank header" for header in headers)


def _missing(
    found: _Candidate,
    contract: Contract,
    columns: Mapping[str, int],
    unknown: tuple[tuple[int, str], ...],
    grouped: str | None,
    findings: list[Finding],
) -> tuple[str, ...]:
    missing = [
        field
        for field in contract.fields
        if field.name not in columns and not field.may_be_absent and field.name != grouped
    ]
    free = [header for _, header in unknown if header]
    for field in missing:
        near = next((n for header in field.headers if (n := nearest(header, free))), None)
        findings.append(
            answered(
                # Rows without a value that the contract requires cannot pass, whatever it says of drift.
                "reject" if field.required else contract.drift.missing_column,
                "missing_column",
                f'no column for "{field.name}" in header row {found.row}'
                + (f'; the nearest header is "{near}"' if near else ""),
                field=field.name,
                expected=_expected(field.headers),
                cells=(Cell(row=found.row, sheet=found.grid.sheet),),
            )
        )
    return tuple(field.name for field in missing)


def _say_unknown(
    found: _Candidate, contract: Contract, unknown: tuple[tuple[int, str], ...], findings: list[Finding]
) -> None:
    answer = contract.drift.new_column
    for index, header in unknown:
        called = f'"{header}"' if normalised(header) else "with a blank header"
        findings.append(
            answered(
                answer,
                "unknown_column",
                f"column {column_letter(index)} {called} is not in the contract"
                + ("" if answer == "reject" else " and is left out"),
                cells=(_place(found, index),),
            )
        )


def _nowhere(
    grids: Sequence[Grid], sheets: Sequence[Grid], named: Sequence[Grid], contract: Contract, hints: ReaderHints
) -> Located:
    names = tuple(field.name for field in contract.fields if not field.may_be_absent)
    hidden = [grid.sheet for grid in grids if grid.hidden and not hints.hidden_sheets]
    grid = next(iter(named or sheets or grids), Grid(None, False, _no_cells()))
    if hints.sheet and not named:
        there = ", ".join(f'"{one.sheet}"' + (" (hidden)" if one.hidden else "") for one in grids) or "none"
        finding = Finding("missing_sheet", f'no sheet is named "{hints.sheet}"; there are: {there}')
    elif all(_is_blank(one, index, -1) for one in named or sheets for index in range(one.width)):
        beside = f"; hidden, and not looked at: {', '.join(str(name) for name in hidden)}" if hidden else ""
        finding = answered(contract.drift.empty_file, "empty_file", f"the file has no row{beside}")
    else:
        where = f"row {hints.header_row}" if hints.header_row else "the file"
        in_sheet = f' of sheet "{grid.sheet}"' if named else ""
        finding = Finding(
            "missing_header",
            f"no row with the contract's headers in {where}{in_sheet}",
            expected=", ".join(field.headers[0] for field in contract.fields),
            cells=_first_cells(grid, hidden=any(field.sensitive for field in contract.fields)),
        )
    findings = [finding]
    if finding.kind == "missing_header":
        findings += [
            Finding(
                "missing_column", f'no column for "{field.name}"', field=field.name, expected=_expected(field.headers)
            )
            for field in contract.fields
            if not field.may_be_absent
        ]
    return Located(grid, 0, (), {}, (), names, tuple(findings), {})


def _first_cells(grid: Grid, *, hidden: bool) -> tuple[Cell, ...]:
    """The first filled cells of a sheet, to show what stands where a header was looked for.

    A file that came without its header begins with data, so `hidden` shows only the shape of the texts.
    """
    found: list[Cell] = []
    for position in range(min(grid.height, 20)):
        for index in range(grid.width):
            text = grid.table[f"c{index}"][position].as_py()
            if text and text.strip():
                shown = masked(text[:80]) if hidden else text[:80]
                found.append(Cell(grid.table["row"][position].as_py(), column_letter(index), shown, grid.sheet))
                if len(found) == 5:
                    return tuple(found)
    return tuple(found)


def _no_cells() -> pa.Table:
    return pa.table({"row": pa.array([], pa.int64()), "cells": pa.array([], pa.int32())})
