"""One place says which configuration decides, for commands and for questions alike."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from assay.catalog import records, subscriptions
from assay.errors import Misconfigured
from assay.pipelines import configurations
from assay.pipelines.access import zones_changed
from assay.pipelines.in_force import InForce
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.security.world import World
from assay.zones.project import load_project
from shop_project import FILES, OWNER, Shop

EVE = "eve@example.org"
HERS = f"title: Shop\nowner: {EVE}\n"


@pytest.fixture
def applied(shop: Shop) -> Shop:
    """The project, applied."""
    with shop.opened() as platform:
        apply(platform)
    return shop


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a new process does."""
    monkeypatch.setattr(configurations, "_read", type(configurations._read)())


def deciding(platform: Platform) -> World:
    """The world that decides: the same by either way to it, whichever is gone first, and whoever acts."""
    there, of = platform.in_force.world(), (platform.connection, platform.project)
    project, world = platform.in_force.now()
    assert world == there == InForce(*of).now()[1] == InForce(*of).world()
    assert replace(platform, actor=EVE).in_force is platform.in_force
    assert world.zones.keys() == project.zones.keys()
    return world


def owner(platform: Platform) -> str:
    """The one owner of the shop, by what decides."""
    (found,) = deciding(platform).zones["shop"].roles["owner"]
    assert platform.in_force.now()[0].zones["shop"].owner == found
    return found


def test_before_the_first_apply_the_files_at_hand_decide(shop: Shop) -> None:
    with shop.opened() as platform:
        assert platform.in_force.now()[0] is platform.project
        assert platform.in_force.applied() is None
        assert owner(platform) == OWNER


def test_files_that_were_applied_decide_as_they_lie_there(applied: Shop) -> None:
    with applied.opened() as platform:
        assert platform.in_force.now()[0] is platform.in_force.applied() is platform.project
        assert owner(platform) == OWNER


def test_what_was_not_applied_decides_nothing(applied: Shop) -> None:
    applied.write("zones/shop/zone.yaml", HERS)
    applied.edit("sale.odcs.yaml", "{name: note, logicalType", "{name: note, classification: public, logicalType")
    applied.people(f"administrators: [{EVE}]\n")
    with applied.opened() as platform:
        world = deciding(platform)
        assert owner(platform) == OWNER and world.administrators == {OWNER}
        assert world.zones["shop"].datasets["operational", "sale"]["note"] != (
            platform.in_force.granted(platform.project).zones["shop"].datasets["operational", "sale"]["note"]
        )


def test_a_target_that_the_applied_files_do_not_know_gives_nobody_a_role(applied: Shop) -> None:
    """Else whoever writes a line into assay.yaml could let his own files decide."""
    settings = applied.root / "assay.yaml"
    line = next(one for one in settings.read_text().splitlines() if one.startswith("  local:"))
    settings.write_text(settings.read_text().replace(line, f"{line}\n{line.replace('local:', 'other:')}"))
    applied.write("zones/shop/zone.yaml", HERS)
    with opened(load_project(applied.root, "other")) as platform:
        assert owner(platform) == OWNER
        assert platform.in_force.now()[0].target == platform.project.target


def test_a_project_without_its_default_target_is_read_again(shop: Shop) -> None:
    settings = shop.root / "assay.yaml"
    settings.write_text(settings.read_text().replace("  local:", "  only:"))
    with opened(load_project(shop.root, "only")) as platform:
        apply(platform)
    shop.write("zones/shop/zone.yaml", HERS)
    with opened(load_project(shop.root, "only")) as platform:
        assert owner(platform) == OWNER


def test_a_source_keeps_the_classes_of_the_contract_that_was_applied(shop: Shop) -> None:
    """pipeline.yaml says which contract a source has, and so which of its cells are hidden."""
    contract = FILES["zones/shop/sales/contracts/till.odcs.yaml"]
    hidden = contract.replace("physicalName: Note,", "physicalName: Note, classification: restricted,")
    assert hidden != contract
    shop.write("zones/shop/sales/contracts/till.odcs.yaml", hidden)
    shop.write("zones/shop/sales/contracts/box.odcs.yaml", contract)
    other = '  box:\n    files: ["box*.csv"]\n    load: {mode: upsert}\n'
    pipeline = FILES["zones/shop/sales/pipeline.yaml"] + other
    shop.write("zones/shop/sales/pipeline.yaml", pipeline)
    for name in ("goods", "sale"):
        text = FILES[f"zones/shop/sales/conform/till/{name}.sql"]
        shop.write(f"zones/shop/sales/conform/box/{name}.sql", text)
    with shop.opened() as platform:
        apply(platform)
        before = deciding(platform).zones["shop"].datasets
        assert before["readable", "till"]["note"] != before["readable", "box"]["note"]
    swapped = pipeline.replace("  till:\n", "  till:\n    contract: contracts/box.odcs.yaml\n")
    swapped = swapped.replace("  box:\n", "  box:\n    contract: contracts/till.odcs.yaml\n")
    shop.write("zones/shop/sales/pipeline.yaml", swapped)
    with shop.opened() as platform:
        assert deciding(platform).zones["shop"].datasets == before


def test_sql_alone_changes_nobodys_rights_and_is_not_in_force(applied: Shop) -> None:
    with applied.opened() as platform:
        before = deciding(platform)
    applied.edit("by_month.sql", "count(*)", "count(s.number)")
    with applied.opened() as platform:
        assert platform.in_force.differing() is None and deciding(platform) == before
        assert "count(*)" in platform.in_force.now()[0].zones["shop"].analytical["by_month"].sql.text


def test_another_process_applies_and_the_next_question_is_decided_by_it(applied: Shop) -> None:
    """Also where its files lie where this process has read others before."""
    with applied.opened() as platform:
        assert owner(platform) == OWNER
        applied.write("zones/shop/zone.yaml", HERS)
        with applied.opened() as other:
            apply(other)
        assert owner(platform) == EVE
        applied.write("zones/shop/zone.yaml", FILES["zones/shop/zone.yaml"])
        with applied.opened() as other:
            apply(other)
        assert owner(platform) == OWNER


def refused(platform: Platform) -> None:
    """Something is applied that this version of assay does not read."""
    files = {"assay.yaml": "name: shop\nfrom_a_later_version: yes\n"}
    records.add_configuration(platform.connection, "ffffffffffff", "x", [], files)


def too_far(platform: Platform) -> None:
    """A policy is applied that this version of assay does not allow any more."""
    files = platform.project.texts()
    files["zones/shop/policies/own.cedar"] = '@id("all") @because("x")\npermit (principal, action, resource);\n'
    records.add_configuration(platform.connection, "ffffffffffff", "x", [], files)


def not_kept(platform: Platform) -> None:
    """Something was applied before files were kept."""
    records.add_configuration(platform.connection, "ffffffffffff", "x", [], {})
    platform.connection.execute("UPDATE assay.configuration SET files = NULL WHERE version = 'ffffffffffff'")


@pytest.mark.parametrize("happens", [refused, too_far, not_kept], ids=lambda one: one.__name__)
def test_where_what_was_applied_cannot_be_had_the_files_at_hand_decide(
    happens: Callable[[Platform], None], applied: Shop
) -> None:
    with applied.opened() as platform:
        happens(platform)
        assert platform.in_force.now()[0] is platform.project
        assert owner(platform) == OWNER


def test_the_files_at_hand_name_the_administrators_only_where_nobody_else_does(shop: Shop) -> None:
    shop.people("# nobody\n")
    with shop.opened() as platform:
        apply(platform)
    shop.edit("assay.yaml", "# nobody", f"administrators: [{EVE}]")
    shop.write("zones/shop/zone.yaml", HERS)
    with shop.opened() as platform:
        assert deciding(platform).administrators == {EVE} and owner(platform) == OWNER
        apply(platform)
    shop.edit("assay.yaml", EVE, OWNER)
    with shop.opened() as platform:
        assert deciding(platform).administrators == {EVE}


def test_administrators_of_a_group_are_named_where_a_login_tells_groups(shop: Shop) -> None:
    shop.people("groups: {team: {platform: [administrator]}}\n# nobody by name\n")
    with shop.opened() as platform:
        apply(platform)
    shop.edit("assay.yaml", "# nobody by name", f"administrators: [{EVE}]")
    with shop.opened() as platform:
        assert deciding(platform).administrators == {EVE}, "nobody is in a group"
        by_login = replace(platform.project.target, identity="oidc")
        signed_in = replace(platform, project=replace(platform.project, target=by_login))
        assert deciding(signed_in).administrators == frozenset()


def test_a_policy_at_hand_that_cannot_stand_stops_nobody(applied: Shop) -> None:
    applied.write("zones/shop/policies/own.cedar", '@id("all") @because("x")\npermit (principal, action, resource);\n')
    with applied.opened() as platform:
        assert owner(platform) == OWNER
        with pytest.raises(Misconfigured):
            platform.in_force.granted(platform.project)


def made_hers(folder: Path) -> None:
    (folder / "zones/shop/zone.yaml").write_text(HERS)


def a_zone_more(folder: Path) -> None:
    (folder / "zones/new").mkdir()
    (folder / "zones/new/zone.yaml").write_text(HERS)


@pytest.mark.parametrize(
    "damage", [made_hers, a_zone_more, lambda folder: shutil.rmtree(folder / "zones"), shutil.rmtree],
    ids=["another owner", "a zone more", "no zones", "nothing"],
)  # fmt: skip
def test_the_copy_in_the_data_folder_decides_nothing_of_its_own(damage: Callable[[Path], None], applied: Shop) -> None:
    with applied.opened() as platform:
        version = platform.project.version
    applied.write("zones/shop/zone.yaml", HERS)
    with applied.opened() as platform:
        assert owner(platform) == OWNER
        configurations._read.clear()
        damage(platform.data / "configurations" / version)
    with applied.opened() as platform:
        assert owner(platform) == OWNER and deciding(platform).zones.keys() == {"shop"}


def test_nothing_is_made_twice_however_doors_and_questions_alternate(
    applied: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, int] = {}

    def counted(name: str, act: Callable[..., object], *given: object, **named: object) -> object:
        counts[name] = counts.get(name, 0) + 1
        return act(*given, **named)

    for module, name in (
        (records, "applied_version"), (records, "configuration_files"), (subscriptions, "granted"),
        (configurations, "load_project"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, partial(counted, name, getattr(module, name)))
    applied.write("zones/shop/zone.yaml", HERS)
    with applied.opened() as platform:
        force = platform.in_force
        first = force.world(), force.now(), force.granted(platform.project)
        made = dict(counts)
        for _ in range(3):
            again = force.world(), force.now(), force.granted(platform.project)
            assert again[0] is first[0] is again[1][1] and again[2] is first[2] is not first[0]
        assert counts == {**made, "applied_version": made["applied_version"] * 4}
        assert made == {"applied_version": 2, "configuration_files": 2, "granted": 2, "load_project": 1}


def test_files_that_are_changed_while_they_are_applied_are_not_recorded(shop: Shop) -> None:
    """What is kept of a version decides: it must be what was checked."""
    with shop.opened() as platform:
        shop.write("zones/shop/zone.yaml", HERS)
        with pytest.raises(Misconfigured, match="changed while"):
            apply(platform)
        assert records.applied_version(platform.connection) is None


def test_line_ends_of_another_system_are_no_change(shop: Shop) -> None:
    for name in FILES:
        path = shop.root / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with shop.opened() as platform:
        apply(platform)
    shop.edit("assay.yaml", "name: shop", "name: stall")
    with shop.opened() as platform:
        found = zones_changed(platform)
        assert (found.zones, found.platform) == (frozenset(), True)


