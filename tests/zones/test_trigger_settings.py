"""Triggers are checked where they are written; schedules fall due by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from assay.errors import Misconfigured
from assay.zones.project import Triggers, load_project
from assay.zones.schedule import Schedule
from shop_project import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    found = Shop(tmp_path)
    found.write("assay.yaml", "name: shop\ntargets:\n  local: {}\n")
    found.restore()
    return found


def given(shop: Shop, *entries: str) -> Triggers:
    lines = "".join(f"  - {entry}\n" for entry in entries)
    shop.edit("pipeline.yaml", "steward: never\n", f"steward: never\ntriggers:\n{lines}")
    return load_project(shop.root).zones["shop"].pipelines["sales"].triggers


def second_pipeline(shop: Shop, name: str = "goods", triggers: str = "") -> None:
    shop.write(
        f"zones/shop/{name}/pipeline.yaml",
        f'title: More\n{triggers}sources:\n  {name}:\n    files: ["{name}*.csv"]\n'
        "    contract: ../sales/contracts/till.odcs.yaml\n",
    )


def test_files_that_arrive_start_a_pipeline_unless_it_says_otherwise(shop: Shop) -> None:
    assert load_project(shop.root).zones["shop"].pipelines["sales"].triggers == Triggers()
    assert given(shop, "arrival: false") == Triggers(arrival=False)


def test_a_pipeline_may_have_several_triggers(shop: Shop) -> None:
    second_pipeline(shop)
    found = given(
        shop, '{cron: "0 6 * * 1-5", timezone: Europe/Oslo, catch_up: none}', 'cron: "30 12 1 * *"', "after: goods"
    )
    assert found == Triggers(
        schedules=(Schedule("0 6 * * 1-5", "Europe/Oslo", "none"), Schedule("30 12 1 * *")), after=("goods",)
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('cron: "61 6 * * *"', "cannot be read"),
        ('cron: "6 * * *"', "five parts"),
        ('cron: "0 6 31 2 *"', "never falls due"),
        ('{cron: "0 6 * * *", timezone: Europe/Olso}', "Europe/Olso is no time zone"),
        ("{after: goods, arrival: false}", "a trigger is one of"),
        ("{after: goods, timezone: UTC}", "belong to cron"),
        ("after: god", "names no other pipeline of the zone"),
        ("after: sales", "names no other pipeline of the zone"),
        ("after: other.goods", "names a pipeline of another zone"),
        ("after_publication: other.goods", "to which the zone does not subscribe"),
    ],
)
def test_a_trigger_that_cannot_fire_is_a_mistake(shop: Shop, entry: str, words: str) -> None:
    second_pipeline(shop)
    with pytest.raises(Misconfigured, match=words):
        given(shop, entry)


def test_the_nearest_pipeline_is_named(shop: Shop) -> None:
    second_pipeline(shop)
    with pytest.raises(Misconfigured) as found:
        given(shop, "after: god")
    assert found.value.expected == "goods"


def test_pipelines_that_start_each_other_are_a_mistake(shop: Shop) -> None:
    second_pipeline(shop, triggers="triggers: [{after: sales}]\n")
    with pytest.raises(Misconfigured, match="in a circle: shop/goods, shop/sales"):
        given(shop, "after: goods")


def due(schedule: Schedule, moment: str, count: int) -> list[str]:
    found = islice(schedule.after(datetime.fromisoformat(moment).replace(tzinfo=UTC)), count)
    return [f"{one:%m-%d %H:%M}" for one in found]


def test_a_schedule_follows_its_own_clock_over_the_change_to_summer_time() -> None:
    """In Oslo 06:00 is 05:00 UTC in winter and 04:00 UTC in summer."""
    oslo = Schedule("0 6 * * *", "Europe/Oslo")
    assert due(oslo, "2026-03-27T12:00", 3) == ["03-28 05:00", "03-29 04:00", "03-30 04:00"]


def test_a_time_that_does_not_exist_falls_due_at_the_change_and_one_that_exists_twice_once() -> None:
    nightly = Schedule("30 2 * * *", "Europe/Oslo")
    assert due(nightly, "2026-03-28T12:00", 2) == ["03-29 01:00", "03-30 00:30"]
    assert len({one[:5] for one in due(nightly, "2026-10-24T12:00", 3)}) == 3
