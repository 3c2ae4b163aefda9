"""What is late: each missed time once, from the first watch on, whoever looks how often."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from assay.cli import assay
from assay.pipelines.freshness import missed, watch
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.run import ingest
from assay.zones.freshness import Freshness, Interval
from assay.zones.schedule import Schedule
from shop_project import TILL, Shop

DAILY = Freshness(Schedule("0 9 * * *"))
EVERY_DAY = Freshness(every=Interval(seconds=86400), slack=Interval(seconds=3600))


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2025, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("terms", "came", "late"),
    [
        # By a schedule: something between each due time and the next.
        (DAILY, [at(2, 8), at(3, 9), at(4, 3)], []),
        (DAILY, [at(2, 8), at(4, 3)], [at(3, 9)]),
        (DAILY, [at(2, 8), at(3, 9, 1)], [at(3, 9)]),
        (DAILY, [], [at(2, 9), at(3, 9), at(4, 9)]),
        (Freshness(Schedule("0 9 * * 1-5")), [at(3, 8)], [at(4, 9)]),  # 1 and 2 March are a weekend
        # Else: so long after what came last.
        (EVERY_DAY, [at(2, 8), at(3, 8), at(4, 8)], []),
        (EVERY_DAY, [at(2, 8)], [at(3, 9), at(4, 9)]),
        (EVERY_DAY, [at(2, 8), at(3, 9, 30), at(4, 8)], [at(3, 9)]),
        (EVERY_DAY, [], [at(2, 10), at(3, 10), at(4, 10)]),
        (Freshness(every=Interval(months=1)), [], []),
    ],
)
def test_what_was_due_and_did_not_come_is_missed(
    terms: Freshness, came: list[datetime], late: list[datetime]
) -> None:
    assert missed(terms, came, since=at(1, 9), now=at(4, 12)) == late


@given(
    terms=st.sampled_from(
        [DAILY, EVERY_DAY, Freshness(every=Interval(seconds=5400)), Freshness(Schedule("0 */3 * * *"))]
    ),
    came=st.lists(st.integers(1, 20_000).map(lambda minutes: at(1, 9) + timedelta(minutes=minutes)), max_size=20),
    minutes=st.integers(0, 20_000),
)
def test_what_was_missed_stays_missed_however_late_one_looks(
    terms: Freshness, came: list[datetime], minutes: int
) -> None:
    earlier, later = at(1, 9) + timedelta(minutes=minutes), at(20)
    then = missed(terms, [moment for moment in came if moment <= earlier], at(1, 9), earlier)
    assert then == [due for due in missed(terms, came, at(1, 9), later) if due <= earlier]


SLA = "slaProperties:\n"


def agree(shop: Shop, name: str, *entries: str) -> None:
    text = shop._path(name).read_text()
    shop.write(name, text + SLA + "".join(f"  - {{{entry}}}\n" for entry in entries))


def take_in(shop: Shop, platform: Platform, text: str, name: str) -> str:
    (shop.root / name).write_text(text)
    return ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / name], None)[0].batch.state


def backdate(platform: Platform, hours: int) -> None:
    """Moves everything that happened into the past."""
    for table, columns in {
        "freshness": ("since", "told"), "delivery": ("delivered_at",), "segment_run": ("finished_at",),
    }.items():  # fmt: skip
        moved = ", ".join(f"{column} = {column} - make_interval(hours => {hours})" for column in columns)
        platform.connection.execute(f"UPDATE assay.{table} SET {moved}".encode())


def told(platform: Platform) -> list[dict[str, Any]]:
    found = platform.connection.execute("SELECT zone, pipeline, body FROM assay.event WHERE kind = 'late' ORDER BY id")
    return [{"zone": zone, "pipeline": pipeline, **body} for zone, pipeline, body in found]


def test_a_file_that_does_not_come_is_told_once_and_shown_until_it_comes(shop: Shop) -> None:
    agree(shop, "contracts/till.odcs.yaml", "property: frequency, value: 1, unit: d")
    with shop.opened() as platform:
        apply(platform)
        take_in(shop, platform, TILL, "till-1.csv")
        assert watch(platform) == 0
        backdate(platform, 25)
        assert watch(platform) == 1
        assert watch(platform) == 0
        (late,) = told(platform)
        assert (late["zone"], late["pipeline"], late["dataset"]) == ("shop", "sales", "the file for till")
        assert (late["missed"], late["last"] is not None) == (1, True)
        shown = json.loads(CliRunner().invoke(assay, ["status", "--json", "--project", str(shop.root)]).stdout)
        assert [one["dataset"] for one in shown["late"]] == ["till"]
        assert "till" in CliRunner().invoke(assay, ["status", "--project", str(shop.root)]).stdout
        backdate(platform, 24)
        assert watch(platform) == 1, "the next time that was missed"
        take_in(shop, platform, TILL.replace("\n1,", "\n10,"), "till-2.csv")
        assert watch(platform) == 0
        shown = json.loads(CliRunner().invoke(assay, ["status", "--json", "--project", str(shop.root)]).stdout)
        assert shown["late"] == []
        backdate(platform, 25)
        assert watch(platform) == 1


def test_times_missed_while_nobody_looked_are_one_event(shop: Shop) -> None:
    agree(shop, "contracts/till.odcs.yaml", "property: frequency, value: 1, unit: d")
    with shop.opened() as platform:
        apply(platform)
        assert watch(platform) == 0
        backdate(platform, 24 * 5 + 1)
        assert watch(platform) == 1
        assert [(late["missed"], late["last"]) for late in told(platform)] == [(5, None)]


def test_a_refused_file_is_not_what_was_due_but_the_same_bytes_again_are(shop: Shop) -> None:
    agree(shop, "contracts/till.odcs.yaml", "property: frequency, value: 1, unit: d")
    with shop.opened() as platform:
        apply(platform)
        take_in(shop, platform, TILL, "till-1.csv")
        watch(platform)
        backdate(platform, 25)
        assert take_in(shop, platform, "nonsense\n1\n", "till-2.csv") == "rejected"
        assert watch(platform) == 1
        take_in(shop, platform, TILL, "till-3.csv")
        watch(platform)
        backdate(platform, 23)
        assert watch(platform) == 0


@pytest.mark.parametrize("name", ["operational/sale.odcs.yaml", "analytical/by_month.odcs.yaml"])
def test_a_table_that_gets_nothing_new_is_late(shop: Shop, name: str) -> None:
    agree(shop, name, "property: latency, value: 4, unit: h")
    with shop.opened() as platform:
        apply(platform)
        watch(platform)
        backdate(platform, 3)
        take_in(shop, platform, TILL, "till-1.csv")
        backdate(platform, 3)
        assert watch(platform) == 0, "what came three hours ago is fresh enough"
        backdate(platform, 2)
        assert watch(platform) == 1
        assert told(platform)[0]["dataset"] == name.removesuffix(".odcs.yaml").replace("/", ".")


def test_another_agreement_begins_another_watch_and_none_ends_it(shop: Shop) -> None:
    before = shop._path("contracts/till.odcs.yaml").read_text()
    agree(shop, "contracts/till.odcs.yaml", "property: frequency, value: 1, unit: d")
    with shop.opened() as platform:
        apply(platform)
        watch(platform)
        backdate(platform, 23)
    shop.edit("contracts/till.odcs.yaml", "value: 1, unit: d", "value: 2, unit: h")
    with shop.opened() as platform:
        apply(platform)
        assert watch(platform) == 0
        backdate(platform, 3)
        assert watch(platform) == 1
    shop.write("contracts/till.odcs.yaml", before)
    with shop.opened() as platform:
        apply(platform)
        assert watch(platform) == 0
        assert platform.connection.execute("SELECT count(*) FROM assay.freshness").fetchone() == (0,)


def test_two_services_that_look_at_once_tell_it_once(shop: Shop) -> None:
    from concurrent.futures import ThreadPoolExecutor

    agree(shop, "contracts/till.odcs.yaml", "property: frequency, value: 1, unit: d")

    def look(_: int) -> int:
        with shop.opened() as platform:
            return watch(platform)

    with shop.opened() as platform:
        apply(platform)
        watch(platform)
        backdate(platform, 25)
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(look, range(4))) == 1


def test_by_a_schedule_the_first_due_time_begins_the_watch(shop: Shop) -> None:
    agree(shop, "contracts/till.odcs.yaml", "property: timeOfAvailability, value: '09:00'")
    with shop.opened() as platform:
        apply(platform)
        assert watch(platform) == 0
        backdate(platform, 24)
        assert watch(platform) == 0
        backdate(platform, 24)
        assert watch(platform) == 1
        assert told(platform)[0]["due"].endswith("09:00 UTC")


def test_plan_and_check_say_what_is_not_watched(shop: Shop) -> None:
    agree(shop, "contracts/till.odcs.yaml", "property: retention, value: 3, unit: y")
    words = CliRunner().invoke(assay, ["plan", "--project", str(shop.root)]).stdout
    assert "contracts/till.odcs.yaml: of slaProperties, retention: not watched" in words
    file = shop.root / "till-1.csv"
    file.write_text(TILL)
    contract = shop.root / "zones/shop/sales/contracts/till.odcs.yaml"
    checked = CliRunner().invoke(assay, ["contract", "check", str(file), "--contract", str(contract)])
    assert "of slaProperties, not watched: retention" in checked.stderr
