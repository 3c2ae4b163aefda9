"""What policies can know of one decision, and the slice of the world that Cedar is given for it.

A slice holds the resource with what it lies in, and of the principal the roles that can matter for it: those in the
resource's zone, those on the platform, and whether he reads the publication in question. Policies can name no others
(`zone_policies` sees to it for a zone's own), so that a slice decides as the whole world would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from assay.security.classes import WITHIN
from assay.security.principals import ZONE_ROLES, Principal, Segment
from assay.security.resources import PLATFORM_ID, PUBLISHED, STAGES, Resource, store
from assay.security.segments import reach
from assay.security.world import World

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """All that policies can know of a principal beside one resource; `zone` is that of a segment."""

    name: str
    zone: str | None
    zone_roles: frozenset[str]
    platform_roles: frozenset[str]
    reads_publication: bool

    @property
    def uid(self) -> dict[str, str]:
        """His name in Cedar."""
        if self.zone is None:
            return {"type": "User", "id": self.name}
        return {"type": "Segment", "id": f"{self.zone}/{self.name}"}


def standing(world: World, principal: Principal, resource: Resource) -> Standing:
    """How the principal stands to the resource."""
    reads = (
        resource.type == "Publication" and resource.zone is not None and resource.name is not None
        and world.reads_publication(principal, resource.zone, resource.name)
    )  # fmt: skip
    if isinstance(principal, Segment):
        return Standing(principal.name, principal.zone, frozenset(), frozenset(), reads)
    here = frozenset() if resource.zone is None else world.zone_roles(principal, resource.zone)
    return Standing(principal.name, None, here, world.platform_roles(principal), reads)


def unnamed(known: Standing, resource: Resource, mentioned: frozenset[tuple[str, str]]) -> tuple[Standing, Resource]:
    """The same question with stand-ins for the names that no policy mentions, as (type, id): the answer is the same.

    Cedar compares entities and cannot look into their names, and assay's own policies mention no name at all.
    """
    if not mentioned:
        home = None if known.zone is None else "here" if known.zone == resource.zone else "elsewhere"
        known = replace(known, zone=home)
        resource = replace(resource, zone=None if resource.zone is None else "here")
    if known.zone is None and ("User", known.name) not in mentioned:
        known = replace(known, name=_stand_in("somebody", "User", "", mentioned))
    if resource.name is not None and (resource.type, resource.id) not in mentioned:
        within = resource.id.removesuffix(resource.name)
        resource = replace(resource, name=_stand_in("something", resource.type, within, mentioned))
    return known, resource


def _stand_in(word: str, kind: str, within: str, mentioned: frozenset[tuple[str, str]]) -> str:
    """A name that no policy mentions either."""
    while (kind, within + word) in mentioned:
        word += "'"
    return word


def surroundings(home: str | None) -> list[Entity]:
    """What every decision in a zone needs: the platform, the zone, its roles, and the classes of fields."""
    found = [_entity("FieldClass", name, within=_one("FieldClass", wider)) for name, wider in WITHIN.items()]
    found.append(_entity("Platform", PLATFORM_ID))
    if home is None:
        return found
    roles = {role: _reference("Role", f"{home}/{role}") for role in (*ZONE_ROLES, "member")}
    found.append(_entity("Zone", home, {"zone": _reference("Zone", home), **roles}, _one("Platform", PLATFORM_ID)))
    for role in ZONE_ROLES:
        found.append(_entity("Role", f"{home}/{role}", within=_one("Role", f"{home}/member")))
    # Who audits the platform audits each of its zones.
    found.append(_entity("Role", "auditor", within=_one("Role", f"{home}/auditor")))
    return found


def resource_entities(resource: Resource) -> list[Entity]:
    """The resource, with the store that it lies in; nothing for the platform and a zone, which surround."""
    home = resource.zone
    if home is None or resource.type == "Zone":
        return []
    if resource.type == "Publication":
        facts = {"stage": PUBLISHED, "readers": _reference("Role", _readers(resource))}
        return [_entity("Publication", resource.id, {"zone": _reference("Zone", home), **facts}, _one("Zone", home))]
    assert resource.store is not None
    kept = store(home, resource.store)
    place = {"zone": _reference("Zone", home), "store": resource.store, "stage": STAGES[resource.store]}
    found = [_entity("Store", kept.id, place, _one("Zone", home))]
    if resource.type == "Dataset":
        found.append(_entity("Dataset", resource.id, place, _one("Store", kept.id)))
    return found


def principal_entity(known: Standing, resource: Resource) -> Entity:
    """The principal with the roles that can matter for the resource."""
    roles = [_readers(resource)] if known.reads_publication else []
    roles += sorted(known.platform_roles) + sorted(f"{resource.zone}/{role}" for role in known.zone_roles)
    facts: dict[str, Any] = {}
    if known.zone is not None:
        stores = reach(known.name)
        facts = {
            "zone": _reference("Zone", known.zone), "reads": sorted(stores.reads), "writes": sorted(stores.writes)
        }  # fmt: skip
    return {"uid": known.uid, "attrs": facts, "parents": [{"type": "Role", "id": role} for role in roles]}


def _readers(resource: Resource) -> str:
    return f"{resource.id}/reader"


def _entity(kind: str, name: str, facts: dict[str, Any] | None = None, within: Any = ()) -> Entity:
    return {"uid": {"type": kind, "id": name}, "attrs": facts or {}, "parents": within}


def _one(kind: str, name: str | None) -> list[dict[str, str]]:
    return [{"type": kind, "id": name}] if name else []


def _reference(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": {"type": kind, "id": name}}
