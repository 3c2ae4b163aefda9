"""What starts a pipeline besides files that arrive: its schedule, another pipeline's batch, a publication's change.

To start a pipeline is to take in what waits in its ingress folder and, where something that it reads has changed, to
make the analytical tables that read it anew. Both may be done again without harm, so the place in the stream of
events moves on only afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from assay.catalog import events, records, subscriptions
from assay.catalog.events import Event
from assay.errors import AssayError
from assay.orchestration.doors import look_into
from assay.pipelines.observe import words_of
from assay.pipelines.platform import Platform
from assay.pipelines.recompute import Name, recompute
from assay.stores.database import Connection, advisory_key
from assay.zones.project import Pipeline, Zone

log = logging.getLogger(__name__)

#: The name under which the stream of events is read.
READER = "triggers"


@dataclass
class Start:
    """A pipeline that is to start: why, and what changed of that which it reads."""

    pipeline: Pipeline
    why: list[str] = field(default_factory=list)
    changed: set[Name] = field(default_factory=set)


def fire(platform: Platform) -> None:
    """Starts every pipeline that something which happened since the last time is a trigger of, each once.

    One service does it at a time.
    """
    connection, key = platform.connection, advisory_key(READER)
    if connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        return
    try:
        found = events.unread(connection, READER)
        for start in started_by(platform, found):
            _begin(platform, start)
        if found:
            events.passed(connection, READER, found[-1])
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def started_by(platform: Platform, happened: Iterable[Event]) -> list[Start]:
    """The pipelines that events are a trigger of, each with everything that changed for it."""
    starts: dict[tuple[str, str], Start] = {}
    for event in happened:
        changed = _changed(platform.connection, event)
        for zone in platform.project.zones.values():
            for pipeline in zone.pipelines.values():
                for why, names in _reasons(platform, zone, pipeline, event, changed):
                    start = starts.setdefault((zone.name, pipeline.name), Start(pipeline))
                    if why not in start.why:
                        start.why.append(why)
                    start.changed |= names
    return list(starts.values())


def _changed(connection: Connection, event: Event) -> set[Name]:
    """The tables, as their own zone names them, whose rows an event tells to have changed."""
    if event.kind == "refreshed":
        return {("analytical", name) for name in event.body["tables"]}
    if event.kind not in ("done", "withdrawn") or event.batch is None:
        return set()
    found: set[Name] = set()
    for run in records.runs(connection, event.batch):
        if run["segment"] == "conform":
            found |= {("operational", name) for name, counts in run["detail"].items() if _counts(counts)}
        elif run["segment"] == "denormalize":
            found |= {("analytical", name) for name in run["detail"]}
    found.add(("staging", records.batch(connection, event.batch).source))
    return found


def _counts(counts: dict[str, Any]) -> bool:
    return any(counts.get(name) for name in ("inserted", "updated", "deleted"))


def _reasons(
    platform: Platform, zone: Zone, pipeline: Pipeline, event: Event, changed: set[Name]
) -> Iterator[tuple[str, set[Name]]]:
    """Why an event starts a pipeline, and what it changed of that which the pipeline's SQL may name."""
    if event.kind == "triggered" and (event.zone, event.pipeline) == (zone.name, pipeline.name):
        yield f"schedule {event.body['schedule']}", set()
    for publisher, name in pipeline.triggers.publications:
        # Without a grant not even that something changed is for the zone to know.
        if _told_of(event, zone, publisher, name) and _granted(platform.connection, zone, publisher, name):
            yield f"publication {publisher}.{name}", {(publisher, "published", name)}
    if event.kind not in ("done", "refreshed", "withdrawn"):
        return
    for wanted in pipeline.triggers.after:
        name = wanted.rpartition(".")[2]
        if (event.zone, event.pipeline) == (zone.name, name):
            yield f"after {zone.name}/{name}", changed


def _told_of(event: Event, zone: Zone, publisher: str, name: str) -> bool:
    """Whether an event tells that a publication changed, or that it was granted to the zone."""
    if event.zone != publisher or event.body.get("publication") != name:
        return False
    return event.kind == "published" or (
        event.kind == "subscription"
        and (event.body["kind"], event.body["subscriber"], event.body["state"]) == ("zone", zone.name, "granted")
    )


def _granted(connection: Connection, zone: Zone, publisher: str, name: str) -> bool:
    return subscriptions.standing(connection, "zone", zone.name).get((publisher, name)) == "granted"


def _begin(platform: Platform, start: Start) -> None:
    """Takes in what waits, and brings up to date what reads the changes; a mistake of one pipeline stops no other."""
    pipeline, why = start.pipeline, "; ".join(start.why)
    log.info("starts: %s", why, extra={"zone": pipeline.zone, "pipeline": pipeline.name})
    look_into(platform, pipeline, {})
    if not start.changed:
        return
    try:
        recompute(platform, pipeline, start.changed, why)
    except AssayError as error:
        if error.retryable:
            raise  # the place in the stream stays: it is tried again
        log.error(
            "the tables were not brought up to date: %s", words_of(error),
            extra={"zone": pipeline.zone, "pipeline": pipeline.name},
        )  # fmt: skip
        body = {"why": why, "error": type(error).__name__, "words": words_of(error)}
        events.add(
            platform.connection, "failed", zone=pipeline.zone, pipeline=pipeline.name, segment="denormalize", body=body
        )
