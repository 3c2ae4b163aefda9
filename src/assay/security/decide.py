"""May this principal do this to that? One function, pure, over a world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from assay.security import cedar
from assay.security.classes import CLASSES, FieldClass
from assay.security.entities import Standing, principal_entity, resource_entities, standing, surroundings, unnamed
from assay.security.principals import Principal, Segment, User
from assay.security.resources import STAGES, Resource
from assay.security.world import World

#: How many decisions, parsed surroundings of zones, and parsed slices are kept.
DECISIONS_KEPT = 65_536
ZONES_KEPT = 4_096
SLICES_KEPT = 256


@dataclass(frozen=True, slots=True)
class Context:
    """The moment of a decision. What is not known is None, and grants nothing."""

    delivered_by_self: bool | None = None
    held: bool | None = None
    field_class: FieldClass | None = None
    four_eyes: bool | None = None


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
    if not _there(world, resource):
        return Decision(False)  # of what is not there, nothing is said but no
    own = () if resource.zone is None else world.zones[resource.zone].policy_texts
    known = standing(world, principal, resource)
    within = not isinstance(principal, User) or principal.scope.covers(action, resource.zone)
    known, resource = unnamed(known, resource, cedar.mentioned(own))
    return _decided(known, action, resource, context, within, own)


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


def _there(world: World, resource: Resource) -> bool:
    zone_is_there = resource.zone is None or resource.zone in world.zones
    return zone_is_there and (resource.store is None or resource.store in STAGES)


@lru_cache(DECISIONS_KEPT)
def _decided(
    known: Standing, action: str, resource: Resource, context: Context, within_token: bool, own: tuple[str, ...]
) -> Decision:
    """Cedar's decision. It depends on its arguments alone, so that what is kept can never be out of date."""
    found = cedar.evaluate(
        {
            "principal": known.uid,
            "action": {"type": "Action", "id": action},
            "resource": {"type": resource.type, "id": resource.id},
            "context": _circumstances(context, within_token),
        },
        cedar.policy_set(own),
        _slice(known, resource),
    )
    return Decision(found.allowed, found.policies, found.errors)


@lru_cache(SLICES_KEPT)
def _slice(known: Standing, resource: Resource) -> cedar.Slice:
    return _surroundings(resource.zone).adding([*resource_entities(resource), principal_entity(known, resource)])


@lru_cache(ZONES_KEPT)
def _surroundings(zone: str | None) -> cedar.Entities:
    return cedar.Entities(surroundings(zone))


def _circumstances(context: Context, within_token: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"within_token": within_token}
    if context.delivered_by_self is not None:
        told["delivered_by_self"] = context.delivered_by_self
    if context.four_eyes is not None:
        told["four_eyes"] = context.four_eyes
    if context.held is not None:
        told["held"] = context.held
    if context.field_class is not None:
        told["field_class"] = {"__entity": {"type": "FieldClass", "id": context.field_class}}
    return told
