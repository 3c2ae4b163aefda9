"""How a delimited file is written, and the standard library's reader of it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import IO, Any

#: So much of a file is looked at or copied at a time.
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written; an empty `quote` means that nothing is quoted."""

    encoding: str
    delimiter: str
    quote: str
    bom: bool
    header_row: int | None = None


def records(file: IO[str], dialect: Dialect) -> Any:
    """The standard library's strict reader of an open file, as the dialect says."""
    return csv.reader(file, **format_of(dialect.delimiter, dialect.quote, strict=True))


def format_of(delimiter: str, quote: str, *, strict: bool) -> dict[str, Any]:
    """The options of the standard library's reader."""
    if quote:
        return {"delimiter": delimiter, "quotechar": quote, "strict": strict}
    return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE, "quotechar": None, "strict": strict}
