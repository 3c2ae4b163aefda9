"""A sheet as cells of text: what every reader returns, before any contract has been applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import pyarrow as pa

#: Rows gathered as Python objects before they become Arrow: bounds the memory of a reader.
ROWS_PER_CHUNK = 20_000


class Kind(IntEnum):
    """What a cell was in the file; its text alone cannot tell a number from a text of digits."""

    EMPTY = 0
    TEXT = 1
    NUMBER = 2
    DATE = 3
    BOOLEAN = 4
    ERROR = 5
    TIME = 6
    DURATION = 7


@dataclass(frozen=True)
class Grid:
    """One sheet. `table` has `row` (1-based), `cells` (the row's own width), `c0`… (text) and `k0`… (`Kind`).

    A null text means that the row has no such cell; a delimited file's empty cell is the empty text.
    """

    sheet: str | None
    hidden: bool
    table: pa.Table

    @property
    def width(self) -> int:
        """The number of columns."""
        return int((self.table.num_columns - 2) // 2)

    @property
    def height(self) -> int:
        """The number of rows, blank ones included."""
        return int(self.table.num_rows)


class GridBuilder:
    """Gathers rows into Arrow chunk by chunk; a later, wider row widens the earlier chunks with nulls."""

    def __init__(self, sheet: str | None = None, hidden: bool = False) -> None:
        self._sheet, self._hidden = sheet, hidden
        self._numbers: list[int] = []
        self._texts: list[Sequence[str | None]] = []
        self._kinds: list[Sequence[int]] = []
        self._cells: list[int] = []
        self._chunks: list[pa.Table] = []

    def add(self, row: int, texts: Sequence[str | None], kinds: Sequence[int]) -> None:
        """Add one row with its physical number."""
        self._numbers.append(row)
        self._texts.append(texts)
        self._kinds.append(kinds)
        self._cells.append(len(texts))
        if len(self._numbers) >= ROWS_PER_CHUNK:
            self._flush()

    def build(self) -> Grid:
        """The sheet with all rows added so far."""
        if self._numbers or not self._chunks:
            self._flush()
        width = max((chunk.num_columns - 2) // 2 for chunk in self._chunks)
        table = pa.concat_tables([_widened(chunk, width) for chunk in self._chunks])
        return Grid(self._sheet, self._hidden, table)

    def _flush(self) -> None:
        width = max(self._cells, default=0)
        columns: dict[str, pa.Array] = {
            "row": pa.array(self._numbers, pa.int64()),
            "cells": pa.array(self._cells, pa.int32()),
        }
        for index in range(width):
            texts = [row[index] if index < len(row) else None for row in self._texts]
            columns[f"c{index}"] = pa.array(texts, pa.string())
        for index in range(width):
            kinds = [row[index] if index < len(row) else 0 for row in self._kinds]
            columns[f"k{index}"] = pa.array(kinds, pa.int8())
        self._chunks.append(pa.table(columns))
        self._numbers, self._texts, self._kinds, self._cells = [], [], [], []


def _widened(chunk: pa.Table, width: int) -> pa.Table:
    present = set(chunk.column_names)
    columns = {"row": chunk["row"], "cells": chunk["cells"]}
    for index in range(width):
        name = f"c{index}"
        columns[name] = chunk[name] if name in present else pa.nulls(chunk.num_rows, pa.string())
    for index in range(width):
        name = f"k{index}"
        columns[name] = chunk[name] if name in present else pa.repeat(pa.scalar(0, pa.int8()), chunk.num_rows)
    return pa.table(columns)
