"""Log lines: what they are about, their two forms, and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from assay import log


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No test leaves a log running."""
    yield
    log.stop()


def lines(form: log.Form) -> io.StringIO:
    stream = io.StringIO()
    log.start(form, stream)
    return stream


def test_nothing_is_printed_before_a_start_nor_after_a_stop(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("assay.somewhere")
    logger.warning("unheard")
    stream = lines("text")
    log.stop()
    logger.error("unheard too")
    assert stream.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_a_json_line_carries_the_batch_and_the_segment_it_is_about() -> None:
    stream = lines("json")
    with log.about(batch=12, zone="shop"), log.about(segment="approve"):
        logging.getLogger("assay.x").info("done: %s rows", 3, extra={"rows": 3})
    logging.getLogger("assay.x").info("after", extra={"batch": 13})
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert {name: first[name] for name in ("level", "logger", "message", "batch", "segment", "zone", "rows")} == {
        "level": "info", "logger": "assay.x", "message": "done: 3 rows", "batch": 12, "segment": "approve",
        "zone": "shop", "rows": 3,
    }  # fmt: skip
    assert second["batch"] == 13 and "segment" not in second


def test_a_text_line_begins_with_what_it_is_about_and_stays_one_line() -> None:
    stream = lines("text")
    logging.getLogger("assay.x").warning(
        "landed a\nb\x1b[2J", extra={"batch": 7, "segment": "land", "zone": "shop", "pipeline": "sales"}
    )
    (line,) = stream.getvalue().splitlines()
    assert line[20:] == "WARNING batch 7 land (shop/sales): landed a\\nb\\x1b[2J"


@pytest.mark.parametrize("form", log.FORMS)
def test_an_exception_shows_its_type_and_places_but_not_its_text(form: log.Form) -> None:
    stream = lines(form)
    try:
        raise ValueError("Could not convert 'Jane Doe, 12 Elm Street' to INT32")
    except ValueError:
        logging.getLogger("assay.x").exception("failed")
    assert "Jane" not in stream.getvalue()
    assert "ValueError" in stream.getvalue() and "test_log.py:" in stream.getvalue()


def test_of_libraries_only_warnings_are_printed() -> None:
    stream = lines("text")
    logging.getLogger("somelibrary").info("POST https://user:secret@example.org")
    logging.getLogger("somelibrary").warning("slow")
    assert "secret" not in stream.getvalue() and "slow" in stream.getvalue()


def test_a_log_that_cannot_be_written_stops_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("the terminal is gone")

    log.start("text", Gone())
    logging.getLogger("assay.x").info("unheard")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("terminal", "as_json"), [(True, False), (False, True)])
def test_a_service_logs_text_to_a_terminal_and_json_elsewhere(terminal: bool, as_json: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    log.start_service(stream)
    logging.getLogger("assay.x").info("ready")
    assert stream.getvalue().startswith("{") == as_json


def test_the_form_that_was_chosen_stays_when_a_service_starts() -> None:
    stream = lines("json")
    log.start_service(io.StringIO())
    logging.getLogger("assay.x").info("ready")
    assert json.loads(stream.getvalue())["message"] == "ready"


def test_a_secret_that_was_resolved_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.security import secrets

    monkeypatch.setenv("WORD", "s3cr3t-word")
    secrets.resolve("${WORD}", what="the password")
    for form in log.FORMS:
        stream = lines(form)
        logging.getLogger("assay.x").info("posting with s3cr3t-word", extra={"word": "s3cr3t-word"})
        assert "s3cr3t-word" not in stream.getvalue() and "****" in stream.getvalue()
