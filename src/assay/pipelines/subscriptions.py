"""Who may read what a zone publishes: asking, deciding, and what a decision opens or closes.

A decision, its event and its entry on the audit chain are one transaction; from its end on it is in force, for it is
looked up again for every statement and every movement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from assay.catalog import events, queue
from assay.catalog import subscriptions as kept
from assay.catalog.subscriptions import Kind, Name, State, Subscription
from assay.engines.sql import references
from assay.errors import NotFound, nearest
from assay.pipelines.platform import Platform
from assay.security.classes import WITHIN, FieldClass, classes_of
from assay.security.mask_keys import mask_key
from assay.stores.database import Connection

if TYPE_CHECKING:
    from assay.batch import Batch
    from assay.segments.relations import Sight
    from assay.zones.project import Project, Publication, Sql, Zone

#: Who decides where zone.yaml does.
AUTO: Final = "auto_approve"


def publication_of(project: Project, name: str, *, asking: str | None = None) -> Publication:
    """The publication of a written name, zone.publication.

    Raises `NotFound` for one that is not there, or that the zone that asks may not ask for: the answer is the same.
    """
    zone, _, short = name.partition(".")
    found = project.zones[zone].publications.get(short) if zone in project.zones else None
    if found is not None and (found.consumers is None if asking is None else found.offered_to(asking)):
        return found
    offered = [
        f"{one.name}.{publication.name}"
        for one in project.zones.values()
        for publication in one.publications.values()
        if (publication.consumers is None if asking is None else publication.offered_to(asking))
    ]
    near = nearest(name, offered)
    raise NotFound(
        f"nobody publishes {name}", expected=near or ", ".join(sorted(offered)) or None, next="assay publication list"
    )


def ask(
    platform: Platform,
    tx: Connection,
    publication: Publication,
    kind: Kind,
    subscriber: str,
    purpose: str,
    until: datetime | None = None,
) -> Subscription:
    """Asks for a publication in the caller's transaction; what `auto_approve` in zone.yaml covers is granted at once.

    Raises `Usage` where the subscriber waits for it, or has it.
    """
    asked = kept.add(
        tx, (publication.zone, publication.name), kind, subscriber, purpose, by=platform.actor, until=until
    )
    why = granted_at_once(publication, kind, subscriber)
    _tell(tx, asked, waits=why is None)
    return asked if why is None else settle(tx, asked.id, "granted", AUTO, why)


def settle(
    tx: Connection, number: int, after: State, by: str, reason: str, until: datetime | None = None
) -> Subscription:
    """Brings a subscription to another state in the caller's transaction; raises as `catalog.subscriptions.move`."""
    found = kept.move(tx, number, after, by=by, reason=reason, until=until)
    _tell(tx, found)
    if after == "granted" and found.kind == "zone":
        # Its batches that wait for just this need nobody to send them on.
        from assay.segments.relations import NotGranted

        queue.take_up_failed(tx, found.subscriber, NotGranted.__name__)
    return found


def _tell(tx: Connection, found: Subscription, *, waits: bool = False) -> None:
    """Writes the event of a subscription's state; `waits`: somebody has to decide on it."""
    body = {
        "subscription": found.id, "publication": found.publication, "kind": found.kind,
        "subscriber": found.subscriber, "state": found.state, "by": found.last.by, "reason": found.last.reason,
        **({"waits": True} if waits else {}),
    }  # fmt: skip
    events.add(tx, "subscription", zone=found.zone, body=body)


def record(platform: Platform, tx: Connection, found: Subscription) -> None:
    """Puts what was asked or decided on the audit chain."""
    platform.record(
        tx, f"subscription.{found.state}", f"{found.zone}.published.{found.publication}", zone=found.zone,
        subscription=found.id, kind=found.kind, subscriber=found.subscriber, purpose=found.purpose,
        by=found.last.by, reason=found.last.reason,
        until=None if found.until is None else found.until.isoformat(),
    )  # fmt: skip


def granted_at_once(publication: Publication, kind: Kind, subscriber: str) -> str | None:
    """Why zone.yaml grants a request without anybody deciding; None where somebody must."""
    given = publication.auto_approve
    if kind == "zone" and subscriber in given.zones:
        return f"zone.yaml grants what {subscriber} asks for"
    if given.classification is None:
        return None
    allowed = _up_to(given.classification)
    if all(classes_of(field) <= allowed for field in publication.contract.fields):
        return f"every column is {given.classification} or narrower"
    return None


def _up_to(widest: FieldClass) -> set[FieldClass]:
    return {one for one in WITHIN if one != "personal" and _is_within(one, widest)}


def _is_within(one: FieldClass | None, wider: FieldClass) -> bool:
    while one is not None and one != wider:
        one = WITHIN[one]
    return one is not None


@dataclass(frozen=True)
class Move:
    """Where the files bring a subscription: `standing` as it is, None for one that is asked for now."""

    standing: Subscription | None
    publication: Name
    kind: Kind
    subscriber: str
    after: State
    reason: str
    purpose: str = ""

    @property
    def words(self) -> str:
        """The move in words."""
        name, to = ".".join(self.publication), f"{self.kind} {self.subscriber}"
        if self.after == "requested":
            return f"{to} asks for {name}"
        if self.after == "granted":
            return f"{name} is granted to {to}: {self.reason}"
        return f"the subscription of {to} to {name} ends: {self.reason}"


def moves(tx: Connection, project: Project) -> list[Move]:
    """What the zone.yaml files change of subscriptions.

    What is new is asked for, what is gone ends, and what waits is granted where zone.yaml now grants it. What was
    refused, revoked or cancelled, or has expired, stays so until somebody asks anew.
    """
    found = []
    for one in kept.listed(tx, open_only=True):
        offered = _offered(project, one)
        place = (one, (one.zone, one.publication), one.kind, one.subscriber)
        if offered is None:
            found.append(Move(*place, "ended", f"{one.name} is not offered any more"))
        elif one.kind == "zone" and not in_files(project, one):
            found.append(Move(*place, "ended", f"{one.subscriber} does not ask any more"))
        elif one.state == "requested" and (why := granted_at_once(offered, one.kind, one.subscriber)):
            found.append(Move(*place, "granted", why))
    before = kept.latest(tx, "zone")
    for zone in project.zones.values():
        for wanted in zone.subscriptions:
            name = (wanted.zone, wanted.name)
            last = before.get((zone.name, name), "ended")
            if last == "ended":
                publication = project.zones[wanted.zone].publications[wanted.name]
                why = granted_at_once(publication, "zone", zone.name)
                found.append(Move(
                    None, name, "zone", zone.name, "requested" if why is None else "granted", why or "", wanted.purpose
                ))  # fmt: skip
    return found


def follow(platform: Platform, tx: Connection) -> list[Subscription]:
    """Brings the subscriptions to what the zone.yaml files say; returns those that changed."""
    changed = []
    for one in moves(tx, platform.project):
        if one.standing is None:
            zone, name = one.publication
            publication = platform.project.zones[zone].publications[name]
            changed.append(ask(platform, tx, publication, one.kind, one.subscriber, one.purpose))
        else:
            by = AUTO if one.after == "granted" else platform.actor
            changed.append(settle(tx, one.standing.id, one.after, by, one.reason))
    return changed


def record_changes(platform: Platform, tx: Connection, changed: Iterable[Subscription]) -> None:
    """Puts what `follow` changed on the audit chain."""
    for one in changed:
        record(platform, tx, one)


def _offered(project: Project, one: Subscription) -> Publication | None:
    zone = project.zones.get(one.zone)
    found = None if zone is None else zone.publications.get(one.publication)
    asks = found is not None and (one.kind == "user" or found.offered_to(one.subscriber))
    return found if asks else None


def in_files(project: Project, one: Subscription) -> bool:
    """Whether zone.yaml of the subscribing zone subscribes to it."""
    zone = project.zones.get(one.subscriber)
    return zone is not None and any(wanted.publication == one.name for wanted in zone.subscriptions)


def hash_key(project: Project, publication: Publication) -> bytes:
    """The key by which a publication hashes; empty for one that does not."""
    if "hash" not in publication.masks.values():
        return b""
    return mask_key(project.target.data, project.target.keys, publication.zone)


def sight_of(platform: Platform, zone: Zone) -> Sight:
    """What the SQL of a zone is shown of other zones now."""
    from assay.segments.relations import Sight

    if not zone.subscriptions:
        return Sight()
    project = platform.project
    read = [project.zones[wanted.zone].publications[wanted.name] for wanted in zone.subscriptions]
    keys = {one.zone: key for one in read if (key := hash_key(project, one))}
    hiding = {one.zone for one in read if one.hides and one.store == "operational"}
    urls = {name: platform.reader_url(name) for name in sorted(hiding)}
    return Sight(kept.standing(platform.connection, "zone", zone.name), keys, urls)


def check_still(tx: Connection, zone: Zone, statements: Iterable[Sql]) -> None:
    """Makes sure that every publication in the SQL is granted to the zone until the transaction ends.

    What was prepared under a grant that was revoked since must not be committed. Raises `NotGranted`.
    """
    named = publications_read(statements)
    if named:
        from assay.segments.relations import check_granted

        states = kept.standing(tx, "zone", zone.name, keep=True)
        for publication in named:
            check_granted(zone.name, publication, states)


def tell_published(
    tx: Connection,
    zone: Zone,
    changed: Collection[str],
    *,
    batch: Batch | None = None,
    pipeline: str | None = None,
    segment: str | None = None,
) -> None:
    """Writes an event for each publication whose dataset changed, into the transaction that changed it.

    `changed` are datasets as publications name them: operational.sale.
    """
    for publication in zone.publications.values():
        if publication.dataset in changed:
            body = {"publication": publication.name, "dataset": publication.dataset}
            events.add(
                tx, "published", batch=batch, zone=zone.name, pipeline=pipeline, segment=segment, body=body
            )


def publications_read(statements: Iterable[Sql]) -> list[Name]:
    """The publications that SQL names, as (zone, name)."""
    found = {
        (reference.parts[0], reference.parts[2])
        for statement in statements
        for reference in references(statement.text, statement.path)
        if len(reference.parts) == 3
    }
    return sorted(found)
