"""OpenTelemetry: a trace for each batch, a span for each segment on it, and metrics; loaded only where it is set up.

A batch goes through several processes, on several days: its trace has a number that follows from the batch, so that
the spans of all of them are parts of one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

from assay import __version__
from assay.batch import Batch
from assay.errors import Rejected

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

#: How long an export may take, in seconds, where no variable of the environment says otherwise.
EXPORT_SECONDS = 3

# Its words about an exporter that is away are not for whoever runs a command.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


@dataclass
class Seen:
    """What is said of a span when it ends."""

    attributes: dict[str, str | int | float]


class Telemetry:
    """The spans and metrics of one process; `where` names the platform, so that its traces are told from others'."""

    def __init__(self, where: str, processor: SpanProcessor | None, reader: MetricReader | None) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME", "assay")
        resource = Resource.create({"service.name": name, "service.version": __version__, "assay.platform": where})
        self._where = where
        # Work ends with `flush`: at the end of the process nothing is sent a second time to a collector that is away.
        self._traces = TracerProvider(resource=resource, id_generator=_Numbers(), shutdown_on_exit=False)
        if processor is not None:
            self._traces.add_span_processor(processor)
        self._tracer = self._traces.get_tracer("assay", __version__)
        self._metrics = MeterProvider([reader] if reader else [], resource, shutdown_on_exit=False)
        meter = self._metrics.get_meter("assay", __version__)
        self._batches = meter.create_counter("assay.batches", "{batch}", "Batches by what became of them.")
        self._rows = meter.create_counter("assay.rows", "{row}", "Rows written, by segment.")
        self._seconds = meter.create_histogram("assay.segment.duration", "s", "How long a segment took.")
        self._waiting = meter.create_gauge("assay.queue.batches", "{batch}", "Batches that are under way or wait.")
        self._oldest = meter.create_gauge("assay.queue.oldest_age", "s", "How long the oldest of them has waited.")
        self._queues: set[tuple[str, str]] = set()

    @contextmanager
    def segment(self, batch: Batch, segment: str) -> Iterator[Seen]:
        """A span around a segment's work on a batch; its end is told by what the caller writes into what it gets."""
        seen, outcome = Seen({**_about(batch), "assay.segment": segment}), "done"
        started = time.monotonic()
        span = self._tracer.start_span(segment, set_span_in_context(NonRecordingSpan(self._root(batch)), Context()))
        try:
            yield seen
        except Rejected:
            outcome = "rejected"
            raise
        except BaseException as error:
            outcome = "failed"
            # Its words may hold a value of the delivered file.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.set_attributes({**seen.attributes, "assay.outcome": outcome})
            span.end()
            labels = {**_place(batch), "segment": segment}
            self._seconds.record(time.monotonic() - started, {**labels, "outcome": outcome})
            rows = seen.attributes.get("assay.rows")
            if isinstance(rows, int):
                self._rows.add(rows, labels)

    def became(self, batch: Batch, outcome: str, *, at_rest: bool) -> None:
        """Counts what became of a batch, and ends its trace where it has come to rest."""
        self._batches.add(1, {**_place(batch), "outcome": outcome})
        if at_rest:
            root = self._root(batch)
            with _numbered(root.trace_id, root.span_id):
                span = self._tracer.start_span(
                    f"batch {batch.zone}/{batch.pipeline}", Context(), start_time=_nanoseconds(batch.delivered_at),
                    attributes={**_about(batch), "assay.outcome": outcome},
                )  # fmt: skip
            span.end()

    def queue(self, waiting: Mapping[tuple[str, str], tuple[int, float]]) -> None:
        """How many batches of each (zone, pipeline) are under way or wait, and for how many seconds the oldest."""
        for zone, pipeline in self._queues | waiting.keys():
            count, seconds = waiting.get((zone, pipeline), (0, 0.0))
            labels = {"zone": zone, "pipeline": pipeline}
            self._waiting.set(count, labels)
            self._oldest.set(seconds, labels)
        self._queues |= waiting.keys()

    def flush(self) -> None:
        """Sends what was gathered, in bounded time."""
        flushes = (self._traces.force_flush, self._metrics.force_flush)
        threads = [threading.Thread(target=flush, args=(EXPORT_SECONDS * 1000,), daemon=True) for flush in flushes]
        for thread in threads:
            thread.start()
        until = time.monotonic() + EXPORT_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Sends what is left, and ends."""
        self._traces.shutdown()
        self._metrics.shutdown()

    def _root(self, batch: Batch) -> SpanContext:
        """The span of the batch itself, which every process knows before any has written it."""
        words = f"{self._where}/{batch.id}/{batch.delivered_at.isoformat()}"
        digest = hashlib.sha256(words.encode()).digest()
        trace, span = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")
        sampled = self._traces.sampler.should_sample(None, trace, "batch").decision != Decision.DROP
        return SpanContext(trace, span, True, TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT))


def exporting(where: str, endpoint: str | None) -> Telemetry:
    """Telemetry that goes to a collector: the target's, or the one that the OTEL_ variables name."""
    base = None if endpoint is None else endpoint.rstrip("/")
    named = "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ
    seconds = None if named else EXPORT_SECONDS
    processor = reader = None
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp":
        spans = OTLPSpanExporter(None if base is None else f"{base}/v1/traces", timeout=seconds)
        processor = BatchSpanProcessor(spans)
    if os.environ.get("OTEL_METRICS_EXPORTER", "otlp") == "otlp":
        figures = OTLPMetricExporter(None if base is None else f"{base}/v1/metrics", timeout=seconds)
        reader = PeriodicExportingMetricReader(figures)
    return Telemetry(where, processor, reader)


#: The numbers of the trace and the span that is made next, where they are not left to chance.
_chosen: ContextVar[tuple[int, int] | None] = ContextVar("_chosen", default=None)


@contextmanager
def _numbered(trace: int, span: int) -> Iterator[None]:
    token = _chosen.set((trace, span))
    try:
        yield
    finally:
        _chosen.reset(token)


class _Numbers(RandomIdGenerator):
    """Numbers by chance, but for the span of a batch."""

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        return super().generate_trace_id() if chosen is None else chosen[0]

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return super().generate_span_id() if chosen is None else chosen[1]


def _place(batch: Batch) -> dict[str, str]:
    return {"zone": batch.zone, "pipeline": batch.pipeline}


def _about(batch: Batch) -> dict[str, str | int | float]:
    return {
        "assay.batch": batch.id, "assay.zone": batch.zone, "assay.pipeline": batch.pipeline,
        "assay.source": batch.source,
    }  # fmt: skip


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
