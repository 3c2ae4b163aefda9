"""A sheet as cells of text: what every reader returns, before any contract has been applied.

Importing this takes a moment (`cells` alone does not), so a reader that has to wait for something imports it then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import pyarrow as pa

from assay.readers.cells import CELLS_PER_CHUNK, COLUMNS, ROWS, ROWS_PER_CHUNK, Block, Kind, TooWide

__all__ = ["CELLS_PER_CHUNK", "COLUMNS", "ROWS", "ROWS_PER_CHUNK", "Block", "Grid", "GridBuilder", "Kind", "TooWide"]


@dataclass(frozen=True)
class Grid:
    """One sheet. `table` has `row` (1-based), `cells` (the row's own width), `c0`… (text) and `k0`… (`Kind`).

    A null text means that the row has no such cell; a delimited file's empty cell is the empty text.
    `sheet` is None for a file without sheets; inside an archive it is the member's name, for a workbook
    in one `member!sheet`, and `member` alone is the archive's name for it.
    `typed` says that `k0`… are the file's own types, as in a workbook, and not only empty or text.
    `merged` are the merged blocks of the sheet, of which the first cell alone is shown.
    `hidden_rows` (1-based) and `hidden_columns` (zero-based) are told by xlsx files, where a filter hides rows.
    `formats` are the number formats of columns in an xlsx file, as (zero-based column, format code), where a
    column has another than the general one: how a person sees the number, such as `0.0%`.
    `files` are the Arrow files that the table is mapped from, when a child process left it.
    """

    sheet: str | None
    hidden: bool
    table: pa.Table
    member: str | None = None
    typed: bool = False
    merged: tuple[Block, ...] = ()
    hidden_rows: tuple[int, ...] = ()
    hidden_columns: tuple[int, ...] = ()
    formats: tuple[tuple[int, str], ...] = ()
    files: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """The number of columns."""
        return int((self.table.num_columns - 2) // 2)

    @property
    def height(self) -> int:
        """The number of rows, blank ones included."""
        return int(self.table.num_rows)


class GridBuilder:
    """Gathers rows into Arrow chunk by chunk; a later, wider row widens the earlier chunks with nulls.

    With a `folder` the chunks go to Arrow files there, so that a long file needs no more memory than a short one.
    """

    def __init__(
        self, sheet: str | None = None, hidden: bool = False, folder: Path | None = None, *, typed: bool = False
    ) -> None:
        self._sheet, self._hidden, self._typed = sheet, hidden, typed
        self._numbers: list[int] = []
        self._texts: list[Sequence[str | None]] = []
        self._kinds: list[Sequence[int]] = []
        self._gathered = 0
        self._chunks: _Chunks = _Memory() if folder is None else _Spill(folder)

    def add(self, row: int, texts: Sequence[str | None], kinds: Sequence[int]) -> None:
        """Add one row with its physical number."""
        self._numbers.append(row)
        self._texts.append(texts)
        self._kinds.append(kinds)
        self._gathered += len(texts)
        if len(self._numbers) >= ROWS_PER_CHUNK or self._gathered >= CELLS_PER_CHUNK:
            self._flush()

    def add_columns(
        self, rows: Iterable[int], cells: pa.Array, texts: Sequence[pa.Array], kinds: Sequence[pa.Array]
    ) -> None:
        """Add many rows at once: their numbers, their own widths, and their columns as texts and kinds."""
        self._flush()
        self._keep(pa.array(rows, pa.int64()), cells, texts, kinds)

    def discard(self) -> None:
        """Forgets every row, and removes what was written."""
        self._numbers, self._texts, self._kinds, self._gathered = [], [], [], 0
        self._chunks.discard()

    def build(
        self,
        *,
        merged: Sequence[Block] = (),
        hidden_rows: Sequence[int] = (),
        hidden_columns: Sequence[int] = (),
        formats: Sequence[tuple[int, str]] = (),
        header: tuple[int, Sequence[str]] | None = None,
    ) -> Grid:
        """The sheet with all rows added so far, below `header` (number and names) when one is given."""
        self._flush()
        if header is not None:
            number, names = header
            self.add(number, names, [Kind.TEXT] * len(names))
            self._flush(first=True)
        files = self._chunks.finish()
        table = joined(self._chunks.tables())
        return Grid(
            self._sheet,
            self._hidden,
            table,
            typed=self._typed,
            merged=tuple(merged),
            hidden_rows=tuple(hidden_rows),
            hidden_columns=tuple(hidden_columns),
            formats=tuple(formats),
            files=files,
        )

    def _flush(self, *, first: bool = False) -> None:
        if not self._numbers:
            return
        widths = [len(texts) for texts in self._texts]
        self._keep(
            pa.array(self._numbers, pa.int64()),
            pa.array(widths, pa.int32()),
            [pa.array(column, pa.string()) for column in zip_longest(*self._texts)],
            [pa.array(column, pa.int8()) for column in zip_longest(*self._kinds, fillvalue=0)],
            first=first,
        )
        self._numbers, self._texts, self._kinds, self._gathered = [], [], [], 0

    def _keep(
        self,
        rows: pa.Array,
        cells: pa.Array,
        texts: Sequence[pa.Array],
        kinds: Sequence[pa.Array],
        *,
        first: bool = False,
    ) -> None:
        if len(texts) > COLUMNS:
            raise TooWide(f"a row has {len(texts)} cells; at most {COLUMNS} are read")
        names = ["row", "cells", *(f"c{i}" for i in range(len(texts))), *(f"k{i}" for i in range(len(kinds)))]
        table = pa.Table.from_arrays([rows, cells, *texts, *kinds], names=names)
        if first:
            self._chunks.prepend(table)
        else:
            self._chunks.append(table)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Chunks of one sheet as one table, each as wide as the widest."""
    if not tables:
        return pa.table({"row": pa.array([], pa.int64()), "cells": pa.array([], pa.int32())})
    width = max((table.num_columns - 2) // 2 for table in tables)
    return pa.concat_tables([_widened(table, width) for table in tables])


def mapped(file: Path) -> pa.Table:
    """The table of an Arrow file, mapped from it: the file must outlive the table."""
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()


def _widened(chunk: pa.Table, width: int) -> pa.Table:
    present = (chunk.num_columns - 2) // 2
    if present == width:
        return chunk
    rows, added = chunk.num_rows, range(present, width)
    no_text, no_kind = pa.nulls(rows, pa.string()), pa.repeat(pa.scalar(0, pa.int8()), rows)
    columns = chunk.columns
    names = chunk.column_names
    return pa.table(
        dict(
            chain(
                zip(names[: 2 + present], columns[: 2 + present], strict=True),
                ((f"c{index}", no_text) for index in added),
                zip(names[2 + present :], columns[2 + present :], strict=True),
                ((f"k{index}", no_kind) for index in added),
            )
        )
    )


class _Chunks:
    """Where a builder's chunks rest until the sheet is complete."""

    def append(self, table: pa.Table) -> None:
        raise NotImplementedError

    def prepend(self, table: pa.Table) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        raise NotImplementedError

    def finish(self) -> tuple[str, ...]:
        """Ends the writing; the names of the files written, if any."""
        raise NotImplementedError

    def tables(self) -> list[pa.Table]:
        raise NotImplementedError


class _Memory(_Chunks):
    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def append(self, table: pa.Table) -> None:
        self._tables.append(table)

    def prepend(self, table: pa.Table) -> None:
        self._tables.insert(0, table)

    def discard(self) -> None:
        self._tables = []

    def finish(self) -> tuple[str, ...]:
        return ()

    def tables(self) -> list[pa.Table]:
        return self._tables


class _Spill(_Chunks):
    """Chunks in Arrow files, a new file only when the columns change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[Path] = []
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._schema: pa.Schema | None = None

    def append(self, table: pa.Table) -> None:
        if self._writer is None or table.schema != self._schema:
            self.finish()
            self._schema = table.schema
            self._writer = pa.ipc.new_file(str(self._new_file(len(self._files))), table.schema)
        self._writer.write_table(table)

    def prepend(self, table: pa.Table) -> None:
        self.finish()
        with pa.ipc.new_file(str(self._new_file(0)), table.schema) as writer:
            writer.write_table(table)

    def discard(self) -> None:
        self.finish()
        for file in self._files:
            file.unlink()
        self._files = []

    def finish(self) -> tuple[str, ...]:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        return tuple(file.name for file in self._files)

    def tables(self) -> list[pa.Table]:
        return [mapped(file) for file in self._files]

    def _new_file(self, place: int) -> Path:
        file = self._folder / f"grid-{len(list(self._folder.glob('grid-*.arrow')))}.arrow"
        file.touch()
        self._files.insert(place, file)
        return file
