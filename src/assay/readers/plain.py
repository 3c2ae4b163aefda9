"""Whether a delimited file is so plain that a fast reader must read it as the exact one does.

One pass over the bytes, block by block, with searches that the interpreter runs in C.
"""

from __future__ import annotations

import re
from pathlib import Path

from assay.readers.csv import Dialect

BLOCK_BYTES = 1 << 22
#: A line longer than this is no line of a table.
LINE_BYTES = 1 << 24


def is_plain(path: Path, dialect: Dialect) -> bool:
    """Whether a UTF-8 file is valid, without NUL, blank lines before its end, mixed line ends or blanks beside quotes.

    It only errs towards False: what stands inside a quoted cell also gives False. Blanks beside quotes matter
    because DuckDB's reader drops them: it takes `a, "b"` for a and b, and `"b" "c"` for b c, even in its strict mode.
    """
    ends = _LineEnds()
    beside = _Beside(dialect)
    carry = b"\n"  # as if a line had ended before the file, so that a blank first line shows
    with path.open("rb") as file:
        while chunk := file.read(BLOCK_BYTES):
            data = carry + chunk
            # Whole lines, without their last line end: only what follows tells whether the file ends there.
            cut = len(data[: data.rfind(b"\n") + 1].rstrip(b"\r\n"))
            if not _is_plain_block(data[:cut], ends, beside) or len(data) - cut > LINE_BYTES:
                return False
            carry = data[cut:]
    body = carry.rstrip(b"\r\n")
    ends.count(carry[len(body) :])
    ends.newlines -= 1
    return _is_plain_block(body, ends, beside) and ends.alike


def _is_plain_block(body: bytes, ends: _LineEnds, beside: _Beside) -> bool:
    ends.count(body)
    return not (
        b"\0" in body
        or b"\n\n" in body
        or (ends.returns and b"\n\r\n" in body)
        or beside.found(body)
        or not (body.isascii() or _decodes(body))
    )


def _decodes(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _LineEnds:
    """Counts line ends of each kind."""

    def __init__(self) -> None:
        self.newlines = self.returns = self.both = 0

    def count(self, body: bytes) -> None:
        self.newlines += body.count(b"\n")
        returns = body.count(b"\r")
        self.returns += returns
        self.both += body.count(b"\r\n") if returns else 0

    @property
    def alike(self) -> bool:
        """Whether all lines end in the same one of the two usual ways."""
        return self.returns == self.both and self.both in (0, self.newlines)


class _Beside:
    """Looks for blanks between a quote and the border of a cell, or between two quotes."""

    def __init__(self, dialect: Dialect) -> None:
        quote, delimiter = dialect.quote.encode(), dialect.delimiter.encode()
        self._seeds = (b" " + quote, quote + b" ") if quote else ()
        q, d = re.escape(quote), re.escape(delimiter)
        self._pattern = re.compile(rb"(?:%b|[\r\n]) +%b|%b +(?:%b|%b|[\r\n]|\Z)" % (d, q, q, d, q))

    def found(self, body: bytes) -> bool:
        # The plain searches are many times faster than the pattern, and mostly there is nothing to find.
        return any(seed in body for seed in self._seeds) and self._pattern.search(body) is not None
