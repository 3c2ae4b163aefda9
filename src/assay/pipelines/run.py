"""What surrounds every movement, once: lock, prepare, one transaction of effect and record, the next state.

A segment prepares in the open and commits in one PostgreSQL transaction, together with its findings, its
reconciliation and the batch's new state. A process that dies leaves either none of it or all of it.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.batch import FINAL, Batch, Profile, State
from assay.catalog import records
from assay.engines.duckdb import connect as engine_connect
from assay.errors import AssayError, Misconfigured, NotFound, Rejected, Usage
from assay.findings import Finding
from assay.flow import GATE, movement, movement_from
from assay.pipelines.order import source_order
from assay.pipelines.platform import Platform
from assay.pipelines.succession import replaced_by
from assay.segments.outcome import Outcome
from assay.stewardship.verdict import Approved, Held, verdict
from assay.stores import ingress
from assay.stores.database import Connection, advisory_key, transaction
from assay.zones.project import Pipeline, Source

Progress = Callable[[Batch, str], None]


@dataclass(frozen=True)
class Result:
    """What became of one delivered file."""

    batch: Batch
    duplicate: bool = False
    error: AssayError | None = None


def pipeline_of(platform: Platform, zone: str, pipeline: str) -> Pipeline:
    """The pipeline of that name, or an error that names the nearest."""
    from assay.errors import nearest

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


def waiting_files(pipeline: Pipeline) -> list[Path]:
    """The complete files in the pipeline's ingress folder that some source expects, by name."""
    markers = {pattern: s.reader.done_marker for s in pipeline.sources.values() for pattern in s.files}
    return ingress.waiting(pipeline.ingress, markers)


@contextmanager
def turn(platform: Platform, zone: str, pipeline: str) -> Iterator[None]:
    """One process at a time works on a pipeline; the lock goes with the connection, so a dead one holds nothing."""
    key = advisory_key("pipeline", zone, pipeline)
    platform.connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    try:
        yield
    finally:
        if not platform.connection.closed:
            platform.connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def land(platform: Platform, source: Source, path: Path) -> tuple[Batch, bool]:
    """ingress → landing: copies the file, and records a batch or recognises one; returns (batch, duplicate)."""
    _check_file(path)
    stat = path.stat()
    landed = platform.landing.put(source.zone, path)
    period = period_of(source, path.name)
    with transaction(platform.connection) as tx:
        known = records.same_bytes(tx, source.zone, source.pipeline, source.name, landed.sha256)
        version = platform.project.version
        duplicate = known is not None and not _worth_another_try(tx, source, known, version)
        if known is not None and duplicate:
            number = known.id
        else:
            waiting = records.unreplaced(tx, source.zone, source.pipeline, source.name)
            corrected = replaced_by(path.name, period, waiting, by_period=source.load.mode == "replace")
            number = records.add_batch(
                tx,
                zone=source.zone,
                pipeline=source.pipeline,
                source=source.name,
                file_name=path.name,
                size_bytes=landed.size_bytes,
                sha256=landed.sha256,
                delivered_by=platform.actor,
                config_version=version,
                period=period,
                replaces=corrected.id if corrected else None,
            )
            records.add_run(tx, number, "land", "done", 0.0, {"bytes": landed.size_bytes})
        records.add_delivery(
            tx, number, str(path.resolve()), (stat.st_size, stat.st_mtime_ns), platform.actor, duplicate=duplicate
        )
    return records.batch(platform.connection, number), duplicate


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

    A rejected batch may fare better now: under other rules, or among other rows. And a file that is the whole of a
    source, or of a period, counts again when another one has taken its place since.
    """
    if known.state != "rejected":
        mode = source.load.mode
        return mode in ("snapshot", "replace") and records.overtaken(connection, known, by_period=mode == "replace")
    refused = [entry["segment"] for entry in records.runs(connection, known.id) if entry["outcome"] == "rejected"]
    return known.config_version != version or refused == ["conform"]


def _check_file(path: Path) -> None:
    if not path.is_file():
        what = "this is not a file" if path.exists() else "there is no such file"
        raise NotFound(what, where=str(path), next="check the name and deliver it again")


def advance(platform: Platform, number: int, progress: Progress | None = None) -> Result:
    """Takes a batch as far as it goes: to the end, to the steward's gate, or to its rejection."""
    while True:
        batch = records.batch(platform.connection, number)
        if batch.state in FINAL or batch.state == "held":
            return Result(batch)
        if batch.state == GATE:
            _decide(platform, batch)
            continue
        step = movement_from(batch.state)
        if step is None:
            return Result(batch)
        if progress:
            progress(batch, step.segment)
        try:
            _move(platform, batch, step.segment)
        except Rejected as error:
            _reject(platform, batch, step.segment, error)
            return Result(records.batch(platform.connection, number), error=error)


def _decide(platform: Platform, batch: Batch) -> None:
    pipeline = pipeline_of(platform, batch.zone, batch.pipeline)
    found = tuple(finding for _, finding in records.findings(platform.connection, batch.id))
    decided = verdict(found, pipeline.steward)
    after: State = "released" if isinstance(decided, Approved) else "held" if isinstance(decided, Held) else "rejected"
    with transaction(platform.connection) as tx:
        records.lock_batch(tx, batch.id, GATE)
        records.move(tx, batch.id, GATE, after)


def _move(platform: Platform, batch: Batch, segment: str) -> None:
    started = time.monotonic()
    step = movement(segment)
    source = source_of(pipeline_of(platform, batch.zone, batch.pipeline), Path(batch.file_name), batch.source)
    assert step.before is not None
    with platform.scratch() as scratch:
        outcome = _prepare(platform, batch, source, segment, scratch)
        with transaction(platform.connection) as tx:
            records.lock_batch(tx, batch.id, step.before)
            outcome.commit(tx)
            records.add_findings(tx, batch.id, segment, outcome.findings)
            if outcome.profile is not None:
                records.add_findings(tx, batch.id, segment, _oddities(tx, batch, source, outcome.profile))
                records.add_profile(tx, batch.id, outcome.profile)
            for tally in (*outcome.tallies, *outcome.late_tallies):
                records.add_tally(tx, batch.id, tally)
            if outcome.period is not None:
                records.set_period(tx, batch.id, outcome.period)
            detail = _with_contract(segment, source, outcome.detail)
            records.add_run(tx, batch.id, segment, "done", time.monotonic() - started, detail)
            if segment == "conform" and batch.origin == "replay":
                _retire(platform, tx, batch, source, outcome.detail)
            records.move(tx, batch.id, step.before, step.after)


def _retire(platform: Platform, tx: Connection, batch: Batch, source: Source, merged: dict[str, Any]) -> None:
    """Takes the rows of a replayed batch out of staging, and says which canonical rows stay although not repeated."""
    from assay.stores.iceberg import Iceberg, batch_is
    from assay.stores.lake import clean, quarantine, readable

    assert batch.replaces is not None
    old = records.batch(tx, batch.replaces)
    iceberg = Iceberg(tx, platform.data)
    for table in dict.fromkeys((readable(source), clean(source), quarantine(source))):
        iceberg.put(table.namespace, table.name, [], replacing=batch_is(old.id))
    kept = {name: counts["kept"] for name, counts in merged.items() if counts["kept"]}
    if kept:
        words = ", ".join(f"{count} of {name}" for name, count in kept.items())
        what = f"rows of batch {old.id} that its replay does not repeat stay in the canonical tables: {words}"
        records.add_findings(tx, batch.id, "conform", [Finding("replay_kept_rows", what, severity="warning")])
    records.lock_batch(tx, old.id, old.state)
    records.move(tx, old.id, old.state, "replaced")


def _oddities(tx: Connection, batch: Batch, source: Source, profile: Profile) -> tuple[Finding, ...]:
    """What is odd about the batch beside the earlier ones of its source."""
    from assay.stewardship.history import Earlier, compare

    rows = records.profiles(tx, batch, profile.fingerprint, limit=source.checks.batches)
    mode = source.load.mode
    seen: set[str | None] = set()
    history = []
    for number, name, period, earlier in rows:  # the newest first: an older one of the same place was replaced
        place = period if mode == "replace" else None
        history.append(Earlier(number, name, period, earlier, mode not in ("replace", "snapshot") or place not in seen))
        seen.add(place)
    return compare(profile, history, source.checks)


def _with_contract(segment: str, source: Source, detail: dict[str, Any]) -> dict[str, Any]:
    """What `approve` did, and by which version of the contract: every row's lineage leads to it."""
    if segment != "approve":
        return detail
    contract = source.contract
    kept = {"id": contract.id, "version": contract.version, "fingerprint": contract.fingerprint}
    return {**detail, "contract": kept}


def _prepare(platform: Platform, batch: Batch, source: Source, segment: str, scratch: Path) -> Outcome:
    from assay.stores.iceberg import Iceberg

    iceberg = Iceberg(platform.connection, platform.data)
    with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
        if segment == "approve":
            from assay.segments import approve

            landed = platform.landing.get(batch.zone, batch.sha256)
            return approve.prepare(batch, source, landed, engine, iceberg, scratch)
        if segment == "clean":
            from assay.segments import clean

            return clean.prepare(batch, source, engine, iceberg, scratch)
        from assay.pipelines import refresh

        zone = platform.project.zones[batch.zone]
        if segment == "conform":
            from assay.segments import conform

            def remember(tx: Any, table: str, values: dict[str, list[Any]] | None) -> None:
                records.add_touched(tx, batch.id, table, values)

            return conform.prepare(
                batch,
                platform.project,
                source,
                engine,
                iceberg,
                platform.url,
                scratch,
                refresh.tracked(platform.project, zone),
                remember,
            )
        from assay.segments import denormalize

        return denormalize.prepare(
            batch,
            platform.project,
            source,
            engine,
            iceberg,
            platform.url,
            scratch,
            _touched(platform, batch),
        )


def _touched(platform: Platform, batch: Batch) -> dict[str, dict[str, list[Any]] | None]:
    from assay.pipelines import refresh

    zone = platform.project.zones[batch.zone]
    conformed = next(r for r in records.runs(platform.connection, batch.id) if r["segment"] == "conform")
    updated = {name for name, counts in conformed["detail"].items() if counts["updated"] or counts.get("deleted")}
    publishers = [subscription.zone for subscription in zone.subscriptions]
    changed = platform.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM assay.segment_run r JOIN assay.batch b ON b.id = r.batch_id "
        "WHERE b.zone = ANY(%s) AND r.segment IN ('conform', 'denormalize') AND r.finished_at > coalesce("
        "(SELECT max(r2.finished_at) FROM assay.segment_run r2 JOIN assay.batch b2 ON b2.id = r2.batch_id "
        "WHERE b2.zone = %s AND b2.pipeline = %s AND r2.segment = 'denormalize'), '-infinity'))",
        (publishers, batch.zone, batch.pipeline),
    ).fetchone()
    touched = records.touched(platform.connection, batch.id)
    return refresh.by_table(platform.project, zone, touched, updated, bool(changed and changed[0]))


def _reject(platform: Platform, batch: Batch, segment: str, error: Rejected) -> None:
    with transaction(platform.connection) as tx:
        records.lock_batch(tx, batch.id, batch.state)
        records.add_findings(tx, batch.id, segment, error.findings)
        detail = {"what": error.what, "rows_total": error.rows_total, "rows_affected": error.rows_affected}
        records.add_run(tx, batch.id, segment, "rejected", 0.0, detail)
        records.move(tx, batch.id, batch.state, "rejected")


def ingest(
    platform: Platform, pipeline: Pipeline, files: list[Path], source: str | None, progress: Progress | None = None
) -> list[Result]:
    """Lands files by hand and takes each as far as it goes."""
    check_applied(platform)
    for path in files:
        _check_file(path)
    chosen = [(source_of(pipeline, path, source), path) for path in files]
    results = []
    with turn(platform, pipeline.zone, pipeline.name):
        for entry, path in chosen:
            results.append(_one(platform, entry, path, progress))
    return results


def run(platform: Platform, pipelines: list[Pipeline], progress: Progress | None = None) -> list[Result]:
    """Finishes what an earlier process left, then takes in everything that waits in the ingress folders.

    Files whose rows others refer to go first; files of one source go by name.
    """
    check_applied(platform)
    results: list[Result] = []
    for pipeline in pipelines:
        with turn(platform, pipeline.zone, pipeline.name):
            unfinished = records.batches(
                platform.connection,
                zone=pipeline.zone,
                pipeline=pipeline.name,
                states=("landed", "readable", "clean", "released", "conformed"),
            )
            results.extend(advance(platform, batch.id, progress) for batch in unfinished)
            waiting = [(source_of(pipeline, path), path) for path in waiting_files(pipeline)]
            turns = source_order(pipeline)
            for source, path in sorted(waiting, key=lambda entry: (turns.index(entry[0].name), entry[1].name)):
                stat = path.stat()
                if not records.arrived(platform.connection, str(path.resolve()), (stat.st_size, stat.st_mtime_ns)):
                    results.append(_one(platform, source, path, progress))
    return results


def _one(platform: Platform, source: Source, path: Path, progress: Progress | None) -> Result:
    batch, duplicate = land(platform, source, path)
    result = advance(platform, batch.id, progress)
    return Result(result.batch, duplicate, result.error)


def check_applied(platform: Platform) -> None:
    """Refuses to move data under a configuration that was not applied."""
    if records.applied_version(platform.connection) != platform.project.version:
        raise Misconfigured(
            "the configuration differs from the one that was applied last",
            file=platform.project.root / "assay.yaml",
            next="assay plan, then assay apply",
        )
