"""Schedules: cron expressions in a time zone, and when they fall due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True)
class Schedule:
    """When a pipeline starts by the clock, and what becomes of times that passed while nobody looked."""

    cron: str
    timezone: str = "UTC"
    catch_up: Literal["last", "all", "none"] = "last"

    @property
    def label(self) -> str:
        """What tells it from other schedules of its pipeline."""
        return f"{self.cron} {self.timezone}"

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times at which it falls due after a moment, in UTC, without end.

        Where clocks are put forward, a time that does not exist falls due at the change; where they are put back, a
        time that exists twice falls due once.
        """
        from cronsim import CronSim

        for due in CronSim(self.cron, moment.astimezone(ZoneInfo(self.timezone))):
            yield due.astimezone(UTC)


def check_schedule(cron: str, timezone: str | None) -> None:
    """Raises `ValueError` for an expression or a time zone that nobody knows, or one that never falls due."""
    from cronsim import CronSim, CronSimError

    try:
        zone = ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{timezone} is no time zone, such as Europe/Oslo") from None
    if len(cron.split()) != 5:
        raise ValueError("a cron expression has five parts: minute, hour, day, month, day of the week")
    try:
        next(CronSim(cron, datetime.now(zone)))
    except (CronSimError, StopIteration) as error:  # it stops where nothing falls due in fifty years
        raise ValueError(f"the cron expression cannot be read, or never falls due: {error}") from None
