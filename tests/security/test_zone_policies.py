"""A zone's own policies grant and forbid inside the zone; everything else is refused with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import Misconfigured
from assay.security import resources
from assay.security.decide import decide
from assay.security.principals import User
from assay.security.world import World, world_of
from assay.zones.project import load_project
from shop_project import Shop

FILE = "zones/shop/policies/own.cedar"
HEAD = '@id("own") @because("A test.")\n'
GRANT = 'permit (principal in Role::"shop/engineer", action == Action::"read", resource in Store::"shop/operational")'
PEOPLE = """\
title: Shop
owner: owner@example.org
stewards: [steward@example.org]
engineers: [engineer@example.org]
analysts: [analyst@example.org]
"""


@pytest.fixture
def project(standing: Shop) -> Iterator[Shop]:
    """The shop with people, and no policy yet."""
    standing.write("zones/shop/zone.yaml", PEOPLE)
    yield standing
    for file in (standing.root / "zones").rglob("*.cedar"):
        file.unlink()


def world(shop: Shop, text: str) -> World:
    shop.write(FILE, text)
    return world_of(load_project(shop.root))


def test_a_grant_counts_in_its_store_and_nowhere_else(project: Shop) -> None:
    made = world(project, f"{HEAD}{GRANT};")
    engineer = User("engineer@example.org")
    found = decide(made, engineer, "read", resources.dataset("shop", "operational", "sale"))
    assert found.allowed and found.policies == ("own",)
    assert not decide(made, engineer, "read", resources.dataset("shop", "analytical", "by_month")).allowed


def test_a_forbid_wins_and_leaves_others_alone(project: Shop) -> None:
    text = 'forbid (principal == User::"analyst@example.org", action == Action::"read", resource in Zone::"shop");'
    made = world(project, HEAD + text)
    sale = resources.dataset("shop", "operational", "sale")
    assert decide(made, User("analyst@example.org"), "read", sale).policies == ("own",)
    assert decide(made, User("owner@example.org"), "read", sale).allowed


def test_the_policies_of_the_page_stand(project: Shop) -> None:
    page = (Path(__file__).parents[2] / "docs/explanation/permissions.md").read_text("utf-8")
    blocks = re.findall(r"^```cedar\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == 1
    world(project, blocks[0].replace('"hr', '"shop'))


def test_the_version_of_the_configuration_depends_on_the_policies(project: Shop) -> None:
    before = load_project(project.root).version
    project.write(FILE, f"{HEAD}{GRANT};")
    assert load_project(project.root).version != before


REFUSED = {
    "permit (principal, action, resource": "cannot be read",
    "allow (principal, action, resource);": "cannot be read",
    f"{GRANT} when {{ principal.age > 3 }};": "age",
    GRANT.replace("shop/operational", "other/operational") + ";": "not limited to the zone",
    'permit (principal in Role::"shop/analyst", action == Action::"read", resource);': "not limited to the zone",
    'permit (principal in Role::"shop/analyst", action == Action::"read", resource is Store);': "not limited",
    GRANT.replace('Store::"shop/operational"', 'Platform::"platform"') + ";": "not limited",
    'permit (principal in Role::"shop/analyst", action, resource in Zone::"shop");': "which actions",
    GRANT.replace('"read"', '"apply"') + ";": "does not decide on the action apply",
    GRANT.replace('"read"', '"audit"').replace("permit", "forbid") + ";": "does not decide on the action audit",
    GRANT.replace('"read"', '"reed"') + ";": "does not decide on the action reed",
    'permit (principal, action == Action::"read", resource in Zone::"shop");': "grants to everybody",
    'permit (principal is User, action == Action::"read", resource in Zone::"shop");': "grants to everybody",
    'permit (principal == Segment::"shop/conform", action == Action::"read", resource in Zone::"shop");': "grants to",
    GRANT.replace("shop/engineer", "other/engineer") + ";": 'Role::"other/engineer", which is not of the zone',
    GRANT + ' unless { principal in Role::"other/engineer" };': 'Role::"other/engineer", which is not of the zone',
    GRANT.replace("shop/engineer", "shop/enginer") + ";": 'Role::"shop/enginer", which is not of the zone',
    GRANT + ' when { principal in Role::"shop/months/reader" };': "which is not of the zone",
    GRANT + ' when { resource in Zone::"shopping" };': 'Zone::"shopping", which is not of the zone',
    'permit (principal == ?principal, action == Action::"read", resource in Zone::"shop");': "template",
    'permit (principal == User::"a", action == Action::"see", resource == FieldClass::"public");': "not limited",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_reaches_beyond_is_refused_with_file_and_line(project: Shop, text: str) -> None:
    fine = f'// A comment with permit (\n@id("fine") @because("With (brackets) and permit (.")\n{GRANT};\n'
    with pytest.raises(Misconfigured) as caught:
        world(project, f"{fine}{HEAD}{text}\n")
    problems = caught.value.problems or (caught.value,)
    assert any(REFUSED[text] in problem.what for problem in problems), problems
    for problem in problems:
        assert problem.file is not None and problem.file.endswith(FILE)
        # What begins like no policy counts to the one before it.
        assert problem.line == (3 if text.startswith("allow") else 5)
        assert problem.expected


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ("", "has no name"),
        ('@id("x")\n', "does not say what it is for"),
        ('@id("owner") @because("x")\n', "taken by assay itself"),
    ],
)
def test_a_policy_needs_a_name_of_its_own_and_a_reason(project: Shop, head: str, what: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        world(project, f"{head}{GRANT};")
    assert what in " ".join(problem.what for problem in (caught.value, *caught.value.problems))


def test_two_policies_of_a_zone_have_two_names(project: Shop) -> None:
    with pytest.raises(Misconfigured, match="the name own is taken by"):
        world(project, f"{HEAD}{GRANT};\n{HEAD}{GRANT};")


def test_a_policy_in_the_wrong_folder_is_not_overlooked(project: Shop) -> None:
    project.write("zones/shop/sales/own.cedar", f"{HEAD}{GRANT};")
    with pytest.raises(Misconfigured, match="no policy is read here"):
        load_project(project.root)


def test_a_policy_that_is_no_text_is_refused(project: Shop) -> None:
    (project.root / "zones/shop/policies").mkdir(exist_ok=True)
    (project.root / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Misconfigured, match="the policy file cannot be read"):
        load_project(project.root)
