"""What housekeeping works on, and how it says what it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from assay.catalog import upkeep
from assay.pipelines.platform import Platform
from assay.stores.lake import analytical, clean, quarantine, readable
from assay.stores.lake_schema import Place, lake_places
from assay.stores.lake_use import used_since

if TYPE_CHECKING:
    from assay.zones.project import AnalyticalTable, Pipeline

Task = Literal["retention", "compact", "expire", "orphans", "vacuum"]
#: Every task, in the order that saves work: what leaves is not put together, what was put together leaves files.
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Step:
    """One thing done, or that would be: the task, what it concerns, in words, and in numbers where they say more."""

    task: Task
    subject: str
    words: str
    files_before: int | None = None
    files_after: int | None = None
    bytes_freed: int | None = None
    failed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Scope:
    """What is to be kept in order: one zone or all, of the lake `only` some tables where it names them.

    Where `dry`, nothing is changed and the steps say what would be.
    """

    platform: Platform
    zone: str | None = None
    dry: bool = False
    only: frozenset[Place] | None = None

    def covers(self, zone: str) -> bool:
        """Whether the zone is among those to be kept in order."""
        return self.zone in (None, zone)

    def pipelines(self) -> list[Pipeline]:
        """The pipelines of the zones concerned."""
        zones = self.platform.project.zones.values()
        return [pipeline for zone in zones if self.covers(zone.name) for pipeline in zone.pipelines.values()]

    def tables(self) -> list[Place]:
        """The lake's tables that are concerned."""
        there = (place for place in lake_places(self.platform.connection) if self.covers(zone_of(place)))
        return sorted(place for place in there if self.only is None or place in self.only)

    def owners(self) -> dict[Place, tuple[Pipeline, AnalyticalTable | None]]:
        """The pipeline of each configured table of the lake, and what makes the table where it is an analytical one."""
        found: dict[Place, tuple[Pipeline, AnalyticalTable | None]] = {}
        for pipeline in self.pipelines():
            for source in pipeline.sources.values():
                for staged in (readable(source), clean(source), quarantine(source)):
                    found[staged.namespace, staged.name] = pipeline, None
            for made in pipeline.analytical.values():
                table = analytical(made)
                found[table.namespace, table.name] = pipeline, made
        return found

    def folders(self, store: str) -> Iterator[tuple[str, Path]]:
        """(zone, folder) for the folders of zones below a folder of stores; also of zones that are no more."""
        root = self.platform.data / store
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if folder.is_dir() and self.covers(folder.name):
                yield folder.name, folder

    def horizon(self) -> datetime:
        """What nobody needs since before this moment may go: the grace is over, and nobody began to read before."""
        past = upkeep.moment_before(self.platform.connection, self.platform.project.maintain.grace)
        since = used_since(self.platform.connection)
        return past if since is None else min(past, since)


def zone_of(place: Place) -> str:
    """The zone that a table of the lake belongs to."""
    return place[0].partition(".")[0]
