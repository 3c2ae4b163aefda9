"""What a run tells of itself in log lines."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from assay import log
from assay.cli import assay
from assay.errors import Unavailable
from assay.findings import Finding
from assay.pipelines import landing, movement
from assay.pipelines.observe import kinds_of, words_of
from assay.pipelines.plan import apply
from assay.pipelines.run import ingest
from assay.stores.database import DatabaseFailed
from shop_project import TILL, Shop


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A log in JSON lines."""
    found = io.StringIO()
    log.start("json", found)
    yield found
    log.stop()


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def take_in(shop: Shop, text: str, name: str = "till-9.csv") -> None:
    (shop.root / name).write_text(text)
    with shop.opened() as platform:
        apply(platform)
        ingest(platform, landing.pipeline_of(platform, "shop", "sales"), [shop.root / name], None)


def test_every_segment_tells_its_batch_its_rows_and_its_time(shop: Shop, stream: io.StringIO) -> None:
    take_in(shop, TILL)
    done = {line["segment"]: line for line in told(stream) if line["message"].startswith("done")}
    assert {name: line["rows"] for name, line in done.items()} == {
        "approve": 5, "clean": 4, "conform": 6, "denormalize": None,
    }  # fmt: skip
    assert {(line["zone"], line["pipeline"], line["source"]) for line in done.values()} == {("shop", "sales", "till")}
    assert all(line["batch"] == done["approve"]["batch"] and line["seconds"] > 0 for line in done.values())


def test_a_rejection_tells_the_kinds_and_no_value_of_the_file(shop: Shop, stream: io.StringIO) -> None:
    take_in(shop, TILL.replace("2.50", "Jane Doe"))
    line = told(stream)[-1]
    assert (line["segment"], line["level"], line["message"]) == ("approve", "warning", "rejected: type_mismatch (1)")
    assert "Jane" not in stream.getvalue()


def test_a_batch_that_is_held_is_told(shop: Shop, stream: io.StringIO) -> None:
    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    take_in(shop, TILL)
    assert told(stream)[-1]["state"] == "held"


@pytest.mark.parametrize(("error", "again"), [(Unavailable("the lake is away"), True), (ValueError("Jane Doe"), False)])
def test_a_failure_tells_whether_it_is_tried_again_and_no_value(
    shop: Shop, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(movement, "_prepare", fail)
    with pytest.raises(type(error)):
        take_in(shop, TILL)
    line = told(stream)[-1]
    assert (line["segment"], line["error"], line["again"]) == ("approve", type(error).__name__, again)
    assert "Jane" not in stream.getvalue()


def test_what_an_error_says_is_told_only_where_it_cannot_hold_a_value() -> None:
    assert words_of(Unavailable("PostgreSQL is away")) == "PostgreSQL is away"
    assert words_of(DatabaseFailed('invalid input syntax for type integer: "Jane"')) == "DatabaseFailed"


def test_kinds_of_findings_are_counted_the_gravest_first() -> None:
    found = [
        Finding("b", "", severity="warning", count=2), Finding("z", "", count=1200), Finding("z", "", count=3),
        *(Finding(f"k{number}", "", severity="info") for number in range(6)),
    ]  # fmt: skip
    assert kinds_of(found) == "z (1,203), b (2), k0 (1), k1 (1), k2 (1) and 3 more"


def test_a_command_logs_where_it_is_asked_to_and_is_quiet_elsewhere(filled: Shop) -> None:
    words = ["ingest", str(filled.root / "till-1.csv"), "--zone", "shop", "--pipeline", "sales"]
    project = ["--project", str(filled.root)]
    assert CliRunner().invoke(assay, [*words, *project]).stderr == ""
    for options, environment in ((["--log", "json"], {}), ([], {"ASSAY_LOG": "json"})):
        done = CliRunner(env=environment).invoke(assay, [*options, *words, *project])
        log.stop()
        assert json.loads(done.stderr.splitlines()[0])["duplicate"] is True
