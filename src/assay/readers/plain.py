"""Delimited files so plain that a fast reader must read them as the exact one does, and their parts.

The bytes are looked at block by block, with searches that the interpreter runs in C.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.readers.dialect import Dialect

#: Blocks stay in the processor's cache while several searches go over them.
BLOCK_BYTES = 1 << 17
#: A line longer than this is no line of a table.
LINE_BYTES = 1 << 24


@dataclass(frozen=True)
class Part:
    """Some whole lines of a file, in a file of their own; `lines_before` of the delivered file stand above them."""

    path: Path
    lines_before: int
    lines: int


class NotPlain(ValueError):
    """A file is not so plain that a fast reader is sure to read it as the exact one does."""


def is_plain(path: Path, dialect: Dialect) -> bool:
    """Whether a UTF-8 file is valid, without NUL, blank lines before its end, mixed line ends or blanks beside quotes.

    It only errs towards False: what stands inside a quoted cell also gives False. Blanks beside quotes matter
    because DuckDB's reader drops them: it takes `a, "b"` for a and b, and `"b" "c"` for b c, even in its strict mode.
    """
    look = _Look(dialect)
    return all(look.passes(block) and not _has_blank_line(block) for block in _blocks(path)) and look.alike


def cut(path: Path, dialect: Dialect, into: Path, count: int) -> Iterator[Part]:
    """Cuts a file into at most `count` parts of whole records, each given as soon as it is there.

    One part is the file itself, several are copies in the folder `into`. Blank lines are not looked for: whoever
    reads the parts compares the number of records with that of lines. A border is where the quotes so far are even
    in number; where a stray quote makes that wrong, a part ends in an unfinished cell, which no strict reader takes.
    Raises `NotPlain`, perhaps after some parts.
    """
    look = _Look(dialect)
    enough = path.stat().st_size // count + 1
    parts = before = size = 0
    for block in _blocks(path):
        # At the start of a file readers take U+FEFF for a mark; here it is a character of a cell.
        if count > 1 and size >= enough and look.even and not block.startswith(codecs.BOM_UTF8):
            yield Part(into / f"part-{parts}.csv", before, look.lines - before)
            parts, before, size = parts + 1, look.lines, 0
        if not look.passes(block):
            raise NotPlain("a line is too long, or has a NUL, a byte that is not UTF-8 or a blank beside a quote")
        if count > 1:
            with (into / f"part-{parts}.csv").open("ab" if size else "wb", buffering=0) as out:
                out.write(block)
        size += len(block)
    if not size or not look.alike:
        raise NotPlain("there is no line, or lines end in different ways")
    yield Part(into / f"part-{parts}.csv" if count > 1 else path, before, look.lines - before)


def _blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of whole lines, without the blank lines at its end; others begin or stand within a block."""
    carry = b""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(BLOCK_BYTES):
            data = carry + chunk
            text = len(data[: data.rfind(b"\n") + 1].rstrip(b"\r\n"))
            end = text + (2 if data[text : text + 2] == b"\r\n" else 1) if text else 0
            if not end and len(data) > LINE_BYTES:
                end = len(data)
            if end:
                yield data[:end]
            carry = data[end:]
    rest = carry.rstrip(b"\r\n")
    if rest:
        yield rest


def _has_blank_line(block: bytes) -> bool:
    return block.startswith((b"\n", b"\r\n")) or b"\n\n" in block or (b"\r" in block and b"\n\r\n" in block)


class _Look:
    """What the blocks of a file have shown so far."""

    def __init__(self, dialect: Dialect) -> None:
        quote, delimiter = dialect.quote.encode(), dialect.delimiter.encode()
        self._quote = quote
        q, d = re.escape(quote), re.escape(delimiter)
        self._beside = re.compile(rb"(?:\A|%b|[\r\n]) +%b|%b +(?:%b|%b|[\r\n]|\Z)" % (d, q, q, d, q))
        self._quotes = self._newlines = self._returns = self._both = 0
        self.lines = 0

    def passes(self, block: bytes) -> bool:
        """Counts a block; False where it cannot be of a plain file."""
        newlines = block.count(b"\n")
        self._newlines += newlines
        self.lines += newlines + (not block.endswith(b"\n"))
        if b"\r" in block:
            self._returns += block.count(b"\r")
            self._both += block.count(b"\r\n")
        return (
            len(block) <= LINE_BYTES
            and b"\0" not in block
            and (block.isascii() or _decodes(block))
            and not (self._quote and self._quote in block and self._is_odd(block))
        )

    def _is_odd(self, block: bytes) -> bool:
        """Counts quotes; whether blanks stand between one and the border of a cell, or between two."""
        self._quotes += block.count(self._quote)
        # Plain searches are many times faster than the pattern, and mostly there is nothing to find.
        near = b" " + self._quote in block or self._quote + b" " in block
        return near and self._beside.search(block) is not None

    @property
    def even(self) -> bool:
        """Whether no quoted cell is open."""
        return self._quotes % 2 == 0

    @property
    def alike(self) -> bool:
        """Whether all lines end in the same one of the two usual ways."""
        return self._returns == self._both and self._both in (0, self._newlines)


def _decodes(block: bytes) -> bool:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
