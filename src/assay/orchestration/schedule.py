"""What starts by the clock, whatever number of services looks: pipelines, an event a due time; housekeeping."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from assay.catalog import events, upkeep
from assay.pipelines.platform import Platform
from assay.stores.database import Connection, one, transaction
from assay.zones.project import Pipeline
from assay.zones.schedule import Schedule

log = logging.getLogger(__name__)

#: A due time that is this young was not missed: with `catch_up: none` it still counts.
PUNCTUAL = timedelta(seconds=60)
#: At most so many missed times are made up for at once.
MISSED_MOST = 1000
#: Housekeeping that was missed while no service ran is made up for when it was due so recently.
HOUSEKEEPING_MISSED = timedelta(days=1)


@dataclass(frozen=True)
class Next:
    """When a pipeline starts next by one of its schedules."""

    zone: str
    pipeline: str
    schedule: str
    due: datetime


def fall_due(platform: Platform) -> None:
    """Tells, as events, of every schedule that has fallen due since it was looked at last."""
    for pipeline, schedule in scheduled(platform):
        with transaction(platform.connection) as tx:
            _look_at(tx, pipeline, schedule)


def keep_house(platform: Platform) -> None:
    """Does the housekeeping when it has fallen due, in one service of those that look."""
    from assay.pipelines import maintain

    rules = platform.project.maintain
    if rules.cron is None:
        return
    now = one(platform.connection, "SELECT clock_timestamp()")
    last = upkeep.last(platform.connection)
    since = now - HOUSEKEEPING_MISSED if last is None else max(last[0], now - HOUSEKEEPING_MISSED)
    passed = deque(takewhile(lambda due: due <= now, Schedule(rules.cron, rules.timezone or "UTC").after(since)), 1)
    if passed and maintain.due(platform, passed[0]):
        report = maintain.maintain(platform)
        log.info("housekeeping is done: %s freed", f"{report.bytes_freed:,} bytes")


def scheduled(platform: Platform) -> Iterator[tuple[Pipeline, Schedule]]:
    """Every schedule of every pipeline."""
    for zone in platform.project.zones.values():
        for pipeline in zone.pipelines.values():
            for schedule in pipeline.triggers.schedules:
                yield pipeline, schedule


def upcoming(platform: Platform, now: datetime) -> list[Next]:
    """When each schedule falls due next, the soonest first."""
    found = [
        Next(pipeline.zone, pipeline.name, schedule.label, next(schedule.after(now)))
        for pipeline, schedule in scheduled(platform)
    ]
    return sorted(found, key=lambda one: one.due)


def _look_at(tx: Connection, pipeline: Pipeline, schedule: Schedule) -> None:
    """One schedule, by the clock of PostgreSQL; it counts from when it was first looked at."""
    place = (pipeline.zone, pipeline.name, schedule.label)
    tx.execute(
        "INSERT INTO assay.schedule_run (zone, pipeline, schedule) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", place
    )
    row = tx.execute(
        "SELECT due_at, clock_timestamp() FROM assay.schedule_run WHERE zone = %s AND pipeline = %s AND schedule = %s "
        "FOR UPDATE SKIP LOCKED",
        place,
    ).fetchone()
    if row is None:
        return  # another service looks at it
    passed = list(islice(takewhile(lambda due: due <= row[1], schedule.after(row[0])), MISSED_MOST))
    if not passed:
        return
    for due in chosen(schedule, passed, row[1]):
        body = {"schedule": schedule.label, "due": due.isoformat()}
        events.add(tx, "triggered", zone=pipeline.zone, pipeline=pipeline.name, body=body)
    tx.execute(
        "UPDATE assay.schedule_run SET due_at = %s, ran_at = clock_timestamp() "
        "WHERE zone = %s AND pipeline = %s AND schedule = %s",
        (passed[-1], *place),
    )


def chosen(schedule: Schedule, passed: list[datetime], now: datetime) -> list[datetime]:
    """Which of the times that have passed count, by the schedule's `catch_up`."""
    if schedule.catch_up == "all":
        return passed
    last = passed[-1]
    return [] if schedule.catch_up == "none" and now - last > PUNCTUAL else [last]
