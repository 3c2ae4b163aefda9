"""Grants of publications: asked for, decided, and tried by reading as the subscriber would, again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from assay.catalog import records
from assay.catalog import subscriptions as kept
from assay.catalog.subscriptions import Kind, Subscription
from assay.engines.duckdb import Engine, EngineFailed, literal, quoted
from assay.engines.duckdb import connect as engine_connect
from assay.errors import AssayError, Misconfigured, Usage
from assay.pipelines import walls
from assay.pipelines.platform import Platform
from assay.pipelines.subscriptions import ask, hash_key, record, settle, sight_of
from assay.pipelines.telling.tell import tell_at_the_end
from assay.security.decide import decide as decided
from assay.security.principals import Principal, Segment, User
from assay.security.resources import dataset, publication
from assay.security.world import READING_SEGMENTS, World
from assay.segments.relations import NotGranted, Sight, check_granted, provide, published_select
from assay.stores.database import Connection, advisory_key, transaction
from assay.stores.iceberg import Iceberg
from assay.stores.operational import PROVENANCE
from assay.zones.project import Publication, Sql, Zone

#: What the owner of a publishing zone can decide.
Decision = Literal["granted", "refused", "revoked", "expired"]
#: Who brings a subscription to `broken`, and back.
VERIFIER: Final = "verification"
#: How often a grant is tried again, in seconds.
EVERY_SECONDS: Final = 3600.0


def request(
    platform: Platform, wanted: Publication, kind: Kind, subscriber: str, purpose: str, until: datetime | None = None
) -> Subscription:
    """Asks for a publication; what `auto_approve` in zone.yaml covers is granted at once, and tried.

    Raises `Usage` where the subscriber waits for it or has it, and for an end that has passed; `Misconfigured` for a
    zone whose zone.yaml does not subscribe to it.
    """
    _check_until(until)
    if kind == "zone":
        _check_wanted(platform, wanted, subscriber)
    with transaction(platform.connection) as tx:
        found = ask(platform, tx, wanted, kind, subscriber, purpose, until)
        _in_force(platform, tx, found)
    done = verify(platform, [found])[0] if found.state == "granted" else found
    tell_at_the_end(platform)
    return done


def decide(
    platform: Platform, number: int, decision: Decision, reason: str, until: datetime | None = None
) -> Subscription:
    """Grants, refuses, revokes or ends a subscription; a grant is tried at once.

    Raises `NotFound`, and `Usage` where its state does not allow it or `until` has passed.
    """
    _check_until(until)
    with transaction(platform.connection) as tx:
        found = settle(tx, number, decision, platform.actor, reason, until)
        _in_force(platform, tx, found)
    done = verify(platform, [found])[0] if decision == "granted" else found
    tell_at_the_end(platform)
    return done


def cancel(platform: Platform, number: int, reason: str) -> Subscription:
    """Ends what a subscriber asked for or has: he needs it no longer, and only a new request asks for it again.

    Raises `NotFound`, and `Usage` where its state does not allow it.
    """
    with transaction(platform.connection) as tx:
        found = settle(tx, number, "cancelled", platform.actor, reason)
        _in_force(platform, tx, found)
    tell_at_the_end(platform)
    return found


def _in_force(platform: Platform, tx: Connection, found: Subscription) -> None:
    """Brings PostgreSQL's rights to what was decided, and puts the decision on the audit chain."""
    applied = records.applied_version(tx) == platform.project.version
    if found.kind == "zone" and applied:  # else `apply` does it, which knows the tables that there will be
        walls.grant_publications(tx, platform.project, [found.subscriber])
    record(platform, tx, found)


def _check_wanted(platform: Platform, wanted: Publication, subscriber: str) -> None:
    zone = platform.project.zones[subscriber]
    name = f"{wanted.zone}.{wanted.name}"
    if all(one.publication != name for one in zone.subscriptions):
        raise Misconfigured(
            f"{subscriber} does not subscribe to {name}", file=zone.path,
            expected=f"subscriptions: - {{publication: {name}, purpose: ...}}",
            next="add the line, then assay apply asks for it",
        )  # fmt: skip


def _check_until(until: datetime | None) -> None:
    if until is not None and until <= datetime.now(UTC):
        raise Usage(f"{until:%Y-%m-%d} has passed", expected="a day to come")


def verify_due(platform: Platform) -> list[Subscription]:
    """Records what has expired, and tries every grant that was not tried for an hour; returns those that changed.

    One service does it at a time.
    """
    connection, key = platform.connection, advisory_key("verify grants")
    if connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        return []
    try:
        return _verify_due(platform)
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def _verify_due(platform: Platform) -> list[Subscription]:
    changed = []
    for number in kept.over(platform.connection):
        with transaction(platform.connection) as tx:
            found = settle(tx, number, "expired", VERIFIER, "its time is over")
            _in_force(platform, tx, found)
        changed.append(found)
    due = kept.to_verify(platform.connection, EVERY_SECONDS)
    after = verify(platform, due)
    return changed + [now for now, before in zip(after, due, strict=True) if now.state != before.state]


def verify_one(platform: Platform, number: int) -> Subscription:
    """`verify` for one that is granted or broken; raises `NotFound`, and `Usage` for any other."""
    found = kept.subscription(platform.connection, number)
    if found.state not in ("granted", "broken"):
        raise Usage(f"subscription {number} is {found.state}: it opens nothing", expected="one that is granted")
    return verify(platform, [found])[0]


def verify(platform: Platform, found: Iterable[Subscription]) -> list[Subscription]:
    """Tries grants, and returns them as they then stand: `broken` with the reason where more or less is open than
    was granted, `granted` again where that is mended.

    Raises `Unavailable` where it could not be tried.
    """
    found = list(found)
    if not found:
        return []
    verified = []
    with _trying(platform) as trial:
        for one in found:
            with trial.as_subscriber(one):
                problem = trial.problem(one)
            with transaction(platform.connection) as tx:
                kept.verified(tx, one.id)
                now = kept.subscription(tx, one.id)
                if problem is not None and now.state == "granted":
                    now = settle(tx, one.id, "broken", VERIFIER, problem)
                    record(platform, tx, now)
                elif problem is None and now.state == "broken":
                    now = settle(tx, one.id, "granted", VERIFIER, "it can be read as agreed again")
                    record(platform, tx, now)
            verified.append(now)
    return verified


@contextmanager
def _trying(platform: Platform) -> Iterator[_Trial]:
    limit = platform.project.target.memory_limit
    with platform.scratch() as scratch, engine_connect(scratch, memory_limit=limit) as engine:
        world = platform.in_force.granted(platform.project)
        yield _Trial(platform, engine, Iceberg(platform.connection, platform.data), world)


@dataclass(frozen=True)
class _Trial:
    """Reading as subscribers would, no row of it: what they were granted, and what they were not."""

    platform: Platform
    engine: Engine
    iceberg: Iceberg
    world: World

    @contextmanager
    def as_subscriber(self, one: Subscription) -> Iterator[None]:
        """Opens PostgreSQL as the subscriber may read it; a copy of what may be read is made by the publisher."""
        offered = self._offered(one)
        copied = one.kind == "user" or offered is None or offered.hides
        reader = one.zone if copied else one.subscriber
        with self.engine.attached(self.platform.reader_url(reader), "pg"):
            yield

    def problem(self, one: Subscription) -> str | None:
        """What is wrong with a grant, in words."""
        offered = self._offered(one)
        if offered is None:
            return f"{one.name} is not offered any more"
        zone = self.platform.project.zones[one.zone]
        try:
            found = self._decisions(one, offered) or self._reading(one, zone, offered)
            return found or self._rights(one, zone, offered)
        except (EngineFailed, NotGranted) as error:
            return f"it cannot be read: {error.what}"
        except AssayError as error:
            if error.retryable:
                raise
            return f"it cannot be read: {error.what}"

    def _offered(self, one: Subscription) -> Publication | None:
        zone = self.platform.project.zones.get(one.zone)
        return None if zone is None else zone.publications.get(one.publication)

    def _decisions(self, one: Subscription, offered: Publication) -> str | None:
        """What policies say about the publication, and about the table behind it."""
        table = dataset(one.zone, offered.store, offered.table)
        for who in self._readers(one):
            # What was found broken opens nothing until it is mended.
            read = decided(self.world, who, "read", publication(one.zone, offered.name))
            if one.state == "granted" and not read.allowed:
                return f"policies do not let {who} read it"
            stranger = isinstance(who, Segment) or not self.world.zone_roles(who, one.zone)
            if stranger and decided(self.world, who, "read", table).allowed:
                return f"policies let {who} read {table}, which was not granted"
        return None

    def _readers(self, one: Subscription) -> list[Principal]:
        if one.kind == "user":
            return [User(one.subscriber)]
        return [Segment(one.subscriber, name) for name in READING_SEGMENTS]

    def _reading(self, one: Subscription, zone: Zone, offered: Publication) -> str | None:
        key = hash_key(self.platform.project, offered)
        relation = f"({published_select(zone, offered, self.iceberg, key)})"
        if one.kind == "zone":
            sight = self._sight(one)
            check_granted(one.subscriber, (one.zone, one.publication), sight.published)
            if not offered.hides:  # what hides rows is copied when it is opened, and no row is to be read here
                relation = f"{quoted(zone.name)}.published.{quoted(offered.name)}"
                subscriber = self.platform.project.zones[one.subscriber]
                statement = Sql(f"SELECT * FROM {relation}", subscriber.path)
                provide(self.engine, self.platform.project, subscriber, statement, self.iceberg, sight)
        described = self.engine.rows(f"DESCRIBE SELECT * FROM {relation}")
        seen = {str(row[0]): str(row[1]) for row in described}
        agreed = {field.name: field.type.duckdb for field in offered.contract.fields}
        for name, kind in agreed.items():
            if seen.get(name) is None:
                return f"the column {name} of the contract is missing"
            if _plain(seen[name]) != _plain(kind):
                return f"the column {name} is {seen[name]}, the contract says {kind}"
        more = sorted(seen.keys() - agreed.keys())
        return f"it shows {', '.join(more)}, which is not offered" if more else None

    def _rights(self, one: Subscription, zone: Zone, offered: Publication) -> str | None:
        """What PostgreSQL lets the subscribing zone read of the table, column by column."""
        if one.kind == "user" or offered.store != "operational" or offered.hides:
            return None
        self._asked(zone, offered.table, [field.name for field in offered.contract.fields])
        opened = kept.open_to(self.platform.connection)
        granted = {
            field.name
            for other in zone.publications.values()
            if (other.dataset, other.hides) == (offered.dataset, False)
            and one.subscriber in opened.get((zone.name, other.name), ())
            for field in other.contract.fields
        }
        columns = [field.name for field in zone.operational[offered.table].contract.fields]
        for column in (*columns, *(name for name, _ in PROVENANCE)):
            if column not in granted and self._may_ask(zone, offered.table, column):
                return f"PostgreSQL lets {one.to} read {column}, which was not granted"
        return None

    def _asked(self, zone: Zone, table: str, columns: Iterable[str]) -> None:
        """Asks PostgreSQL for columns of a table, and for no row."""
        names = ", ".join(quoted(name) for name in columns)
        statement = f"SELECT {names} FROM {quoted(zone.name)}.{quoted(table)} LIMIT 0"
        self.engine.rows(f"SELECT * FROM postgres_query('pg', {literal(statement)})")

    def _may_ask(self, zone: Zone, table: str, column: str) -> bool:
        try:
            self._asked(zone, table, [column])
        except EngineFailed:
            return False
        return True

    def _sight(self, one: Subscription) -> Sight:
        """What the subscribing zone is shown now; what was found broken as if it were mended."""
        project = self.platform.project
        sight = sight_of(self.platform, project.zones[one.subscriber])
        if one.state != "broken":
            return sight
        return replace(sight, published={**sight.published, (one.zone, one.publication): "granted"})


def _plain(kind: str) -> str:
    """A type's name as the engine writes it."""
    return {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}.get(kind, kind).replace(" ", "")
