"""Messages to people and addresses, one row for each event, channel and recipient: waiting, sent, or given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from assay.catalog.events import COLUMNS, Event
from assay.stores.database import Connection

Channel = Literal["mail", "webhook"]

#: After so many tries a message is given up; the last of them is more than a day after the first.
ATTEMPTS_MOST = 20
#: How long after a failure it is tried again, at most, in seconds.
PAUSE_SECONDS_MOST = 4 * 3600


@dataclass(frozen=True)
class Waiting:
    """A message to be sent: what happened, to whom it goes, and by which channel."""

    id: int
    channel: Channel
    recipient: str
    attempts: int
    event: Event


@dataclass(frozen=True)
class Undelivered:
    """A message that did not get through yet (`waiting`), or never will (`given_up`)."""

    id: int
    event: str
    batch: int | None
    zone: str | None
    channel: Channel
    recipient: str
    state: str
    attempts: int
    error: str
    next_at: datetime


def add(connection: Connection, event: Event, channel: Channel, recipient: str, zone: str | None) -> None:
    """Asks for a message, for the `notify` of a zone or, without one, of the platform.

    An event that was asked to be told to somebody by a channel is not asked again.
    """
    connection.execute(
        "INSERT INTO assay.notification (event_id, channel, recipient, zone) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT ON CONSTRAINT notification_once DO NOTHING",
        (event.id, channel, recipient, zone),
    )


def next_waiting(connection: Connection) -> Waiting | None:
    """The next message whose time has come, its row held until the transaction ends; None where there is none."""
    columns = ", ".join(f"e.{name.strip()}" for name in COLUMNS.split(","))
    row = connection.execute(
        f"SELECT n.id, n.channel, n.recipient, n.attempts, {columns} "
        "FROM assay.notification AS n JOIN assay.event AS e ON e.id = n.event_id "
        "WHERE n.state = 'waiting' AND n.next_at <= clock_timestamp() ORDER BY n.next_at, n.id LIMIT 1 "
        "FOR UPDATE OF n SKIP LOCKED".encode()
    ).fetchone()
    return None if row is None else Waiting(row[0], row[1], row[2], row[3], Event(*row[4:]))


def sent(connection: Connection, message: Waiting) -> None:
    """Records that a message was taken by its server."""
    connection.execute(
        "UPDATE assay.notification SET state = 'sent', attempts = attempts + 1, sent_at = clock_timestamp(), "
        "error = NULL WHERE id = %s",
        (message.id,),
    )


def failed(connection: Connection, message: Waiting, why: str, *, again: bool) -> None:
    """Records that a message did not get through; it is tried again, later each time, or given up."""
    connection.execute(
        "UPDATE assay.notification SET attempts = attempts + 1, error = %(why)s, "
        "state = CASE WHEN %(again)s AND attempts + 1 < %(most)s THEN 'waiting' ELSE 'given_up' END, "
        "next_at = clock_timestamp() "
        "+ make_interval(secs => least(%(pause)s, 10 * 2 ^ least(attempts, 20)) * (0.75 + random() / 2)) "
        "WHERE id = %(id)s",
        {"id": message.id, "why": why, "again": again, "most": ATTEMPTS_MOST, "pause": PAUSE_SECONDS_MOST},
    )


def undelivered(connection: Connection, zones: Iterable[str] | None = None) -> list[Undelivered]:
    """The messages that did not get through, the newest first, of all or of some zones; those given up for a month.

    A message is of the zone that asked for it: nobody else is shown to whom it goes.
    """
    found = connection.execute(
        "SELECT n.id, CASE WHEN e.kind = 'subscription' THEN e.body ->> 'state' ELSE e.kind END, e.batch_id, "
        "coalesce(n.zone, e.zone), n.channel, n.recipient, n.state, n.attempts, n.error, n.next_at "
        "FROM assay.notification AS n JOIN assay.event AS e ON e.id = n.event_id "
        "WHERE n.error IS NOT NULL AND (n.state = 'waiting' OR n.next_at > clock_timestamp() - interval '30 days') "
        "AND (%(zones)s::text[] IS NULL OR coalesce(n.zone, e.zone) = ANY(%(zones)s)) ORDER BY n.id DESC LIMIT 100",
        {"zones": None if zones is None else sorted(zones)},
    )
    return [Undelivered(*row) for row in found]
