"""What reading one delivered file may cost."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(i?)B", re.ASCII)

#: The form of a size in the project's files.
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?[KMGT]i?B$"


@dataclass(frozen=True)
class Limits:
    """What reading one delivery may cost; more makes the delivery rejected, and nothing else suffers.

    `wall_seconds` bounds the time on the clock and of the processor; `uncompressed_bytes` what archives and
    workbooks unpack to; `ratio` how many times larger than its file a large archive may be.
    """

    memory_bytes: int = 1 << 30
    wall_seconds: int = 300
    uncompressed_bytes: int = 2 << 30
    ratio: float = 200.0


def size_bytes(text: str) -> int:
    """The bytes of a size such as `1GB` (decimal) or `1GiB` (binary); raises ValueError for another form."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not a size such as 512MB or 1GiB")
    unit = 1 << (10 * "BKMGT".index(match[2] or "B")) if match[3] else _UNITS[match[2]]
    return int(float(match[1]) * unit)
