"""Where a door asks: `require` returns when the principal may, and raises `Denied` with the reason when not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from assay.errors import Denied
from assay.security import cedar
from assay.security.decide import NO_CONTEXT, Context, Decision, decide
from assay.security.principals import ZONE_ROLES, Principal, Segment, User
from assay.security.resources import Resource
from assay.security.world import World, ZoneAccess

#: Is told every decision, allowed or not, before it has an effect.
Record = Callable[[Principal, str, Resource, Context, Decision], None]

#: What an action is called in a sentence; an action that is not here is called by its name.
WORDS = {
    "read": "read", "see": "see cells of", "write": "write", "trace": "trace", "deliver": "deliver files to",
    "inspect": "look at batches of", "return_file": "get delivered files back from", "decide": "decide on batches of",
    "run": "run pipelines of", "view_configuration": "see the configuration of", "apply": "apply the configuration of",
    "publish": "manage publications and subscriptions of", "audit": "audit", "operate": "operate",
    "manage_accounts": "manage accounts of",
}  # fmt: skip


def require(
    world: World,
    principal: Principal,
    action: str,
    resource: Resource,
    context: Context = NO_CONTEXT,
    *,
    record: Record | None = None,
) -> None:
    """Returns when it is allowed; every decision is given to `record` first, and one that cannot be recorded fails.

    Raises `Denied`, with the reason in words and the roles that would do.
    """
    decision = decide(world, principal, action, resource, context)
    if record is not None:
        record(principal, action, resource, context, decision)
    if not decision.allowed:
        raise Denied(
            f"{principal} may not {WORDS.get(action, action)} {resource}: {reason(world, resource, decision)}",
            action=action,
            where=str(resource),
            expected=_expected(world, principal, action, resource, context),
            next=_next(world, principal, resource),
        )


def reason(world: World, resource: Resource, decision: Decision) -> str:
    """Why it was decided so, in words: the sentences of the policies that settled it."""
    if decision.errors:
        return "it could not be decided: " + "; ".join(decision.errors)
    if not decision.policies:
        return "no policy permits it"
    known = policies_of(world, resource)
    return " ".join(known[name].because if name in known else name for name in decision.policies)


def policies_of(world: World, resource: Resource) -> dict[str, cedar.Policy]:
    """Every policy that decides about a resource, by id: those of assay and those of its zone."""
    files = [file for zone in _zone(world, resource) for file in zone.policies]
    found = [one for file in files for one in cedar.described(file.text, str(file.path))]
    return {**cedar.shipped_policies(), **{one.id: one for one in found}}


def roles_that_may(world: World, action: str, resource: Resource, context: Context = NO_CONTEXT) -> tuple[str, ...]:
    """The roles, each by itself, that would be allowed: of the resource's zone, or of the platform."""
    user = User("somebody with this role alone")
    alone = frozenset({user.name})
    there = {zone.name: replace(zone, roles={}, granted={}) for zone in _zone(world, resource)}
    worlds = {
        f"{role} of {zone.name}": World({zone.name: replace(zone, roles={role: alone})})
        for zone in there.values()
        for role in ZONE_ROLES
    }
    worlds["administrator of the platform"] = World(there, administrators=alone)
    if not there:  # in a zone he is an auditor of it, as above
        worlds["auditor of the platform"] = World(there, auditors=alone)
    return tuple(role for role, made in worlds.items() if decide(made, user, action, resource, context).allowed)


def _zone(world: World, resource: Resource) -> list[ZoneAccess]:
    access = None if resource.zone is None else world.zones.get(resource.zone)
    return [] if access is None else [access]


def _expected(
    world: World, principal: Principal, action: str, resource: Resource, context: Context
) -> str | None:
    if isinstance(principal, Segment):
        return "the stores and publications that the segment is declared for"
    if resource.zone is not None and not world.zone_roles(principal, resource.zone):
        return f"a role in {resource.zone}"  # which one is a matter of the zone and its policies
    roles = roles_that_may(world, action, resource, context)
    return "the role " + " or ".join(roles) if roles else "no role may do this"


def _next(world: World, principal: Principal, resource: Resource) -> str:
    if isinstance(principal, Segment):
        return "correct the SQL of the zone, or subscribe to a publication in zone.yaml"
    if resource.zone is None:
        return "ask an administrator of the platform"
    return f"ask the owner of {resource.zone}"
