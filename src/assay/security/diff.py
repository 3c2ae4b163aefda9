"""What a change of the configuration opens to whom, and what it closes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from assay.security.decide import seen_classes
from assay.security.matrix import Entry, matrix
from assay.security.principals import User
from assay.security.resources import dataset
from assay.security.world import World


@dataclass(frozen=True, slots=True)
class AccessChange:
    """One thing that somebody may do from now on (`opened`) or no longer (`closed`)."""

    effect: Literal["opened", "closed"]
    zone: str | None
    who: str
    on: str
    may: str

    @property
    def place(self) -> str:
        """On what, as SQL and the command line name it."""
        if self.zone is None:
            return "the platform"
        return self.zone if self.on == "zone" else f"{self.zone}.{self.on}"

    @property
    def words(self) -> str:
        """The change in words."""
        verb = "may now" if self.effect == "opened" else "may no longer"
        return f"{self.who} {verb} {self.may} on {self.place}"

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON-ready values."""
        return {"effect": self.effect, "zone": self.zone, "who": self.who, "on": self.on, "may": self.may}


def opened_and_closed(before: World, after: World) -> tuple[AccessChange, ...]:
    """Every difference between what may be done in two worlds, also by a field that changed its class.

    Only zones whose people, policies, datasets or grants differ are looked at, and all of them when the people or
    groups of the platform do.
    """
    known = before.zones.keys() | after.zones.keys()
    if _above(before) == _above(after):
        zones = sorted(name for name in known if before.zones.get(name) != after.zones.get(name))
        zones = sorted({*zones, *_granting(before, zones), *_granting(after, zones)})
        was, now = (_facts(world, zones) for world in (before, after))
    else:
        zones = sorted(known)
        was, now = _facts(before, None), _facts(after, None)
    found = [AccessChange("opened", *fact) for fact in sorted(now - was, key=_order)]
    found += [AccessChange("closed", *fact) for fact in sorted(was - now, key=_order)]
    for name in zones:
        found += _reclassified(before, after, name)
    return tuple(found)


_Fact = tuple[str | None, str, str, str]


def _order(fact: _Fact) -> tuple[str, ...]:
    return tuple(part or "" for part in fact)


def _above(world: World) -> tuple[Any, ...]:
    return world.administrators, world.auditors, dict(world.groups)


def _granting(world: World, zones: list[str]) -> Iterator[str]:
    """The zones whose publications were granted to any of these: their readers change with these zones' people."""
    for zone in world.zones.values():
        if any(not to.isdisjoint(zones) for to in zone.granted.values()):
            yield zone.name


def _facts(world: World, zones: list[str] | None) -> set[_Fact]:
    entries: Iterator[Entry] = matrix(world, None if zones is None else [name for name in zones if name in world.zones])
    return {(entry.zone, entry.who, entry.on, may) for entry in entries for may in entry.may}


def _reclassified(before: World, after: World, zone: str) -> Iterator[AccessChange]:
    """Whose eyes a field that changed its class is opened to, or closed to; by people, as the matrix lists them."""
    if zone not in before.zones or zone not in after.zones:
        return
    old, new = before.zones[zone], after.zones[zone]
    for (store, name), fields in new.datasets.items():
        former = old.datasets.get((store, name), {})
        changed = [one for one in fields if one in former and former[one] != fields[one]]
        if not changed:
            continue
        people = {one for access in (old, new) for named in access.roles.values() for one in named}
        for who in sorted(people):
            was = seen_classes(before, User(who), dataset(zone, store, name))
            now = seen_classes(after, User(who), dataset(zone, store, name))
            for one in changed:
                saw, sees = former[one] <= was, fields[one] <= now
                if saw != sees:
                    yield AccessChange("opened" if sees else "closed", zone, who, f"{store}.{name}", f"see {one}")
