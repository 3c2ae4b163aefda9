"""Subscriptions: who asked a zone for what it publishes, what was decided, and what therefore may be read now.

    requested ──▶ granted ──▶ revoked, expired
        │         │    ▲
        ▼         ▼    │
     refused      broken       and from every open state `ended`, when the files ask or offer no longer, and
                               `cancelled`, when the subscriber says that he needs it no longer

Only `granted` opens anything, and only until its time is over, whether or not somebody has recorded that by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from assay.errors import NotFound, Usage
from assay.stores.database import Connection, advisory_key

State = Literal["requested", "granted", "broken", "refused", "revoked", "expired", "ended", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
Kind = Literal["zone", "user"]

#: The moves that a subscription can make; a state without an entry is final.
MOVES: dict[State, frozenset[State]] = {
    "requested": frozenset({"granted", "refused", "ended", "cancelled"}),
    "granted": frozenset({"revoked", "expired", "broken", "ended", "cancelled"}),
    "broken": frozenset({"granted", "revoked", "expired", "ended", "cancelled"}),
}
#: Somebody waits for it, or has it.
OPEN: frozenset[State] = frozenset(MOVES)

#: A publication: (zone, name).
Name = tuple[str, str]

#: As long as it stands: `until` counts by itself.
_STANDS = "state = 'granted' AND (until IS NULL OR until > clock_timestamp())"


def may_move(before: State, after: State) -> bool:
    """Whether a subscription may go from one state to another."""
    return after in MOVES.get(before, frozenset())


@dataclass(frozen=True)
class Step:
    """One state that a subscription came to: when, by whom, and why."""

    state: State
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Subscription:
    """What a zone or a user (`kind`) asked of `zone`, and how it stands; `last` says who brought it there and why."""

    id: int
    zone: str
    publication: str
    kind: Kind
    subscriber: str
    purpose: str
    state: State
    until: datetime | None
    verified_at: datetime | None
    last: Step

    @property
    def name(self) -> str:
        """The publication as zone.yaml names it."""
        return f"{self.zone}.{self.publication}"

    @property
    def to(self) -> str:
        """The subscriber in words."""
        return f"{self.kind} {self.subscriber}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = asdict(self)
        last = values.pop("last")
        return {**values, "since": last["at"], "by": last["by"], "reason": last["reason"]}


_COLUMNS = "s.id, s.zone, s.publication, s.kind, s.subscriber, s.purpose, s.state, s.until, s.verified_at"
_SELECT = (
    f"SELECT {_COLUMNS}, t.state, t.at, t.by, t.reason FROM assay.subscription AS s CROSS JOIN LATERAL ("
    "SELECT state, at, by, reason FROM assay.subscription_step WHERE subscription_id = s.id ORDER BY id DESC LIMIT 1"
    ") AS t"
)


def _made(row: tuple[Any, ...]) -> Subscription:
    number, zone, publication, kind, subscriber, purpose, state, until, verified_at, *last = row
    return Subscription(
        number, zone, publication, kind, subscriber, purpose, state, until, verified_at, Step(*last)
    )


def add(
    tx: Connection, publication: Name, kind: Kind, subscriber: str, purpose: str, *, by: str, until: datetime | None
) -> Subscription:
    """Writes a request.

    Raises `Usage` where the same subscriber waits for the same publication, or has it.
    """
    _in_turn(tx)
    row = tx.execute(
        "INSERT INTO assay.subscription (zone, publication, kind, subscriber, purpose, state, until) "
        "VALUES (%s, %s, %s, %s, %s, 'requested', %s) ON CONFLICT (zone, publication, kind, subscriber) "
        "WHERE state IN ('requested', 'granted', 'broken') DO NOTHING RETURNING id",
        (*publication, kind, subscriber, purpose, until),
    ).fetchone()
    if row is None:
        words = f"{kind} {subscriber} has asked for {'.'.join(publication)} already"
        raise Usage(words, next="assay subscription list")
    _note(tx, int(row[0]), "requested", by, purpose)
    return subscription(tx, int(row[0]))


def move(
    tx: Connection, number: int, after: State, *, by: str, reason: str, until: datetime | None = None
) -> Subscription:
    """Brings a subscription to another state; `until`, where given, is from now on its end.

    Raises `Usage` where it cannot go there from where it is.
    """
    _in_turn(tx)
    found = subscription(tx, number)
    # Whoever reads under it ends first; from here on nobody begins.
    tx.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("subscriber", found.kind, found.subscriber),))
    before = [state for state in MOVES if may_move(state, after)]
    done = tx.execute(
        "UPDATE assay.subscription SET state = %s, until = coalesce(%s, until) WHERE id = %s AND state = ANY(%s)",
        (after, until, number, before),
    )
    if not done.rowcount:
        raise Usage(
            f"subscription {number} is {subscription(tx, number).state} and cannot become {after}",
            expected="one that is " + " or ".join(before),
            next=f"assay subscription show {number}",
        )
    _note(tx, number, after, by, reason)
    return subscription(tx, number)


def _in_turn(tx: Connection) -> None:
    """Lets one transaction at a time write steps, so that the last step of all tells whether anything has changed."""
    tx.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("subscription steps"),))


def stamp(tx: Connection) -> tuple[int, int]:
    """What changes with everything that changes who may read what: the last step, and how many grants ran out."""
    row = tx.execute(
        "SELECT coalesce((SELECT max(id) FROM assay.subscription_step), 0), "
        "(SELECT count(*) FROM assay.subscription WHERE state = 'granted' AND until <= clock_timestamp())"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _note(tx: Connection, number: int, state: State, by: str, reason: str) -> None:
    tx.execute(
        "INSERT INTO assay.subscription_step (subscription_id, state, by, reason) VALUES (%s, %s, %s, %s)",
        (number, state, by, reason),
    )


def verified(tx: Connection, number: int) -> None:
    """Records that a grant was tried just now."""
    tx.execute("UPDATE assay.subscription SET verified_at = clock_timestamp() WHERE id = %s", (number,))


def subscription(tx: Connection, number: int) -> Subscription:
    """The subscription of a number; raises `NotFound`."""
    row = tx.execute(f"{_SELECT} WHERE s.id = %s".encode(), (number,)).fetchone()
    if row is None:
        raise missing(number)
    return _made(row)


def missing(number: int) -> NotFound:
    """What is said of a subscription that is not there, or is not for somebody to know of."""
    return NotFound(f"there is no subscription {number}", next="assay subscription list")


def steps(tx: Connection, number: int) -> list[Step]:
    """Every state that a subscription came to, in order."""
    found = tx.execute(
        "SELECT state, at, by, reason FROM assay.subscription_step WHERE subscription_id = %s ORDER BY id", (number,)
    )
    return [Step(*row) for row in found]


def listed(tx: Connection, *, open_only: bool = False) -> list[Subscription]:
    """Every subscription, the newest first."""
    states = sorted(OPEN if open_only else STATES)
    found = tx.execute(f"{_SELECT} WHERE s.state = ANY(%s) ORDER BY s.id DESC".encode(), (states,))
    return [_made(row) for row in found]


def latest(tx: Connection, kind: Kind) -> dict[tuple[str, Name], State]:
    """How what each subscriber asked for last stands, by subscriber and publication."""
    found = tx.execute(
        "SELECT DISTINCT ON (subscriber, zone, publication) subscriber, zone, publication, state "
        "FROM assay.subscription WHERE kind = %s ORDER BY subscriber, zone, publication, id DESC",
        (kind,),
    )
    return {(subscriber, (zone, publication)): state for subscriber, zone, publication, state in found}


def standing(tx: Connection, kind: Kind, subscriber: str, *, keep: bool = False) -> Mapping[Name, State]:
    """How what a subscriber asked for stands now; `granted` whose time is over counts as expired.

    With `keep` it stays so until the transaction ends: whoever revokes waits.
    """
    if keep:
        tx.execute("SELECT pg_advisory_xact_lock_shared(%s)", (advisory_key("subscriber", kind, subscriber),))
    found = tx.execute(
        f"SELECT zone, publication, CASE WHEN state <> 'granted' OR {_STANDS} THEN state ELSE 'expired' END "
        "FROM assay.subscription WHERE kind = %s AND subscriber = %s ORDER BY id".encode(),
        (kind, subscriber),
    )
    return {(zone, publication): state for zone, publication, state in found}


def granted(tx: Connection) -> dict[Kind, dict[Name, frozenset[str]]]:
    """Those that may read each publication now, the zones and the users."""
    rows = tx.execute(
        f"SELECT kind, zone, publication, array_agg(subscriber) FROM assay.subscription WHERE {_STANDS} "
        "GROUP BY kind, zone, publication".encode()
    )
    found: dict[Kind, dict[Name, frozenset[str]]] = {"zone": {}, "user": {}}
    for kind, zone, publication, names in rows:
        found[kind][zone, publication] = frozenset(names)
    return found


def open_to(tx: Connection) -> dict[Name, frozenset[str]]:
    """By publication, the zones to which PostgreSQL opens it: also those for which it is tried until it is mended."""
    found = tx.execute(
        "SELECT zone, publication, array_agg(subscriber) FROM assay.subscription "
        "WHERE kind = 'zone' AND state IN ('granted', 'broken') GROUP BY zone, publication"
    )
    return {(zone, publication): frozenset(names) for zone, publication, names in found}


def over(tx: Connection) -> list[int]:
    """The subscriptions whose time is over and that nobody has recorded as expired."""
    found = tx.execute(
        "SELECT id FROM assay.subscription WHERE state IN ('granted', 'broken') AND until <= clock_timestamp() "
        "ORDER BY id"
    )
    return [int(row[0]) for row in found]


def to_verify(tx: Connection, every_seconds: float) -> list[Subscription]:
    """What was granted and not tried for so long, also what was found broken."""
    found = tx.execute(
        f"{_SELECT} WHERE s.state IN ('granted', 'broken') AND (s.verified_at IS NULL "
        "OR s.verified_at < clock_timestamp() - make_interval(secs => %s)) ORDER BY s.id".encode(),
        (every_seconds,),
    )
    return [_made(row) for row in found]
