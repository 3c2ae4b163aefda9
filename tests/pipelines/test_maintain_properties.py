"""Whatever is delivered, replayed and kept in order, in whatever sequence: every table holds the rows that it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trade import ANALYTICAL, FIRST, MODES, NAMES, ORDINARY, Delivery, Model, deliver, empty, of_source, write_project

from assay.catalog import records
from assay.pipelines.maintain import maintain
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.query import ask
from assay.pipelines.replay import replay
from assay.pipelines.upkeep import compact
from assay.pipelines.upkeep.scope import TASKS
from assay.stores.iceberg import Iceberg
from assay.stores.iceberg_upkeep import LakeFile
from assay.stores.lake_schema import lake_places
from assay.zones.project import load_project
from holdings import counted, held

NUMBERS = count()
TABLES = [
    "operational.sale", "operational.shop",
    *(f"{store}.{name}" for store in ("readable", "quarantine") for name in MODES),
    *(f"analytical.{name}" for name in ANALYTICAL),
]  # fmt: skip
#: What can happen: a delivery, the replay of the last batch that is done, or some tasks of housekeeping.
KEEPING = st.lists(st.sampled_from(TASKS), min_size=1, max_size=5, unique=True).map(tuple)
ACTIONS = st.lists(
    st.one_of(st.sampled_from(sorted(MODES)).flatmap(of_source), st.just("replay"), KEEPING), min_size=2, max_size=8
)


def eager(files: list[LakeFile], target_bytes: int) -> list[tuple[LakeFile, ...]]:
    """Every two files are worth it: what a table does in a year happens within a few steps."""
    return [tuple(files)] if len(files) > 1 else []


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    root = tmp_path_factory.mktemp("kept")
    write_project(root)
    with (root / "assay.yaml").open("a") as file:
        file.write("maintain: {grace: 0 hours}\n")
    with (root / "zones/trade/zone.yaml").open("a") as file:
        file.write("retention: {snapshots: 0 hours}\n")
    with pytest.MonkeyPatch.context() as patch, opened(load_project(root)) as found:
        patch.setattr(compact, "groups", eager)
        patch.setattr(compact, "REST_SECONDS", 0)
        apply(found)
        yield found


def last_done(platform: Platform) -> int | None:
    """The latest batch: its replay repeats what stands."""
    last = records.batches(platform.connection, states=("done",), newest_first=True, limit=1)
    return last[0].id if last else None


def check(platform: Platform, actions: list[Any], folder: Path) -> None:
    empty(platform)
    model, appended = Model(), set[str]()
    for action in (FIRST, *actions):
        if isinstance(action, Delivery):
            rows = tuple(row for row in action.rows if action.source != "added" or row["sale_key"] not in appended)
            if not rows:
                continue
            appended |= {row["sale_key"] for row in rows if action.source == "added"}
            taken = Delivery(action.source, rows)
            if deliver(platform, taken, next(NUMBERS), folder) == "done":
                model.take(taken)
        elif action == "replay":
            number = last_done(platform)
            if number is not None:
                before = rows_without_batch(platform)
                assert replay(platform, number).batch.state == "done"
                assert rows_without_batch(platform) == before
        else:
            kept = counted(platform, TABLES)
            said = maintain(platform, only=action)
            assert not said.failed, said
            assert counted(platform, TABLES) == kept, action
        names = ", ".join(NAMES)
        assert Counter(ask(platform, f"SELECT {names} FROM operational.sale", None)[1]) == model.rows()
    maintain(platform)
    iceberg = Iceberg(platform.connection, platform.data)
    assert all(len(iceberg.files(*place)) <= 1 for place in lake_places(platform.connection))


def rows_without_batch(platform: Platform) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of every table; a replay gives them another batch."""
    found = {}
    for name, (columns, rows) in held(platform, TABLES).items():
        shown = [number for number, column in enumerate(columns) if column != "_batch"]
        found[name] = Counter(tuple(row[number] for number in shown) for row in rows)
    return found


@settings(ORDINARY, max_examples=2)
@given(actions=ACTIONS)
def test_housekeeping_changes_no_row(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory, actions: list[Any]
) -> None:
    check(platform, actions, tmp_path_factory.mktemp("files"))


@pytest.mark.slow
@settings(ORDINARY, max_examples=120, derandomize=False)
@given(actions=ACTIONS)
def test_housekeeping_changes_no_row_at_length(
    platform: Platform, tmp_path_factory: pytest.TempPathFactory, actions: list[Any]
) -> None:
    check(platform, actions, tmp_path_factory.mktemp("files"))
