"""What happened, written in the transaction in which it happened, and read later by whoever wants to know.

An event is there exactly when what it tells is. A reader has a name and a place in the stream; it sees every event
once its transaction and all that began before it have ended, so that none slips in behind its back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from psycopg.types.json import Jsonb

from assay.batch import Batch
from assay.stores.database import Connection

Kind = Literal[
    "landed",
    "started",
    "finished",
    "held",
    "released",
    "done",
    "rejected",
    "retrying",
    "failed",
    "replaced",
    "withdrawn",
    "rebuilt",
    "reminded",
    "escalated",
    "late",
    "applied",
    "restarted",
    "refreshed",
    "triggered",
    "unexpected",
    "removed",
    "published",
    "subscription",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: The columns of an event, in the order of its attributes.
COLUMNS = "id, transaction::text::bigint, at, kind, zone, pipeline, batch_id, segment, body"


@dataclass(frozen=True)
class Event:
    """One thing that happened: to a batch (`batch`), in a segment, or to a pipeline."""

    id: int
    transaction: int
    at: datetime
    kind: Kind
    zone: str | None
    pipeline: str | None
    batch: int | None
    segment: str | None
    body: dict[str, Any]

    @property
    def word(self) -> str:
        """What people are told happened: for a subscription the state that it came to."""
        return str(self.body["state"]) if self.kind == "subscription" else self.kind


def add(
    connection: Connection,
    kind: Kind,
    *,
    batch: Batch | None = None,
    zone: str | None = None,
    pipeline: str | None = None,
    segment: str | None = None,
    body: dict[str, Any] | None = None,
) -> None:
    """Writes an event into the caller's transaction."""
    if batch is not None:
        zone, pipeline = batch.zone, batch.pipeline
    connection.execute(
        "INSERT INTO assay.event (kind, zone, pipeline, batch_id, segment, body) VALUES (%s, %s, %s, %s, %s, %s)",
        (kind, zone, pipeline, batch.id if batch else None, segment, Jsonb(body or {})),
    )


def unread(connection: Connection, reader: str, *, limit: int = 500) -> list[Event]:
    """The events that a reader has not passed yet, in order; a new reader begins with what happens from now on.

    Nothing that is still to come can stand before the last of them.
    """
    begin(connection, [reader])
    place = connection.execute(
        "SELECT transaction::text, id FROM assay.event_reader WHERE name = %s", (reader,)
    ).fetchone()
    assert place is not None
    found = connection.execute(
        f"SELECT {COLUMNS} FROM assay.event "
        "WHERE (transaction, id) > (%s::xid8, %s) AND transaction < pg_snapshot_xmin(pg_current_snapshot()) "
        "ORDER BY transaction, id LIMIT %s".encode(),
        (*place, limit),
    )
    return [Event(*row) for row in found]


def passed(connection: Connection, reader: str, event: Event) -> None:
    """Moves a reader behind an event."""
    connection.execute(
        "UPDATE assay.event_reader SET transaction = %s::text::xid8, id = %s, attempts = 0, failure = NULL, "
        "retry_at = NULL WHERE name = %s",
        (str(event.transaction), event.id, reader),
    )


def before(connection: Connection, event: Event) -> Event | None:
    """What happened to the same batch in the same segment just before an event."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM assay.event WHERE batch_id = %s AND segment = %s AND id < %s "
        "ORDER BY id DESC LIMIT 1".encode(),
        (event.batch, event.segment, event.id),
    ).fetchone()
    return None if found is None else Event(*found)


def begin(connection: Connection, readers: Iterable[str]) -> None:
    """Makes readers known, if they are new: they begin with what happens from now on."""
    connection.execute(
        "INSERT INTO assay.event_reader (name, transaction, id) "
        "SELECT name, pg_snapshot_xmin(pg_current_snapshot()), 0 FROM unnest(%s::text[]) AS name "
        "ON CONFLICT (name) DO NOTHING",
        (list(readers),),
    )


def forget(connection: Connection, readers: Iterable[str]) -> None:
    """Forgets readers: should they come back, they begin anew."""
    connection.execute("DELETE FROM assay.event_reader WHERE name = ANY(%s)", (list(readers),))


@dataclass(frozen=True)
class Stuck:
    """A reader that does not get on: why, since how many tries, and when it tries again."""

    reader: str
    failure: str
    attempts: int
    retry_at: datetime


def stuck(connection: Connection) -> list[Stuck]:
    """The readers whose last try failed."""
    found = connection.execute(
        "SELECT name, failure, attempts, retry_at FROM assay.event_reader WHERE failure IS NOT NULL ORDER BY name"
    )
    return [Stuck(*row) for row in found]


def may_try(connection: Connection, reader: str) -> bool:
    """Whether a reader need not wait because its last try failed."""
    row = connection.execute(
        "SELECT retry_at > clock_timestamp() FROM assay.event_reader WHERE name = %s", (reader,)
    ).fetchone()
    return row is None or row[0] is not True


def failed(connection: Connection, reader: str, why: str) -> None:
    """Records that a reader did not get on; it waits longer each time (2 s, 4 s, 8 s, ... 5 minutes)."""
    connection.execute(
        "UPDATE assay.event_reader SET attempts = attempts + 1, failure = %s, "
        "retry_at = clock_timestamp() + make_interval(secs => least(300, 2 ^ (least(attempts, 10) + 1))) "
        "WHERE name = %s",
        (why, reader),
    )


def of_batch(connection: Connection, number: int, kinds: Iterable[Kind] = KINDS) -> list[Event]:
    """What happened to a batch, in order."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM assay.event WHERE batch_id = %s AND kind = ANY(%s) ORDER BY id".encode(),
        (number, list(kinds)),
    )
    return [Event(*row) for row in found]
