"""What the commands of publications and subscriptions share: who looks, what he may, and when something ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from assay.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.catalog.subscriptions import Subscription
    from assay.pipelines.offers import Viewer
    from assay.pipelines.platform import Platform


def viewer(platform: Platform) -> Viewer:
    """The user who looks."""
    from assay.pipelines.offers import Viewer
    from assay.security.decide import decide
    from assay.security.resources import zone

    world, user = platform.in_force.world(), platform.user
    sees = {name for name in world.zones if decide(world, user, "view_configuration", zone(name)).allowed}
    return Viewer(user.name, world.zones_of(user), frozenset(sees))


def require_publish(platform: Platform, name: str, what: str) -> None:
    """Asks whether the user may manage what a zone offers and asks for; on the audit chain. Raises `Denied`."""
    from assay.pipelines.door import Door

    Door(platform, what).of_zone(name)


def end_of(day: datetime | None) -> datetime | None:
    """The moment at which a last day is over, in UTC."""
    return None if day is None else day.replace(tzinfo=UTC) + timedelta(days=1)


def show(found: Iterable[Subscription]) -> None:
    """Prints subscriptions, one a line."""
    rows = [
        (
            one.id, one.name, one.to, one.state, f"{one.last.at:%Y-%m-%d %H:%M}", one.last.by, one.last.reason,
            None if one.until is None else f"{one.until - timedelta(seconds=1):%Y-%m-%d}",
        )
        for one in found
    ]  # fmt: skip
    output.table(("no.", "publication", "for", "state", "since", "by", "because", "until"), rows)
