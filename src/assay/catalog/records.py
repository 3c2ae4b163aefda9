"""The records of batches in PostgreSQL: read and written here, always inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from assay.batch import STATES, Batch, Origin, Profile, State, Tally, may_move
from assay.catalog.queue import Lease, LeaseLost
from assay.catalog.sight import Sight
from assay.errors import NotFound, Unavailable
from assay.findings import Finding
from assay.stores.database import Connection

_BATCH = (
    "id, zone, pipeline, source, file_name, size_bytes, sha256, state, delivered_by, delivered_at, "
    "config_version, period, origin, replaces_batch_id"
)


#: The states of a batch that was neither refused nor taken back.
STANDING: tuple[State, ...] = tuple(state for state in STATES if state not in ("rejected", "replaced", "withdrawn"))


@dataclass(frozen=True)
class Delivery:
    """One arrival of a file: which batch it became, and whether its bytes were known already."""

    batch_id: int
    file_name: str
    delivered_by: str
    delivered_at: datetime
    duplicate: bool


def batch(connection: Connection, number: int) -> Batch:
    """The batch of that number."""
    row = connection.execute(f"SELECT {_BATCH} FROM assay.batch WHERE id = %s".encode(), (number,)).fetchone()
    if row is None:
        raise NotFound(f"there is no batch {number}", next="assay batch list")
    return Batch(*row)


def batches(
    connection: Connection,
    *,
    zone: str | None = None,
    pipeline: str | None = None,
    states: Iterable[State] | None = None,
    newest_first: bool = False,
    limit: int | None = None,
    sight: Sight | None = None,
) -> list[Batch]:
    """Batches in the order of their delivery; with `sight` those that it covers."""
    where = ["true"]
    values: dict[str, Any] = {}
    for column, value in (("zone", zone), ("pipeline", pipeline)):
        if value is not None:
            where.append(f"{column} = %({column})s")
            values[column] = value
    if states is not None:
        where.append("state = ANY(%(states)s)")
        values["states"] = list(states)
    if sight is not None:
        where.append(sight.condition)
        values |= sight.values
    sql = f"SELECT {_BATCH} FROM assay.batch WHERE {' AND '.join(where)} ORDER BY id"
    sql += " DESC" if newest_first else ""
    if limit is not None:
        sql += f" LIMIT {int(limit)}"
    return [Batch(*row) for row in connection.execute(sql.encode(), values)]


def failed(connection: Connection, zone: str, pipeline: str | None) -> list[Batch]:
    """Batches that are parked, and those that were rejected, not by a steward, and have no successor."""
    columns = ", ".join(f"b.{name}" for name in _BATCH.split(", "))
    found = connection.execute(
        f"SELECT {columns} FROM assay.batch AS b WHERE b.zone = %(zone)s "
        "AND (%(pipeline)s::text IS NULL OR b.pipeline = %(pipeline)s) "
        "AND (b.parked OR (b.state = 'rejected' AND b.origin = 'delivery' "
        "AND NOT EXISTS (SELECT 1 FROM assay.decision AS d WHERE d.batch_id = b.id AND d.decision = 'reject') "
        "AND NOT EXISTS (SELECT 1 FROM assay.batch AS s WHERE s.replaces_batch_id = b.id "
        "AND (s.origin = 'delivery' OR s.state NOT IN ('rejected', 'withdrawn'))))) "
        "ORDER BY b.id".encode(),
        {"zone": zone, "pipeline": pipeline},
    )
    return [Batch(*row) for row in found]


def conformed(connection: Connection, zone: str, pipeline: str) -> list[Batch]:
    """The batches whose rows stand in the canonical tables of a pipeline, in the order in which their rows count.

    That is the order in which they came there; a replay stands in the place of the batch that it replaced.
    """
    columns = ", ".join(f"b.{name}" for name in _BATCH.split(", "))
    found = connection.execute(
        "WITH RECURSIVE chain AS (SELECT id, id AS at, origin, replaces_batch_id FROM assay.batch "
        "WHERE zone = %s AND pipeline = %s AND state IN ('conformed', 'done') "
        "UNION ALL SELECT c.id, o.id, o.origin, o.replaces_batch_id FROM chain AS c "
        "JOIN assay.batch AS o ON o.id = c.replaces_batch_id WHERE c.origin = 'replay'), "
        "placed AS (SELECT c.id, min(r.id) AS place FROM chain AS c JOIN assay.segment_run AS r "
        "ON r.batch_id = c.at AND r.segment = 'conform' AND r.outcome = 'done' GROUP BY c.id) "
        f"SELECT {columns} FROM placed JOIN assay.batch AS b ON b.id = placed.id ORDER BY placed.place".encode(),
        (zone, pipeline),
    )
    return [Batch(*row) for row in found]


def overtaker(
    connection: Connection, known: Batch, *, by_period: bool, states: Iterable[State] = STANDING
) -> int | None:
    """The newest later batch of the source in one of the states, of the same period where that counts."""
    row = connection.execute(
        "SELECT max(id) FROM assay.batch WHERE zone = %s AND pipeline = %s AND source = %s AND id > %s "
        "AND state = ANY(%s) AND (NOT %s OR period IS NOT DISTINCT FROM %s)",
        (known.zone, known.pipeline, known.source, known.id, list(states), by_period, known.period),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def same_bytes(connection: Connection, zone: str, pipeline: str, source: str, sha256: str) -> Batch | None:
    """The newest batch of a source that holds these bytes."""
    row = connection.execute(
        f"SELECT {_BATCH} FROM assay.batch WHERE zone = %s AND pipeline = %s AND source = %s AND sha256 = %s "
        "ORDER BY id DESC LIMIT 1".encode(),
        (zone, pipeline, source, sha256),
    ).fetchone()
    return Batch(*row) if row else None


def unreplaced(connection: Connection, zone: str, pipeline: str, source: str) -> list[Batch]:
    """The newest rejected and held batches of a source that no later delivery has replaced."""
    found = connection.execute(
        f"SELECT {_BATCH} FROM assay.batch b WHERE zone = %s AND pipeline = %s AND source = %s "
        "AND state IN ('rejected', 'held') "
        "AND NOT EXISTS (SELECT 1 FROM assay.batch s WHERE s.replaces_batch_id = b.id) "
        "ORDER BY id DESC LIMIT 500".encode(),
        (zone, pipeline, source),
    )
    return [Batch(*row) for row in found]


def successors(connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """Batch → the newest batch that replaces it, for those that were replaced."""
    found = connection.execute(
        "SELECT replaces_batch_id, id FROM assay.batch WHERE replaces_batch_id = ANY(%s) ORDER BY id", (list(numbers),)
    )
    return {int(old): int(new) for old, new in found}


def add_batch(
    connection: Connection,
    *,
    zone: str,
    pipeline: str,
    source: str,
    file_name: str,
    size_bytes: int,
    sha256: str,
    delivered_by: str,
    config_version: str,
    period: str | None,
    origin: Origin = "delivery",
    replaces: int | None = None,
    rank: int = 0,
) -> int:
    """Records a new batch in state `landed`; returns its number."""
    row = connection.execute(
        "INSERT INTO assay.batch (zone, pipeline, source, file_name, size_bytes, sha256, state, delivered_by, "
        "config_version, period, origin, replaces_batch_id, rank) "
        "VALUES (%s, %s, %s, %s, %s, %s, 'landed', %s, %s, %s, %s, %s, %s) RETURNING id",
        (zone, pipeline, source, file_name, size_bytes, sha256, delivered_by, config_version, period, origin, replaces)
        + (rank,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def replaced_by(connection: Connection, number: int) -> int | None:
    """The newest batch that takes the place of this one, or means to."""
    row = connection.execute(
        "SELECT max(id) FROM assay.batch WHERE replaces_batch_id = %s AND state NOT IN ('rejected', 'withdrawn')",
        (number,),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def add_delivery(
    connection: Connection, batch_id: int, path: str, stat: tuple[int, int], by: str, *, duplicate: bool
) -> None:
    """Records that a file arrived; `stat` is its size and modification time (ns), to know it again unread."""
    connection.execute(
        "INSERT INTO assay.delivery (batch_id, path, size_bytes, mtime_ns, delivered_by, duplicate) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (batch_id, path, stat[0], stat[1], by, duplicate),
    )


def arrived(connection: Connection, path: str, stat: tuple[int, int]) -> bool:
    """Whether this very file (path, size, modification time) was delivered before."""
    return (
        connection.execute(
            "SELECT 1 FROM assay.delivery WHERE path = %s AND size_bytes = %s AND mtime_ns = %s LIMIT 1",
            (path, *stat),
        ).fetchone()
        is not None
    )


def arrived_among(connection: Connection, stamps: Mapping[str, tuple[int, int]]) -> set[str]:
    """Those of many paths at which this very file (size, modification time) was delivered before."""
    found = connection.execute(
        "SELECT d.path FROM assay.delivery AS d JOIN unnest(%s::text[], %s::bigint[], %s::bigint[]) "
        "AS f (path, size_bytes, mtime_ns) USING (path, size_bytes, mtime_ns)",
        (list(stamps), [size for size, _ in stamps.values()], [at for _, at in stamps.values()]),
    )
    return {str(row[0]) for row in found}


def lock_batch(connection: Connection, number: int, expected: State, lease: Lease | None = None) -> None:
    """Holds the batch's row until the transaction ends, and makes sure that it is where it was, and still ours.

    Raises `Unavailable` on somebody else's progress, `LeaseLost` when the batch was given to another worker.
    """
    row = connection.execute("SELECT state, fence FROM assay.batch WHERE id = %s FOR UPDATE", (number,)).fetchone()
    if row is None or row[0] != expected:
        raise Unavailable(
            f"batch {number} was moved on by another process", where=f"state {row[0] if row else 'gone'}"
        )
    if lease is not None and row[1] != lease.fence:
        raise LeaseLost(f"batch {number} was taken over by another worker", next="assay status")


def lock_held(connection: Connection, number: int) -> bool:
    """Holds the row of a batch until the transaction ends, where it still waits for a steward."""
    query = "SELECT 1 FROM assay.batch WHERE id = %s AND state = 'held' FOR UPDATE"
    return connection.execute(query, (number,)).fetchone() is not None


def move(connection: Connection, number: int, before: State, after: State) -> None:
    """Moves a locked batch."""
    if not may_move(before, after):
        raise ValueError(f"a batch cannot go from {before} to {after}")
    connection.execute(
        "UPDATE assay.batch SET state = %s, moved_at = clock_timestamp(), attempts = 0, retry_at = NULL, "
        "failure = NULL, parked = false WHERE id = %s",
        (after, number),
    )


def start_anew(connection: Connection, batch: Batch, version: str, rank: int) -> None:
    """Takes a locked batch back to `landed` under another configuration; what its segments recorded goes."""
    if batch.state != "landed":
        for table in ("finding", "tally", "profile", "touched"):
            connection.execute(f"DELETE FROM assay.{table} WHERE batch_id = %s".encode(), (batch.id,))
        connection.execute("DELETE FROM assay.segment_run WHERE batch_id = %s AND segment <> 'land'", (batch.id,))
        move(connection, batch.id, batch.state, "landed")
    connection.execute(
        "UPDATE assay.batch SET config_version = %s, rank = %s, attempts = 0, retry_at = NULL, failure = NULL, "
        "parked = false WHERE id = %s",
        (version, rank, batch.id),
    )


def set_period(connection: Connection, number: int, period: str | None) -> None:
    """Records the period that a batch covers, where it is known only from its rows."""
    connection.execute("UPDATE assay.batch SET period = %s WHERE id = %s", (period, number))


def add_run(
    connection: Connection, number: int, segment: str, outcome: str, seconds: float, detail: dict[str, Any]
) -> None:
    """Records what a segment did with a batch."""
    connection.execute(
        "INSERT INTO assay.segment_run (batch_id, segment, outcome, seconds, detail) "
        "VALUES (%s, %s, %s, %s, %s)",
        (number, segment, outcome, seconds, Jsonb(detail, dumps=_dumps)),
    )


def runs(connection: Connection, number: int) -> list[dict[str, Any]]:
    """What happened to a batch, in order."""
    found = connection.execute(
        "SELECT segment, outcome, seconds, finished_at, detail FROM assay.segment_run "
        "WHERE batch_id = %s ORDER BY id",
        (number,),
    )
    names = ("segment", "outcome", "seconds", "finished_at", "detail")
    return [dict(zip(names, row, strict=True)) for row in found]


def add_findings(connection: Connection, number: int, segment: str, findings: Iterable[Finding]) -> None:
    """Keeps findings with the batch."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO assay.finding (batch_id, segment, severity, kind, body) VALUES (%s, %s, %s, %s, %s)",
            [(number, segment, f.severity, f.kind, Jsonb(f.to_dict())) for f in findings],
        )


def findings(connection: Connection, number: int) -> list[tuple[str, Finding]]:
    """The findings of a batch with the segment that made each."""
    found = connection.execute(
        "SELECT segment, body FROM assay.finding WHERE batch_id = %s ORDER BY id", (number,)
    )
    return [(segment, Finding.from_dict(body)) for segment, body in found]


def add_tally(connection: Connection, number: int, tally: Tally) -> None:
    """Keeps a line of the batch's reconciliation."""
    connection.execute(
        "INSERT INTO assay.tally (batch_id, store, rows, sums) VALUES (%s, %s, %s, %s)",
        (number, tally.store, tally.rows, Jsonb({k: str(v) for k, v in tally.sums.items()})),
    )


def tallies(connection: Connection, number: int) -> list[Tally]:
    """The reconciliation of a batch, in the order of the stores."""
    found = connection.execute(
        "SELECT store, rows, sums FROM assay.tally WHERE batch_id = %s ORDER BY id", (number,)
    )
    return [Tally(store, rows, {k: Decimal(v) for k, v in sums.items()}) for store, rows, sums in found]


def profile(connection: Connection, number: int) -> Profile | None:
    """What the rows of a batch look like; None for one whose rows were never measured."""
    row = connection.execute("SELECT body FROM assay.profile WHERE batch_id = %s", (number,)).fetchone()
    return None if row is None else Profile.from_dict(row[0])


def moved_at(connection: Connection, number: int) -> datetime:
    """When a batch came into its state."""
    row = connection.execute("SELECT moved_at FROM assay.batch WHERE id = %s", (number,)).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


def add_profile(connection: Connection, number: int, profile: Profile) -> None:
    """Keeps what the rows of a batch look like."""
    connection.execute(
        "INSERT INTO assay.profile (batch_id, fingerprint, body) VALUES (%s, %s, %s) ON CONFLICT (batch_id) "
        "DO UPDATE SET fingerprint = excluded.fingerprint, body = excluded.body",
        (number, profile.fingerprint, Jsonb(profile.to_dict())),
    )


def profiles(
    connection: Connection, batch: Batch, fingerprint: str, *, limit: int
) -> list[tuple[int, str, str | None, Profile]]:
    """(number, file, period, profile) of the source's other batches that were not refused, the newest first.

    At most `limit`, and any with the fingerprint; the one whose place the batch takes is left out.
    """
    found = connection.execute(
        "SELECT b.id, b.file_name, b.period, p.body FROM assay.profile AS p JOIN assay.batch AS b ON b.id = p.batch_id "
        "WHERE b.zone = %(zone)s AND b.pipeline = %(pipeline)s AND b.source = %(source)s "
        "AND b.state NOT IN ('rejected', 'replaced', 'withdrawn') "
        "AND b.id <> %(id)s AND b.id IS DISTINCT FROM %(replaces)s "
        "ORDER BY p.fingerprint = %(fingerprint)s DESC, b.id DESC LIMIT %(limit)s",
        {
            "zone": batch.zone, "pipeline": batch.pipeline, "source": batch.source, "id": batch.id,
            "replaces": batch.replaces, "fingerprint": fingerprint, "limit": limit + 1,
        },
    )  # fmt: skip
    rows = [(int(number), str(name), period, Profile.from_dict(body)) for number, name, period, body in found]
    return sorted(rows, key=lambda row: -row[0])


def add_touched(connection: Connection, number: int, table: str, touched: dict[str, list[Any]] | None) -> None:
    """Records which values of the `refresh by` columns a batch touched; None stands for "all of them"."""
    connection.execute(
        "INSERT INTO assay.touched (batch_id, table_name, touched) VALUES (%s, %s, %s) "
        "ON CONFLICT (batch_id, table_name) DO UPDATE SET touched = excluded.touched",
        (number, table, None if touched is None else Jsonb(touched, dumps=_dumps)),
    )


def touched(connection: Connection, number: int) -> dict[str, dict[str, list[Any]] | None]:
    """What `add_touched` recorded for a batch, by operational table."""
    found = connection.execute(
        "SELECT table_name, touched FROM assay.touched WHERE batch_id = %s", (number,)
    )
    return {str(name): values for name, values in found}


def applied_version(connection: Connection) -> str | None:
    """The version of the configuration that `assay apply` carried out last."""
    row = connection.execute("SELECT version FROM assay.configuration ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def add_configuration(
    connection: Connection, version: str, by: str, changes: list[str], files: dict[str, str]
) -> None:
    """Records that a configuration was applied, with what it changed and its files (path → text)."""
    connection.execute(
        "INSERT INTO assay.configuration (version, applied_by, changes, files) VALUES (%s, %s, %s, %s)",
        (version, by, Jsonb(changes), Jsonb(files)),
    )


def configuration_files(connection: Connection, version: str) -> dict[str, str] | None:
    """The project's files (path → text) as they were in a version; None where they were not kept."""
    row = connection.execute(
        "SELECT files FROM assay.configuration WHERE version = %s AND files IS NOT NULL ORDER BY id DESC LIMIT 1",
        (version,),
    ).fetchone()
    return None if row is None else dict(row[0])


def configuration_versions(connection: Connection, *, limit: int = 5) -> list[str]:
    """The versions whose files were kept, the newest first."""
    found = connection.execute(
        "SELECT version FROM assay.configuration WHERE files IS NOT NULL GROUP BY version "
        "ORDER BY max(id) DESC LIMIT %s",
        (limit,),
    )
    return [str(row[0]) for row in found]


def add_decision(
    connection: Connection, number: int, decision: str, by: str, reason: str, evidence: str | None = None
) -> None:
    """Records a steward's decision; `evidence` is the fingerprint of what was shown."""
    connection.execute(
        "INSERT INTO assay.decision (batch_id, decision, decided_by, reason, evidence) VALUES (%s, %s, %s, %s, %s)",
        (number, decision, by, reason, evidence),
    )


def _dumps(value: Any) -> str:
    return json.dumps(value, default=str)


@dataclass(frozen=True)
class Evidence:
    """How a batch came in: what an auditor asks of a row of it.

    `contract` is its contract's id and version (None for a batch approved before they were kept); `decision`,
    `released_by`, `decided_at` and `reason` are the steward's, None where none was asked; `landing_removed_at` says
    since when the delivered bytes are past their retention.
    """

    batch: int
    source: str
    file_name: str
    sha256: str
    period: str | None
    config_version: str
    delivered_by: str
    delivered_at: datetime
    contract: str | None
    decision: str | None
    released_by: str | None
    decided_at: datetime | None
    reason: str | None
    landing_removed_at: datetime | None


def evidence(connection: Connection, numbers: Iterable[int]) -> dict[int, Evidence]:
    """The evidence of batches, by number."""
    found = connection.execute(
        "SELECT b.id, b.source, b.file_name, b.sha256, b.period, b.config_version, b.delivered_by, b.delivered_at, "
        "r.detail -> 'contract' ->> 'id' || ' ' || (r.detail -> 'contract' ->> 'version'), "
        "d.decision, d.decided_by, d.decided_at, d.reason, g.removed_at FROM assay.batch b "
        "LEFT JOIN assay.removal g ON g.batch_id = b.id AND g.store = 'landing' "
        "LEFT JOIN assay.segment_run r ON r.batch_id = b.id AND r.segment = 'approve' "
        "LEFT JOIN LATERAL (SELECT * FROM assay.decision d WHERE d.batch_id = b.id ORDER BY d.id DESC LIMIT 1) d "
        "ON true WHERE b.id = ANY(%s)",
        (list(numbers),),
    )
    return {row[0]: Evidence(*row) for row in found}


def counts(connection: Connection, sight: Sight | None = None) -> list[tuple[str, str, str, int, datetime]]:
    """How many batches of each pipeline rest in each state, and when one moved there last; of those in `sight`."""
    found = connection.execute(
        "SELECT zone, pipeline, state, count(*), max(moved_at) FROM assay.batch "
        f"WHERE {sight.condition if sight else 'true'} "
        "GROUP BY zone, pipeline, state ORDER BY zone, pipeline, state".encode(),
        sight.values if sight else {},
    )
    return [(zone, pipeline, state, count, last) for zone, pipeline, state, count, last in found]


def held(connection: Connection) -> list[tuple[int, str, str, str, str, str, datetime, int]]:
    """Batches that wait for a steward, the longest first: number, zone, pipeline, source, file, by, since, findings."""
    found = connection.execute(
        "SELECT b.id, b.zone, b.pipeline, b.source, b.file_name, b.delivered_by, b.moved_at, "
        "(SELECT count(*) FROM assay.finding f WHERE f.batch_id = b.id) FROM assay.batch b "
        "WHERE b.state = 'held' ORDER BY b.moved_at, b.id"
    )
    return [tuple(row) for row in found]


def delivered_rows(connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """How many rows the delivered files of batches had, by number; those that could not be read are left out."""
    found = connection.execute(
        "SELECT batch_id, rows FROM assay.tally WHERE store = 'delivered' AND batch_id = ANY(%s)", (list(numbers),)
    )
    return {number: rows for number, rows in found}


def decisions(connection: Connection, number: int) -> list[dict[str, Any]]:
    """What stewards decided about a batch, in order."""
    found = connection.execute(
        "SELECT decision, decided_by, reason, decided_at, evidence FROM assay.decision WHERE batch_id = %s ORDER BY id",
        (number,),
    )
    names = ("decision", "decided_by", "reason", "decided_at", "evidence")
    return [dict(zip(names, row, strict=True)) for row in found]


def held_batches(connection: Connection, zone: str) -> list[int]:
    """The batches of a zone that wait for a steward's decision."""
    found = connection.execute("SELECT id FROM assay.batch WHERE zone = %s AND state = 'held' ORDER BY id", (zone,))
    return [int(row[0]) for row in found]
