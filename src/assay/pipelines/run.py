"""Takes batches through the map (`flow.SEGMENTS`), under a lease, as far as they go.

A command and a service do it in the same way: they claim a batch, carry it on, and claim the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.batch import Batch
from assay.catalog import events, queue, records
from assay.catalog.queue import MODELLING, MOVING, Lease
from assay.errors import AssayError, Misconfigured, Rejected, Unavailable
from assay.flow import GATE, movement_from
from assay.pipelines import observe, versions
from assay.pipelines.arrivals import Landed, Misfit, remember, take_in
from assay.pipelines.kept import kept_words
from assay.pipelines.landing import check_file, land, source_of
from assay.pipelines.movement import decide, move, reject
from assay.pipelines.platform import Platform
from assay.pipelines.worker import Worker, at_work
from assay.stores.database import LockNotAvailable, advisory_key, failures_as_ours, transaction
from assay.zones.project import Pipeline

Progress = Callable[[Batch, str], None]

#: How long to wait for the batches of a pipeline that are in work, in seconds.
WAIT_SECONDS = 60
#: How long to wait before looking again at a batch that somebody else has in work, in seconds.
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Result:
    """What became of one delivered file."""

    batch: Batch
    duplicate: bool = False
    error: AssayError | None = None
    #: Whether this process did any of it.
    ours: bool = True


def pipeline_key(zone: str, pipeline: str) -> int:
    """The advisory lock of a pipeline's tables: batches in work share it, whoever makes tables anew has it alone."""
    return advisory_key("pipeline", zone, pipeline)


class Superseded(Misconfigured):
    """Another configuration is applied than the one at hand."""


@contextmanager
def turn(platform: Platform, zone: str, pipeline: str) -> Iterator[None]:
    """Keeps the tables of a pipeline from being changed while a batch of it is in work (`apply` waits, and we for it).

    Held by the session, so a dead process holds nothing. Raises `Misconfigured` when the configuration was changed.
    """
    key = pipeline_key(zone, pipeline)
    platform.connection.execute("SELECT pg_advisory_lock_shared(%s)", (key,))
    try:
        check_applied(platform)
        yield
    finally:
        if not platform.connection.closed:
            platform.connection.execute("SELECT pg_advisory_unlock_shared(%s)", (key,))


@contextmanager
def alone(platform: Platform, zone: str, pipeline: str) -> Iterator[None]:
    """Keeps every batch of a pipeline where it is, and its tables as they are, while they are made anew.

    Held by the session. Raises `Unavailable` when batches are in work for longer than a minute.
    """
    connection, key = platform.connection, pipeline_key(zone, pipeline)
    connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'".encode())
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    except LockNotAvailable as error:
        raise Unavailable(
            f"{zone}/{pipeline} has been at work for more than {WAIT_SECONDS} seconds",
            next="run the same command again",
        ) from error
    finally:
        connection.execute("RESET lock_timeout")
    try:
        check_applied(platform)
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def advance(
    platform: Platform,
    lease: Lease,
    progress: Progress | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> AssayError | None:
    """Takes the batch of a lease on: to the canonical tables' door, to the steward's gate, to its end or rejection.

    The lease is given back, between two segments also when `stopping` says so. Returns why the batch was rejected;
    raises what went wrong, which is then on record, or `Superseded` when another configuration was applied.
    """
    batch = records.batch(platform.connection, lease.batch)
    segment, started = "", time.monotonic()
    try:
        with failures_as_ours(), turn(platform, batch.zone, batch.pipeline):
            if batch.origin == "replay":  # it was asked for under just this version
                platform = acting = versions.under(platform, batch.config_version)
            else:
                acting, batch = versions.for_batch(platform, batch, lease)
            modelling = batch.state in MODELLING
            while batch.state in MOVING and (batch.state in MODELLING) == modelling and not stopping():
                if batch.state == GATE:
                    decide(acting, batch, lease)
                else:
                    step = movement_from(batch.state)
                    assert step is not None
                    segment, started = step.segment, time.monotonic()
                    if progress:
                        progress(batch, segment)
                    move(_under(platform, acting, batch, segment), batch, segment, lease)
                batch = records.batch(platform.connection, lease.batch)
    except Rejected as error:
        reject(platform, batch, segment, error, lease, time.monotonic() - started)
        return error
    except Exception as error:
        _record_failure(platform, batch, segment, error, lease)
        raise
    finally:
        if not platform.connection.closed:
            queue.give_back(platform.connection, lease)
    return None


def _under(platform: Platform, acting: Platform, batch: Batch, segment: str) -> Platform:
    """Analytical tables are computed as the present configuration says, unless it does not know the batch's source."""
    zone = platform.project.zones.get(batch.zone)
    pipeline = zone.pipelines.get(batch.pipeline) if zone else None
    derives = segment == "denormalize" and pipeline is not None and batch.source in pipeline.sources
    return platform if derives else acting


def _record_failure(platform: Platform, batch: Batch, segment: str, error: Exception, lease: Lease) -> None:
    if platform.connection.closed or isinstance(error, queue.LeaseLost | Superseded):
        return
    with transaction(platform.connection) as tx:
        words = kept_words(error, platform.project, batch.zone)
        again = queue.note_failure(tx, lease, segment, error, words)
        if again is None:
            return
        attempt = {"fence": lease.fence, "version": platform.project.version}
        told = {"error": type(error).__name__, "words": observe.words_of(error)}
        events.add(tx, "retrying" if again else "failed", batch=batch, segment=segment, body={**attempt, **told})
    observe.failed(batch, segment, error, again=again)


def work_off(platform: Platform, worker: Worker, number: int, progress: Progress | None = None) -> Result:
    """Takes a batch as far as it goes, after the earlier ones of its source; what others have in work is waited for."""
    ours = False
    while True:
        batch = records.batch(platform.connection, number)
        if batch.state not in MOVING:
            return Result(batch, ours=ours)
        for candidate in (*queue.before(platform.connection, number), number):
            queue.take_up(platform.connection, number=candidate)
            lease = queue.claim(platform.connection, worker.name, number=candidate)
            if lease is not None:
                error = advance(platform, lease, progress)
                ours = ours or candidate == number
                if candidate == number and error is not None:
                    return Result(records.batch(platform.connection, number), error=error)
                break
        else:
            time.sleep(PAUSE_SECONDS)


def ingest(
    platform: Platform, pipeline: Pipeline, files: list[Path], source: str | None, progress: Progress | None = None
) -> list[Result]:
    """Lands files by hand and takes each as far as it goes."""
    check_applied(platform)
    for path in files:
        check_file(path)
    chosen = [(source_of(pipeline, path, source), path) for path in files]
    with at_work(platform) as worker:
        return [
            _finish(platform, worker, Landed(*land(platform, entry, path)), progress) for entry, path in chosen
        ]


def run(platform: Platform, pipelines: list[Pipeline], progress: Progress | None = None) -> list[Result | Misfit]:
    """Finishes what an earlier process left, then takes in everything that waits in the ingress folders.

    Files whose rows others refer to go first; files of one source go by name. A file that cannot be taken in is
    one of the results, and the rest goes on.
    """
    check_applied(platform)
    results: list[Result | Misfit] = []
    with at_work(platform) as worker:
        for pipeline in pipelines:
            unfinished = records.batches(
                platform.connection, zone=pipeline.zone, pipeline=pipeline.name, states=MOVING
            )
            taken_on = [work_off(platform, worker, batch.id, progress) for batch in unfinished]
            results.extend(result for result in taken_on if result.ours)
            for found in take_in(platform, pipeline):
                if isinstance(found, Misfit):
                    remember(platform, found)
                    results.append(found)
                else:
                    results.append(_finish(platform, worker, found, progress))
    return results


def _finish(platform: Platform, worker: Worker, landed: Landed, progress: Progress | None) -> Result:
    result = work_off(platform, worker, landed.batch.id, progress)
    return Result(result.batch, landed.duplicate, result.error)


def check_applied(platform: Platform) -> None:
    """Refuses to move data under a configuration that was not applied."""
    if records.applied_version(platform.connection) != platform.project.version:
        raise Superseded(
            "the configuration differs from the one that was applied last",
            file=platform.project.root / "assay.yaml",
            next="assay plan, then assay apply",
        )
