"""The page of states and events names every one of them, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from assay.batch import STATES
from assay.catalog import queue
from assay.catalog.events import KINDS
from assay.pipelines.worker import BEAT_SECONDS

PAGE = (Path(__file__).parents[2] / "docs/reference/states-and-events.md").read_text("utf-8")


def rows(heading: str) -> set[str]:
    """The words in the first column of a section's table."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def test_every_state_has_its_line() -> None:
    assert rows("States of a batch") == set(STATES)


def test_every_event_has_its_line() -> None:
    assert rows("Events") == set(KINDS)


def test_the_times_of_a_lease_are_those_of_the_code() -> None:
    assert f"it lasts {queue.LEASE_SECONDS:.0f} seconds, is renewed every {BEAT_SECONDS:.0f}" in PAGE
