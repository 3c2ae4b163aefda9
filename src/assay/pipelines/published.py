"""What a change of the configuration means for those to whom publications are granted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.catalog import records
from assay.catalog import subscriptions as kept
from assay.catalog.subscriptions import Name, Subscription
from assay.errors import Misconfigured
from assay.pipelines.subscriptions import moves
from assay.stores.changes import Change, Remark
from assay.stores.database import Connection
from assay.zones.publication_diff import published_changes

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.zones.project import Project

#: Who is named of many subscribers.
NAMED = 5


@dataclass(frozen=True)
class Concerned:
    """`problems` are changes that would break subscribers, `dropped` publications that somebody still reads;
    `remarks` say what changes for subscribers besides, and which subscriptions `apply` moves."""

    problems: tuple[Misconfigured, ...] = ()
    dropped: tuple[Change, ...] = ()
    remarks: tuple[Remark, ...] = ()


def concerned(platform: Platform, tx: Connection, applied: str | None) -> Concerned:
    """What the project's files change for subscribers, beside the configuration that was applied."""
    project = platform.project
    problems, dropped, remarks = [], [], []
    readers = _readers(tx)
    before = _before(platform, tx, applied, {zone for zone, _ in readers})
    for (zone, name), subscribers in sorted(readers.items()):
        old = None if before is None or zone not in before.zones else before.zones[zone].publications.get(name)
        home = project.zones.get(zone)
        new = None if home is None else home.publications.get(name)
        who = ", ".join(one.to for one in subscribers[:NAMED])
        who += f" and {len(subscribers) - NAMED} more" if len(subscribers) > NAMED else ""
        if home is None or new is None:
            dropped.append(Change(zone, "", "lose", f"drop publication {zone}.{name}", (), note=f"read by {who}"))
            continue
        changes = () if old is None else published_changes(old, new)
        breaking = [one.words for one in changes if one.breaking]
        if breaking:
            problems.append(Misconfigured(
                f"{zone}.{name} would break for {who}: {'; '.join(breaking)}", file=home.path, line=new.line,
                expected=f"{zone}.{name} as it is, and the new form beside it as {name}_v2",
                next="drop the old one when nobody subscribes to it any more: assay subscription list",
            ))  # fmt: skip
        elif changes:
            words = f"{zone}.{name} changes for {who}: {'; '.join(one.words for one in changes)}"
            remarks.append(Remark(words, frozenset({zone})))
    return Concerned(tuple(problems), tuple(dropped), (*remarks, *_moved(tx, project), *_cancelled(tx, project)))


def _readers(tx: Connection) -> dict[Name, list[Subscription]]:
    found: dict[Name, list[Subscription]] = {}
    for one in kept.listed(tx, open_only=True):
        if one.state in ("granted", "broken"):
            found.setdefault((one.zone, one.publication), []).append(one)
    return found


def _before(platform: Platform, tx: Connection, applied: str | None, zones: set[str]) -> Project | None:
    """The project that was applied; None where nothing of these zones differs, or it cannot be read any more."""
    if applied is None or applied == platform.project.version or not zones:
        return None
    files = records.configuration_files(tx, applied)

    def of_zones(some: dict[str, str]) -> dict[str, str]:
        return {name: text for name, text in some.items() if name.split("/")[1:2] and name.split("/")[1] in zones}

    if files is None or of_zones(files) == of_zones(platform.project.texts()):
        return None
    return platform.in_force.applied()


def _moved(tx: Connection, project: Project) -> list[Remark]:
    """What `apply` does to subscriptions, for both sides to know."""
    found = []
    for one in moves(tx, project):
        decides = f", {project.zones[one.publication[0]].owner} decides" if one.after == "requested" else ""
        sides = {one.publication[0]} | ({one.subscriber} if one.kind == "zone" else set())
        found.append(Remark(one.words + decides, frozenset(sides)))
    return found


def _cancelled(tx: Connection, project: Project) -> list[Remark]:
    """What zone.yaml subscribes to although the zone has cancelled it: that line asks for nothing."""
    before = kept.latest(tx, "zone")
    return [
        Remark(
            f"{zone.name} has cancelled {wanted.publication}, to which zone.yaml still subscribes: take the line out, "
            "or ask anew with assay subscription request",
            frozenset({zone.name}),
        )
        for zone in project.zones.values()
        for wanted in zone.subscriptions
        if before.get((zone.name, (wanted.zone, wanted.name))) == "cancelled"
    ]
