"""Landing: delivered bytes, untouched, under their hash. No person reads here; `approve` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.errors import Unavailable
from assay.stores.objects import copy_hashed, settle


@dataclass(frozen=True)
class Landed:
    """A file in landing."""

    sha256: str
    size_bytes: int
    path: Path


class Landing:
    """The landing objects of all zones, a folder each, below the target's data folder."""

    def __init__(self, data: Path) -> None:
        self._root = data / "landing"

    def put(self, zone: str, source: Path) -> Landed:
        """Copies a file in, byte for byte, hashing while copying; the same bytes are stored once."""
        digest, size, temporary = copy_hashed(source, self._root / zone)
        final = self._path(zone, digest)
        settle(temporary, final)
        return Landed(digest, size, final)

    def get(self, zone: str, sha256: str) -> Path:
        """The stored object."""
        path = self._path(zone, sha256)
        if not path.exists():
            raise Unavailable(f"the landing object {sha256[:12]} of zone {zone} is missing", where=str(path))
        return path

    def _path(self, zone: str, sha256: str) -> Path:
        return self._root / zone / sha256[:2] / sha256
