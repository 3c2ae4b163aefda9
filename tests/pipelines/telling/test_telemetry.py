"""OpenTelemetry: what a collector gets of a batch, and that it costs nothing where it is not set up."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from assay.catalog import queue
from assay.errors import Unavailable
from assay.pipelines import movement, observe, review
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.run import Result, ingest
from assay.pipelines.telling.telemetry import Telemetry
from assay.pipelines.telling.tell import tell
from shop_project import TILL, Shop


class Gathered:
    """Telemetry in memory."""

    def __init__(self) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.telemetry = Telemetry("shop/local", SimpleSpanProcessor(self.spans), self.reader)

    def finished(self) -> list[Any]:
        return list(self.spans.get_finished_spans())

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def gathered() -> Iterator[Gathered]:
    """Spans and metrics of this process, in memory."""
    found = Gathered()
    observe.use(found.telemetry)
    yield found
    observe.use(None)
    found.telemetry.close()


def take_in(shop: Shop, text: str = TILL, name: str = "till-9.csv") -> Result:
    (shop.root / name).write_text(text)
    with shop.opened() as platform:
        apply(platform)
        return ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / name], None)[0]


def test_a_batch_is_one_trace_with_a_span_for_each_segment(shop: Shop, gathered: Gathered) -> None:
    number = take_in(shop).batch.id
    *segments, whole = gathered.finished()
    assert [span.name for span in segments] == ["approve", "clean", "conform", "denormalize"]
    assert {span.context.trace_id for span in (*segments, whole)} == {whole.context.trace_id}
    assert {span.parent.span_id for span in segments} == {whole.context.span_id} and whole.parent is None
    assert (whole.name, whole.attributes["assay.outcome"]) == ("batch shop/sales", "done")
    assert whole.start_time <= segments[0].start_time and whole.end_time >= segments[-1].end_time
    assert dict(segments[0].attributes) == {
        "assay.batch": number, "assay.zone": "shop", "assay.pipeline": "sales", "assay.source": "till",
        "assay.segment": "approve", "assay.rows": 5, "assay.outcome": "done",
    }  # fmt: skip


def test_a_batch_that_waits_for_a_steward_stays_one_trace_across_processes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    monkeypatch.setenv("ASSAY_USER", "carol")
    found = []
    for step in ("deliver", "release"):
        one = Gathered()  # as in another process: nothing is known of the first
        observe.use(one.telemetry)
        if step == "deliver":
            number = take_in(shop).batch.id
        else:
            monkeypatch.setenv("ASSAY_USER", "anna")
            with shop.opened() as platform:
                review.decide(platform, number, "release", "fine")
        found += one.finished()
    observe.use(None)
    assert [span.name for span in found] == ["approve", "clean", "conform", "denormalize", "batch shop/sales"]
    assert len({span.context.trace_id for span in found}) == 1


def test_two_batches_are_two_traces(shop: Shop, gathered: Gathered) -> None:
    take_in(shop)
    take_in(shop, TILL.replace("\n1,", "\n10,"), "till-10.csv")
    assert len({span.context.trace_id for span in gathered.finished()}) == 2


def test_batches_rows_and_seconds_are_counted(shop: Shop, gathered: Gathered) -> None:
    take_in(shop)
    take_in(shop, TILL.replace("2.50", "Jane Doe"), "till-10.csv")
    points = gathered.points()
    outcomes = {point.attributes["outcome"]: point.value for point in points["assay.batches"]}
    assert outcomes == {"done": 1, "rejected": 1}
    rows = {point.attributes["segment"]: point.value for point in points["assay.rows"]}
    assert rows == {"approve": 5, "clean": 4, "conform": 6}
    counts = {
        (point.attributes["segment"], point.attributes["outcome"]): point.count
        for point in points["assay.segment.duration"]
    }
    assert counts["approve", "done"] == counts["approve", "rejected"] == 1


def test_an_error_is_told_by_its_type_alone(
    shop: Shop, gathered: Gathered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("could not convert 'Jane Doe'")

    monkeypatch.setattr(movement, "_prepare", fail)
    with pytest.raises(ValueError):
        take_in(shop)
    (span,) = gathered.finished()
    assert (span.status.description, span.attributes["assay.outcome"]) == ("ValueError", "failed")
    assert "Jane" not in span.to_json()
    assert {point.attributes["outcome"] for point in gathered.points()["assay.batches"]} == {"failed"}


def test_the_length_of_the_queue_is_told_and_falls_to_nothing(
    shop: Shop, gathered: Gathered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("the lake is away")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(movement, "_prepare", fail)
        take_in(shop)
    with shop.opened() as platform:
        platform.connection.execute("UPDATE assay.batch SET moved_at = moved_at - interval '1 hour'")
        tell(platform)
        points = gathered.points()
        assert [point.value for point in points["assay.queue.batches"]] == [1]
        assert 3600 <= points["assay.queue.oldest_age"][0].value < 3700
        ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / "till-9.csv"], None)
        assert queue.lengths(platform.connection) == {}
        tell(platform)
        assert [point.value for point in gathered.points()["assay.queue.batches"]] == [0]


class Collector:
    """What a collector got, by path."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.url = ""


@contextmanager
def collector() -> Iterator[Collector]:
    """An OTLP collector over HTTP."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                found.traces.append(ExportTraceServiceRequest.FromString(body))
            elif self.path == "/v1/metrics":
                found.metrics.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on the tests' standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def command(shop: Shop, name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`assay ingest` in a process of its own; the last line of its standard output names what it loaded."""
    text = TILL.replace("\n1,", f"\n{name.encode().hex()},")
    (shop.root / f"till-{name}.csv").write_text(text)
    script = (
        "import sys, json\nsys.argv = ['assay', *sys.argv[1:]]\nfrom assay.cli import main\n"
        "try:\n    main()\nfinally:\n    print(json.dumps('opentelemetry' in sys.modules))\n"
    )
    words = ["ingest", f"till-{name}.csv", "--zone", "shop", "--pipeline", "sales"]
    return subprocess.run(
        [sys.executable, "-c", script, *words], cwd=shop.root, capture_output=True, text=True,
        env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("by", ["environment", "target"])
def test_a_collector_gets_spans_and_metrics_of_a_command(shop: Shop, by: str) -> None:
    with collector() as found:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": found.url} if by == "environment" else {}
        if by == "target":
            shop.edit("assay.yaml", "{data: data,", f"{{data: data, telemetry: {{endpoint: '{found.url}'}},")
        with shop.opened() as platform:
            apply(platform)
        done = command(shop, "told", environment)
        assert (done.returncode, done.stderr) == (0, "")
    resources = [resource for request in found.traces for resource in request.resource_spans]
    names = [span.name for one in resources for scope in one.scope_spans for span in scope.spans]
    assert names == ["approve", "clean", "conform", "denormalize", "batch shop/sales"]
    told = {entry.key: entry.value.string_value for entry in resources[0].resource.attributes}
    assert (told["service.name"], told["assay.platform"]) == ("assay", "shop/local")
    metrics = {
        metric.name
        for request in found.metrics
        for one in request.resource_metrics
        for scope in one.scope_metrics
        for metric in scope.metrics
    }
    assert {"assay.batches", "assay.rows", "assay.segment.duration"} <= metrics


def test_nothing_of_it_is_loaded_where_it_is_not_set_up(filled: Shop) -> None:
    for name, environment in (("plain", {}), ("off", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
                                                      "OTEL_SDK_DISABLED": "true"})):  # fmt: skip
        done = command(filled, name, environment)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) is False


def test_a_collector_that_never_answers_fails_no_command(filled: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = command(filled, "silent", {"OTEL_EXPORTER_OTLP_ENDPOINT": address})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_name_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    one = Gathered()
    with one.telemetry._tracer.start_as_current_span("x"):
        pass
    assert one.finished()[0].resource.attributes["service.name"] == "ours"


def test_missing_packages_are_told_in_the_log_and_stop_nothing(
    filled: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "assay.pipelines.telling.telemetry", None)
    assert take_in(filled, TILL.replace("\n1,", "\n20,"), "till-20.csv").batch.state == "done"
    assert "pip install 'assay[otel]'" in caplog.text
