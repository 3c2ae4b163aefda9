"""Who works on which batch: the batches' own rows are the queue, PostgreSQL's clock and sessions are the judges.

A batch is worked on under a lease. The lease is live while its time has not run out and its owner's session is
still there, so a killed worker is noticed at once and a frozen one when its time is over; a frozen worker's session
is ended before anybody else is given a batch. Every new owner gets a higher fence, and a segment's effect commits
only while the batch still carries the fence under which it was prepared.

What is given out, in this order: a batch whose earlier ones of the same source have moved on; for the canonical
tables of a pipeline one batch at a time, and those whose rows others refer to first; among zones the one that has
the least in work, and among those the one that was served the longest time ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from assay.batch import State
from assay.errors import AssayError, Unavailable
from assay.stores.database import Connection, advisory_key, transaction

#: How long a lease lasts unless it is renewed, in seconds.
LEASE_SECONDS = 10.0
#: After so many tries that ended with something unavailable, a batch waits for a person.
ATTEMPTS_MOST = 10
#: After so many workers that ended while they had a batch in their hands, it waits for a person too.
DEATHS_MOST = 25
#: The channel on which a batch that can be taken is announced.
CHANNEL = "assay_work"

#: The states from which a worker takes a batch on, and those in which it writes canonical tables; as SQL, so that
#: PostgreSQL finds them by the partial index.
_MOVING = "('landed', 'readable', 'clean', 'released', 'conformed')"
_MODELLING = "('released', 'conformed')"
MOVING: tuple[State, ...] = ("landed", "readable", "clean", "released", "conformed")
MODELLING: tuple[State, ...] = ("released", "conformed")

# One moment for the whole claim: a lease that ran out between the ending of frozen sessions and the choice of a batch
# would let the choice wait for a row that a frozen session holds, and everybody else wait for the choice.
_LIVE = (
    "({0}.lease_until > now() AND EXISTS (SELECT 1 FROM pg_stat_activity AS a "
    "WHERE a.pid = {0}.lease_backend AND a.application_name = {0}.lease_owner))"
)


@dataclass(frozen=True)
class Lease:
    """The right to work on a batch: its number, who has it, and the fence that a commit must still find."""

    batch: int
    owner: str
    fence: int


class LeaseLost(Unavailable):
    """Somebody else took the batch over."""


def register(connection: Connection, owner: str, kind: str, host: str, pid: int, actor: str, version: str) -> None:
    """Makes a worker known; the session carries its name (`owner`, at most 63 bytes), by which its leases live."""
    with transaction(connection):
        connection.execute("DELETE FROM assay.worker WHERE beat_at < clock_timestamp() - interval '1 day'")
        connection.execute(
            "INSERT INTO assay.worker (id, kind, host, pid, actor, version) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp()",
            (owner, kind, host, pid, actor, version),
        )
    connection.execute("SELECT set_config('application_name', %s, false)", (owner,))


def resign(connection: Connection, owner: str) -> None:
    """Takes a worker off the list."""
    connection.execute("DELETE FROM assay.worker WHERE id = %s", (owner,))
    connection.execute("SELECT set_config('application_name', 'assay', false)")


def beat(connection: Connection, owners: Iterable[str]) -> None:
    """Says that workers are alive, and renews what they hold."""
    names = list(owners)
    with transaction(connection):
        connection.execute("UPDATE assay.worker SET beat_at = clock_timestamp() WHERE id = ANY(%s)", (names,))
        connection.execute(
            "UPDATE assay.batch SET lease_until = clock_timestamp() + make_interval(secs => %s) "
            f"WHERE state IN {_MOVING} AND lease_owner = ANY(%s)".encode(),
            (LEASE_SECONDS, names),
        )


def claim(
    connection: Connection,
    owner: str,
    *,
    number: int | None = None,
    pipelines: Iterable[tuple[str, str]] | None = None,
    limits: Mapping[str, int] | None = None,
) -> Lease | None:
    """The next batch that can be worked on, or None; `number` asks for that one, `pipelines` for (zone, pipeline).

    `limits` says for zones how many of their batches may be in work at a time. What failed is given out only once
    its time has come, what is parked not at all.
    """
    wanted = None if pipelines is None else [f"{zone}/{pipeline}" for zone, pipeline in pipelines]
    values: dict[str, Any] = {"owner": owner, "number": number, "pipelines": wanted, "seconds": LEASE_SECONDS}
    values["limits"] = Jsonb(dict(limits or {}))
    with transaction(connection):
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("claim"),))
        _end_frozen(connection)
        _park_deadly(connection)
        row = connection.execute(_CLAIM.encode(), values).fetchone()
        if row is None:
            return None
        connection.execute(
            "INSERT INTO assay.zone_turn (zone) VALUES (%s) ON CONFLICT (zone) "
            "DO UPDATE SET served_at = clock_timestamp()",
            (row[2],),
        )
    return Lease(int(row[0]), owner, int(row[1]))


_CLAIM = f"""
WITH busy AS MATERIALIZED (
    SELECT b.id, b.zone, b.pipeline, b.state FROM assay.batch AS b
    WHERE b.state IN {_MOVING} AND b.lease_owner <> %(owner)s AND {_LIVE.format("b")}
), per_zone AS (
    SELECT zone, count(*) AS batches FROM busy GROUP BY zone
), next AS (
    SELECT b.id FROM assay.batch AS b
    LEFT JOIN per_zone AS z ON z.zone = b.zone
    LEFT JOIN assay.zone_turn AS t ON t.zone = b.zone
    WHERE b.state IN {_MOVING} AND NOT b.parked
      AND (%(number)s::bigint IS NULL OR b.id = %(number)s)
      AND (%(pipelines)s::text[] IS NULL OR b.zone || '/' || b.pipeline = ANY(%(pipelines)s))
      AND (b.retry_at IS NULL OR b.retry_at <= clock_timestamp())
      AND NOT EXISTS (SELECT 1 FROM busy WHERE busy.id = b.id)
      AND coalesce(z.batches, 0) < coalesce((%(limits)s::jsonb ->> b.zone)::int, 2147483647)
      AND NOT EXISTS (
        SELECT 1 FROM assay.batch AS e WHERE e.zone = b.zone AND e.pipeline = b.pipeline AND e.source = b.source
        AND e.id < b.id AND e.state IN {_MOVING})
      AND (b.state NOT IN {_MODELLING} OR (
        NOT EXISTS (
          SELECT 1 FROM busy AS o WHERE o.zone = b.zone AND o.pipeline = b.pipeline AND o.state IN {_MODELLING})
        AND NOT EXISTS (
          SELECT 1 FROM assay.batch AS r WHERE r.zone = b.zone AND r.pipeline = b.pipeline AND r.rank < b.rank
          AND r.state IN {_MOVING} AND NOT r.parked)))
    ORDER BY coalesce(z.batches, 0), t.served_at NULLS FIRST, b.id
    LIMIT 1
)
UPDATE assay.batch AS b SET fence = b.fence + 1, attempts = b.attempts + (b.lease_owner IS NOT NULL)::int,
    lease_owner = %(owner)s, lease_backend = pg_backend_pid(),
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM next WHERE b.id = next.id
RETURNING b.id, b.fence, b.zone
"""


def _end_frozen(connection: Connection) -> None:
    """Ends the sessions of those who let a lease run out, and waits until their locks are gone.

    A process that stands still may stand inside a transaction: nobody could take its batch from it.
    """
    connection.execute(
        "SELECT pg_terminate_backend(a.pid, 5000) FROM assay.batch AS b JOIN pg_stat_activity AS a "
        "ON a.pid = b.lease_backend AND a.application_name = b.lease_owner "
        f"WHERE b.state IN {_MOVING} AND b.lease_until <= now() AND a.pid <> pg_backend_pid()".encode()
    )


def _park_deadly(connection: Connection) -> None:
    """Sets a batch aside that one worker after the other died of: who has a lease and is gone did not give it back."""
    words = {
        "segment": "",
        "passing": False,
        "error": "WorkerDied",
        "what": f"{DEATHS_MOST} workers ended while they worked on it",
        "next": "look at what the service said, mend the cause, then assay retry",
    }
    connection.execute(
        "WITH deadly AS (UPDATE assay.batch AS b SET parked = true, failure = %(words)s, lease_owner = NULL "
        f"WHERE b.state IN {_MOVING} AND b.lease_owner IS NOT NULL AND b.attempts >= %(most)s AND NOT b.parked "
        f"AND NOT {_LIVE.format('b')} RETURNING b.id, b.zone, b.pipeline) "
        "INSERT INTO assay.event (kind, zone, pipeline, batch_id, body) "
        "SELECT 'failed', zone, pipeline, id, %(words)s FROM deadly".encode(),
        {"words": Jsonb(words), "most": DEATHS_MOST},
    )


def give_back(connection: Connection, lease: Lease) -> None:
    """Ends a lease; what somebody else has taken over meanwhile stays theirs."""
    connection.execute(
        "UPDATE assay.batch SET lease_owner = NULL, lease_backend = NULL, lease_until = NULL "
        "WHERE id = %s AND lease_owner = %s AND fence = %s",
        (lease.batch, lease.owner, lease.fence),
    )
    announce(connection)


def announce(connection: Connection) -> None:
    """Wakes the workers once the running transaction is through."""
    connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


def note_failure(
    connection: Connection, lease: Lease, segment: str, error: BaseException, what: str | None = None
) -> bool | None:
    """Records why a segment failed; returns whether the batch is tried again by itself.

    `what` stands in the place of the error's own words.

    None, and nothing is recorded, where somebody else took the batch over: it is no longer this worker's failure.

    What was unavailable is tried again, later each time (1 s, 2 s, 4 s, ... 5 minutes); anything else, and what was
    unavailable for long, waits until somebody has mended the cause.
    """
    words = error.to_dict() if isinstance(error, AssayError) else {"error": type(error).__name__, "what": str(error)}
    if what is not None:
        words["what"] = what
    retryable = isinstance(error, AssayError) and error.retryable
    row = connection.execute(
        "UPDATE assay.batch SET attempts = attempts + 1, failure = %(failure)s, "
        "parked = NOT (%(retryable)s AND attempts + 1 < %(most)s), "
        "retry_at = clock_timestamp() + make_interval(secs => least(300, 2 ^ attempts) * (0.75 + random() / 2)) "
        "WHERE id = %(id)s AND fence = %(fence)s AND lease_owner = %(owner)s RETURNING parked",
        {
            "failure": Jsonb({"segment": segment, "passing": retryable, **words}),
            "retryable": retryable,
            "most": ATTEMPTS_MOST,
            "id": lease.batch,
            "fence": lease.fence,
            "owner": lease.owner,
        },
    ).fetchone()
    return None if row is None else not row[0]


def take_up(
    connection: Connection, *, pipelines: Iterable[tuple[str, str]] | None = None, number: int | None = None
) -> int:
    """Lets what failed be tried again at once; returns how many batches that were."""
    wanted = None if pipelines is None else [f"{zone}/{pipeline}" for zone, pipeline in pipelines]
    return _take_up(
        connection,
        "(parked OR retry_at IS NOT NULL) AND (%(number)s::bigint IS NULL OR id = %(number)s) "
        "AND (%(pipelines)s::text[] IS NULL OR zone || '/' || pipeline = ANY(%(pipelines)s))",
        {"number": number, "pipelines": wanted},
    )


def take_up_failed(connection: Connection, zone: str, error: str) -> int:
    """Lets the batches of a zone that failed by one kind of error be tried again; returns how many that were."""
    return _take_up(
        connection, "zone = %(zone)s AND parked AND failure ->> 'error' = %(error)s", {"zone": zone, "error": error}
    )


def _take_up(connection: Connection, condition: str, values: dict[str, Any]) -> int:
    done = connection.execute(
        "UPDATE assay.batch SET parked = false, retry_at = NULL, attempts = 0 "
        f"WHERE state IN {_MOVING} AND {condition}".encode(),
        values,
    )
    if done.rowcount:
        announce(connection)
    return done.rowcount


@dataclass(frozen=True)
class Failure:
    """A batch that went wrong: what happened, how often, and whether it waits for a person (`parked`)."""

    batch: int
    segment: str
    error: dict[str, Any]
    attempts: int
    parked: bool
    #: Whether what went wrong may be gone by itself.
    passing: bool = False


def failure(connection: Connection, number: int) -> Failure | None:
    """What went wrong with a batch last, or None."""
    row = connection.execute(
        "SELECT failure, attempts, parked FROM assay.batch WHERE id = %s AND failure IS NOT NULL", (number,)
    ).fetchone()
    if row is None:
        return None
    body = dict(row[0])
    segment, passing = str(body.pop("segment", "")), bool(body.pop("passing", False))
    return Failure(number, segment, body, int(row[1]), bool(row[2]), passing)


def lengths(connection: Connection) -> dict[tuple[str, str], tuple[int, float]]:
    """(zone, pipeline) → how many of its batches are under way or wait for a worker, and for how many seconds the
    oldest has been where it is."""
    found = connection.execute(
        "SELECT zone, pipeline, count(*), extract(epoch FROM clock_timestamp() - min(moved_at))::float8 "
        f"FROM assay.batch WHERE state IN {_MOVING} GROUP BY zone, pipeline".encode()
    )
    return {(zone, pipeline): (int(count), max(0.0, float(age))) for zone, pipeline, count, age in found}


def before(connection: Connection, number: int) -> list[int]:
    """The batches that must move on before this one can: the earlier ones of its source."""
    found = connection.execute(
        "SELECT e.id FROM assay.batch AS b JOIN assay.batch AS e ON e.zone = b.zone AND e.pipeline = b.pipeline "
        f"AND e.source = b.source AND e.id < b.id AND e.state IN {_MOVING} WHERE b.id = %s ORDER BY e.id".encode(),
        (number,),
    )
    return [int(row[0]) for row in found]
