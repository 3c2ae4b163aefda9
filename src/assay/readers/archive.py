"""Files inside `.gz` and `.zip`, unpacked into a folder while their true size is watched; and workbooks, which are
archives too.

A header that lies about a size does not help: what counts is the bytes that come out.
"""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from assay.errors import Rejected
from assay.findings import Finding
from assay.readers.refusal import unreadable
from assay.readers.xml import declares_doctype
from assay.zones.limits import Limits

if TYPE_CHECKING:
    from assay.readers.grid import Grid

CHUNK_BYTES = 1 << 20
#: Small archives may compress as well as they like: a ratio only matters for what would become large.
RATIO_COUNTS_FROM_BYTES = 32 << 20
MEMBERS = 10_000
_HEAD_BYTES = 1 << 10
_SHEET = re.compile(r"(?:worksheets[/\\][^/\\]*\.(?:xml|bin)|content\.xml)$", re.IGNORECASE)
_BESIDE = ("__MACOSX/",)
_BESIDE_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Member:
    """One unpacked file: its name inside the archive, and where it stands now."""

    name: str
    path: Path


def parts(grids: Sequence[Grid], member: str | None) -> tuple[tuple[Grid, ...], ...]:
    """The grids, grouped by the tables they make up: each group has to carry the header by itself.

    With a declared `member` pattern every archive member that fits is one part of ONE table: each part is
    located by its own header, so that the order of columns may differ, and `_sheet` tells the part a row came
    from. Without one, all grids are one group, of which one must carry the header, like the sheets of a workbook.
    """
    if member is None:
        return (tuple(grids),)
    names = dict.fromkeys(grid.member for grid in grids)
    return tuple(tuple(grid for grid in grids if grid.member == name) for name in names)


def unpack_gzip(path: Path, name: str, into: Path, limits: Limits) -> Member:
    """The one file inside a `.gz`; `name` is the name that the archive was delivered under."""
    inner = PurePosixPath(name).name
    inner = inner[:-3] if inner.casefold().endswith(".gz") else inner
    target = into / "member-0"
    try:
        with gzip.open(path) as source:
            _Flow(path, limits).copy(source, target)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unreadable(path, f"the gzip file is damaged or cut short: {error}") from error
    return Member(inner, target)


def unpack_zip(path: Path, pattern: str | None, into: Path, limits: Limits) -> tuple[Member, ...]:
    """The data files inside a `.zip` whose name fits `pattern`; folders and what systems add are passed over."""
    try:
        with zipfile.ZipFile(path) as archive:
            chosen = _chosen(path, archive, pattern)
            flow = _Flow(path, limits)
            return tuple(_unpack(path, archive, info, flow, into / f"member-{i}") for i, info in enumerate(chosen))
    except (zipfile.BadZipFile, EOFError, zlib.error, OSError, ValueError) as error:
        raise unreadable(path, f"the archive is damaged: {error}") from error


def check_workbook(path: Path, limits: Limits) -> None:
    """Refuse a workbook that unpacks to too much, whose parts are damaged, or whose XML declares a document type.

    The parser of workbooks stops reading a part where its last element ends, and so never sees its checksum.
    Sheets are left out: the scan for their marks reads them to the end.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_sizes(path, members, limits)
            flow = _Flow(path, limits)
            for member in members:
                if not member.flag_bits & 1:
                    _check_part(path, archive, member, flow)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise unreadable(path, f"the workbook's archive is damaged: {error}") from error


def _check_part(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, flow: _Flow) -> None:
    # Opening alone compares the two places of a part's name: under a damaged name the parser would miss the part.
    with archive.open(member) as file:
        if member.filename.casefold().endswith((".xml", ".rels", ".bin")):
            if declares_doctype(file.read(_HEAD_BYTES)):
                raise unreadable(path, f"{member.filename} in the workbook declares a document type")
            if not _SHEET.search(member.filename):
                flow.drain(file)


def _check_sizes(path: Path, members: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > MEMBERS:
        raise unreadable(path, f"the workbook holds {len(members)} parts; at most {MEMBERS} are accepted")
    if len({member.filename.replace("\\", "/").casefold() for member in members}) < len(members):
        raise unreadable(path, "the workbook holds two parts of one name")
    total = sum(member.file_size for member in members)
    _Flow(path, limits).check(total)


class _Flow:
    """Counts what comes out of one archive, and stops it at the limits."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._packed = max(1, path.stat().st_size)
        self._bytes = 0

    def copy(self, source: IO[bytes] | gzip.GzipFile, target: Path) -> None:
        with target.open("wb") as out:
            while chunk := source.read(CHUNK_BYTES):
                self._bytes += len(chunk)
                self.check(self._bytes)
                out.write(chunk)

    def drain(self, source: IO[bytes]) -> None:
        """Reads to the end, where the checksum is compared."""
        while chunk := source.read(CHUNK_BYTES):
            self._bytes += len(chunk)
            self.check(self._bytes)

    def check(self, total: int) -> None:
        limits = self._limits
        if total > limits.uncompressed_bytes:
            raise unreadable(
                self._path, f"the archive unpacks to more than {limits.uncompressed_bytes} bytes", next=_RAISE
            )
        if total > RATIO_COUNTS_FROM_BYTES and total / self._packed > limits.ratio:
            raise unreadable(
                self._path, f"the archive unpacks to more than {limits.ratio:g} times its size", next=_RAISE
            )


_RAISE = "deliver it in smaller parts, or raise `reader.limits` if the file is right"


def _chosen(path: Path, archive: zipfile.ZipFile, pattern: str | None) -> list[zipfile.ZipInfo]:
    data = [info for info in archive.infolist() if not info.is_dir() and not _is_beside(info.filename)]
    chosen = [info for info in data if pattern is None or _fits(info.filename, pattern)]
    names = ", ".join(info.filename for info in data[:8]) + (", …" if len(data) > 8 else "")
    if not chosen:
        what = "the archive holds no data file" if not data else f"no file in the archive is named {pattern}: {names}"
        raise unreadable(path, what, expected=pattern, kind="missing_member")
    if len(chosen) > MEMBERS:
        raise unreadable(path, f"the archive holds {len(chosen)} files; at most {MEMBERS} are accepted")
    if len({info.filename for info in chosen}) < len(chosen):
        raise unreadable(path, "the archive holds two files of one name")
    locked = next((info for info in chosen if info.flag_bits & 1), None)
    if locked is not None:
        raise unreadable(
            path, f"{locked.filename} in the archive is encrypted", next="deliver the archive without a password"
        )
    return chosen


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(PurePosixPath(name).name, pattern)


def _is_beside(name: str) -> bool:
    last = PurePosixPath(name).name
    return name.startswith(_BESIDE) or last in _BESIDE_NAMES or last.startswith("._")


def _unpack(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, flow: _Flow, target: Path) -> Member:
    try:
        with archive.open(info) as source:
            flow.copy(source, target)
    except NotImplementedError as error:
        what = f"{info.filename} is packed in a way that cannot be read"
        raise Rejected(what, [Finding("unreadable_file", what)], where=path.name) from error
    return Member(info.filename, target)
