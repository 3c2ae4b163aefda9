"""Due times are told once, by whatever number of services, and missed ones by the schedule's catch-up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from assay.catalog import events
from assay.orchestration.schedule import chosen, fall_due, keep_house, upcoming
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.zones.schedule import Schedule
from shop_project import Shop

NOON = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)


def scheduled(shop: Shop, catch_up: str = "last") -> None:
    trigger = f'triggers: [{{cron: "* * * * *", catch_up: {catch_up}}}]\n'
    shop.edit("pipeline.yaml", "steward: never\n", f"steward: never\n{trigger}")
    with shop.opened() as platform:
        apply(platform)


def told(platform: Platform) -> list[str]:
    found = platform.connection.execute("SELECT body ->> 'due' FROM assay.event WHERE kind = 'triggered' ORDER BY id")
    return [str(row[0]) for row in found]


def last_look(platform: Platform, ago: timedelta) -> None:
    """As if the schedule had been looked at last so long ago."""
    fall_due(platform)
    platform.connection.execute("UPDATE assay.schedule_run SET due_at = clock_timestamp() - %s", (ago,))
    platform.connection.execute("DELETE FROM assay.event WHERE kind = 'triggered'")


def test_a_schedule_counts_from_when_it_was_first_looked_at(shop: Shop) -> None:
    scheduled(shop)
    with shop.opened() as platform:
        fall_due(platform)
        assert told(platform) == []
        assert [(one.pipeline, one.schedule) for one in upcoming(platform, NOON)] == [("sales", "* * * * * UTC")]
        assert upcoming(platform, NOON)[0].due == datetime(2026, 6, 1, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(("catch_up", "count"), [("last", 1), ("all", 180), ("none", 1)])
def test_times_that_passed_while_nobody_looked(shop: Shop, catch_up: str, count: int) -> None:
    """The last of them is less than a minute old, so it was not missed."""
    scheduled(shop, catch_up)
    with shop.opened() as platform:
        last_look(platform, timedelta(hours=3))
        fall_due(platform)
        assert len(told(platform)) == count
        fall_due(platform)
        assert len(told(platform)) <= count + 1  # a minute may have begun meanwhile


def test_a_missed_time_is_left_out_where_nothing_is_to_be_made_up_for() -> None:
    passed = [NOON - timedelta(hours=hours) for hours in (3, 2, 1)]
    assert chosen(Schedule("0 * * * *", catch_up="none"), passed, NOON) == []
    assert chosen(Schedule("0 * * * *", catch_up="last"), passed, NOON) == [passed[-1]]
    assert chosen(Schedule("0 * * * *", catch_up="all"), passed, NOON) == passed


def test_many_services_tell_of_a_due_time_once(shop: Shop) -> None:
    scheduled(shop)
    with shop.opened() as first:
        last_look(first, timedelta(minutes=5))

        def look() -> None:
            with shop.opened() as platform:
                for _ in range(10):
                    fall_due(platform)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = told(first)
        assert len(found) == len(set(found)) <= 2


def test_what_a_schedule_tells_is_read_like_every_event(shop: Shop) -> None:
    scheduled(shop)
    with shop.opened() as platform:
        events.unread(platform.connection, "somebody")
        last_look(platform, timedelta(minutes=1))
        fall_due(platform)
        kinds = [event.kind for event in events.unread(platform.connection, "somebody")]
        assert kinds == ["triggered"]


def test_housekeeping_is_done_once_for_each_time_that_it_is_due(shop: Shop) -> None:
    settings = shop.root / "assay.yaml"
    far = (datetime.now(UTC) + timedelta(days=10)).day
    settings.write_text(settings.read_text() + f'maintain: {{cron: "0 3 {far} * *"}}\n')

    def runs(platform: Platform) -> int:
        return platform.connection.execute("SELECT count(*) FROM assay.maintenance").fetchone()[0]  # type: ignore[index]

    with shop.opened() as platform:
        apply(platform)
        keep_house(platform)
        assert runs(platform) == 0
    settings.write_text(settings.read_text().replace(f"0 3 {far} * *", "* * * * *"))
    with shop.opened() as platform:
        apply(platform)
        before = runs(platform)
        keep_house(platform)
        assert runs(platform) == before + 1
        platform.connection.execute("UPDATE assay.maintenance SET started_at = clock_timestamp() + interval '1 hour'")
        keep_house(platform)
        assert runs(platform) == before + 1
        platform.connection.execute("UPDATE assay.maintenance SET started_at = clock_timestamp() - interval '1 hour'")
        keep_house(platform)
        assert runs(platform) == before + 2
