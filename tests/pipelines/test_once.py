"""A segment that runs twice for a batch leaves what it leaves when it runs once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trade import ANALYTICAL, DELIVERIES, FIRST, MODES, ORDINARY, Delivery, deliver, empty, unrepeated, write_project

from assay.batch import State
from assay.catalog import records
from assay.catalog.queue import Lease
from assay.errors import Unavailable
from assay.flow import SEGMENTS
from assay.pipelines.movement import move
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.run import work_off
from assay.pipelines.worker import at_work
from assay.stores.database import transaction
from assay.zones.project import load_project
from holdings import counted

NUMBERS = count()
AGAIN = [movement.segment for movement in SEGMENTS if movement.before is not None]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    root = tmp_path_factory.mktemp("once")
    write_project(root)
    with opened(load_project(root)) as found:
        apply(found)
        yield found


def stores(platform: Platform) -> dict[str, Any]:
    """Every row that anybody can see, with the batch that made it, and what is kept of the batches."""
    names = ["operational.sale", "operational.shop", *(f"staging.{name}" for name in MODES)]
    names += [f"analytical.{name}" for name in ANALYTICAL]
    found: dict[str, Any] = dict(counted(platform, names))
    for batch in records.batches(platform.connection):
        found[f"batch {batch.id}"] = (
            batch.state,
            [tally.to_dict() for tally in records.tallies(platform.connection, batch.id)],
        )
    return found


def rewind(platform: Platform, number: int, before: State) -> None:
    """Forgets that the segments after a state ever ran for the batch; what they wrote stays."""
    states = [movement.before for movement in SEGMENTS]
    later = [movement for movement in SEGMENTS[states.index(before) :]]
    stores_of = {"approve": ("delivered", "readable"), "clean": ("clean", "quarantine"), "conform": ("operational.%",)}
    with transaction(platform.connection) as tx:
        for movement in later:
            tx.execute("DELETE FROM assay.segment_run WHERE batch_id = %s AND segment = %s", (number, movement.segment))
            tx.execute("DELETE FROM assay.finding WHERE batch_id = %s AND segment = %s", (number, movement.segment))
            for store in stores_of.get(movement.segment, ()):
                tx.execute("DELETE FROM assay.tally WHERE batch_id = %s AND store LIKE %s", (number, store))
        tx.execute("UPDATE assay.batch SET state = %s WHERE id = %s", (before, number))


def check(platform: Platform, deliveries: list[Delivery], segment: str, folder: Path) -> None:
    empty(platform)
    appended: set[str] = set()
    for delivery in (FIRST, *deliveries):
        kept = unrepeated(delivery, appended)
        if kept is not None:
            assert deliver(platform, kept, next(NUMBERS), folder) in ("done", "duplicate")
    once = stores(platform)
    last = records.batches(platform.connection, newest_first=True, limit=1)[0]
    movement = next(movement for movement in SEGMENTS if movement.segment == segment)
    assert movement.before is not None
    rewind(platform, last.id, movement.before)
    with at_work(platform) as worker:
        assert work_off(platform, worker, last.id).batch.state == "done"
    assert stores(platform) == once


@settings(ORDINARY, max_examples=2)
@given(deliveries=DELIVERIES, segment=st.sampled_from(AGAIN))
def test_a_segment_that_runs_again_changes_nothing(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory, deliveries: list[Delivery], segment: str
) -> None:
    check(platform, deliveries, segment, tmp_path_factory.mktemp("files"))


@pytest.mark.slow
@settings(ORDINARY, max_examples=100, derandomize=False)
@given(deliveries=DELIVERIES, segment=st.sampled_from(AGAIN))
def test_a_segment_that_runs_again_changes_nothing_at_length(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory, deliveries: list[Delivery], segment: str
) -> None:
    check(platform, deliveries, segment, tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("segment", AGAIN)
def test_a_process_that_was_overtaken_cannot_commit(platform: Platform, tmp_path: Path, segment: str) -> None:
    """It slept with a batch in its hands; meanwhile another process carried the batch to its end."""
    empty(platform)
    assert deliver(platform, FIRST, next(NUMBERS), tmp_path) == "done"
    done = records.batches(platform.connection, newest_first=True, limit=1)[0]
    before = stores(platform)
    with pytest.raises(Unavailable, match="was moved on by another process"):
        move(platform, done, segment, Lease(done.id, "the one who slept", 1))
    assert stores(platform) == before
