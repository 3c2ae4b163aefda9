"""The error for a file that cannot be read at all."""

from __future__ import annotations

from pathlib import Path

from assay.errors import Rejected
from assay.findings import Finding


def unreadable(
    path: Path, what: str, *, expected: str | None = None, next: str | None = None, kind: str = "unreadable_file"
) -> Rejected:
    """A rejection with one finding; `next` is what to do, where delivering a corrected file is not enough."""
    step = {} if next is None else {"next": next}
    return Rejected(what, [Finding(kind, what, expected=expected)], where=path.name, expected=expected, **step)
