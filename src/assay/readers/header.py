"""Where a table begins when no contract says so: the header is found by its structure, and only proposed.

A header is the first row whose cells are different words, none a number or a date, as wide as the rows below.
`locate` finds the same header again by the names that the contract then has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from assay.readers.grid import Grid, Kind
from assay.readers.locate import HEADER_WITHIN_ROWS, normalised

#: How many rows below a header tell how wide its table is.
ROWS_BELOW = 50
#: What part of the width of the rows below a header fills at least.
COVERAGE = 0.5
#: What part of a header's names are different at least.
DIFFERENT = 0.8

_NUMBER = re.compile(r"[-+(]?\s*(?:[A-Z]{0,2}[^\w\s.,]|[A-Z]{3}\b)?\s*[-+]?[.,]?\d[\d.,'\s]*\)?\s*%?")
_DATE = re.compile(r"\d{1,4}[-/. ]\w{1,9}[-/. ]\d{1,4}([ T].*)?")
_YEAR = re.compile(r"(?:19|20)\d\d")

Row = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Header:
    """A header that was found: its last row (1-based), how many rows it takes, and a name for each column.

    A name is empty where the header has none. `position` is the index of its last row in the grid's table.
    """

    row: int
    rows: int
    position: int
    names: tuple[str, ...]


def find_header(grid: Grid, row: int | None = None) -> Header | None:
    """The header of a sheet by its structure, or the given row (1-based); None when no row looks like one."""
    numbers = grid.table["row"].to_pylist() if row is not None else grid.table["row"].slice(0, HEADER_WITHIN_ROWS)
    if row is not None:
        return None if row not in numbers else _header(_rows(grid, numbers.index(row), 1), [row], 0, numbers.index(row))
    rows = _rows(grid, 0, HEADER_WITHIN_ROWS + ROWS_BELOW)
    places = numbers.to_pylist()
    for position in range(min(len(rows), len(places))):
        if _looks_like_header(rows[position], rows[position + 1 : position + 1 + ROWS_BELOW]):
            return _header(rows, places, position, position)
    return None


def _header(rows: Sequence[Row], places: Sequence[int], at: int, position: int) -> Header:
    upper = _texts(rows[at])
    if at + 2 < len(rows) and at + 1 < len(places) and _continues(rows[at], rows[at + 1], rows[at + 2 : at + 22]):
        return Header(places[at + 1], 2, position + 1, _joined(upper, _texts(rows[at + 1])))
    return Header(places[at], 1, position, upper)


def _rows(grid: Grid, start: int, count: int) -> list[Row]:
    part = grid.table.slice(start, count)
    texts = [part[f"c{index}"].to_pylist() for index in range(grid.width)]
    kinds = [part[f"k{index}"].to_pylist() for index in range(grid.width)]
    return [
        tuple((column[at] or "", int(kind[at])) for column, kind in zip(texts, kinds, strict=True))
        for at in range(part.num_rows)
    ]


def _texts(row: Row) -> tuple[str, ...]:
    return tuple(" ".join(text.split()) for text, _ in row)


def _filled(row: Row) -> list[tuple[str, int]]:
    return [(text, kind) for text, kind in row if text.strip()]


def _looks_like_header(row: Row, below: Sequence[Row]) -> bool:
    filled = _filled(row)
    widths = [count for other in below if (count := len(_filled(other)))]
    if not filled or not all(_is_name(text, kind) for text, kind in filled):
        return False
    wide = median(widths) if widths else len(filled)
    if len(filled) <= wide * COVERAGE or (len(filled) == 1 and max(widths, default=1) > 1):
        return False
    return len({normalised(text) for text, _ in filled}) >= len(filled) * DIFFERENT


def _is_name(text: str, kind: int) -> bool:
    if kind not in (Kind.TEXT, Kind.NUMBER):
        return False
    bare = text.strip()
    if _YEAR.fullmatch(bare):
        return True
    return kind == Kind.TEXT and not _is_value(bare)


def _is_value(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None or _DATE.fullmatch(text) is not None or text in ("-", "--")


def _continues(upper: Row, lower: Row, below: Sequence[Row]) -> bool:
    """Whether a row names what its upper row left blank: the second row of a header with merged cells."""
    names = [index for index, (text, _) in enumerate(lower) if text.strip()]
    if not names or not all(_is_name(*lower[index]) for index in names):
        return False
    if not any(not upper[index][0].strip() for index in names):
        return False
    values = sum(
        1
        for index in names
        if any(row[index][1] in (Kind.NUMBER, Kind.DATE) or _is_value(row[index][0].strip()) for row in below)
    )
    return values * 2 > len(names)


def _joined(upper: Sequence[str], lower: Sequence[str]) -> tuple[str, ...]:
    """One name a column: the group above, which runs on to the right over blanks, and the name below."""
    names, group = [], ""
    for above, name in zip(upper, lower, strict=True):
        if above:
            group = above
        if not name:
            names.append(above)
        elif not group or normalised(group) == normalised(name):
            names.append(name)
        else:
            names.append(f"{group} {name}")
        if above and not name:
            group = ""
    return tuple(names)
