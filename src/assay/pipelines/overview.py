"""Where all batches are, in one value: read from the records alone, so that it is quick."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from assay.batch import FINAL
from assay.catalog import events, notifications, records
from assay.catalog.events import Stuck
from assay.catalog.notifications import Undelivered
from assay.catalog.sight import Sight
from assay.pipelines.freshness import Late, late
from assay.pipelines.platform import Platform
from assay.stores.database import transaction


@dataclass(frozen=True)
class PipelineState:
    """A pipeline: how many batches rest in which state, and when one moved last."""

    zone: str
    pipeline: str
    configured: bool
    states: dict[str, int]
    last_activity: datetime | None

    @property
    def under_way(self) -> int:
        """Batches that neither rest for good nor wait for a person: `assay run` takes them on."""
        return sum(count for state, count in self.states.items() if state not in FINAL and state != "held")


@dataclass(frozen=True)
class HeldBatch:
    """A batch that waits for a steward."""

    batch: int
    zone: str
    pipeline: str
    source: str
    file_name: str
    delivered_by: str
    since: datetime
    findings: int
    stewards: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """A platform at a glance."""

    platform: str
    version: str
    applied: str | None
    pipelines: tuple[PipelineState, ...]
    held: tuple[HeldBatch, ...]
    #: Messages and lineage events that did not get through.
    undelivered: tuple[Undelivered, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    late: tuple[Late, ...] = ()

    @property
    def next_steps(self) -> list[str]:
        """What to type, the most urgent first."""
        steps = []
        if self.applied != self.version:
            steps.append("assay plan")
        return steps + [f"assay batch show {one.batch}" for one in self.held]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "platform": self.platform,
            "configuration": {"version": self.version, "applied": self.applied},
            "pipelines": [{**asdict(one), "under_way": one.under_way} for one in self.pipelines],
            "held": [asdict(one) for one in self.held],
            "undelivered": [asdict(one) for one in self.undelivered],
            "stuck": [asdict(one) for one in self.stuck],
            "late": [asdict(one) for one in self.late],
            "next": self.next_steps,
        }


def overview(platform: Platform, sight: Sight | None = None) -> Overview:
    """What the records say now, of every pipeline that is configured or has batches; with `sight` of what it covers."""
    project = platform.project
    with transaction(platform.connection) as tx:
        counted = records.counts(tx, sight)
        held = [row for row in records.held(tx) if sight is None or sight.covers(row[1], row[5])]
        applied = records.applied_version(tx)
        undelivered = notifications.undelivered(tx, None if sight is None else sight.zones)
        stuck = events.stuck(tx) if sight is None or sight.platform else []
        overdue = [one for one in late(tx, project) if sight is None or sight.covers(one.zone)]
    states: dict[tuple[str, str], dict[str, int]] = {}
    moved: dict[tuple[str, str], datetime] = {}
    for zone, pipeline, state, count, last in counted:
        states.setdefault((zone, pipeline), {})[state] = count
        moved[zone, pipeline] = max(last, moved.get((zone, pipeline), last))
    known = project.zones.keys() if sight is None else project.zones.keys() & (sight.zones | sight.own)
    configured = {(zone, name) for zone in known for name in project.zones[zone].pipelines}
    return Overview(
        project.title or project.name,
        project.version,
        applied,
        tuple(
            PipelineState(*place, place in configured, states.get(place, {}), moved.get(place))
            for place in sorted(configured | states.keys())
        ),
        tuple(
            HeldBatch(*row, stewards=project.zones[row[1]].stewards if row[1] in project.zones else ())
            for row in held
        ),
        tuple(undelivered),
        tuple(stuck),
        tuple(overdue),
    )
