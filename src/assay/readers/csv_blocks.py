"""Delimited text by blocks: a file whose quotes and line ends are all in order needs no look at each record.

`read` gives exactly what the reader by records gives, or None for a file that it leaves to it: one with rows of
several widths, blank lines in between, several line ends, or a quote that is neither the first nor the last
character of its cell.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv

from assay.readers import columns
from assay.readers.dialect import CHUNK_BYTES, Dialect, records
from assay.readers.grid import Grid, GridBuilder
from assay.readers.plain import is_plain

BLOCK_BYTES = 4 << 20
TAIL_BYTES = 1 << 16


def read(path_utf8: Path, dialect: Dialect, folder: Path | None = None) -> Grid | None:
    """The whole file as a grid, or None where only the reader by records can say what the file is."""
    if len(dialect.delimiter.encode()) != 1 or len(dialect.quote.encode()) > 1 or not is_plain(path_utf8, dialect):
        return None
    width, blank = _first_width(path_utf8, dialect), _blank_at_end(path_utf8)
    quotes = _Quotes(dialect)
    if not width or blank is None or not quotes.in_order(path_utf8):
        return None
    builder = GridBuilder(folder=folder)
    try:
        done = _gather(builder, path_utf8, dialect, width, multiline=quotes.any)
    except pa.ArrowInvalid:  # rows of several widths, or a cell larger than a block
        builder.discard()
        return None
    for number in range(done + 1, done + 1 + blank):
        builder.add(number, [], [])
    return builder.build()


def _gather(builder: GridBuilder, path: Path, dialect: Dialect, width: int, *, multiline: bool) -> int:
    names = [f"c{index}" for index in range(width)]
    with arrow_csv.open_csv(
        path,
        arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names),
        arrow_csv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote or False, newlines_in_values=multiline
        ),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[], check_utf8=False,
            strings_can_be_null=False,
        ),
    ) as batches:  # fmt: skip
        done = 0
        for batch in batches:
            height = batch.num_rows
            cells = pa.repeat(pa.scalar(width, pa.int32()), height)
            kinds = [columns.text_kinds(texts) for texts in batch.columns]
            builder.add_columns(range(done + 1, done + 1 + height), cells, batch.columns, kinds)
            done += height
    return done


def _first_width(path: Path, dialect: Dialect) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return len(next(records(file, dialect), []))
        except csv.Error:
            return 0


def _blank_at_end(path: Path) -> int | None:
    """How many blank lines end the file; None for more than anybody would look at."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read()
    ends = tail[len(tail.rstrip(b"\r\n")) :]
    return None if len(ends) == TAIL_BYTES else max(0, len(ends.replace(b"\r\n", b"\n")) - 1)


class _Quotes:
    """Whether every quote of a file opens a cell, closes one, or is doubled inside one.

    Between two quotes lies a segment; every second one is outside of quotes, and has to begin and end with a
    delimiter or a line end. An empty one stands between the two quotes that mean one quote inside a cell.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._quote = dialect.quote.encode()
        self._edges = dialect.delimiter.encode() + b"\r\n"
        self._inside = False
        #: The last byte of the segment at hand; None while it is empty. A file begins as if after a line end.
        self._last: int | None = self._edges[-1]
        self.any = False

    def in_order(self, path: Path) -> bool:
        if not self._quote:
            return True
        with path.open("rb") as file:
            return all(map(self._takes, iter(lambda: file.read(CHUNK_BYTES), b""))) and not self._inside

    def _takes(self, chunk: bytes) -> bool:
        first, *rest = chunk.split(self._quote)
        if not self._continues(first):
            return False
        if not rest:
            return True
        self.any = True
        if not self._inside and self._last is not None and self._last not in self._edges:
            return False
        *between, last = rest
        edges = self._edges
        if not all(not one or one[0] in edges and one[-1] in edges for one in between[not self._inside :: 2]):
            return False
        self._inside ^= bool(len(rest) % 2)
        self._last = None
        return self._continues(last)

    def _continues(self, segment: bytes) -> bool:
        if not segment:
            return True
        begins = self._last is None
        self._last = segment[-1]
        return self._inside or not begins or segment[0] in self._edges
