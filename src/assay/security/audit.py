"""The audit chain in PostgreSQL: each entry carries the hash of the one before, so that none can be changed unseen.

`verify_chain` says what an entry's hash is over and follows a chain; here entries are made and read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from psycopg import sql
from psycopg.types.json import Jsonb

from assay.security.verify_chain import START, Unreadable, entry_hash, parsed
from assay.stores.database import Connection, advisory_key, transaction

Outcome = Literal["allow", "deny", "done"]

#: How many entries are fetched at once when a chain is followed.
FETCHED = 2000
_LOCK = advisory_key("audit")


@dataclass(frozen=True)
class Entry:
    """Who did what to which resource: `done`, or a decision that allowed or denied it.

    `detail` holds texts, whole numbers, true or false, and lists and mappings of these: what every JSON library
    reads alike.
    """

    actor: str
    action: str
    resource: str
    outcome: Outcome = "done"
    zone: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """An entry as it stands in the chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    resource: str
    outcome: Outcome
    zone: str | None
    detail: Mapping[str, Any]


def append(connection: Connection, entry: Entry) -> int:
    """Adds an entry inside the caller's transaction, with which it stands or falls; returns its seq.

    Writers take turns: a lock is held from here to the end of the transaction, so this is its last statement.
    Raises `ValueError` for a detail that has no canonical form.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    # A statement of its own: it must see what the last holder of the lock committed.
    found = connection.execute(
        "SELECT clock_timestamp(), last.seq, last.hash FROM (SELECT) AS one LEFT JOIN "
        "(SELECT seq, hash FROM assay.audit ORDER BY seq DESC LIMIT 1) AS last ON true"
    ).fetchone()
    assert found is not None
    at, last, previous = found
    seq = (last or 0) + 1
    values = {
        "seq": seq, "at": instant(at), "actor": entry.actor, "action": entry.action, "resource": entry.resource,
        "outcome": entry.outcome, "zone": entry.zone, "detail": dict(entry.detail), "previous": previous or START,
    }  # fmt: skip
    connection.execute(
        "INSERT INTO assay.audit (seq, at, actor, action, resource, outcome, zone, detail, previous, hash) "
        "VALUES (%(seq)s, %(at)s, %(actor)s, %(action)s, %(resource)s, %(outcome)s, %(zone)s, %(detail)s, "
        "%(previous)s, %(hash)s)",
        {**values, "at": at, "detail": Jsonb(values["detail"]), "hash": entry_hash(values)},
    )
    return seq


def instant(at: datetime) -> str:
    """A time as entries write it: UTC, with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def head(connection: Connection) -> tuple[int, str]:
    """The seq and the hash of the last entry; (0, `START`) of an empty chain."""
    row = connection.execute("SELECT seq, hash FROM assay.audit ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, START) if row is None else (int(row[0]), str(row[1]))


def entries(
    connection: Connection,
    *,
    zones: Iterable[str] | None = None,
    actor: str | None = None,
    action: str | None = None,
    outcome: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int,
) -> list[Recorded]:
    """Entries, the newest first, of all or of those that concern some zones.

    `since` is the earliest time, `until` the first that is too late. An entry about several zones tells of those
    alone that were asked for.
    """
    chosen = None if zones is None else sorted(zones)
    conditions: dict[str, Any] = {
        "(zone = ANY(%s) OR (zone IS NULL AND detail -> 'zones' ?| %s))": None if chosen is None else (chosen, chosen),
        "actor = %s": actor, "action = %s": action, "outcome = %s": outcome,
        "at >= %s": since, "at < %s": until,
    }  # fmt: skip
    asked = {condition: value for condition, value in conditions.items() if value is not None}
    where = " AND ".join(["true", *asked])
    values = [one for value in asked.values() for one in (value if isinstance(value, tuple) else (value,))]
    found = connection.execute(
        "SELECT seq, at, actor, action, resource, outcome, zone, detail FROM assay.audit "
        f"WHERE {where} ORDER BY seq DESC LIMIT %s".encode(),
        (*values, limit),
    )
    return [_about(Recorded(*row), chosen) for row in found]


def _about(entry: Recorded, zones: list[str] | None) -> Recorded:
    if zones is None or entry.zone is not None:
        return entry
    told = [name for name in entry.detail["zones"] if name in zones]
    return replace(entry, detail={**entry.detail, "zones": told})


def chain(connection: Connection, *, after: int | None = None) -> Iterator[dict[str, Any] | Unreadable]:
    """The entries in order, all or those behind `after`, as `verify_chain.examine` takes them, of one instant.

    Values are read as text, as the hash is over text: an entry that was changed to what has no place in Python is
    told as such.
    """
    query = sql.SQL(
        "SELECT seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), actor, action, resource, "
        "outcome, zone, detail::text, previous, hash FROM assay.audit {} ORDER BY seq"
    ).format(sql.SQL("") if after is None else sql.SQL("WHERE seq > {}").format(sql.Literal(after)))
    with transaction(connection), connection.cursor(name="audit_chain") as cursor:
        cursor.itersize = FETCHED
        cursor.execute(query)
        for seq, at, actor, action, resource, outcome, zone, detail, previous, digest in cursor:
            try:
                kept = parsed(detail)
            except Unreadable as error:
                yield error
                continue
            yield {
                "seq": seq, "at": at, "actor": actor, "action": action, "resource": resource, "outcome": outcome,
                "zone": zone, "detail": kept, "previous": previous, "hash": digest,
            }  # fmt: skip
