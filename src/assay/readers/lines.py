"""The records of a delimited file as they were delivered, quotes and all."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from assay.readers.csv import FIELD_LIMIT
from assay.readers.dialect import Dialect

_MARKS = {
    "utf-8": (("utf-8", codecs.BOM_UTF8),),
    "utf-16": (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)),
    "utf-32": (("utf-32-le", codecs.BOM_UTF32_LE), ("utf-32-be", codecs.BOM_UTF32_BE)),
}


def delivered_records(path_utf8: Path, dialect: Dialect) -> Iterator[tuple[int, str]]:
    """Each record's number, counted as `csv.read` counts, and its text without the line end.

    Raises `csv.Error` for a file that `csv.read` refuses.
    """
    csv.field_size_limit(FIELD_LIMIT)
    options: dict[str, Any] = {"delimiter": dialect.delimiter, "strict": True}
    options |= {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    with path_utf8.open(encoding="utf-8", newline="") as file:
        taken = _Taken(file)
        for number, _ in enumerate(csv.reader(taken, **options), start=1):
            yield number, taken.text().rstrip("\r\n")


def line_end(path_utf8: Path) -> str:
    """How the first line ends; a newline where there is only one line."""
    with path_utf8.open(encoding="utf-8", newline="") as file:
        first = file.readline()
    return first[len(first.rstrip("\r\n")) :] or "\n"


def writing(path: Path, dialect: Dialect) -> tuple[str, bytes]:
    """The codec and the byte order mark with which a text is written as the file at `path` is."""
    if dialect.bom:
        with path.open("rb") as file:
            start = file.read(4)
        for codec, mark in _MARKS.get(dialect.encoding, ()):
            if start.startswith(mark):
                return codec, mark
    return dialect.encoding, b""


class _Taken:
    """Lines on their way to a parser, which are kept until they are asked for."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._kept: list[str] = []

    def __iter__(self) -> _Taken:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._kept.append(line)
        return line

    def text(self) -> str:
        """What the parser took since the last call."""
        text = "".join(self._kept)
        self._kept.clear()
        return text
