"""What a platform is doing, in one value: batches from stage to stage, workers, files that wait or do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from assay.catalog import misfits, progress, records
from assay.catalog.misfits import Misfit
from assay.catalog.progress import AtWork, Moving
from assay.catalog.queue import MOVING
from assay.catalog.sight import Sight
from assay.flow import GATE, movement_from
from assay.pipelines.platform import Platform
from assay.stewardship.masking import Cells
from assay.stores import ingress
from assay.stores.database import transaction
from assay.zones.project import Pipeline

#: The stages through which rows are counted: heading, and the store of the reconciliation.
STAGES = (("delivered", "delivered"), ("readable", "readable"), ("clean", "clean"))
#: The stores that rows are set aside in.
SET_ASIDE = ("set aside by the contract", "quarantine")


@dataclass(frozen=True)
class Waiting:
    """Files in a pipeline's ingress folder that were not taken in yet."""

    zone: str
    pipeline: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """What is going on."""

    batches: tuple[Moving, ...]
    workers: tuple[AtWork, ...]
    misfits: tuple[Misfit, ...]
    waiting: tuple[Waiting, ...]

    @property
    def next_steps(self) -> list[str]:
        """What to type about it, the most urgent first."""
        steps = [f"assay retry {one.batch}" for one in self.batches if one.parked]
        moving = any(not one.parked and one.state in MOVING for one in self.batches)
        if (moving or self.waiting) and not self.workers:
            steps.append("assay run")
        return steps

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "batches": [{**asdict(one), "waits_for": waits_for(one, self)} for one in self.batches],
            "workers": [asdict(one) for one in self.workers],
            "misfits": [asdict(one) for one in self.misfits],
            "waiting": [asdict(one) for one in self.waiting],
        }


@dataclass(frozen=True)
class Regard:
    """What somebody may know of what is going on: whose batches, and which cells, by (zone, source)."""

    sight: Sight
    cells: Callable[[str, str], Cells]


def observed(platform: Platform, *, rested_seconds: float = 0, regard: Regard | None = None) -> Progress:
    """What the records and the ingress folders say now; with `regard` no more than it covers."""
    sight = None if regard is None else regard.sight
    with transaction(platform.connection) as tx:
        batches = progress.moving(tx, rested_seconds=rested_seconds, sight=sight)
        workers = progress.at_work(tx)
        strange = [one for one in misfits.on_record(tx) if sight is None or sight.covers(one.zone)]
    if regard is not None:
        batches = [_without_cells(one, regard.cells(one.zone, one.source)) for one in batches]
        workers = list(_in_sight(workers, {one.batch for one in batches}, regard.sight))
    not_fitting = {one.path for one in strange}
    zones = [zone for zone in platform.project.zones.values() if sight is None or sight.covers(zone.name)]
    waiting = [_waiting(platform, one, not_fitting) for zone in zones for one in zone.pipelines.values()]
    return Progress(tuple(batches), tuple(workers), tuple(strange), tuple(one for one in waiting if one.files))


def _without_cells(one: Moving, cells: Cells) -> Moving:
    """What went wrong, in words, can name a cell: it is told to those who see all of them."""
    if one.failure is None or not cells.hidden:
        return one
    words = f"not shown: it may name cells that are {', '.join(sorted(cells.hidden))}"
    return replace(one, failure={**one.failure, "what": words, "where": None, "expected": None})


def _in_sight(workers: list[AtWork], batches: set[int], sight: Sight) -> Iterator[AtWork]:
    """Services work for everybody; of the batches in work, and of the commands of others, only what is in sight."""
    for one in workers:
        works = one.batch in batches
        if works or sight.platform or one.kind == "service":
            yield one if works else replace(one, batch=None)


def _waiting(platform: Platform, pipeline: Pipeline, not_fitting: set[str]) -> Waiting:
    stamps: dict[str, tuple[int, int]] = {}
    for path in ingress.waiting(pipeline.ingress, pipeline.markers, observe_seconds=0):
        stat = _stat(path)
        if stat is not None and str(path) not in not_fitting:
            stamps[str(path.resolve())] = stat
    known = records.arrived_among(platform.connection, stamps) if stamps else set()
    return Waiting(pipeline.zone, pipeline.name, tuple(Path(path).name for path in stamps if path not in known))


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def segment_of(one: Moving) -> str:
    """The segment that a batch is in or comes to next; empty where it rests."""
    step = movement_from(one.state)
    return "gate" if one.state == GATE else step.segment if step else ""


def rows_aside(one: Moving) -> int:
    """How many rows of a batch were set aside."""
    return sum(one.rows.get(store, 0) for store in SET_ASIDE)


def waits_for(one: Moving, progress: Progress) -> str | None:
    """Whom or what a batch under way waits for, in words; None where somebody works on it or it rests."""
    if one.state == "held":
        return "a steward"
    if one.worker is not None or not segment_of(one):
        return None
    if one.parked:
        return "a person"
    if one.before is not None:
        return f"batch {one.before}"
    if one.retry_at is not None:
        return f"another try at {one.retry_at:%H:%M:%S}"
    return "a worker" if progress.workers else "a worker: none is there"
