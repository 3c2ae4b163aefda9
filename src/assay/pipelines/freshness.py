"""What is late: what contracts agree on, beside what came. A missed time becomes an event, once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from assay.catalog import events, freshness
from assay.pipelines.platform import Platform
from assay.stores.database import Connection, transaction
from assay.zones.freshness import Freshness

if TYPE_CHECKING:
    from assay.zones.contract import Contract
    from assay.zones.project import Pipeline, Project, Source


@dataclass(frozen=True)
class Watched:
    """A dataset with an agreement: a source by its name, a table as `operational.x` or `analytical.x`."""

    zone: str
    pipeline: str
    dataset: str
    terms: Freshness

    @property
    def words(self) -> str:
        """What people call it."""
        return self.dataset if "." in self.dataset else f"the file for {self.dataset}"


@dataclass(frozen=True)
class Late:
    """A dataset that was due and has not come since; `last` is None where it never came."""

    zone: str
    pipeline: str
    dataset: str
    due: datetime
    last: datetime | None


def missed(terms: Freshness, arrivals: Iterable[datetime], since: datetime, now: datetime) -> list[datetime]:
    """The times in (since, now] at which something was due and had not come.

    By a schedule something must come between each due time and the next, so the first one only begins the watch.
    Else something is due so long after what came last (or after `since`), and again each time that long.
    """
    came = sorted(moment for moment in arrivals if since < moment <= now)
    if terms.schedule is not None:
        due = [since, *takewhile(lambda moment: moment <= now, terms.schedule.after(since))]
        return [end for start, end in zip(due, due[1:], strict=False) if not _any_between(came, start, end)]
    return list(_rolling(terms, came, since, now))


def _any_between(came: Sequence[datetime], start: datetime, end: datetime) -> bool:
    return any(start < moment <= end for moment in came)


def _rolling(terms: Freshness, came: Sequence[datetime], since: datetime, now: datetime) -> Iterator[datetime]:
    assert terms.every is not None
    starts, ends = [since, *came], [*came, now + timedelta(microseconds=1)]
    for start, end in zip(starts, ends, strict=True):
        due = terms.due_after(start)
        while due < end:
            yield due
            due = terms.every.after(due)


def watched(project: Project) -> Iterator[Watched]:
    """Everything in a project that somebody agreed on the freshness of."""
    for zone in project.zones.values():
        for pipeline in zone.pipelines.values():
            for dataset, contract in _datasets(pipeline):
                if contract.freshness is not None:
                    yield Watched(zone.name, pipeline.name, dataset, contract.freshness)


def _datasets(pipeline: Pipeline) -> Iterator[tuple[str, Contract]]:
    for source in pipeline.sources.values():
        yield source.name, source.contract
    for operational in pipeline.operational.values():
        yield f"operational.{operational.name}", operational.contract
    for analytical in pipeline.analytical.values():
        yield f"analytical.{analytical.name}", analytical.contract


def watch(platform: Platform) -> int:
    """Looks at everything that is watched, and writes an event `late` for what was missed; returns how many.

    Times that were missed while nobody looked become one event. Several services may look at the same time.
    """
    written = 0
    project = platform.project
    known = list(watched(project))
    with transaction(platform.connection) as tx:
        freshness.keep_only(tx, [(one.zone, one.dataset) for one in known])
    for one in known:
        with transaction(platform.connection) as tx:
            written += _look(tx, project, one)
    return written


def _look(tx: Connection, project: Project, one: Watched) -> int:
    now, place = freshness.begin(tx, one.zone, one.dataset, repr(one.terms))
    since = place.since
    if one.terms.schedule is not None and place.fresh:
        # The watch begins with the first due time: what came before it may have come for it.
        first = next(one.terms.schedule.after(since))
        if first > now:
            return 0
        since = first
    came = _arrivals(tx, project, one, since)
    found = [due for due in missed(one.terms, came, since, now) if place.told is None or due > place.told]
    if found:
        last = came[-1] if came else _last(tx, project, one)
        body = {"dataset": one.words, "due": _shown(found[-1]), "last": None if last is None else _shown(last),
                "missed": len(found)}  # fmt: skip
        events.add(tx, "late", zone=one.zone, pipeline=one.pipeline, body=body)
    freshness.looked(tx, one.zone, one.dataset, _next_since(one.terms, came, since, now), found[-1] if found else None)
    return 1 if found else 0


def _next_since(terms: Freshness, came: Sequence[datetime], since: datetime, now: datetime) -> datetime:
    """From where the next look goes on: what was judged needs no second look."""
    if terms.schedule is not None:
        passed = [since, *takewhile(lambda moment: moment <= now, terms.schedule.after(since))]
        return passed[-1]
    return came[-1] if came else since


def late(connection: Connection, project: Project) -> list[Late]:
    """What is late now: told, and nothing came since."""
    told = freshness.told(connection)
    found = []
    for one in watched(project):
        due = told.get((one.zone, one.dataset))
        if due is not None:
            last = _last(connection, project, one)
            if last is None or last <= due:
                found.append(Late(one.zone, one.pipeline, one.dataset, due, last))
    return found


def _arrivals(connection: Connection, project: Project, one: Watched, since: datetime) -> list[datetime]:
    return freshness.arrivals(connection, _coming(project, one), since)


def _last(connection: Connection, project: Project, one: Watched) -> datetime | None:
    return freshness.last(connection, _coming(project, one))


def _coming(project: Project, one: Watched) -> freshness.Coming:
    """What counts as something new of a dataset."""
    pipeline = project.zones[one.zone].pipelines[one.pipeline]
    store, _, table = one.dataset.rpartition(".")
    if store == "analytical":
        return freshness.Coming(one.zone, one.pipeline, tuple(pipeline.sources), "denormalize", table)
    if store == "operational":
        fed = tuple(source.name for source in pipeline.sources.values() if _feeds(source, table))
        return freshness.Coming(one.zone, one.pipeline, fed, "conform")
    return freshness.Coming(one.zone, one.pipeline, (table,))


def _feeds(source: Source, table: str) -> bool:
    return table in source.conform


def _shown(moment: datetime) -> Any:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
