"""May this principal do this to that? One function, pure, over a world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from assay.security import cedar
from assay.security.classes import CLASSES, FieldClass
from assay.security.entities import principal_entity, resource_entities, surroundings
from assay.security.principals import Principal, Segment, User
from assay.security.resources import STAGES, Resource
from assay.security.world import World

#: How many decisions, parsed surroundings of zones, and parsed slices are kept for a world.
DECISIONS_KEPT = 65_536
ZONES_KEPT = 4_096
SLICES_KEPT = 256


@dataclass(frozen=True, slots=True)
class Context:
    """The moment of a decision. What is not known is None, and grants nothing."""

    delivered_by_self: bool | None = None
    held: bool | None = None
    field_class: FieldClass | None = None


NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it is allowed, the ids of the policies that settled it, and what could not be evaluated.

    No policies and no errors: nothing permits it.
    """

    allowed: bool
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def decide(
    world: World, principal: Principal, action: str, resource: Resource, context: Context = NO_CONTEXT
) -> Decision:
    """Decides by the shipped policies and those of the resource's zone; denied unless something permits it.

    Errors (an action that does not apply to such a resource, a policy that fails) deny.
    """
    return _of(world).decided(principal, action, resource, context)


def seen_classes(
    world: World, principal: Principal, resource: Resource, *, held: bool | None = None
) -> frozenset[FieldClass]:
    """The classes of fields whose cells the principal sees in a dataset or publication; the others are masked."""
    if isinstance(principal, Segment):
        return frozenset(CLASSES) if decide(world, principal, "read", resource).allowed else frozenset()
    return frozenset(
        one
        for one in CLASSES
        if decide(world, principal, "see", resource, Context(held=held, field_class=one)).allowed
    )


class _Decisions:
    """What is kept for one world: the parsed surroundings of zones, and decisions by all that they depend on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._surroundings = lru_cache(ZONES_KEPT)(lambda zone: cedar.Entities(surroundings(zone)))
        # Several questions in a row are often about one thing: may he read it, and which classes does he see?
        self._slice = lru_cache(SLICES_KEPT)(self._sliced)
        self.decided = lru_cache(DECISIONS_KEPT)(self._decided)

    def _decided(self, principal: Principal, action: str, resource: Resource, context: Context) -> Decision:
        if not self._there(resource):
            return Decision(False)  # of what is not there, nothing is said but no
        own = () if resource.zone is None else self._world.zones[resource.zone].policies
        found = cedar.evaluate(
            {
                "principal": {"type": type(principal).__name__, "id": str(principal)},
                "action": {"type": "Action", "id": action},
                "resource": {"type": resource.type, "id": resource.id},
                "context": _circumstances(principal, action, resource, context),
            },
            cedar.policy_set(tuple(policy.text for policy in own)),
            self._slice(principal, resource),
        )
        return Decision(found.allowed, found.policies, found.errors)

    def _sliced(self, principal: Principal, resource: Resource) -> cedar.Slice:
        more = [*resource_entities(resource), principal_entity(self._world, principal, resource)]
        return self._surroundings(resource.zone).adding(more)

    def _there(self, resource: Resource) -> bool:
        zone_is_there = resource.zone is None or resource.zone in self._world.zones
        return zone_is_there and (resource.store is None or resource.store in STAGES)


#: A process decides in one world, and during a change of configuration in two.
_of = lru_cache(maxsize=4)(_Decisions)


def _circumstances(principal: Principal, action: str, resource: Resource, context: Context) -> dict[str, Any]:
    within = not isinstance(principal, User) or principal.scope.covers(action, resource.zone)
    told: dict[str, Any] = {"within_token": within}
    if context.delivered_by_self is not None:
        told["delivered_by_self"] = context.delivered_by_self
    if context.held is not None:
        told["held"] = context.held
    if context.field_class is not None:
        told["field_class"] = {"__entity": {"type": "FieldClass", "id": context.field_class}}
    return told

