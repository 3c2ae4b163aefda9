"""What is seen of the work while it goes on: a log line for each thing that happens to a batch, and spans and metrics
where OpenTelemetry is set up; where it is not, none of it is loaded.

No value of a delivered file appears here: of an error that may speak of one only the type is told.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay import log
from assay.batch import Batch, Tally
from assay.errors import AssayError, Denied, Misconfigured, Unavailable
from assay.findings import Finding
from assay.flow import movement

if TYPE_CHECKING:
    from assay.pipelines.telling.telemetry import Telemetry
    from assay.zones.project import Project

_log = logging.getLogger(__name__)

#: Errors whose words speak of parts of the platform, never of delivered data.
_OPEN = (Unavailable, Denied)

#: How many kinds of findings a line names.
KINDS_MOST = 5


#: The variables of the environment of which one says where OpenTelemetry data goes.
OTEL_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)  # fmt: skip

_telemetry: Telemetry | None = None


def telemetry_wanted(project: Project) -> bool:
    """Whether the target or the environment says where traces and metrics go."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return project.target.telemetry is not None or any(os.environ.get(name) for name in OTEL_ENDPOINTS)


def start(project: Project) -> None:
    """Sets OpenTelemetry up where it is wanted; once in a process. Work goes on without it where it cannot be."""
    global _telemetry
    if _telemetry is not None or not telemetry_wanted(project):
        return
    setting = project.target.telemetry
    try:
        from assay.pipelines.telling.http import address
        from assay.pipelines.telling.telemetry import exporting

        endpoint = None if setting is None else address(setting.endpoint, "the address of the collector")
        _telemetry = exporting(f"{project.name}/{project.target.name}", endpoint)
    except ImportError:
        _log.warning("OpenTelemetry is set up, and its packages are missing: pip install 'assay[otel]'")
    except Misconfigured as error:
        _log.warning("OpenTelemetry is left out: %s", error.what)


def use(telemetry: Telemetry | None) -> None:
    """Lets spans and metrics go to `telemetry` from now on; None ends that."""
    global _telemetry
    _telemetry = telemetry


def flush() -> None:
    """Sends what was gathered of spans and metrics, in bounded time."""
    if _telemetry is not None:
        _telemetry.flush()


def queue_length(waiting: Mapping[tuple[str, str], tuple[int, float]]) -> None:
    """Tells how many batches of each (zone, pipeline) are under way, and for how many seconds the oldest waits."""
    if _telemetry is not None:
        _telemetry.queue(waiting)


def measures_queue() -> bool:
    """Whether anybody wants to know."""
    return _telemetry is not None


@dataclass
class Step:
    """A segment at work: how many rows it has written, None where they are not counted."""

    rows: int | None = None

    def wrote(self, tallies: Iterable[Tally], store: str) -> None:
        """Counts the rows of a store (`readable`) or of its tables (`operational.sale`, ...)."""
        counted = [one.rows for one in tallies if one.store.partition(".")[0] == store]
        self.rows = sum(counted) if counted else None


@contextmanager
def batch_at_work(batch: Batch) -> Iterator[None]:
    """What happens inside is about the batch."""
    with log.about(zone=batch.zone, pipeline=batch.pipeline, source=batch.source, batch=batch.id):
        yield


@contextmanager
def segment_at_work(batch: Batch, segment: str) -> Iterator[Step]:
    """What happens inside is about the batch and the segment; its end is told, its failure by whoever decides on it."""
    started, step = time.monotonic(), Step()
    span = nullcontext() if _telemetry is None else _telemetry.segment(batch, segment)
    with batch_at_work(batch), log.about(segment=segment):
        with span as seen:
            yield step
            if seen is not None and step.rows is not None:
                seen.attributes["assay.rows"] = step.rows
        seconds = time.monotonic() - started
        told = {"rows": step.rows, "seconds": round(seconds, 3)}
        rows = "" if step.rows is None else f": {step.rows:,} rows"
        _log.info("done%s in %.2f s", rows, seconds, extra=told)
        if movement(segment).after == "done":
            _became(batch, "done", at_rest=True)


def landed(batch: Batch, *, duplicate: bool) -> None:
    """Tells that a file has become a batch, or was recognised."""
    what = "the same bytes came again, nothing to do" if duplicate else f"landed {batch.file_name}"
    with batch_at_work(batch), log.about(segment="land"):
        _log.info(what, extra={"file": batch.file_name, "bytes": batch.size_bytes, "duplicate": duplicate})


def decided(batch: Batch, state: str, by: str | None = None, findings: Iterable[Finding] = ()) -> None:
    """Tells that a batch was held, released or rejected: at the gate, or by the person `by`."""
    with batch_at_work(batch):
        kinds = kinds_of(findings)
        words = f"{state} by {by}" if by else f"{state}: {kinds}" if kinds and state != "released" else state
        _log.log(logging.WARNING if state == "rejected" else logging.INFO, words, extra={"state": state})
        if state != "released":
            _became(batch, state, at_rest=state == "rejected")


def rejected(batch: Batch, segment: str, findings: Iterable[Finding]) -> None:
    """Tells that a segment refused a batch."""
    with batch_at_work(batch), log.about(segment=segment):
        _log.warning("rejected: %s", kinds_of(findings) or "see its report", extra={"state": "rejected"})
        _became(batch, "rejected", at_rest=True)


def failed(batch: Batch, segment: str, error: BaseException, *, again: bool) -> None:
    """Tells that a segment did not get through, and whether it is tried again by itself."""
    with batch_at_work(batch), log.about(segment=segment):
        words, facts = words_of(error), {"error": type(error).__name__, "again": again}
        if again:
            _log.warning("failed, and is tried again: %s", words, extra=facts)
        else:
            trace = None if isinstance(error, AssayError) else error
            _log.error("failed, and waits until the cause is mended: %s", words, extra=facts, exc_info=trace)
            _became(batch, "failed", at_rest=False)


def _became(batch: Batch, outcome: str, *, at_rest: bool) -> None:
    if _telemetry is not None:
        _telemetry.became(batch, outcome, at_rest=at_rest)


def words_of(error: BaseException) -> str:
    """What an error says where that cannot hold a value of a delivered file, else its type and the file to edit.

    An SQL file that does not run is `Misconfigured`, and the engine's words may quote the value that it stumbled on.
    """
    if isinstance(error, _OPEN):
        return error.what
    place = f" in {error.where}" if isinstance(error, Misconfigured) and error.where else ""
    return f"{type(error).__name__}{place}"


def kinds_of(findings: Iterable[Finding]) -> str:
    """The kinds among findings, the gravest first, with their counts: `type_mismatch (3), missing_column (1)`."""
    counted: dict[tuple[int, str], int] = {}
    for finding in findings:
        key = (("error", "warning", "info").index(finding.severity), finding.kind)
        counted[key] = counted.get(key, 0) + finding.count
    shown = [f"{kind} ({count:,})" for (_, kind), count in sorted(counted.items())[:KINDS_MOST]]
    more = len(counted) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
