"""The world that policies decide in: who has which role, what there is, and who was granted what; read, then frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from assay.security.classes import FieldClass, classes_of
from assay.security.principals import PLATFORM_ROLES, ZONE_ROLES, Principal, Segment, User
from assay.zones.project import Group, PolicyText

if TYPE_CHECKING:
    from assay.zones.contract import Field
    from assay.zones.project import Project, Zone

#: (zone, publication) → the zones, or the users, that were granted it.
Grants = Mapping[tuple[str, str], frozenset[str]]

#: The fields of a dataset, each with its classes.
Fields = Mapping[str, frozenset[FieldClass]]

#: The roles of a zone whose people read what the zone was granted.
READING_ROLES = ("owner", "analyst")
#: The segments that read it: those that run the zone's SQL.
READING_SEGMENTS = ("conform", "denormalize")


@dataclass(frozen=True)
class ZoneAccess:
    """One zone, as far as access goes: its people, its datasets by (store, name), what it publishes and to whom."""

    name: str
    roles: Mapping[str, frozenset[str]]
    datasets: Mapping[tuple[str, str], Fields] = field(default_factory=dict)
    publications: Mapping[str, Fields] = field(default_factory=dict)
    granted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    granted_users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    policies: tuple[PolicyText, ...] = ()

    @cached_property
    def policy_texts(self) -> tuple[str, ...]:
        """What its own policies say."""
        return tuple(policy.text for policy in self.policies)


@dataclass(frozen=True)
class World:
    """What decisions depend on. A world is never changed: another configuration or grant makes another world."""

    zones: Mapping[str, ZoneAccess]
    administrators: frozenset[str] = frozenset()
    auditors: frozenset[str] = frozenset()
    groups: Mapping[str, Group] = field(default_factory=dict)

    def platform_roles(self, user: User) -> frozenset[str]:
        """The user's roles on the platform."""
        named = {"administrator": self.administrators, "auditor": self.auditors}
        return frozenset(
            role
            for role in PLATFORM_ROLES
            if user.name in named[role] or any(role in group.platform for group in self._groups(user))
        )

    def zone_roles(self, user: User, zone: str) -> frozenset[str]:
        """The user's own roles in a zone; an auditor of the platform audits every zone besides."""
        access = self.zones.get(zone)
        if access is None:
            return frozenset()
        by_group = {role for group in self._groups(user) for role in group.zones.get(zone, ())}
        return frozenset(role for role in ZONE_ROLES if user.name in access.roles.get(role, ()) or role in by_group)

    def reads_publication(self, principal: Principal, zone: str, publication: str) -> bool:
        """Whether the publication was granted to the user himself, or to a zone in which the principal is of those
        that read it."""
        access = self.zones.get(zone)
        granted = frozenset() if access is None else access.granted.get(publication, frozenset())
        if isinstance(principal, Segment):
            return principal.zone in granted and principal.name in READING_SEGMENTS
        if access is not None and principal.name in access.granted_users.get(publication, ()):
            return True
        return any(
            not self.zone_roles(principal, one).isdisjoint(READING_ROLES)
            for one in self.zones_of(principal) & granted
        )

    def zones_of(self, user: User) -> frozenset[str]:
        """The zones in which the user has a role of his own."""
        by_group = {zone for group in self._groups(user) for zone in group.zones}
        return self._zones_by_name.get(user.name, frozenset()) | by_group

    @cached_property
    def _zones_by_name(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for zone in self.zones.values():
            for people in zone.roles.values():
                for name in people:
                    found.setdefault(name, set()).add(zone.name)
        return {name: frozenset(zones) for name, zones in found.items()}

    def _groups(self, user: User) -> Iterable[Group]:
        return (self.groups[name] for name in user.groups if name in self.groups)


def world_of(project: Project, grants: Grants | None = None, users: Grants | None = None) -> World:
    """The world that a project's files describe.

    `grants` says which subscriptions of zones were granted; a subscription that was not is no grant, and without
    `grants` every subscription counts as granted. `users` says what was granted to single users.
    `pipelines.in_force` makes the world with what is granted now. Raises `Misconfigured` for a zone's
    policy that cannot stand.
    """
    if any(zone.policies for zone in project.zones.values()):
        from assay.security.zone_policies import check_zone_policies

        check_zone_policies(project)
    return _world(project, project.zones, grants, users)


def world_around(project: Project, names: Iterable[str], grants: Grants | None = None) -> World:
    """The world of some zones, for decisions of their segments: what it costs does not grow with the project.

    Policies of the zones' own are taken as they are: a project is applied only when `world_of` finds them good.
    """
    return _world(project, {name: project.zones[name] for name in names if name in project.zones}, grants)


def _world(
    project: Project, zones: Mapping[str, Zone], grants: Grants | None, users: Grants | None = None
) -> World:
    granted: dict[tuple[str, str], set[str]] = {}
    for zone in zones.values():
        for asked in zone.subscriptions:
            if grants is None or zone.name in grants.get((asked.zone, asked.name), ()):
                granted.setdefault((asked.zone, asked.name), set()).add(zone.name)
    return World(
        zones={name: _access(zone, granted, users or {}) for name, zone in zones.items()},
        administrators=project.administrators,
        auditors=project.auditors,
        groups=project.groups,
    )


def _access(zone: Zone, granted: Mapping[tuple[str, str], set[str]], users: Grants) -> ZoneAccess:
    roles = {
        "owner": frozenset({zone.owner}),
        "steward": frozenset(zone.stewards),
        "engineer": frozenset(zone.engineers),
        "analyst": frozenset(zone.analysts),
        "auditor": frozenset(zone.auditors),
    }
    datasets: dict[tuple[str, str], Fields] = {}
    for source in zone.sources.values():
        datasets["readable", source.name] = datasets["quarantine", source.name] = _fields(source.contract.fields)
        datasets["clean", source.name] = _fields(source.clean_fields)
    for name, operational in zone.operational.items():
        datasets["operational", name] = _fields(operational.contract.fields)
    for name, analytical in zone.analytical.items():
        datasets["analytical", name] = _fields(analytical.contract.fields)
    publications: dict[str, Fields] = {}
    for name, publication in zone.publications.items():
        publications[name] = _fields(publication.contract.fields)
    return ZoneAccess(
        name=zone.name,
        roles=roles,
        datasets=datasets,
        publications=publications,
        granted={name: frozenset(granted.get((zone.name, name), ())) for name in publications},
        granted_users={name: found for name in publications if (found := users.get((zone.name, name)))},
        policies=zone.policies,
    )


def _fields(fields: Iterable[Field]) -> Fields:
    return {entry.name: classes_of(entry) for entry in fields}
