"""Where a door asks: `require` returns when the principal may, and raises `Denied` with the reason when not."""

from __future__ import annotations

from collections.abc import Callable

from assay.errors import Denied
from assay.security import cedar
from assay.security.decide import NO_CONTEXT, Context, Decision, decide
from assay.security.permissions import ACTIONS
from assay.security.principals import PLATFORM_ROLES, ZONE_ROLES, Principal, Segment, User
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
    access = None if resource.zone is None else world.zones.get(resource.zone)
    own = () if access is None else access.policies
    found = [one for file in own for one in cedar.described(file.text, str(file.path))]
    return {**cedar.shipped_policies(), **{one.id: one for one in found}}


def roles_that_may(world: World, action: str, resource: Resource, context: Context = NO_CONTEXT) -> tuple[str, ...]:
    """The roles, each by itself, that would be allowed: of the resource's zone, or of the platform."""
    nobody = User("somebody with this role alone")
    found = []
    if resource.zone is not None and resource.zone in world.zones:
        there = world.zones[resource.zone]
        for role in ZONE_ROLES:
            only = ZoneAccess(there.name, {role: frozenset({nobody.name})}, policies=there.policies)
            if decide(World({there.name: only}), nobody, action, resource, context).allowed:
                found.append(f"{role} of {there.name}")
    for role in PLATFORM_ROLES:
        if resource.zone is not None and role == "auditor":
            continue  # he is an auditor of the zone, which stands there
        having = frozenset({nobody.name})
        bare = {name: ZoneAccess(name, {}, policies=one.policies) for name, one in world.zones.items()
                if name == resource.zone}  # fmt: skip
        made = World(
            bare,
            administrators=having if role == "administrator" else frozenset(),
            auditors=having if role == "auditor" else frozenset(),
        )
        if decide(made, nobody, action, resource, context).allowed:
            found.append(f"{role} of the platform")
    return tuple(found)


def _expected(
    world: World, principal: Principal, action: str, resource: Resource, context: Context
) -> str | None:
    if isinstance(principal, Segment):
        return "the stores and publications that the segment is declared for"
    if action not in ACTIONS:
        return None
    roles = roles_that_may(world, action, resource, context)
    return "the role " + " or ".join(roles) if roles else "no role may do this"


def _next(world: World, principal: Principal, resource: Resource) -> str:
    if isinstance(principal, Segment):
        return "correct the SQL of the zone, or subscribe to a publication in zone.yaml"
    if resource.zone is None or resource.zone not in world.zones:
        return "ask an administrator of the platform"
    return f"ask the owner of {resource.zone}"
