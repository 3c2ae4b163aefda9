"""What is offered, to whom, and who has it: as much of it as somebody may know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.catalog import subscriptions as kept
from assay.catalog.subscriptions import Step, Subscription
from assay.errors import NotFound, nearest
from assay.security.classes import classes_of
from assay.stores.database import Connection

if TYPE_CHECKING:
    from assay.zones.project import Project, Publication


@dataclass(frozen=True)
class Viewer:
    """Who looks: his name, the zones in which he has a role, and those whose configuration he may see."""

    name: str
    zones: frozenset[str]
    sees: frozenset[str]

    def knows_of(self, offered: Publication) -> bool:
        """Whether he may know that it is offered: members of the zone do, and of the zones that may ask for it."""
        if offered.zone in self.sees:
            return True
        return bool(self.zones) if offered.consumers is None else not self.zones.isdisjoint(offered.consumers)

    def knows_about(self, one: Subscription) -> bool:
        """Whether he may know of a subscription: both sides do."""
        return self.asked_for(one) or one.zone in self.sees

    def asked_for(self, one: Subscription) -> bool:
        """Whether it is his, or that of a zone whose configuration he may see."""
        return one.subscriber == self.name if one.kind == "user" else one.subscriber in self.sees


@dataclass(frozen=True)
class OfferedColumn:
    """A column as subscribers see it."""

    name: str
    type: str
    required: bool
    classes: tuple[str, ...]
    mask: str | None
    description: str | None


@dataclass(frozen=True)
class Offered:
    """A publication, and of its subscriptions those that the viewer may know of, the newest first."""

    publication: Publication
    subscriptions: tuple[Subscription, ...]

    @property
    def name(self) -> str:
        """Its name in zone.yaml."""
        return f"{self.publication.zone}.{self.publication.name}"

    @property
    def columns(self) -> tuple[OfferedColumn, ...]:
        """Its columns, in order."""
        masks = self.publication.masks
        return tuple(
            OfferedColumn(
                one.name, str(one.type), one.required, tuple(sorted(classes_of(one))), masks.get(one.name),
                one.description,
            )
            for one in self.publication.contract.fields
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        offered = self.publication
        return {
            "publication": self.name,
            "title": offered.title,
            "description": offered.description,
            "version": offered.contract.version,
            "rows": offered.rows,
            "consumers": offered.consumers,
            "auto_approve": vars(offered.auto_approve),
            "columns": [vars(one) for one in self.columns],
            "subscriptions": [one.to_dict() for one in self.subscriptions],
        }


def offers(tx: Connection, project: Project, viewer: Viewer) -> list[Offered]:
    """Every publication that the viewer may know of, by zone and name."""
    known = subscriptions(tx, viewer)
    return [
        Offered(one, tuple(sub for sub in known if (sub.zone, sub.publication) == (one.zone, one.name)))
        for zone in project.zones.values()
        for one in zone.publications.values()
        if viewer.knows_of(one)
    ]


def offer(tx: Connection, project: Project, viewer: Viewer, name: str) -> Offered:
    """One of `offers`; raises `NotFound` for any other name, whether it is offered to others or to nobody."""
    found = {one.name: one for one in offers(tx, project, viewer)}
    if name not in found:
        raise NotFound(
            f"nobody publishes {name}", expected=nearest(name, found) or ", ".join(found) or None,
            next="assay publication list",
        )  # fmt: skip
    return found[name]


def subscriptions(tx: Connection, viewer: Viewer) -> list[Subscription]:
    """The subscriptions that the viewer may know of, the newest first."""
    return [one for one in kept.listed(tx) if viewer.knows_about(one)]


def history(tx: Connection, viewer: Viewer, number: int) -> tuple[Subscription, list[Step]]:
    """A subscription with every state that it came to; raises `NotFound` also for one that he may not know of."""
    found = kept.subscription(tx, number)
    if not viewer.knows_about(found):
        raise kept.missing(number)
    return found, kept.steps(tx, number)


def own(tx: Connection, viewer: Viewer, number: int) -> Subscription | None:
    """A subscription of the viewer, or of a zone of his; None for that of others, as for one that is not there."""
    try:
        found = kept.subscription(tx, number)
    except NotFound:
        return None
    return found if viewer.asked_for(found) else None


def waiting(found: Iterable[Subscription]) -> list[Subscription]:
    """Those that wait for a decision or that somebody has to mend, the oldest first."""
    return sorted((one for one in found if one.state in ("requested", "broken")), key=lambda one: one.id)
