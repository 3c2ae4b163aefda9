"""Which pipeline starts which: what the triggers name is there, may be named, and leads round in no circle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assay.errors import nearest

if TYPE_CHECKING:
    from assay.zones.project import Pipeline, Publication, Zone

#: A pipeline: (zone, name).
Place = tuple[str, str]


class _Problems(Protocol):
    def fail(self, what: str, file: Path, line: int | None = None, expected: str | None = None) -> None: ...


def check_triggers(problems: _Problems, zones: Mapping[str, Zone]) -> None:
    """Tells of every trigger that cannot fire, and of circles of pipelines that would start each other for ever."""
    for zone in zones.values():
        for pipeline in zone.pipelines.values():
            _check_after(problems, zone, pipeline)
            _check_publications(problems, zone, pipeline)
    _check_circles(problems, zones)


def _check_after(problems: _Problems, zone: Zone, pipeline: Pipeline) -> None:
    others = [name for name in zone.pipelines if name != pipeline.name]
    for wanted in pipeline.triggers.after:
        home, _, name = wanted.rpartition(".")
        if home not in ("", zone.name):
            problems.fail(
                f"the trigger `after: {wanted}` names a pipeline of another zone", pipeline.path,
                expected="a pipeline of this zone; of another one `after_publication` names what it publishes",
            )  # fmt: skip
        elif name not in others:
            near = nearest(name, others) or ", ".join(others)
            words = f"the trigger `after: {wanted}` names no other pipeline of the zone"
            problems.fail(words, pipeline.path, expected=near or None)


def _check_publications(problems: _Problems, zone: Zone, pipeline: Pipeline) -> None:
    subscribed = {subscription.publication for subscription in zone.subscriptions}
    for publisher, name in pipeline.triggers.publications:
        wanted = f"{publisher}.{name}"
        if wanted not in subscribed:
            problems.fail(
                f"the trigger names the publication {wanted}, to which the zone does not subscribe", pipeline.path,
                expected=nearest(wanted, subscribed) or ", ".join(sorted(subscribed)) or "a subscription in zone.yaml",
            )  # fmt: skip


def upstream(zones: Mapping[str, Zone], pipeline: Pipeline) -> set[Place]:
    """The pipelines whose batches start this one, by `after` or by a publication that they fill."""
    named = {wanted.rpartition(".")[2] for wanted in pipeline.triggers.after} - {pipeline.name}
    found = {(pipeline.zone, name) for name in named}
    for publisher, name in pipeline.triggers.publications:
        publication = zones[publisher].publications.get(name) if publisher in zones else None
        owner = None if publication is None else owner_of(zones[publisher], publication)
        if owner is not None:
            found.add((publisher, owner))
    return found


def owner_of(zone: Zone, publication: Publication) -> str | None:
    """The pipeline of the zone that fills what is published."""
    for pipeline in zone.pipelines.values():
        if publication.table in (pipeline.operational if publication.store == "operational" else pipeline.analytical):
            return pipeline.name
    return None


def _check_circles(problems: _Problems, zones: Mapping[str, Zone]) -> None:
    needs = {
        (zone.name, pipeline.name): upstream(zones, pipeline)
        for zone in zones.values()
        for pipeline in zone.pipelines.values()
    }
    left = dict(needs)
    while True:
        free = [place for place, before in left.items() if not before & left.keys()]
        if not free:
            break
        for place in free:
            del left[place]
    if left:
        place = min(left)
        problems.fail(
            "pipelines start each other in a circle: " + ", ".join(f"{zone}/{name}" for zone, name in sorted(left)),
            zones[place[0]].pipelines[place[1]].path,
            expected="triggers that lead from one pipeline to the next and not back",
        )
