"""Decisions that the tables do not show: errors, tokens, what is not there, and that nothing stale is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import Denied, Usage
from assay.security import resources
from assay.security.decide import Context, Decision, decide, seen_classes
from assay.security.guard import require, roles_that_may
from assay.security.principals import ZONE_ROLES, Segment, TokenScope, User
from assay.security.resources import PLATFORM, Resource, parse
from assay.security.world import World, ZoneAccess
from assay.zones.project import Group, PolicyText


def zone_access(name: str, text: str = "") -> ZoneAccess:
    """A zone with one person for each role, called finance.owner and so on."""
    roles = {role: frozenset({f"{name}.{role}"}) for role in ZONE_ROLES}
    policies = (PolicyText(text, Path(f"zones/{name}/policies/own.cedar")),) if text else ()
    return ZoneAccess(name, roles, publications={"p": {}}, granted={"p": frozenset()}, policies=policies)


def two_zones(text: str = "", **people: frozenset[str]) -> World:
    """finance, with its own policies where `text` is given, and hr."""
    return World({"finance": zone_access("finance", text), "hr": zone_access("hr")}, **people)


OWNER = User("finance.owner")
SALES = resources.dataset("finance", "operational", "sales")


def test_an_action_that_does_not_apply_is_denied_with_the_reason() -> None:
    found = decide(two_zones(), OWNER, "operate", SALES)
    assert not found.allowed and found.errors


def test_an_action_that_does_not_exist_is_denied() -> None:
    assert not decide(two_zones(), OWNER, "fly", SALES).allowed


@pytest.mark.parametrize("gone", [resources.zone("nowhere"), resources.store("finance", "cellar")])
def test_of_what_is_not_there_nothing_is_said_but_no(gone: Resource) -> None:
    action = "inspect" if gone.type == "Zone" else "read"
    assert decide(two_zones(), OWNER, action, gone) == Decision(False)


def test_a_forbid_that_cannot_be_evaluated_denies() -> None:
    """Cedar skips it; without the schema it would even say Allow."""
    text = '@id("x") forbid (principal, action == Action::"read", resource) when { context.field_class == principal };'
    failing = '@id("y") forbid (principal, action == Action::"read", resource) when { context.held };'
    assert not decide(two_zones(failing), OWNER, "read", SALES).allowed
    assert decide(two_zones(failing), OWNER, "read", SALES).errors
    assert decide(two_zones(text), OWNER, "read", SALES).errors


def test_another_zones_failing_policy_is_no_concern() -> None:
    failing = '@id("y") forbid (principal, action == Action::"read", resource) when { context.held };'
    world = two_zones(failing)
    assert decide(world, User("hr.owner"), "read", resources.dataset("hr", "operational", "x")).allowed


def test_who_delivered_must_be_known_to_decide() -> None:
    world, here = two_zones(), resources.zone("finance")
    steward = User("finance.steward")
    assert decide(world, steward, "decide", here, Context(delivered_by_self=False)).allowed
    assert decide(world, steward, "decide", here, Context(delivered_by_self=True)).policies == ("four-eyes",)
    assert not decide(world, steward, "decide", here).allowed


@pytest.mark.parametrize(
    ("scope", "reads", "traces", "elsewhere"),
    [
        (TokenScope(), True, True, True),
        (TokenScope(zones=frozenset({"finance"})), True, True, False),
        (TokenScope(actions=frozenset({"trace"})), False, True, False),
        (TokenScope(zones=frozenset({"hr"}), actions=frozenset({"read"})), False, False, True),
        (TokenScope(zones=frozenset()), False, False, False),
    ],
)
def test_a_token_reaches_no_further_than_it_was_made_for(
    scope: TokenScope, reads: bool, traces: bool, elsewhere: bool
) -> None:
    hr = replace(zone_access("hr"), roles={"owner": frozenset({"finance.owner"})})
    world = World({"finance": zone_access("finance"), "hr": hr})
    user = User("finance.owner", scope=scope)
    assert decide(world, user, "read", SALES).allowed == reads
    assert decide(world, user, "trace", SALES).allowed == traces
    assert decide(world, user, "read", resources.dataset("hr", "operational", "x")).allowed == elsewhere


def test_a_token_for_a_zone_does_not_administer() -> None:
    world = two_zones(administrators=frozenset({"root"}))
    assert decide(world, User("root"), "operate", PLATFORM).allowed
    assert not decide(world, User("root", scope=TokenScope(zones=frozenset({"finance"}))), "operate", PLATFORM).allowed


def test_a_group_gives_its_roles_and_an_unknown_one_none() -> None:
    sales = Group({"finance": frozenset({"analyst"})}, frozenset())
    world = World({"finance": zone_access("finance")}, groups={"Sales": sales})
    assert decide(world, User("new", frozenset({"Sales"})), "read", SALES).allowed
    assert not decide(world, User("new", frozenset({"sales", "Others"})), "read", SALES).allowed


def test_a_name_in_another_zone_gives_nothing_here() -> None:
    for role in ZONE_ROLES:
        for action in ("read", "trace"):
            assert not decide(two_zones(), User(f"hr.{role}"), action, SALES).allowed


def test_no_grant_of_a_zone_reaches_landing_strangers_or_segments_of_others() -> None:
    """What `never.cedar` says holds even where the check of a zone's policies would not have refused them."""
    world = two_zones('@id("all") permit (principal, action, resource);')
    assert not decide(world, OWNER, "read", resources.store("finance", "landing")).allowed
    assert not decide(world, User("hr.owner"), "read", SALES).allowed
    assert not decide(world, Segment("hr", "conform"), "read", SALES).allowed
    assert decide(world, Segment("hr", "conform"), "write", resources.store("finance", "clean")).policies == (
        "segments-stay-home",
    )
    assert not decide(
        world, User("finance.steward"), "decide", resources.zone("finance"), Context(delivered_by_self=True)
    ).allowed


def test_a_decision_is_never_taken_from_another_world() -> None:
    analyst = User("finance.analyst")
    forbidding = '@id("no") forbid (principal, action == Action::"read", resource in Zone::"finance");'
    worlds = (two_zones(), two_zones(forbidding), two_zones())
    assert [decide(world, analyst, "read", SALES).allowed for world in worlds] == [True, False, True]


@pytest.mark.parametrize("name", ["somebody", "something", "here", "elsewhere", "somebody'"])
def test_a_policy_that_mentions_a_name_means_that_one_only(name: str) -> None:
    """Names that no policy mentions are asked under stand-ins; one that looks like a stand-in is itself."""
    what = f'action == Action::"read", resource == Dataset::"finance/operational/{name}"'
    first = f'@id("a") forbid (principal is User, {what});'
    text = f'{first}\n@id("b") forbid (principal == User::"{name}", action, resource);'
    finance = zone_access("finance", text)
    roles = {"owner": frozenset({name, "other"})}
    world = World({"finance": replace(finance, roles=roles)})
    for table, mine, others in (("x", False, True), (name, False, False), ("something", False, name != "something")):
        place = resources.dataset("finance", "operational", table)
        assert decide(world, User(name), "read", place).allowed == mine
        assert decide(world, User("other"), "read", place).allowed == others


NAMES = st.text(min_size=1, max_size=40)


@given(name=NAMES, other=NAMES)
def test_names_are_compared_as_they_are_whatever_they_hold(name: str, other: str) -> None:
    roles = {"analyst": frozenset({name})}
    world = World({"finance": ZoneAccess("finance", roles)})
    assert decide(world, User(name), "read", SALES).allowed
    assert decide(world, User(other), "read", SALES).allowed == (name == other)


def test_masks_widen_with_the_moment() -> None:
    world, staged = two_zones(), resources.dataset("finance", "clean", "sales")
    steward = User("finance.steward")
    assert seen_classes(world, steward, staged) == {"public", "internal"}
    assert len(seen_classes(world, steward, staged, held=True)) == 5
    assert seen_classes(world, User("finance.analyst"), SALES) == {"public", "internal", "confidential"}


def test_require_says_why_and_which_role_would_do() -> None:
    with pytest.raises(Denied) as caught:
        require(two_zones(), User("finance.engineer"), "read", SALES)
    assert caught.value.what == "finance.engineer may not read finance.operational.sales: no policy permits it"
    assert caught.value.expected == "the role owner of finance or analyst of finance"
    assert caught.value.next == "ask the owner of finance"
    assert caught.value.exit_code == 5


def test_an_outsider_is_not_told_which_role_a_zone_asks_for() -> None:
    who, what = 'principal in Role::"finance/auditor"', 'action == Action::"read", resource in Zone::"finance"'
    text = f'@id("odd") permit ({who}, {what});'
    told = []
    for own in ("", text):
        with pytest.raises(Denied) as caught:
            require(two_zones(own), User("hr.owner"), "read", SALES)
        told.append(str(caught.value))
    assert told[0] == told[1] and "a role in finance" in told[0]


def test_require_records_every_decision_first() -> None:
    seen: list[tuple[str, bool]] = []

    def record(principal: object, action: str, resource: object, context: object, decision: Decision) -> None:
        seen.append((action, decision.allowed))

    require(two_zones(), OWNER, "read", SALES, record=record)
    with pytest.raises(Denied):
        require(two_zones(), OWNER, "write", resources.store("finance", "clean"), record=record)
    assert seen == [("read", True), ("write", False)]


def test_a_decision_that_cannot_be_recorded_is_none() -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        require(two_zones(), OWNER, "read", SALES, record=broken)


def test_the_roles_that_may_are_those_of_the_tables() -> None:
    world = two_zones()
    assert roles_that_may(world, "apply", resources.zone("finance")) == (
        "owner of finance", "engineer of finance", "administrator of the platform",
    )  # fmt: skip
    assert roles_that_may(world, "audit", PLATFORM) == ("auditor of the platform",)
    assert roles_that_may(world, "read", resources.store("finance", "landing")) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("platform", PLATFORM),
        ("finance", resources.zone("finance")),
        ("finance.staging.card", resources.dataset("finance", "clean", "card")),
        ("finance/landing", resources.store("finance", "landing")),
        ("reference.published.country", resources.publication("reference", "country")),
    ],
)
def test_a_resource_has_a_written_name(text: str, found: Resource) -> None:
    assert parse(text) == found
    assert found.type == "Platform" or parse(str(found)) == found


@pytest.mark.parametrize("text", ["", "Finance", "a.b.c.d", "finance.cellar", "finance.published", "a..b"])
def test_a_name_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(Usage):
        parse(text)
