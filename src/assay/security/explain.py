"""Why somebody may or may not do something, with everything that a person wants to know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.security import cedar
from assay.security.classes import CLASSES, FieldClass
from assay.security.decide import Context, Decision, decide, seen_classes
from assay.security.guard import policies_of, roles_that_may
from assay.security.principals import Principal, User
from assay.security.resources import Resource
from assay.security.world import World


@dataclass(frozen=True)
class Explanation:
    """A decision with the policies that settled it, the principal's roles there, and the roles that would do.

    `seen` are the classes of fields that are shown where the question is about reading; None elsewhere.
    """

    principal: Principal
    action: str
    resource: Resource
    decision: Decision
    policies: tuple[cedar.Policy, ...]
    roles: tuple[str, ...]
    roles_that_may: tuple[str, ...]
    seen: tuple[FieldClass, ...] | None = None

    @property
    def masked(self) -> tuple[FieldClass, ...]:
        """The classes of fields that are masked."""
        return () if self.seen is None else tuple(one for one in CLASSES if one not in self.seen)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON-ready values."""
        return {
            "principal": str(self.principal),
            "action": self.action,
            "resource": str(self.resource),
            "allowed": self.decision.allowed,
            "policies": [vars(policy) for policy in self.policies],
            "errors": self.decision.errors,
            "roles": self.roles,
            "roles_that_may": self.roles_that_may,
            "seen": self.seen,
            "masked": None if self.seen is None else self.masked,
        }


def explain(
    world: World, principal: Principal, action: str, resource: Resource, context: Context
) -> Explanation:
    """Decides and says why."""
    decision = decide(world, principal, action, resource, context)
    known = policies_of(world, resource)
    seen = None
    if action == "read" and decision.allowed and resource.type in ("Dataset", "Publication"):
        shown = seen_classes(world, principal, resource, held=context.held)
        seen = tuple(one for one in CLASSES if one in shown)
    return Explanation(
        principal,
        action,
        resource,
        decision,
        tuple(known[name] for name in decision.policies if name in known),
        _roles(world, principal, resource),
        roles_that_may(world, action, resource, context),
        seen,
    )


def _roles(world: World, principal: Principal, resource: Resource) -> tuple[str, ...]:
    if not isinstance(principal, User):
        return ()
    here = () if resource.zone is None else world.zone_roles(principal, resource.zone)
    found = [f"{role} of {resource.zone}" for role in sorted(here)]
    found += [f"{role} of the platform" for role in sorted(world.platform_roles(principal))]
    if resource.type == "Publication" and resource.zone is not None and resource.name is not None:
        if world.reads_publication(principal, resource.zone, resource.name):
            found.append("reader of the publication")
    return tuple(found)
