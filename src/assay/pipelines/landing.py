"""ingress → landing: which source a file is for, and the batch that it becomes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.batch import Batch
from assay.catalog import events, queue, records
from assay.errors import NotFound, Rejected, Usage, nearest
from assay.findings import Finding
from assay.pipelines import observe
from assay.pipelines.handles import denials_on_record, permit
from assay.pipelines.order import source_rank
from assay.pipelines.platform import Platform
from assay.pipelines.succession import replaced_by
from assay.security.principals import Segment
from assay.stores import ingress
from assay.stores.database import Connection, advisory_key, transaction
from assay.stores.lake_use import in_use
from assay.stores.landing import keep
from assay.zones.project import Pipeline, Source


def pipeline_of(platform: Platform, zone: str, pipeline: str) -> Pipeline:
    """The pipeline of that name, or an error that names the nearest."""
    zones = platform.project.zones
    if zone not in zones:
        near = nearest(zone, zones)
        raise NotFound(f"there is no zone {zone}", expected=near or ", ".join(zones))
    if pipeline not in zones[zone].pipelines:
        near = nearest(pipeline, zones[zone].pipelines)
        raise NotFound(
            f"zone {zone} has no pipeline {pipeline}", expected=near or ", ".join(zones[zone].pipelines)
        )
    return zones[zone].pipelines[pipeline]


def source_of(pipeline: Pipeline, file: Path, name: str | None = None) -> Source:
    """The source that expects the file, by its patterns, or the named one."""
    if name is not None:
        if name not in pipeline.sources:
            raise NotFound(f"pipeline {pipeline.name} has no source {name}", expected=", ".join(pipeline.sources))
        return pipeline.sources[name]
    matching = [s for s in pipeline.sources.values() if any(fnmatch.fnmatchcase(file.name, p) for p in s.files)]
    if len(matching) == 1:
        return matching[0]
    patterns = "; ".join(f"{s.name}: {', '.join(s.files)}" for s in pipeline.sources.values())
    problem = "no source expects" if not matching else "several sources expect"
    raise Usage(
        f"{problem} a file named {file.name}",
        where=f"{pipeline.zone}/{pipeline.name}",
        expected=patterns,
        next="name the source with --source",
    )


def named_source(platform: Platform, batch: Batch) -> Source:
    """The source that a batch is of, as the project has it now."""
    return source_of(pipeline_of(platform, batch.zone, batch.pipeline), Path(batch.file_name), batch.source)


def waiting_files(pipeline: Pipeline, known: Mapping[Path, tuple[int, int]] | None = None) -> list[Path]:
    """The complete files in the pipeline's ingress folder that some source expects, by name.

    What is `known` by its size and modification time (ns) is left out.
    """
    return ingress.waiting(pipeline.ingress, pipeline.markers, known=known or {})


def arrived(platform: Platform, path: Path) -> bool:
    """Whether this very file (path, size, modification time) was delivered before."""
    stat = path.stat()
    return records.arrived(platform.connection, str(path.resolve()), (stat.st_size, stat.st_mtime_ns))


def take(platform: Platform, source: Source, path: Path) -> tuple[Batch, bool] | None:
    """`land` for a file that was found waiting; None for one that another process has taken meanwhile."""
    key = advisory_key("take", str(path.resolve()))
    platform.connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    try:
        return None if arrived(platform, path) else land(platform, source, path)
    finally:
        if not platform.connection.closed:
            platform.connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def land(platform: Platform, source: Source, path: Path) -> tuple[Batch, bool]:
    """Copies the file, and records a batch or recognises one; returns (batch, duplicate).

    Raises `NotFound` where there is no such file, `Rejected` for a name that does not tell the period it must tell.
    """
    check_file(path)
    who = Segment(source.zone, "land")
    with denials_on_record(platform, who, file=path.name), in_use(platform.connection):
        permit(platform.project, who)
        return _land(platform, source, path)


def _land(platform: Platform, source: Source, path: Path) -> tuple[Batch, bool]:
    stat = path.stat()
    landed = platform.landing.put(source.zone, path)
    period = period_of(source, path.name)
    place = (source.zone, source.pipeline, source.name)
    with transaction(platform.connection) as tx:
        # Two that land the same bytes at the same time would both find them new.
        tx.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("land", *place),))
        keep(tx, source.zone, landed.sha256)
        if not platform.landing.has(source.zone, landed.sha256):
            # The same bytes had been there before, and housekeeping has removed them just now.
            platform.landing.put(source.zone, path)
        known = records.same_bytes(tx, *place, landed.sha256)
        duplicate = known is not None and not _worth_another_try(tx, source, known, platform.project.version)
        if known is not None and duplicate:
            number = known.id
        else:
            waiting = records.unreplaced(tx, *place)
            corrected = replaced_by(path.name, period, waiting, by_period=source.load.mode == "replace")
            number = new_batch(
                platform,
                tx,
                source,
                Delivered(path.name, landed.size_bytes, landed.sha256),
                period,
                replaces=corrected.id if corrected else None,
            )
        records.add_delivery(
            tx, number, str(path.resolve()), (stat.st_size, stat.st_mtime_ns), platform.actor, duplicate=duplicate
        )
        platform.record(
            tx, "land", f"batch/{number}", zone=source.zone, file=path.name, sha256=landed.sha256, duplicate=duplicate
        )
    batch = records.batch(platform.connection, number)
    observe.landed(batch, duplicate=duplicate)
    return batch, duplicate


@dataclass(frozen=True)
class Delivered:
    """What was delivered: the file's name, and the size and SHA-256 of its bytes."""

    file_name: str
    size_bytes: int
    sha256: str


def new_batch(
    platform: Platform,
    tx: Connection,
    source: Source,
    delivered: Delivered,
    period: str | None,
    *,
    replaces: int | None,
    replay: dict[str, Any] | None = None,
) -> int:
    """Records a batch that has landed, for the workers to take; returns its number.

    `replay` says of a batch that is another one again what the records tell of it.
    """
    number = records.add_batch(
        tx,
        zone=source.zone,
        pipeline=source.pipeline,
        source=source.name,
        file_name=delivered.file_name,
        size_bytes=delivered.size_bytes,
        sha256=delivered.sha256,
        delivered_by=platform.actor,
        config_version=platform.project.version,
        period=period,
        origin="delivery" if replay is None else "replay",
        replaces=replaces,
        rank=source_rank(pipeline_of(platform, source.zone, source.pipeline), source.name),
    )
    records.add_run(tx, number, "land", "done", 0.0, replay or {"bytes": delivered.size_bytes})
    events.add(tx, "landed", batch=records.batch(tx, number), segment="land", body=replay)
    queue.announce(tx)
    return number


def period_of(source: Source, name: str) -> str | None:
    """The period that a file's name tells; None where the source does not take it from there.

    Raises `Rejected` for a name that does not tell it.
    """
    if source.period is None or source.period.origin != "file_name":
        return None
    assert source.period.pattern is not None
    match = re.search(source.period.pattern, name)
    if match is None:
        raise Rejected(
            f"the name {name} does not tell its period",
            [Finding("file_name", f"{name} does not match {source.period.pattern}")],
            expected=source.period.pattern,
            next="rename the file and deliver it again",
        )
    return match.group(1) if match.groups() else match.group(0)


def _worth_another_try(connection: Connection, source: Source, known: Batch, version: str) -> bool:
    """Whether bytes that were delivered before are to be processed again.

    A rejected batch may fare better now: under other rules, or among other rows; a withdrawn one stands nowhere any
    more. And a file that is the whole of a source, or of a period, counts again when another one has taken its place
    since.
    """
    if known.state == "withdrawn":
        return True
    if known.state != "rejected":
        mode = source.load.mode
        later = records.overtaker(connection, known, by_period=mode == "replace")
        return mode in ("snapshot", "replace") and later is not None
    refused = [entry["segment"] for entry in records.runs(connection, known.id) if entry["outcome"] == "rejected"]
    return known.config_version != version or refused == ["conform"]


def check_file(path: Path) -> None:
    """Raises `NotFound` unless there is such a file."""
    if not path.is_file():
        what = "this is not a file" if path.exists() else "there is no such file"
        raise NotFound(what, where=str(path), next="check the name and deliver it again")
