"""The matrix lists what `decide` decides, and the comparison of two worlds what changed in it."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.security.test_decide import two_zones, zone_access
from tests.security.worlds import random_world, world

from assay.security import resources
from assay.security.decide import decide
from assay.security.diff import opened_and_closed
from assay.security.matrix import matrix
from assay.security.permissions import ACTIONS
from assay.security.principals import User
from assay.security.world import World
from assay.zones.project import Group


def _listed(made: World) -> dict[tuple[str | None, str, str], tuple[str, ...]]:
    return {(entry.zone, entry.who, entry.on): entry.may for entry in matrix(made)}


def test_the_matrix_says_what_is_decided() -> None:
    lot = random.Random(5)
    for _ in range(25):
        facts = random_world(lot)
        facts = replace(facts, rules=())
        made = world(facts)
        listed = _listed(made)
        for zone in facts.roles:
            for name in next(iter(facts.roles.values())):
                user = User(name)
                on_zone = {word.split(" (")[0] for word in listed.get((zone, name, "zone"), ())}
                for action, kinds in ACTIONS.items():
                    if "Zone" in kinds and action not in ("decide", "inspect", "return_file"):
                        assert (action in on_zone) == decide(made, user, action, resources.zone(zone)).allowed
                for store in resources.STAGES:
                    reads = decide(made, user, "read", resources.dataset(zone, store, "x")).allowed
                    assert ("read" in listed.get((zone, name, store), ())) == reads


def test_a_policy_on_one_dataset_is_listed_by_itself() -> None:
    what = 'action == Action::"read", resource == Dataset::"finance/operational/pay"'
    text = f'@id("x") forbid (principal is User, {what});'
    fields = {"amount": frozenset({"internal"})}
    datasets = {("operational", "pay"): fields, ("operational", "x"): fields}
    zone = replace(zone_access("finance", text), datasets=datasets)
    listed = _listed(World({"finance": zone}))
    assert "read" in listed["finance", "finance.analyst", "operational"]
    assert "read" not in listed["finance", "finance.analyst", "operational.pay"]
    assert ("finance", "finance.analyst", "operational.x") not in listed


def test_groups_segments_and_the_platform_are_listed() -> None:
    made = World(
        {"finance": zone_access("finance")},
        administrators=frozenset({"root"}),
        groups={"Sales": Group({"finance": frozenset({"analyst"})}, frozenset({"auditor"}))},
    )
    listed = _listed(made)
    assert listed[None, "root", "platform"] == ("operate", "manage_accounts")
    assert listed[None, "group Sales", "platform"] == ("audit",)
    assert "read" in listed["finance", "group Sales", "operational"]
    assert listed["finance", "segment finance/approve", "landing"] == ("read",)


def test_a_user_to_whom_a_publication_was_granted_is_listed_as_its_reader() -> None:
    fields = {"amount": frozenset({"internal"})}
    offered = {"publications": {"pay": fields}, "granted_users": {"pay": frozenset({"somebody", "finance.owner"})}}
    made = World({"finance": replace(zone_access("finance"), **offered)})
    listed = {(entry.who, entry.roles, entry.on): entry.may for entry in matrix(made)}
    assert "read" in listed["somebody", ("reader",), "published.pay"]
    assert ("finance.owner", ("reader",), "published.pay") not in listed


def test_nothing_changes_between_equal_worlds() -> None:
    assert opened_and_closed(two_zones(), two_zones()) == ()


def test_a_new_analyst_opens_and_a_removed_one_closes() -> None:
    before = two_zones()
    finance = before.zones["finance"]
    more = replace(finance, roles={**finance.roles, "analyst": finance.roles["analyst"] | {"new"}})
    after = World({**before.zones, "finance": more})
    opened = opened_and_closed(before, after)
    assert {(one.effect, one.who, one.zone) for one in opened} == {("opened", "new", "finance")}
    assert "new may now read on finance.operational" in {one.words for one in opened}
    assert {one.effect for one in opened_and_closed(after, before)} == {"closed"}


def test_a_grant_opens_the_publication_to_the_zones_readers() -> None:
    before = two_zones()
    finance = replace(before.zones["finance"], granted={"p": frozenset({"hr"})})
    found = opened_and_closed(before, World({**before.zones, "finance": finance}))
    assert {one.who for one in found} == {"hr.owner", "hr.analyst", "segment hr/conform", "segment hr/denormalize"}
    assert {one.on for one in found} == {"published.p"} and {one.effect for one in found} == {"opened"}


def test_a_new_analyst_of_a_subscriber_is_a_reader() -> None:
    before = two_zones()
    zones = {**before.zones, "finance": replace(before.zones["finance"], granted={"p": frozenset({"hr"})})}
    hr = replace(zones["hr"], roles={**zones["hr"].roles, "analyst": frozenset({"hr.analyst", "new"})})
    found = opened_and_closed(World(zones), World({**zones, "hr": hr}))
    assert ("finance", "new", "published.p", "read") in {(one.zone, one.who, one.on, one.may) for one in found}


def test_a_field_that_changes_its_class_opens_it_to_those_who_may_see_it() -> None:
    def made(word: str) -> World:
        fields = {"pay": frozenset({word}), "name": frozenset({"internal"})}
        return World({"finance": replace(zone_access("finance"), datasets={("operational", "staff"): fields})})

    (found,) = opened_and_closed(made("restricted"), made("internal"))
    assert found.words == "finance.analyst may now see pay on finance.operational.staff"
    (found,) = opened_and_closed(made("internal"), made("personal"))
    assert found.words == "finance.analyst may no longer see pay on finance.operational.staff"


def test_an_administrator_is_compared_in_every_zone() -> None:
    found = opened_and_closed(two_zones(), two_zones(administrators=frozenset({"root"})))
    assert {(one.zone, one.may) for one in found} >= {(None, "operate"), ("hr", "apply"), ("finance", "apply")}
    assert "root may now operate on the platform" in {one.words for one in found}
