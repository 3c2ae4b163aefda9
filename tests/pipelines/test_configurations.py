"""The project in an applied version is what it was, and lives on the target of now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assay.catalog import records
from assay.errors import Misconfigured, NotFound
from assay.pipelines.configurations import check_stores, project_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.versions import under
from assay.zones.project import load_project
from shop_project import Shop


def changed(shop: Shop, platform: Platform, name: str, before: str, after: str) -> Platform:
    shop.edit(name, before, after)
    later = replace(platform, project=load_project(shop.root))
    apply(later)
    return later


def test_a_version_is_the_project_that_it_was_on_the_target_of_now(shop: Shop) -> None:
    contract = shop.root / "zones/shop/sales/contracts/till.odcs.yaml"
    contract.write_bytes(contract.read_bytes().replace(b"\n", b"\r\n"))  # line ends count in a version
    with shop.opened() as platform:
        apply(platform)
        before = platform.project
        later = changed(shop, platform, "pipeline.yaml", "steward: never", "steward: always")
        found = project_of(later.connection, later.project, before.version)
        assert project_of(later.connection, later.project, before.version) is found, "read once"
    assert later.project.version != before.version == found.version
    was, then, now = (one.zones["shop"].pipelines["sales"] for one in (before, found, later.project))
    assert (then.gate, then.ingress) == (was.gate, was.ingress) and now.gate != was.gate
    assert found.target == later.project.target
    for one in (was, then):
        assert one.sources["till"].contract.fingerprint == now.sources["till"].contract.fingerprint
    paths = {path.relative_to(found.root) for path in found.files}
    assert paths == {path.relative_to(before.root) for path in before.files}


def test_the_version_of_now_is_the_project_at_hand(shop: Shop) -> None:
    with shop.opened() as platform:
        assert project_of(platform.connection, platform.project, platform.project.version) is platform.project


def test_a_version_that_was_never_applied_is_said_with_those_that_were(filled: Shop) -> None:
    with filled.opened() as platform, pytest.raises(NotFound) as caught:
        project_of(platform.connection, platform.project, "0123456789ab")
    assert platform.project.version in str(caught.value.expected)


def test_a_file_name_that_leads_out_of_the_folder_is_refused(filled: Shop, tmp_path: Path) -> None:
    with filled.opened() as platform:
        records.add_configuration(platform.connection, "ffffffffffff", "x", [], {"../../out.yaml": "name: x\n"})
        with pytest.raises(Misconfigured):
            project_of(platform.connection, platform.project, "ffffffffffff")
        assert not list(platform.data.rglob("out.yaml"))
        assert not list((platform.data / "configurations").glob(".*"))


def test_a_version_whose_tables_are_no_longer_there_is_refused_with_what_lacks(filled: Shop) -> None:
    note = "      - {name: note, logicalType: string}\n"
    with filled.opened() as platform:
        first = platform.project.version
        filled.edit("sale.odcs.yaml", note, "")
        filled.edit("sale.sql", ", note FROM", " FROM")
        later = replace(platform, project=load_project(filled.root))
        apply(later, allowed_losses=frozenset({"drop column shop.sale.note"}))
        with pytest.raises(Misconfigured, match="note"):
            check_stores(later.connection, under(later, first).project, "shop")
