"""What a contract's service level says of freshness: read as the standard writes it, or refused where it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import Misconfigured
from assay.zones.contract import Contract, load_contract
from assay.zones.freshness import Freshness, Interval
from assay.zones.schedule import Schedule

CONTRACT = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: till
status: active
schema:
  - name: till
    properties:
      - {name: sold_on, logicalType: date}
slaProperties:
"""
DAY = 86400.0


def load(tmp_path: Path, *entries: str) -> Contract:
    path = tmp_path / "till.odcs.yaml"
    path.write_text(CONTRACT + "".join(f"  - {{{entry}}}\n" for entry in entries))
    return load_contract(path)


@pytest.mark.parametrize(
    ("entries", "terms"),
    [
        (["property: frequency, value: 1, unit: d"], Freshness(every=Interval(seconds=DAY))),
        (["property: frequency, value: 2, unit: weeks"], Freshness(every=Interval(seconds=14 * DAY))),
        (["property: frequency, value: 1, unit: mo"], Freshness(every=Interval(months=1))),
        (["property: frequency, value: '4 h'"], Freshness(every=Interval(seconds=14400.0))),
        (["property: latency, value: 4, unit: d"], Freshness(every=Interval(seconds=4 * DAY))),
        (["property: freshness, value: 24, unit: h"], Freshness(every=Interval(seconds=DAY))),
        (
            ["property: frequency, value: 1, unit: d", "property: latency, value: 4, unit: h"],
            Freshness(every=Interval(seconds=DAY), slack=Interval(seconds=14400.0)),
        ),
        (["property: timeOfAvailability, value: '09:00'"], Freshness(Schedule("0 9 * * *"))),
        (["property: timeOfAvailability, value: 09:00-08:00"], Freshness(Schedule("0 17 * * *"))),
        (["property: timeOfAvailability, value: 9:30 Europe/Oslo"], Freshness(Schedule("30 9 * * *", "Europe/Oslo"))),
        (
            ["property: frequency, value: 1, unit: day", "property: timeOfAvailability, value: '09:00'"],
            Freshness(Schedule("0 9 * * *")),
        ),
        (
            ["property: frequency, value: 1, unit: month", "property: timeOfAvailability, value: 09:00+02:00"],
            Freshness(every=Interval(months=1), at=time(9, tzinfo=timezone(timedelta(hours=2)))),
        ),
        (
            ["property: timeOfAvailability, value: 09:00 Europe/Oslo, scheduler: cron, schedule: 0 9 * * 1-5"],
            Freshness(Schedule("0 9 * * 1-5", "Europe/Oslo")),
        ),
        (["property: retention, value: 3, unit: y"], None),
    ],
)
def test_a_service_level_is_read(tmp_path: Path, entries: list[str], terms: Freshness | None) -> None:
    assert load(tmp_path, *entries).freshness == terms


def test_what_is_not_watched_is_named(tmp_path: Path) -> None:
    found = load(
        tmp_path, "property: retention, value: P1Y", "property: latency, value: 500ms",
        "property: frequency, value: 5, unit: s", "property: availability, value: 99.5, unit: percent",
        "property: frequency, value: 1, unit: d, element: other.column", "property: retention, value: 3, unit: y",
    )  # fmt: skip
    assert found.unwatched == ("retention", "latency", "frequency", "availability")
    assert found.freshness is None


@pytest.mark.parametrize("element", ["till", "till.sold_on", "sold_on", "'other.x, till.sold_on'"])
def test_an_element_of_the_dataset_means_the_dataset(tmp_path: Path, element: str) -> None:
    assert load(tmp_path, f"property: frequency, value: 1, unit: d, element: {element}").freshness is not None


@pytest.mark.parametrize(
    ("entry", "what", "expected"),
    [
        ("property: frequncy, value: 1, unit: d", "the slaProperty frequncy is not known", "frequency"),
        ("property: frequency, value: 1, unit: dya", "frequency: the unit dya is not known", "day"),
        ("property: frequency, value: 1", "frequency: the unit is missing", "s, min, h"),
        ("property: frequency, value: 1, unit: m", "frequency: the unit m is not known", "mo"),
        ("property: frequency, value: 0, unit: d", "frequency: 0 is no stretch of time", "a number above 0"),
        ("property: frequency, value: often, unit: d", "frequency: often is no stretch of time", "a number above 0"),
        ("property: frequency, value: 1.5, unit: mo", "frequency: 1.5 is no stretch of time", "a number above 0"),
        ("property: timeOfAvailability, value: 25:00", "timeOfAvailability: 25:00 is no time of day", "HH:MM"),
        ("property: timeOfAvailability, value: 9:00 Oslo", "timeOfAvailability: 9:00 Oslo is no time of day", "HH:MM"),
        ("property: frequency, value: 1, unit: d, scheduler: cron, schedule: daily", "a cron expression", "0 9"),
        ("property: frequency, value: 1, units: d", "unknown key units", "unit?"),
    ],
)
def test_a_slip_of_the_pen_is_refused_with_its_line(tmp_path: Path, entry: str, what: str, expected: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, entry)
    assert caught.value.what.startswith(what) and str(caught.value.expected).startswith(expected)
    assert caught.value.line == 11


def test_a_month_keeps_the_day_where_it_exists() -> None:
    assert Interval(months=1).after(datetime(2025, 1, 31, tzinfo=UTC)) == datetime(2025, 2, 28, tzinfo=UTC)
    assert Interval(months=12).after(datetime(2024, 2, 29, tzinfo=UTC)) == datetime(2025, 2, 28, tzinfo=UTC)


def test_a_time_of_a_place_follows_its_clocks() -> None:
    terms = Freshness(every=Interval(seconds=7 * DAY), at=time(9, tzinfo=ZoneInfo("Europe/Oslo")))
    assert terms.due_after(datetime(2025, 3, 24, 12, tzinfo=UTC)) == datetime(2025, 3, 31, 7, tzinfo=UTC)
    assert terms.due_after(datetime(2025, 3, 17, 12, tzinfo=UTC)) == datetime(2025, 3, 24, 8, tzinfo=UTC)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 60), st.floats(0, 1e6),
)  # fmt: skip
def test_a_stretch_of_time_always_leads_forward(moment: datetime, months: int, seconds: float) -> None:
    assert Interval(months, seconds).after(moment) > moment
