"""What a project's files say about access."""

from __future__ import annotations

import pytest

from assay.errors import Misconfigured
from assay.security.classes import classes_of
from assay.security.principals import Segment, User
from assay.security.world import world_of
from assay.zones.contract import load_contract
from assay.zones.project import load_project
from shop_project import Shop

ZONE = """\
title: Shop
owner: owner@example.org
auditors: [zone.auditor@example.org]
publications:
  months: {dataset: analytical.by_month, columns: [month, amount]}
"""
OTHER = """\
title: Other
owner: other@example.org
engineers: [other.engineer@example.org]
subscriptions:
  - {publication: shop.months, purpose: compare}
"""
PERSONAL = "customProperties: [{property: personalData, value: [email]}]"
ABOVE = """
administrators: [root@example.org]
auditors: [auditor@example.org]
groups:
  Shop people:
    zones: {shop: [analyst, steward]}
  Operators:
    platform: [administrator]
"""


@pytest.fixture
def above(shop: Shop) -> Shop:
    """Two zones, one with a publication of the other, and people of the platform."""
    shop.write("zones/shop/zone.yaml", ZONE)
    shop.write("zones/other/zone.yaml", OTHER)
    shop.people(ABOVE)
    return shop


def test_roles_come_from_the_zone_the_platform_and_groups(above: Shop) -> None:
    world = world_of(load_project(above.root))
    assert world.zone_roles(User("zone.auditor@example.org"), "shop") == {"auditor"}
    assert world.zone_roles(User("anybody", frozenset({"Shop people"})), "shop") == {"analyst", "steward"}
    assert world.platform_roles(User("auditor@example.org")) == {"auditor"}
    assert world.platform_roles(User("anybody", frozenset({"Operators"}))) == {"administrator"}
    assert world.platform_roles(User("root@example.org")) == {"administrator"}


def test_a_subscription_is_a_grant_unless_grants_are_given(above: Shop) -> None:
    project = load_project(above.root)
    reader = User("other@example.org")
    assert world_of(project).reads_publication(reader, "shop", "months")
    assert world_of(project).reads_publication(Segment("other", "conform"), "shop", "months")
    assert not world_of(project).reads_publication(Segment("other", "approve"), "shop", "months")
    assert not world_of(project).reads_publication(User("other.engineer@example.org"), "shop", "months")
    assert not world_of(project, grants={}).reads_publication(reader, "shop", "months")
    granted = world_of(project, grants={("shop", "months"): frozenset({"other"})})
    assert granted.reads_publication(reader, "shop", "months")


def test_a_grant_without_a_subscription_opens_nothing(above: Shop) -> None:
    above.write("zones/other/zone.yaml", "title: Other\nowner: other@example.org\n")
    world = world_of(load_project(above.root), grants={("shop", "months"): frozenset({"other"})})
    assert not world.reads_publication(User("other@example.org"), "shop", "months")


def test_a_publication_offers_its_columns_only(above: Shop) -> None:
    world = world_of(load_project(above.root))
    assert list(world.zones["shop"].publications["months"]) == ["month", "amount"]


def test_a_group_with_roles_in_no_zone_is_refused_with_its_line(above: Shop) -> None:
    path = above.root / "assay.yaml"
    path.write_text(path.read_text().replace("{shop: [analyst", "{shpo: [analyst"))
    with pytest.raises(Misconfigured, match="zone shpo") as caught:
        load_project(above.root)
    assert caught.value.line is not None and caught.value.expected == "shop"


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        ("", {"internal"}),
        ("classification: public", {"public"}),
        ("classification: Sensitive", {"confidential"}),
        ("classification: PII", {"personal"}),
        ("classification: for the board", {"restricted"}),
        (f"classification: public, {PERSONAL}", {"public", "personal"}),
    ],
)
def test_a_field_has_the_classes_of_its_contract(standing: Shop, words: str, classes: set[str]) -> None:
    name = "contracts/till.odcs.yaml"
    field = "{name: note, physicalName: Note, logicalType: string"
    standing.edit(name, f"{field}}}", f"{field}, {words}}}" if words else f"{field}}}")
    contract = load_contract(standing.root / "zones/shop/sales" / name)
    assert classes_of(contract.field("note")) == classes
