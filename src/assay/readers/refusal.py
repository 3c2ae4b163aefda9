"""The error for a file that cannot be read at all."""

from __future__ import annotations

from pathlib import Path

from assay.errors import Rejected
from assay.findings import Cell, Finding


def unreadable(
    path: Path,
    what: str,
    *,
    expected: str | None = None,
    next: str | None = None,
    kind: str = "unreadable_file",
    cells: tuple[Cell, ...] = (),
) -> Rejected:
    """A rejection with one finding; `next` is what to do, where delivering a corrected file is not enough."""
    found = [Finding(kind, what, expected=expected, cells=cells)]
    if next is None:
        return Rejected(what, found, where=path.name, expected=expected)
    return Rejected(what, found, where=path.name, expected=expected, next=next)
