"""The streams inside an OLE compound file, the container of old Office documents; only what reading needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_END = 0xFFFFFFFA  # this and all above mark free, end-of-chain or table sectors


class Malformed(Exception):
    """A container does not follow its format."""


@dataclass(frozen=True)
class _Entry:
    name: str
    kind: int
    start: int
    size: int


def stream_names(path: Path) -> tuple[str, ...]:
    """The names of all streams; none when the container is damaged."""
    try:
        return tuple(entry.name for entry in _Compound(path.read_bytes()).entries if entry.kind == 2)
    except Malformed:
        return ()


def stream(path: Path, names: tuple[str, ...]) -> bytes:
    """The content of the first stream with one of the names, compared without case."""
    compound = _Compound(path.read_bytes())
    for name in names:
        for entry in compound.entries:
            if entry.kind == 2 and entry.name.casefold() == name:
                return compound.content(entry)
    raise Malformed(f"the container has no stream named {' or '.join(names)}")


class _Compound:
    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            self._open()
        except struct.error as error:
            raise Malformed("the container is cut short") from error

    def _open(self) -> None:
        shift, mini_shift = struct.unpack_from("<HH", self._data, 30)
        if shift not in (9, 12) or mini_shift > shift:
            raise Malformed("the container has an unknown sector size")
        self._sector, self._mini = 1 << shift, 1 << mini_shift
        directory, _, self._cutoff, mini_start, _, extra, extras = struct.unpack_from("<7I", self._data, 48)
        tables = list(struct.unpack_from("<109I", self._data, 76))
        per_sector = self._sector // 4
        for _ in range(min(extras, len(self._data) // self._sector)):
            if extra >= _END:
                break
            entries = self._integers(self._at(extra))
            tables += entries[: per_sector - 1]
            extra = entries[per_sector - 1] if len(entries) == per_sector else _END
        self._next: list[int] = []
        for table in tables:
            if table < _END:
                self._next += self._integers(self._at(table))
        self.entries = _entries(self._chain(directory))
        self._mini_next = self._integers(self._chain(mini_start)) if mini_start < _END else []
        root = next((entry for entry in self.entries if entry.kind == 5), None)
        self._mini_data = self._chain(root.start) if root is not None and root.start < _END else b""

    def content(self, entry: _Entry) -> bytes:
        if entry.size >= self._cutoff:
            return self._chain(entry.start)[: entry.size]
        parts: list[bytes] = []
        sector = entry.start
        while sector < _END:
            if sector >= len(self._mini_next) or len(parts) > len(self._mini_next):
                raise Malformed("a chain of small sectors is broken")
            parts.append(self._mini_data[sector * self._mini : (sector + 1) * self._mini])
            sector = self._mini_next[sector]
        return b"".join(parts)[: entry.size]

    def _at(self, sector: int) -> bytes:
        start = (sector + 1) * self._sector
        return self._data[start : start + self._sector]

    def _chain(self, sector: int) -> bytes:
        parts: list[bytes] = []
        while sector < _END:
            # A chain longer than the table runs in a circle.
            if sector >= len(self._next) or len(parts) > len(self._next):
                raise Malformed("a chain of sectors is broken")
            parts.append(self._at(sector))
            sector = self._next[sector]
        return b"".join(parts)

    @staticmethod
    def _integers(data: bytes) -> list[int]:
        count = len(data) // 4
        return list(struct.unpack_from(f"<{count}I", data))


def _entries(directory: bytes) -> tuple[_Entry, ...]:
    entries = []
    for at in range(0, len(directory) - 127, 128):
        length, kind = struct.unpack_from("<HB", directory, at + 64)
        name = directory[at : at + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        start, size = struct.unpack_from("<II", directory, at + 116)
        entries.append(_Entry(name, kind, start, size))
    return tuple(entries)
