"""A refresh of the touched parts equals a full one, whatever is delivered in whatever load mode and order.

The oracle knows nothing of refreshing: the analytical SQL, run over the whole of operational, says what the
tables must hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from trade import (
    DELIVERIES,
    FIRST,
    NAMES,
    ORDINARY,
    Delivery,
    Model,
    check_analytical,
    deliver,
    empty,
    unrepeated,
    write_project,
)

from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.query import ask
from assay.zones.project import load_project


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    root = tmp_path_factory.mktemp("refresh")
    write_project(root)
    with opened(load_project(root)) as found:
        apply(found)
        yield found


NUMBERS = count()


def check(platform: Platform, deliveries: list[Delivery], folder: Path) -> None:
    empty(platform)
    model, appended = Model(), set[str]()
    for delivery in (FIRST, *deliveries):
        kept = unrepeated(delivery, appended)
        if kept is None:
            continue
        state = deliver(platform, kept, next(NUMBERS), folder)
        assert state in ("done", "duplicate")
        if state == "done":
            model.take(kept)
    operational = ask(platform, f"SELECT {', '.join(NAMES)} FROM operational.sale", None)[1]
    assert Counter(operational) == model.rows()
    check_analytical(platform)


@ORDINARY
@given(deliveries=DELIVERIES)
def test_what_was_touched_recomputed_equals_everything_recomputed(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory, deliveries: list[Delivery]
) -> None:
    check(platform, deliveries, tmp_path_factory.mktemp("files"))


@pytest.mark.slow
@settings(ORDINARY, max_examples=100, derandomize=False)
@given(deliveries=DELIVERIES)
def test_what_was_touched_recomputed_equals_everything_recomputed_at_length(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory, deliveries: list[Delivery]
) -> None:
    check(platform, deliveries, tmp_path_factory.mktemp("files"))
