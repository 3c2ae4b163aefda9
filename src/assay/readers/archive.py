"""Checks on the archive that a workbook is, before anything in it is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

from assay.readers.excel import unreadable

#: Small archives may compress as well as they like: a ratio only matters for what would become large.
RATIO_COUNTS_FROM_BYTES = 32 << 20
MEMBERS = 10_000


def check_archive(path: Path, uncompressed_bytes: int, ratio: float) -> None:
    """Refuse an archive that would unpack to too much; other files pass."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise unreadable(path, f"the workbook's archive is damaged: {error}") from error
    if len(members) > MEMBERS:
        raise unreadable(path, f"the workbook holds {len(members)} parts; at most {MEMBERS} are accepted")
    total = sum(member.file_size for member in members)
    if total > uncompressed_bytes:
        raise unreadable(path, f"the workbook unpacks to {total} bytes; at most {uncompressed_bytes} are accepted")
    packed = max(1, path.stat().st_size)
    if total > RATIO_COUNTS_FROM_BYTES and total / packed > ratio:
        raise unreadable(
            path, f"the workbook unpacks to {total // packed} times its size; at most {ratio:g} times is accepted"
        )
