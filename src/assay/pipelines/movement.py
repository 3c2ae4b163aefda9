"""One movement and what surrounds it: the batch's fence, one transaction of effect and record, the next state.

A segment prepares in the open and commits in one PostgreSQL transaction, together with its findings, its
reconciliation, the event that tells of it and the batch's new state. A process that dies leaves either none of it
or all of it, and one that was overtaken leaves none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from assay.batch import Batch, Profile
from assay.catalog import events, records
from assay.catalog.queue import Lease
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Rejected
from assay.findings import Finding
from assay.flow import GATE, movement
from assay.pipelines import observe
from assay.pipelines.handles import denials_on_record, handed, statements
from assay.pipelines.landing import pipeline_of, source_of
from assay.pipelines.platform import Platform
from assay.pipelines.subscriptions import check_still, sight_of, tell_published
from assay.security.principals import Segment
from assay.segments.outcome import Outcome
from assay.stewardship.verdict import Approved, Held, verdict
from assay.stores.canonical import strength
from assay.stores.database import Connection, transaction
from assay.stores.zone_roles import acting_as
from assay.zones.project import Source


def decide(platform: Platform, batch: Batch, lease: Lease) -> None:
    """The steward's gate: lets the batch pass, holds it, or rejects it, by its findings and the pipeline's setting."""
    pipeline = pipeline_of(platform, batch.zone, batch.pipeline)
    found = tuple(finding for _, finding in records.findings(platform.connection, batch.id))
    decided = verdict(found, pipeline.gate)
    after: Literal["released", "held", "rejected"] = (
        "released" if isinstance(decided, Approved) else "held" if isinstance(decided, Held) else "rejected"
    )
    why = decided.why if isinstance(decided, Held) else None
    with transaction(platform.connection) as tx, acting_as(tx, batch.zone):
        records.lock_batch(tx, batch.id, GATE, lease)
        records.move(tx, batch.id, GATE, after)
        events.add(tx, after, batch=batch, body={"why": why, "by": None} if why else {"by": None})
    observe.decided(batch, after, findings=found)


def move(platform: Platform, batch: Batch, segment: str, lease: Lease) -> None:
    """Takes the batch through one segment.

    Raises `Rejected` where the contract or a key refuses it, `LeaseLost` where somebody else has taken it over.
    """
    started = time.monotonic()
    step = movement(segment)
    source = source_of(pipeline_of(platform, batch.zone, batch.pipeline), Path(batch.file_name), batch.source)
    assert step.before is not None
    attempt = {"fence": lease.fence, "version": platform.project.version}
    events.add(platform.connection, "started", batch=batch, segment=segment, body=attempt)
    with (
        denials_on_record(platform, Segment(batch.zone, segment), batch=batch.id),
        observe.segment_at_work(batch, segment) as seen,
        platform.scratch() as scratch,
    ):
        outcome = _prepare(platform, batch, source, segment, scratch)
        odd = () if outcome.profile is None else _oddities(platform.connection, batch, source, outcome.profile)
        with _committing(platform, batch, source, segment) as tx:
            records.lock_batch(tx, batch.id, step.before, lease)
            outcome.commit(tx)
            records.add_findings(tx, batch.id, segment, (*outcome.findings, *odd))
            if outcome.profile is not None:
                records.add_profile(tx, batch.id, outcome.profile)
            for tally in (*outcome.tallies, *outcome.late_tallies):
                records.add_tally(tx, batch.id, tally)
            if outcome.period is not None:
                records.set_period(tx, batch.id, outcome.period)
            detail = _with_contract(segment, source, outcome.detail)
            seconds = time.monotonic() - started
            records.add_run(tx, batch.id, segment, "done", seconds, detail)
            if segment == "conform" and batch.origin == "replay":
                _retire(platform, tx, batch, source, outcome.detail)
            records.move(tx, batch.id, step.before, step.after)
            changed = _changed(segment, outcome.detail)
            if changed:
                zone = platform.project.zones[batch.zone]
                tell_published(tx, zone, changed, batch=batch, segment=segment)
            kind: events.Kind = "done" if step.after == "done" else "finished"
            events.add(tx, kind, batch=batch, segment=segment, body={**attempt, "seconds": seconds})
        seen.wrote((*outcome.tallies, *outcome.late_tallies), step.target)


def _changed(segment: str, detail: dict[str, Any]) -> set[str]:
    """The datasets whose rows a segment changed, by what it says that it did."""
    if segment == "conform":
        counted = ("inserted", "updated", "deleted")
        return {f"operational.{name}" for name, counts in detail.items() if any(counts[one] for one in counted)}
    return {f"analytical.{name}" for name in detail} if segment == "denormalize" else set()


@contextmanager
def _committing(platform: Platform, batch: Batch, source: Source, segment: str) -> Iterator[Connection]:
    """The transaction that makes a segment's effect visible, by the zone's role in PostgreSQL.

    Until it ends, what the segment's SQL read of other zones stays granted; raises `NotGranted` where it is not.
    """
    zone = platform.project.zones[batch.zone]
    read = statements(zone.pipelines[batch.pipeline], segment, source)
    with transaction(platform.connection) as tx:
        check_still(tx, zone, read)
        with acting_as(tx, batch.zone):
            yield tx


def denormalize_again(platform: Platform, batch: Batch) -> None:
    """Recomputes the analytical rows that a batch touched; the batch stays as it is.

    The caller keeps the pipeline to itself (`run.alone`).
    """
    source = source_of(pipeline_of(platform, batch.zone, batch.pipeline), Path(batch.file_name), batch.source)
    started = time.monotonic()
    who = Segment(batch.zone, "denormalize")
    with denials_on_record(platform, who, batch=batch.id), platform.scratch() as scratch:
        outcome = _prepare(platform, batch, source, "denormalize", scratch)
        with _committing(platform, batch, source, "denormalize") as tx:
            records.lock_batch(tx, batch.id, "done")
            outcome.commit(tx)
            changed = _changed("denormalize", outcome.detail)
            tell_published(tx, platform.project.zones[batch.zone], changed, batch=batch, segment="denormalize")
            body = {"seconds": time.monotonic() - started, "again": True, "by": platform.actor}
            events.add(tx, "finished", batch=batch, segment="denormalize", body=body)


def _retire(platform: Platform, tx: Connection, batch: Batch, source: Source, merged: dict[str, Any]) -> None:
    """Takes the rows of a replayed batch out of staging, and says which canonical rows stay although not repeated."""
    assert batch.replaces is not None
    old = records.batch(tx, batch.replaces)
    leave_staging(platform, tx, source, old.id)
    kept = {name: counts["kept"] for name, counts in merged.items() if counts["kept"]}
    if kept:
        words = ", ".join(f"{count} of {name}" for name, count in kept.items())
        what = f"rows of batch {old.id} that its replay does not repeat stay in the canonical tables: {words}"
        records.add_findings(tx, batch.id, "conform", [Finding("replay_kept_rows", what, severity="warning")])
    records.lock_batch(tx, old.id, old.state)
    records.move(tx, old.id, old.state, "replaced")
    events.add(tx, "replaced", batch=old, body={"by_batch": batch.id})


def leave_staging(platform: Platform, tx: Connection, source: Source, number: int) -> None:
    """Takes the rows of a batch out of the staging stores."""
    from assay.stores.iceberg import Iceberg, batch_is
    from assay.stores.lake import clean, quarantine, readable

    iceberg = Iceberg(tx, platform.data)
    for table in dict.fromkeys((readable(source), clean(source), quarantine(source))):
        iceberg.put(table.namespace, table.name, [], replacing=batch_is(number))


def _oddities(
    connection: Connection, batch: Batch, source: Source, profile: Profile
) -> tuple[Finding, ...]:
    """What is odd about the batch beside the earlier ones of its source."""
    from assay.stewardship.history import Earlier, compare

    rows = records.profiles(connection, batch, profile.fingerprint, limit=source.checks.batches)
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
    """Runs a segment over what it is handed; nobody sees what it made until that is committed."""
    from assay.stores.iceberg import Iceberg

    pipeline = platform.project.zones[batch.zone].pipelines[batch.pipeline]
    lake = handed(platform, pipeline, segment, Iceberg(platform.connection, platform.data), source=source)
    limit, attaches = platform.project.target.memory_limit, segment in ("conform", "denormalize")
    with engine_connect(scratch, memory_limit=limit, postgres=attaches) as engine:
        if segment == "approve":
            from assay.segments import approve

            landed = platform.landed(batch, scratch)
            return approve.prepare(batch, source, landed, engine, lake, scratch)
        if segment == "clean":
            from assay.segments import clean

            return clean.prepare(batch, source, engine, lake, scratch)
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
                lake,
                platform.reader_url(batch.zone),
                scratch,
                refresh.tracked(platform.project, zone),
                remember,
                _later(platform, batch, source),
                sight_of(platform, zone),
            )
        from assay.segments import denormalize

        return denormalize.prepare(
            batch,
            platform.project,
            source,
            engine,
            lake,
            platform.reader_url(batch.zone),
            scratch,
            _touched(platform, batch),
            sight_of(platform, zone),
        )


def _later(platform: Platform, batch: Batch, source: Source) -> tuple[int, ...]:
    """For a replay, the batches of sources that are not trusted less which came after the batch that it replaces."""
    if batch.origin != "replay":
        return ()
    standing = records.conformed(platform.connection, batch.zone, batch.pipeline)
    numbers = [one.id for one in standing]
    if batch.replaces not in numbers:
        return ()
    precedence = platform.project.zones[batch.zone].pipelines[batch.pipeline].precedence
    mine = strength(source.name, precedence)
    after = standing[numbers.index(batch.replaces) + 1 :]
    return tuple(one.id for one in after if strength(one.source, precedence) <= mine)


def _touched(platform: Platform, batch: Batch) -> dict[str, dict[str, list[Any]] | None]:
    from assay.pipelines import refresh

    zone = platform.project.zones[batch.zone]
    conformed = next(r for r in records.runs(platform.connection, batch.id) if r["segment"] == "conform")
    updated = {name for name, counts in conformed["detail"].items() if counts["updated"] or counts.get("deleted")}
    publishers = [subscription.zone for subscription in zone.subscriptions]
    changed = platform.connection.execute(
        "WITH last AS (SELECT coalesce(max(r.finished_at), '-infinity') AS at FROM assay.segment_run AS r "
        "JOIN assay.batch AS b ON b.id = r.batch_id WHERE b.zone = %s AND b.pipeline = %s "
        "AND r.segment = 'denormalize') "
        "SELECT EXISTS (SELECT 1 FROM assay.segment_run AS r JOIN assay.batch AS b ON b.id = r.batch_id, last "
        "WHERE b.zone = ANY(%s) AND r.segment IN ('conform', 'denormalize', 'withdraw') AND r.finished_at > last.at) "
        "OR EXISTS (SELECT 1 FROM assay.event AS e, last WHERE e.zone = ANY(%s) AND e.kind = 'rebuilt' "
        "AND e.at > last.at)",
        (batch.zone, batch.pipeline, publishers, publishers),
    ).fetchone()
    touched = records.touched(platform.connection, batch.id)
    return refresh.by_table(platform.project, zone, touched, updated, bool(changed and changed[0]))


def reject(platform: Platform, batch: Batch, segment: str, error: Rejected, lease: Lease, seconds: float) -> None:
    """Ends the batch with its findings; nothing of it moves on."""
    with transaction(platform.connection) as tx, acting_as(tx, batch.zone):
        records.lock_batch(tx, batch.id, batch.state, lease)
        records.add_findings(tx, batch.id, segment, error.findings)
        detail = {"what": error.what, "rows_total": error.rows_total, "rows_affected": error.rows_affected}
        records.add_run(tx, batch.id, segment, "rejected", seconds, detail)
        records.move(tx, batch.id, batch.state, "rejected")
        attempt = {"fence": lease.fence, "version": platform.project.version}
        events.add(tx, "rejected", batch=batch, segment=segment, body={**attempt, "what": error.what, "by": None})
    observe.rejected(batch, segment, error.findings)
