"""What a segment reaches: every store of every zone is tried, and what it is not declared for is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.permissions.two_zones import ZONES, deliver, two_zones

from assay.batch import Batch
from assay.catalog import queue
from assay.catalog.subscriptions import listed
from assay.errors import Denied
from assay.flow import SEGMENTS
from assay.pipelines.grants import decide
from assay.pipelines.handles import handed
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.security.audit import Recorded, entries
from assay.security.resources import STAGES
from assay.segments import approve
from assay.segments.outcome import Outcome
from assay.segments.relations import NotGranted
from assay.stores.iceberg import Iceberg
from shop_project import TILL, Shop

LAKE = ("readable", "clean", "quarantine", "analytical")
NAMES = {"readable": "till", "clean": "till", "quarantine": "till", "analytical": "by_month"}
#: Segment → stores of its own zone that it may read, and write: by the flow as people draw it.
MAY = {
    "land": ({"ingress"}, {"landing"}),
    "approve": ({"landing"}, {"readable", "quarantine"}),
    "clean": ({"readable"}, {"clean", "quarantine"}),
    "conform": ({"clean", "operational", "analytical"}, {"operational"}),
    "denormalize": ({"clean", "operational", "analytical"}, {"analytical"}),
}


def test_every_segment_of_the_flow_has_its_row() -> None:
    assert {one.segment for one in SEGMENTS} == MAY.keys()
    assert set(LAKE) < STAGES.keys()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("store", LAKE)
@pytest.mark.parametrize("segment", MAY)
def test_a_segment_reaches_the_tables_of_its_own_stores_and_no_others(
    platform: Platform, segment: str, store: str, zone: str
) -> None:
    pipeline = platform.project.zones["shop"].pipelines["sales"]
    lake = Iceberg(platform.connection, platform.data)
    part = handed(platform, pipeline, segment, lake, source=pipeline.sources["till"])
    reads, writes = MAY[segment]
    place = (f"{zone}.{store}", NAMES[store])
    published = segment == "denormalize" and (zone, store) == ("desk", "analytical")

    if (zone == "shop" and store in reads) or published:
        assert part.files(*place) == lake.files(*place)
    else:
        with pytest.raises(Denied, match="was not handed"):
            part.files(*place)
    if zone == "shop" and store in writes:
        assert part.new_file(*place, "1-hint").parent.is_dir()
    else:
        with pytest.raises(Denied, match="was not handed"):
            part.new_file(*place, "1-hint")
        with pytest.raises(Denied, match="was not handed"):
            part.put(*place, [], replacing=True)
    assert lake.files(*place), "whoever tried has taken nothing away"


def test_what_belongs_to_one_source_is_all_that_its_first_segments_reach(platform: Platform) -> None:
    zone = platform.project.zones["shop"]
    pipeline = zone.pipelines["sales"]
    part = handed(platform, pipeline, "clean", Iceberg(platform.connection, platform.data), source=zone.sources["till"])
    with pytest.raises(Denied):
        part.files("shop.readable", "another_source")


def test_a_segment_that_reaches_further_is_stopped_and_that_is_told(
    zones: Shop, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curious(batch: Batch, *others: Any) -> Outcome:
        lake = others[-2]
        lake.files("desk.readable", "till")
        raise AssertionError("it was handed another zone's table")

    monkeypatch.setattr(approve, "prepare", curious)
    with pytest.raises(Denied):
        deliver(platform, "shop", zones.root / "till-curious.csv", TILL.replace("tea", "tee"))
    denied = _denied(platform)
    assert (denied.actor, denied.action, denied.resource) == ("shop/approve", "read", "desk.readable.till")
    number = int(denied.detail["batch"])
    failed = queue.failure(platform.connection, number)
    assert failed is not None and failed.parked and "desk.readable.till" in failed.error["what"]
    _give_up(platform, number)


def test_a_commit_outside_of_its_stores_leaves_nothing(
    zones: Shop, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grasping(batch: Batch, source: Any, landed: Path, engine: Any, lake: Any, scratch: Path) -> Outcome:
        def commit(connection: Any) -> None:
            lake.put("shop.readable", "till", [], replacing=True)
            lake.put("desk.readable", "till", [], replacing=True)

        return Outcome(commit)

    lake = Iceberg(platform.connection, platform.data)
    before = {zone: lake.files(f"{zone}.readable", "till") for zone in ZONES}
    monkeypatch.setattr(approve, "prepare", grasping)
    with pytest.raises(Denied):
        deliver(platform, "shop", zones.root / "till-grasping.csv", TILL.replace("tea", "tay"))
    denied = _denied(platform)
    assert (denied.action, denied.resource) == ("write", "desk.readable.till")
    assert {zone: lake.files(f"{zone}.readable", "till") for zone in ZONES} == before
    _give_up(platform, int(denied.detail["batch"]))


@pytest.mark.parametrize(
    ("segment", "store"), [("approve", "landing"), ("clean", "readable"), ("conform", "analytical")]
)
def test_a_store_that_a_policy_closes_stops_the_segment_before_it_begins(
    filled: Shop, segment: str, store: str
) -> None:
    policy = (
        '@id("closed") @because("We look into it first.")\n'
        f'forbid (principal, action == Action::"read", resource == Store::"shop/{store}");\n'
    )
    path = filled.root / "zones/shop/policies/closed.cedar"
    path.parent.mkdir()
    path.write_text(policy)
    with filled.opened() as platform:
        apply(platform)
        with pytest.raises(Denied, match="We look into it first"):
            deliver(platform, "shop", filled.root / "till-2.csv", TILL.replace("tea", "tee"))
        denied = _denied(platform)
        assert (denied.actor, denied.action) == (f"shop/{segment}", "read")
        assert (denied.resource, denied.zone) == (f"shop.{store}", "shop")


def test_a_publication_that_was_revoked_is_not_handed_over(new_shop: Callable[[], Shop]) -> None:
    with two_zones(new_shop()).opened() as platform:
        pipeline = platform.project.zones["shop"].pipelines["sales"]
        lake = Iceberg(platform.connection, platform.data)
        handed(platform, pipeline, "denormalize", lake)
        for one in listed(platform.connection):
            decide(platform, one.id, "revoked", "enough")
        with pytest.raises(NotGranted, match="not granted to shop: revoked"):
            handed(platform, pipeline, "denormalize", lake)
        handed(platform, pipeline, "conform", lake)  # its SQL reads none


def _denied(platform: Platform) -> Recorded:
    return entries(platform.connection, outcome="deny", limit=1)[0]


def _give_up(platform: Platform, number: int) -> None:
    platform.connection.execute("UPDATE assay.batch SET state = 'rejected' WHERE id = %s", (number,))
