"""How fresh a dataset must be: what a contract's `slaProperties` say of it.

`frequency`, `latency`, `freshness` and `timeOfAvailability` are watched; the standard has an open list of others,
which are named as not watched.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assay.errors import Misconfigured, nearest
from assay.zones.schedule import Schedule, check_schedule
from assay.zones.yaml import Document

WATCHED = ("frequency", "latency", "freshness", "timeOfAvailability")
KEYS = {
    "id", "property", "value", "valueExt", "unit", "element", "driver", "description", "scheduler", "schedule",
}  # fmt: skip

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_UNITS = {
    **{word: "second" for word in ("s", "sec", "second", "seconds")},
    **{word: "minute" for word in ("min", "minute", "minutes")},
    **{word: "hour" for word in ("h", "hr", "hour", "hours")},
    **{word: "day" for word in ("d", "day", "days")},
    **{word: "week" for word in ("w", "wk", "week", "weeks")},
    **{word: "month" for word in ("mo", "month", "months")},
    **{word: "quarter" for word in ("q", "quarter", "quarters")},
    **{word: "year" for word in ("y", "yr", "year", "years")},
}
#: Units in which answers of interfaces are measured, not deliveries of files; shorter than this is one of them too.
_OF_INTERFACES = frozenset({"ms", "millisecond", "milliseconds"})
SECONDS_LEAST = 60.0


@dataclass(frozen=True)
class Interval:
    """A stretch of time as people agree on it: months keep the day of the month where that exists."""

    months: int = 0
    seconds: float = 0.0

    def after(self, moment: datetime) -> datetime:
        """The end of a stretch that begins at the moment."""
        year, month = divmod(moment.year * 12 + moment.month - 1 + self.months, 12)
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day) + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Freshness:
    """When something new is due: at the times of a schedule, or `every` so long after the last one plus `slack`.

    With `at`, what is due on a day is due at that time of it.
    """

    schedule: Schedule | None = None
    every: Interval | None = None
    slack: Interval = Interval()
    at: time | None = None

    def due_after(self, last: datetime) -> datetime:
        """When something is due after what came last; not for schedules."""
        assert self.every is not None
        due = self.every.after(last)
        if self.at is not None:
            assert self.at.tzinfo is not None
            there = due.astimezone(self.at.tzinfo)
            due = datetime.combine(there.date(), self.at).astimezone(UTC)
        return self.slack.after(due)


def freshness_of(
    document: Document, entries: Iterable[tuple[tuple[str | int, ...], Mapping[str, Any]]], dataset: str,
    fields: Iterable[str],
) -> tuple[Freshness | None, tuple[str, ...]]:  # fmt: skip
    """What the `slaProperties` of a contract (place in the file, entry) agree on for a dataset, and what is not
    watched of them, in words.

    Raises `Misconfigured` for a watched word whose value cannot be read.
    """
    found: dict[str, Any] = {}
    schedule: tuple[str, tuple[str | int, ...]] | None = None
    ignored: list[str] = []
    names = {dataset, *fields}
    for place, entry in entries:
        word = str(entry.get("property"))
        _refuse_near_miss(document, place, word)
        elements = [one.strip() for one in str(entry.get("element") or dataset).split(",")]
        if not any(one.partition(".")[0] in names for one in elements):
            continue  # it speaks of another dataset of the contract
        if word not in WATCHED or str(entry.get("unit") or "").lower() in _OF_INTERFACES:
            ignored.append(word)
        elif word == "timeOfAvailability":
            found[word] = _time(document, place, entry.get("value"))
        else:
            interval = _interval(document, place, entry)
            if interval is None:
                ignored.append(word)
                continue
            found[word] = interval
        if word in WATCHED and str(entry.get("scheduler") or "").lower() == "cron":
            schedule = str(entry.get("schedule")), place
    return _agreed(document, found, schedule), tuple(dict.fromkeys(ignored))


def _agreed(
    document: Document, found: Mapping[str, Any], schedule: tuple[str, tuple[str | int, ...]] | None
) -> Freshness | None:
    at: time | None = found.get("timeOfAvailability")
    if schedule is not None:
        cron, place = schedule
        zone = at.tzinfo.key if at is not None and isinstance(at.tzinfo, ZoneInfo) else "UTC"
        try:
            check_schedule(cron, zone)
        except ValueError as error:
            raise Misconfigured(
                str(error), file=document.path, line=document.line(*place, "schedule"), expected="0 9 * * 1-5"
            ) from error
        return Freshness(Schedule(cron, zone))
    every = found.get("frequency") or found.get("freshness")
    slack = found.get("latency", Interval())
    if at is not None and every in (None, Interval(seconds=86400.0)):
        return Freshness(_daily(at))
    if every is None and "latency" in found:
        return Freshness(every=slack)
    return None if every is None else Freshness(every=every, slack=slack, at=at)


def _daily(at: time) -> Schedule:
    """Once a day at a time: of a place, whose clocks may change, or of a fixed distance to UTC."""
    if isinstance(at.tzinfo, ZoneInfo):
        return Schedule(f"{at.minute} {at.hour} * * *", at.tzinfo.key)
    in_utc = datetime.combine(datetime(2000, 1, 2), at).astimezone(UTC)
    return Schedule(f"{in_utc.minute} {in_utc.hour} * * *")


def _refuse_near_miss(document: Document, place: tuple[str | int, ...], word: str) -> None:
    near = nearest(word, WATCHED)
    if word not in WATCHED and near is not None and _alike(word, near):
        raise Misconfigured(
            f"the slaProperty {word} is not known", file=document.path, line=document.line(*place, "property"),
            expected=near,
        )  # fmt: skip


def _alike(word: str, known: str) -> bool:
    """Whether one is the other with a slip of the pen: the list of the standard is open, so only that is an error."""
    import difflib

    return difflib.SequenceMatcher(None, word.casefold(), known.casefold()).ratio() > 0.85


def _interval(document: Document, place: tuple[str | int, ...], entry: Mapping[str, Any]) -> Interval | None:
    """The stretch of time of an entry: `4` and unit `d`, or `4 d`; None where it is one of interfaces."""
    value, unit = entry.get("value"), str(entry.get("unit") or "")
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]*)\s*", value)):
        value, unit = match[1], match[2] or unit
    if unit.lower() in _OF_INTERFACES:
        return None
    name = _UNITS.get(unit.lower())
    if name is None:
        raise Misconfigured(
            f"{entry.get('property')}: the unit {unit or 'is missing'}" + (" is not known" if unit else ""),
            file=document.path, line=document.line(*place, "unit"),
            expected=nearest(unit.lower(), _UNITS) or "s, min, h, d, w, mo, q or y",
        )  # fmt: skip
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises, and is told
        if not 0 < number < 1e6 or (name in _MONTHS and not number.is_integer()):
            raise ValueError
    except (TypeError, ValueError):
        raise Misconfigured(
            f"{entry.get('property')}: {value} is no stretch of time", file=document.path,
            line=document.line(*place, "value"), expected="a number above 0; whole for months, quarters and years",
        ) from None  # fmt: skip
    if name in _MONTHS:
        return Interval(months=int(number) * _MONTHS[name])
    seconds = number * _SECONDS[name]
    return Interval(seconds=seconds) if seconds >= SECONDS_LEAST else None


def _time(document: Document, place: tuple[str | int, ...], value: Any) -> time:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})(?::00)?\s*(\S*)", str(value))
    zone = None if match is None else _zone(match[3])
    if match is None or zone is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise Misconfigured(
            f"timeOfAvailability: {value} is no time of day", file=document.path, line=document.line(*place, "value"),
            expected="HH:MM with a time zone, such as 09:00 Europe/Oslo or 09:00+01:00; UTC without one",
        )  # fmt: skip
    return time(int(match[1]), int(match[2]), tzinfo=zone)


def _zone(words: str) -> tzinfo | None:
    if words in ("", "Z", "UTC"):
        return UTC
    if re.fullmatch(r"[+-]\d{2}:?\d{2}", words):
        return datetime.strptime(words, "%z").tzinfo
    try:
        return ZoneInfo(words)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
