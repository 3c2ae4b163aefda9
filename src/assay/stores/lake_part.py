"""The tables of the lake that one movement was handed: those that it reads, those that it writes, and no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.errors import Denied
from assay.stores.lake import Lake, LakeTable, analytical, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Zone

#: Namespace and name of a table.
Place = tuple[str, str]


class LakePart:
    """A part of the lake; `who` was handed it, and stands in the refusal of everything else."""

    def __init__(self, lake: Lake, who: str, *, reads: Collection[Place], writes: Collection[Place]) -> None:
        self._lake = lake
        self._who = who
        self._places = {"read": frozenset(reads), "write": frozenset(writes)}

    def files(self, namespace: str, name: str, batch: int | None = None) -> list[str]:
        """The Parquet files of a table; of one batch only, where `batch` is given."""
        self._check("read", namespace, name)
        return self._lake.files(namespace, name, batch)

    def file_count(self, namespace: str, name: str) -> int:
        """How many files a table has."""
        self._check("read", namespace, name)
        return self._lake.file_count(namespace, name)

    def new_file(self, namespace: str, name: str, hint: str) -> Path:
        """A path for a new file; it counts only once it is put."""
        self._check("write", namespace, name)
        return self._lake.new_file(namespace, name, hint)

    def put(self, namespace: str, name: str, files: Iterable[Path], *, replacing: Any = None) -> None:
        """Makes files part of a table, in place of the rows that `replacing` selects."""
        self._check("write", namespace, name)
        self._lake.put(namespace, name, files, replacing=replacing)

    def _check(self, action: Literal["read", "write"], namespace: str, name: str) -> None:
        if (namespace, name) not in self._places[action]:
            raise Denied(
                f"{self._who} was not handed {namespace}.{name} to {action}",
                action=action,
                where=f"{namespace}.{name}",
                expected="the stores that the segment is declared for, in its own zone",
            )


def tables_of(zone: Zone, store: str, source: str | None = None) -> frozenset[Place]:
    """The lake tables of a store; of one source only, where `source` is given. Other stores have none.

    Where nothing cleans, the readable table of a source is its clean one too.
    """
    if store == "analytical":
        return frozenset(place_of(analytical(table)) for table in zone.analytical.values())
    make = {"readable": readable, "clean": clean, "quarantine": quarantine}.get(store)
    if make is None:
        return frozenset()
    return frozenset(place_of(make(one)) for one in zone.sources.values() if source in (None, one.name))


def place_of(table: LakeTable) -> Place:
    """Where a table stands."""
    return table.namespace, table.name
