"""plan says what a change of the files opens and closes, and refuses policies that reach beyond their zone."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from assay.cli import assay
from assay.errors import Misconfigured
from assay.pipelines.plan import apply, plan
from shop_project import Shop

ZONE = "title: Shop\nowner: owner@example.org\n"


def said(shop: Shop) -> list[str]:
    with shop.opened() as platform:
        return [change.words for change in plan(platform).access]


@pytest.fixture
def applied(shop: Shop) -> Shop:
    """The project, applied."""
    with shop.opened() as platform:
        apply(platform)
    return shop


def test_a_first_plan_and_an_unchanged_one_open_nothing(shop: Shop) -> None:
    assert said(shop) == []
    with shop.opened() as platform:
        apply(platform)
    assert said(shop) == []


def test_a_new_analyst_is_told_before_he_is_applied(applied: Shop) -> None:
    applied.write("zones/shop/zone.yaml", ZONE + "analysts: [new@example.org]\n")
    found = said(applied)
    assert "new@example.org may now read on shop.operational" in found
    assert all(line.startswith("new@example.org may now") for line in found)
    with applied.opened() as platform:
        apply(platform)
    assert said(applied) == []
    applied.write("zones/shop/zone.yaml", ZONE)
    assert "new@example.org may no longer read on shop.operational" in said(applied)


def test_a_classification_that_is_lowered_is_told(applied: Shop) -> None:
    applied.write("zones/shop/zone.yaml", ZONE + "analysts: [a@example.org]\n")
    applied.edit("sale.odcs.yaml", "{name: note, logicalType", "{name: note, classification: restricted, logicalType")
    with applied.opened() as platform:
        apply(platform)
    applied.edit("sale.odcs.yaml", "restricted", "public")
    assert said(applied) == ["a@example.org may now see note on shop.operational.sale"]


def test_sql_alone_opens_nothing(applied: Shop) -> None:
    applied.edit("sale.sql", "note FROM", "note  FROM")
    assert said(applied) == []


def test_the_command_shows_it_in_words_and_as_json(applied: Shop) -> None:
    applied.write("zones/shop/zone.yaml", ZONE + "auditors: [aud@example.org]\n")
    shown = CliRunner().invoke(assay, ["plan", "--no-ddl", "--project", str(applied.root)]).stdout
    assert "access\n  + aud@example.org on shop.analytical: trace\n" in shown
    assert "  + aud@example.org on shop: audit; inspect; view_configuration\n" in shown
    assert "opened, 0 closed" in shown
    values = json.loads(CliRunner().invoke(assay, ["plan", "--json", "--project", str(applied.root)]).stdout)
    told = {"effect": "opened", "zone": "shop", "who": "aud@example.org", "on": "zone", "may": "audit"}
    assert told in values["access"]


def test_a_policy_beyond_its_zone_is_neither_planned_nor_applied(applied: Shop) -> None:
    applied.write(
        "zones/shop/policies/own.cedar",
        '@id("all") @because("A test.")\npermit (principal, action == Action::"read", resource);\n',
    )
    with applied.opened() as platform:
        for carry_out in (plan, apply):
            with pytest.raises(Misconfigured, match="problems in the zones' policies") as caught:
                carry_out(platform)
            assert {problem.line for problem in caught.value.problems} == {2}
