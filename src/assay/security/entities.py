"""The slice of the world that one decision needs, as Cedar's entities.

A slice holds the resource with what it lies in, and of the principal the roles that can matter for it: those in the
resource's zone, those on the platform, and whether he reads the publication in question. Policies can name no others
(`zone_policies` sees to it for a zone's own), so that a slice decides as the whole world would.
"""

from __future__ import annotations

from typing import Any

from assay.security.classes import WITHIN
from assay.security.principals import ZONE_ROLES, Principal, Segment
from assay.security.resources import PLATFORM_ID, PUBLISHED, STAGES, Resource, store
from assay.security.segments import reach
from assay.security.world import World

Entity = dict[str, Any]


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


def principal_entity(world: World, principal: Principal, resource: Resource) -> Entity:
    """The principal with the roles that can matter for the resource."""
    roles: list[str] = []
    if resource.type == "Publication" and resource.zone is not None and resource.name is not None:
        if world.reads_publication(principal, resource.zone, resource.name):
            roles.append(_readers(resource))
    if isinstance(principal, Segment):
        stores = reach(principal.name)
        facts = {
            "zone": _reference("Zone", principal.zone), "reads": sorted(stores.reads), "writes": sorted(stores.writes)
        }  # fmt: skip
        return _entity("Segment", str(principal), facts, [{"type": "Role", "id": role} for role in roles])
    roles += sorted(world.platform_roles(principal))
    if resource.zone is not None:
        roles += sorted(f"{resource.zone}/{role}" for role in world.zone_roles(principal, resource.zone))
    return _entity("User", principal.name, within=[{"type": "Role", "id": role} for role in roles])


def _readers(resource: Resource) -> str:
    return f"{resource.id}/reader"


def _entity(kind: str, name: str, facts: dict[str, Any] | None = None, within: Any = ()) -> Entity:
    return {"uid": {"type": kind, "id": name}, "attrs": facts or {}, "parents": within}


def _one(kind: str, name: str | None) -> list[dict[str, str]]:
    return [{"type": kind, "id": name}] if name else []


def _reference(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": {"type": kind, "id": name}}
