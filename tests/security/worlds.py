"""Worlds for tests, as facts for the oracle and as a `World` for `decide`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from tests.security.oracle import Facts, Rule, segment_may, user_may

from assay.flow import SEGMENTS
from assay.security import resources
from assay.security.classes import CLASSES
from assay.security.decide import Context
from assay.security.permissions import ACTIONS, DATA_ACTIONS
from assay.security.principals import PLATFORM_ROLES, ZONE_ROLES, Principal, Segment, User
from assay.security.resources import PLATFORM, STAGES, Resource
from assay.security.world import World, ZoneAccess
from assay.zones.project import PolicyText

Question = tuple[Principal, str, Resource, Context]
DATASETS = ("x", "y")
NAMES = [movement.segment for movement in SEGMENTS]
CONTEXTS = [
    Context(delivered_by_self=own, held=held, field_class=one, four_eyes=four)
    for own in (None, True, False)
    for held in (None, True, False)
    for one in (None, *CLASSES)
    for four in (None, True, False)
]


def world(facts: Facts) -> World:
    """The facts as `decide` takes them."""
    zones = {}
    for zone, people in facts.roles.items():
        roles = {role: frozenset(u for u, had in people.items() if role in had) for role in ZONE_ROLES}
        granted = {name: frozenset(to) for (owner, name), to in facts.granted.items() if owner == zone}
        text = "\n".join(cedar_text(rule, number) for number, rule in enumerate(facts.rules) if rule.zone == zone)
        policies = (PolicyText(text, Path(f"zones/{zone}/policies/own.cedar")),) if text else ()
        zones[zone] = ZoneAccess(zone, roles, granted=granted, policies=policies)
    return World(zones, frozenset(facts.administrators), frozenset(facts.auditors))


def cedar_text(rule: Rule, number: int = 0) -> str:
    """The rule as a zone would write it."""
    who = "principal"
    if isinstance(rule.who, tuple):
        who = f'principal in Role::"{rule.zone}/{rule.who[1]}"'
    elif rule.who is not None:
        who = f'principal == User::"{rule.who}"'
    elif rule.effect == "forbid":
        who = "principal is User"
    actions = ", ".join(f'Action::"{action}"' for action in sorted(rule.actions))
    kind = ("Zone", "Store", "Dataset")[len(rule.place)]
    place = f'{kind}::"{"/".join((rule.zone, *rule.place))}"'
    scope = f"{who}, action in [{actions}], resource in {place}"
    return f'@id("rule-{number}") @because("A test.")\n{rule.effect} ({scope});'


def expected(facts: Facts, question: Question) -> bool:
    """The oracle's answer."""
    principal, action, resource, context = question
    place = tuple(part for part in (resource.zone, resource.store, resource.name) if part)
    if isinstance(principal, Segment):
        return segment_may(facts, (principal.zone, principal.name), action, resource.type, place)
    return user_may(
        facts, principal.name, action, resource.type, place,
        own=context.delivered_by_self, held=context.held, field_class=context.field_class,
        four_eyes=context.four_eyes,
    )  # fmt: skip


def everything(zones: list[str]) -> list[Resource]:
    """The platform, and of each zone itself, its stores, a dataset in each, and a publication."""
    found = [PLATFORM]
    for zone in zones:
        found += [resources.zone(zone), resources.publication(zone, "p")]
        for store in STAGES:
            found += [resources.store(zone, store), resources.dataset(zone, store, "x")]
    return found


def small_worlds(*, pairs: bool) -> Iterator[Facts]:
    """Two zones, a publication of the first granted to the second or not, and a user for each choice of roles.

    A choice is one role at most in the first zone, the second and on the platform; with `pairs` any set of roles in
    the first zone and on the platform.
    """
    at_most = len(ZONE_ROLES) if pairs else 1
    first = [set(some) for size in range(at_most + 1) for some in itertools.combinations(ZONE_ROLES, size)]
    second = [set(), *({role} for role in ZONE_ROLES)]
    platform = [set(some) for size in range(3 if pairs else 2) for some in itertools.combinations(PLATFORM_ROLES, size)]
    for granted in (False, True):
        facts = Facts({"a": {}, "b": {}}, granted={("a", "p"): {"b"} if granted else set()})
        for number, (here, there, above) in enumerate(itertools.product(first, second, platform)):
            user = f"user {number}"
            facts.roles["a"][user], facts.roles["b"][user] = here, there
            if "administrator" in above:
                facts.administrators.add(user)
            if "auditor" in above:
                facts.auditors.add(user)
        yield facts


def questions(facts: Facts) -> Iterator[Question]:
    """Every question about a small world whose facts can matter to somebody: each principal, action and resource."""
    zones = list(facts.roles)
    users: list[Principal] = [User(name) for name in facts.roles["a"]]
    segments: list[Principal] = [Segment(zone, name) for zone in zones for name in NAMES]
    for resource in everything(zones):
        for action, kinds in ACTIONS.items():
            if resource.type not in kinds:
                continue
            for principal in (*users, *segments):
                for context in _moments(action):
                    yield principal, action, resource, context


def _moments(action: str) -> list[Context]:
    if action == "see":
        return [Context(held=held, field_class=one) for held in (None, True) for one in CLASSES]
    if action == "decide":
        return [Context(delivered_by_self=own, four_eyes=four) for own in (None, True, False) for four in (None, False)]
    if action in ("inspect", "return_file"):
        return [Context(delivered_by_self=own) for own in (None, True, False)]
    return [Context()]


def random_world(lot: random.Random) -> Facts:
    """A few zones, people with any roles, grants and policies of zones, drawn by lot."""
    zones = [f"z{number}" for number in range(lot.randint(1, 4))]
    people = [f"p{number}@example.org" for number in range(lot.randint(1, 6))]
    facts = Facts(
        {zone: {one: _some(lot, ZONE_ROLES) for one in people} for zone in zones},
        administrators=_some(lot, people), auditors=_some(lot, people),
        granted={(zone, "p"): _some(lot, zones) for zone in zones},
        rules=tuple(random_rule(lot, zones, people) for _ in range(lot.choice([0, 0, 1, 4]))),
    )  # fmt: skip
    return facts


def random_rule(lot: random.Random, zones: list[str], people: list[str]) -> Rule:
    """A policy of some zone."""
    effect = lot.choice(["permit", "forbid"])
    who: str | tuple[str, str] | None = lot.choice([lot.choice(people), ("role", lot.choice(ZONE_ROLES))])
    if effect == "forbid" and lot.random() < 0.3:
        who = None
    place = (lot.choice(list(STAGES)), lot.choice(DATASETS))[: lot.randint(0, 2)]
    actions = frozenset(lot.sample(sorted(DATA_ACTIONS), lot.randint(1, 4)))
    return Rule(effect, lot.choice(zones), who, actions, place)


def random_question(lot: random.Random, facts: Facts) -> Question:
    """A principal, action, resource and moment drawn by lot, sensible or not."""
    zones = [*facts.roles, "nowhere"] if lot.random() < 0.05 else list(facts.roles)
    principal: Principal
    if lot.random() < 0.25:
        principal = Segment(lot.choice(list(facts.roles)), lot.choice(NAMES))
    else:
        names = [*next(iter(facts.roles.values())), "stranger"]
        principal = User(lot.choice(names))
    zone, store, name = lot.choice(zones), lot.choice(list(STAGES)), lot.choice(DATASETS)
    resource = lot.choice([
        PLATFORM, resources.zone(zone), resources.store(zone, store), resources.dataset(zone, store, name),
        resources.dataset(zone, store, name), resources.publication(zone, "p"),
    ])  # fmt: skip
    fitting = [action for action, kinds in ACTIONS.items() if resource.type in kinds]
    action = lot.choice(fitting if lot.random() < 0.9 else list(ACTIONS))
    return principal, action, resource, lot.choice(CONTEXTS)


def _some(lot: random.Random, things: list[str] | tuple[str, ...]) -> set[str]:
    return {one for one in things if lot.random() < 0.3}
