"""Who may do what, written out: for auditors, and to compare two configurations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from assay.security.classes import CLASSES
from assay.security.decide import Context, decide, seen_classes
from assay.security.permissions import ACTIONS
from assay.security.principals import Principal, Segment, User
from assay.security.resources import PLATFORM, PUBLISHED, STAGES, Resource, dataset, publication, store, zone
from assay.security.segments import REACH
from assay.security.world import READING_ROLES, READING_SEGMENTS, World, ZoneAccess

#: Stands for every dataset of a store; no dataset can have this name.
ANY: Final = "*"

#: Actions that may hang on who delivered the batch.
_BY_DELIVERER: Final = ("decide", "inspect", "return_file")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one principal may do on one thing; `zone` is None for the platform, `on` a part of the zone."""

    zone: str | None
    who: str
    roles: tuple[str, ...]
    on: str
    may: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON-ready values."""
        return {"zone": self.zone, "who": self.who, "roles": self.roles, "on": self.on, "may": self.may}


@dataclass(frozen=True, slots=True)
class _Person:
    """A principal under the name that auditors read, and the roles by which he stands in the list.

    `shape` is all that policies know of him which name nobody: his roles, seen from the zone in question.
    """

    who: str
    principal: Principal
    roles: tuple[str, ...]
    shape: tuple[str, ...]


_May = tuple[tuple[str, tuple[str, ...]], ...]


def matrix(world: World, zones: Iterable[str] | None = None) -> Iterator[Entry]:
    """Every principal that may do anything, with what: on the platform, and in the zones given or all.

    People come by name and by group; who is in a group, the single sign-on knows. A zone without policies of its own
    decides by roles alone, and so what a role may do there is worked out once.
    """
    chosen = world.zones.keys() if zones is None else list(zones)
    known: dict[Any, _May] = {}
    if zones is None:
        for person in _of_platform(world):
            may = tuple(action for action, kinds in ACTIONS.items() if "Platform" in kinds
                        and decide(world, person.principal, action, PLATFORM).allowed)  # fmt: skip
            yield Entry(None, person.who, person.roles, "platform", may)
    for name in chosen:
        yield from _zone_entries(world, world.zones[name], known)


def _zone_entries(world: World, access: ZoneAccess, known: dict[Any, _May]) -> Iterator[Entry]:
    for person in [*_of_zone(world, access), *_segments(access.name)]:
        shape: Any = person.shape if not access.policies else (access.name, person.who)
        if shape not in known:
            known[shape] = tuple(_within(world, person.principal, access))
        for on, may in known[shape]:
            yield Entry(access.name, person.who, person.roles, on, may)
    for name, fields in access.publications.items():
        for person in [*_of_zone(world, access), *_readers(world, access, name)]:
            shape = (PUBLISHED, *person.shape) if not access.policies else (access.name, name, person.who)
            if shape not in known:
                known[shape] = (("", _data(world, person.principal, publication(access.name, name))),)
            ((_, may),) = known[shape]
            if may:
                columns = "columns " + ", ".join(fields)
                yield Entry(access.name, person.who, person.roles, f"{PUBLISHED}.{name}", (*may, columns))


def _within(world: World, principal: Principal, access: ZoneAccess) -> Iterator[tuple[str, tuple[str, ...]]]:
    """On what in the zone the principal may do what; datasets one by one only where the zone has own policies."""
    if isinstance(principal, User):
        may = tuple(_on_zone(world, principal, zone(access.name)))
        if may:
            yield "zone", may
    for name in STAGES:
        may = _data(world, principal, store(access.name, name))
        if may:
            yield name, may
        if access.policies and isinstance(principal, User):
            for kept, one in access.datasets:
                if kept == name:
                    exactly = _data(world, principal, dataset(access.name, name, one))
                    if exactly != may:
                        yield f"{name}.{one}", exactly or ("nothing",)


def _on_zone(world: World, user: User, resource: Resource) -> Iterator[str]:
    for action, kinds in ACTIONS.items():
        if "Zone" not in kinds:
            continue
        if action not in _BY_DELIVERER:
            if decide(world, user, action, resource).allowed:
                yield action
            continue
        own = decide(world, user, action, resource, Context(delivered_by_self=True)).allowed
        others = decide(world, user, action, resource, Context(delivered_by_self=False)).allowed
        if own or others:
            yield action if own and others else f"{action} (own)" if own else f"{action} (not own)"


def _data(world: World, principal: Principal, resource: Resource) -> tuple[str, ...]:
    """What the principal may do with rows and cells of a store, dataset or publication."""
    found = [action for action in ("read", "write") if resource.type in ACTIONS[action]
             and decide(world, principal, action, resource).allowed]  # fmt: skip
    if isinstance(principal, Segment):
        return tuple(found)
    # Tracing and seeing are of datasets: for a store, of any in it that no policy names.
    inside = resource
    if resource.type == "Store":
        assert resource.zone is not None and resource.store is not None
        inside = dataset(resource.zone, resource.store, ANY)
    if decide(world, principal, "trace", inside).allowed:
        found.append("trace")
    seen = seen_classes(world, principal, inside)
    held = seen_classes(world, principal, inside, held=True)
    if seen:
        found.append("see " + _classes(seen))
    if held != seen:
        found.append("see while held " + _classes(held))
    return tuple(found)


def _classes(seen: frozenset[Any]) -> str:
    return "all" if len(seen) == len(CLASSES) else ", ".join(one for one in CLASSES if one in seen)


def _of_platform(world: World) -> Iterator[_Person]:
    for name in sorted(world.administrators | world.auditors):
        user = User(name)
        roles = tuple(sorted(world.platform_roles(user)))
        yield _Person(name, user, roles, roles)
    for name, group in sorted(world.groups.items()):
        if group.platform:
            roles = tuple(sorted(group.platform))
            yield _Person(f"group {name}", User("", frozenset({name})), roles, roles)


def _of_zone(world: World, access: ZoneAccess) -> Iterator[_Person]:
    """The people and groups with a role in the zone or on the platform."""
    names = {name for people in access.roles.values() for name in people} | world.administrators | world.auditors
    users = [(name, User(name)) for name in sorted(names)]
    users += [(f"group {name}", User("", frozenset({name}))) for name in sorted(world.groups)]
    for who, user in users:
        above = [f"{role} of the platform" for role in sorted(world.platform_roles(user))]
        roles = (*sorted(world.zone_roles(user, access.name)), *above)
        if roles:
            yield _Person(who, user, roles, roles)


def _segments(zone: str) -> Iterator[_Person]:
    for name in REACH:
        yield _Person(f"segment {zone}/{name}", Segment(zone, name), ("segment",), ("segment", name))


def _readers(world: World, access: ZoneAccess, name: str) -> Iterator[_Person]:
    """Who of other zones was granted a publication."""
    for other in sorted(access.granted.get(name, ())):
        for person in _of_zone(world, world.zones[other]) if other in world.zones else ():
            # Who has a role here, too, stands among the zone's own.
            here = isinstance(person.principal, User) and world.zone_roles(person.principal, access.name)
            if not here and set(person.roles) & set(READING_ROLES):
                roles = tuple(f"{role} of {other}" for role in person.roles)
                yield _Person(person.who, person.principal, roles, ("reader", *person.shape))
        for segment in _segments(other):
            if isinstance(segment.principal, Segment) and segment.principal.name in READING_SEGMENTS:
                yield replace(segment, shape=("reader", *segment.shape))
    for who in sorted(access.granted_users.get(name, ())):
        user = User(who)
        zones = world.zones_of(user) & access.granted.get(name, frozenset())
        listed = any(not world.zone_roles(user, one).isdisjoint(READING_ROLES) for one in zones)
        if not listed and not world.zone_roles(user, access.name):
            above = tuple(f"{role} of the platform" for role in sorted(world.platform_roles(user)))
            yield _Person(who, user, ("reader", *above), ("reader", *above))
