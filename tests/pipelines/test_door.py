"""What a door asks for, beyond what each command's row says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from assay.errors import Denied, Misconfigured, NotFound, Usage
from assay.pipelines.door import Door
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.trace import origins
from assay.security.audit import entries
from assay.security.principals import TokenScope, User
from assay.zones.project import load_project
from shop_project import FILES, OWNER, Shop

ENGINEER, ANALYST = "engineer@example.org", "analyst@example.org"
PEOPLE = f"engineers: [{ENGINEER}]\nanalysts: [{ANALYST}]\n"


@pytest.fixture
def staffed(new_shop: Callable[[], Shop]) -> Shop:
    """The shop with an engineer and an analyst, applied, and one file taken to the end."""
    shop = new_shop()
    shop.write("zone.yaml", FILES["zones/shop/zone.yaml"] + PEOPLE)
    return shop.fill()


@contextmanager
def as_user(shop: Shop, name: str, scope: TokenScope | None = None) -> Iterator[Platform]:
    with opened(load_project(shop.root), user=User(name, scope=scope or TokenScope())) as platform:
        yield platform


def applying(shop: Shop, name: str) -> None:
    with as_user(shop, name) as platform:
        apply(Door(platform, "apply").applying())


def test_who_edits_a_file_has_no_other_role_until_it_is_applied(staffed: Shop) -> None:
    staffed.write("zone.yaml", f"title: Shop\nowner: {ANALYST}\n")
    with pytest.raises(Denied, match="apply the configuration"):
        applying(staffed, ANALYST)
    with as_user(staffed, ANALYST) as platform:
        with pytest.raises(Denied):
            Door(platform, "run").of_zone("shop")
    applying(staffed, OWNER)
    with as_user(staffed, ANALYST) as platform:
        assert Door(platform, "run").of_zone("shop") is platform


def test_an_engineer_applies_his_zone_and_neither_the_platforms_file_nor_a_new_zone(staffed: Shop) -> None:
    staffed.edit("by_month.sql", "count(*)", "count(s.number)")
    applying(staffed, ENGINEER)
    staffed.people(f"administrators: [{ENGINEER}, {OWNER}]\n")
    with pytest.raises(Denied, match="operate"):
        applying(staffed, ENGINEER)
    applying(staffed, OWNER)


def test_a_new_zone_is_the_administrators(staffed: Shop) -> None:
    staffed.write("zones/new/zone.yaml", f"title: New\nowner: {ENGINEER}\n")
    with pytest.raises(Denied, match="operate"):
        applying(staffed, ENGINEER)
    applying(staffed, OWNER)


def test_a_platform_without_an_administrator_takes_the_one_that_its_files_name(staffed: Shop) -> None:
    staffed.people("")
    applying(staffed, OWNER)
    settings = staffed.root / "assay.yaml"
    settings.write_text(settings.read_text() + "administrators: [late@example.org]\n")
    applying(staffed, "late@example.org")


def test_a_token_for_another_zone_finds_no_batch(staffed: Shop) -> None:
    with as_user(staffed, OWNER, TokenScope(zones=frozenset({"elsewhere"}))) as platform:
        with pytest.raises(Denied, match="no role in any zone"):
            Door(platform, "batch show").batch(1)
        with pytest.raises(Denied):
            Door(platform, "batch list").sight("shop")


def test_a_batch_that_is_not_there_is_told_as_one_of_another_zone(staffed: Shop) -> None:
    staffed.write("zones/new/zone.yaml", "title: New\nowner: new@example.org\n")
    applying(staffed, OWNER)
    with as_user(staffed, "new@example.org") as platform:
        said = set()
        for number in (1, 99):
            with pytest.raises(NotFound) as caught:
                Door(platform, "batch show").batch(number)
            said.add(str(caught.value).replace(str(number), "N"))
        assert len(said) == 1
        (refused, *_) = entries(platform.connection, outcome="deny", limit=1)
        assert (refused.actor, refused.zone, refused.detail["batch"]) == ("new@example.org", "shop", 1)


def test_an_analyst_sees_his_own_deliveries_alone_and_all_of_their_cells(staffed: Shop) -> None:
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.run import ingest

    (staffed.root / "till-own.csv").write_text((staffed.root / "till-1.csv").read_text().replace("\n1,", "\n50,"))
    with as_user(staffed, ANALYST) as platform:
        ingest(platform, pipeline_of(platform, "shop", "sales"), [staffed.root / "till-own.csv"], None)
        sight = Door(platform, "batch list").sight()
        assert (sight.zones, sight.own) == (frozenset(), frozenset({"shop"}))
        door = Door(platform, "batch show")
        assert not door.cells_of(door.batch(2)).hidden
        with pytest.raises(Denied):
            door.batch(1)


def test_a_condition_on_a_hidden_cell_is_refused_and_one_on_other_tables_too(staffed: Shop) -> None:
    staffed.edit(
        "sale.odcs.yaml", "{name: note, logicalType: string}",
        "{name: note, logicalType: string, classification: restricted}",
    )  # fmt: skip
    applying(staffed, OWNER)
    with as_user(staffed, ANALYST) as platform:
        shown = Door(platform, "lineage").shown("shop")
        found = origins(platform, "operational.sale", "goods = 'tea'", "shop", cells=shown)
        notes = {row[found.columns.index("note")] for row in found.rows}
        assert found.total == 3 and notes <= {None, "****"} and "****" in notes
        assert found.places().columns == ("batch", "sheet", "row")
        for condition in ("note = 'gift'", "amount > (CASE WHEN note = 'gift' THEN 1 ELSE 0 END)"):
            with pytest.raises(Denied, match="note"):
                origins(platform, "operational.sale", condition, "shop", cells=shown)
        with pytest.raises(Usage, match="more than the dataset's own columns"):
            asking = "amount IN (SELECT amount FROM operational.sale)"
            origins(platform, "operational.sale", asking, "shop", cells=shown)


def test_what_sql_says_of_a_value_is_told_to_those_who_see_all(staffed: Shop) -> None:
    staffed.edit(
        "till.odcs.yaml", "physicalName: Note, logicalType: string",
        "physicalName: Note, logicalType: string, classification: restricted",
    )  # fmt: skip
    applying(staffed, OWNER)
    failed = Misconfigured("Could not convert string 'gift' to INT32", file="zones/shop/sales/conform/till/sale.sql")
    for name, told in ((OWNER, True), (ENGINEER, False)):
        with as_user(staffed, name) as platform:
            door = Door(platform, "run")
            door.of_zone("shop")
            assert ("gift" in door.told(failed).what) is told
            assert door.told(failed).where == failed.where
