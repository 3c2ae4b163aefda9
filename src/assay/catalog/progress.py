"""What is under way: batches, the rows that they brought from stage to stage, and who works on what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.batch import State
from assay.catalog.queue import MOVING
from assay.catalog.sight import Sight
from assay.stores.database import Connection


@dataclass(frozen=True)
class Moving:
    """A batch under way, or one that came to rest a short while ago.

    `rows` are counts by store, as far as they are known; `worker` is who has it in work; `before` is the batch of the
    same source that has to move on first.
    """

    batch: int
    zone: str
    pipeline: str
    source: str
    file_name: str
    state: State
    moved_at: datetime
    worker: str | None
    rows: dict[str, int]
    failure: dict[str, Any] | None
    parked: bool
    retry_at: datetime | None
    before: int | None


@dataclass(frozen=True)
class AtWork:
    """A process that works on batches; `batch` is the one that it has in its hands."""

    name: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    beat_seconds_ago: float
    batch: int | None


#: Whoever is silent for longer is gone, in seconds.
SILENT_SECONDS = 60

_LEASED = (
    "b.lease_until > clock_timestamp() AND EXISTS (SELECT 1 FROM pg_stat_activity AS a "
    "WHERE a.pid = b.lease_backend AND a.application_name = b.lease_owner)"
)


def moving(
    connection: Connection, *, rested_seconds: float = 0, limit: int = 200, sight: Sight | None = None
) -> list[Moving]:
    """The batches under way, in the order of their delivery, and those that came to rest within `rested_seconds`."""
    condition, values = ("true", {}) if sight is None else (sight.condition, sight.values)
    found = connection.execute(
        "SELECT b.id, b.zone, b.pipeline, b.source, b.file_name, b.state, b.moved_at, "
        f"CASE WHEN {_LEASED} THEN b.lease_owner END, "
        "(SELECT coalesce(jsonb_object_agg(t.store, t.rows), '{}') FROM assay.tally AS t WHERE t.batch_id = b.id), "
        "b.failure, b.parked, b.retry_at, "
        "(SELECT max(e.id) FROM assay.batch AS e WHERE e.zone = b.zone AND e.pipeline = b.pipeline "
        "AND e.source = b.source AND e.id < b.id AND e.state = ANY(%(moving)s)) "
        f"FROM assay.batch AS b WHERE {condition} AND (b.state = ANY(%(moving)s) "
        "OR b.moved_at > clock_timestamp() - make_interval(secs => %(rested)s)) ORDER BY b.id LIMIT %(limit)s".encode(),
        {"moving": list(MOVING), "rested": rested_seconds, "limit": limit, **values},
    )
    return [Moving(*row) for row in found]


def at_work(connection: Connection) -> list[AtWork]:
    """The workers that are alive, the longest first."""
    found = connection.execute(
        "SELECT w.id, w.kind, w.host, w.pid, w.version, w.started_at, "
        "extract(epoch FROM clock_timestamp() - w.beat_at)::float8, "
        f"(SELECT b.id FROM assay.batch AS b WHERE b.state = ANY(%s) AND b.lease_owner = w.id AND {_LEASED} LIMIT 1) "
        "FROM assay.worker AS w WHERE w.beat_at > clock_timestamp() - make_interval(secs => %s) "
        "ORDER BY w.started_at, w.id".encode(),
        (list(MOVING), SILENT_SECONDS),
    )
    return [AtWork(*row) for row in found]
