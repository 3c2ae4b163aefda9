"""Putting files together, letting go of earlier states, and knowing which files a table still needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.words import COLUMNS, PLACE, write

from assay.stores.database import Connection, transaction
from assay.stores.iceberg import SNAPSHOTS_KEPT, Iceberg, batch_is
from assay.stores.iceberg_upkeep import (
    FILES_LEAST,
    SMALL,
    LakeFile,
    batches_within,
    expire,
    groups,
    needed_files,
    prepared,
    state_of,
    superseded,
    swap,
)
from assay.zones.types import FieldType


def put(lake: Iceberg, connection: Connection, rows: list[tuple[int, str]], replacing: object = None) -> Path:
    file = write(lake, rows)
    with transaction(connection):
        lake.put(*PLACE, [file], replacing=replacing)
    return file


def words(lake: Iceberg) -> list[str]:
    files = lake.files(*PLACE)
    return [row[0] for row in duckdb.execute(f"SELECT word FROM read_parquet({files}) ORDER BY 1").fetchall()]


def file(number: int, size: int) -> LakeFile:
    return LakeFile(f"{number}.parquet", size, 1, (number,))


SIZES = st.lists(st.integers(1, 120), max_size=200)


@given(SIZES)
def test_groups_hold_small_files_once_each_and_in_order(sizes: list[int]) -> None:
    files = [file(number, size) for number, size in enumerate(sizes)]
    found = groups(files, 100)
    flat = [one for group in found for one in group]
    assert flat == sorted(flat, key=lambda one: one.place) and len(set(flat)) == len(flat)
    for group in found:
        assert sum(one.size_bytes for one in group) <= 100
        assert all(one.size_bytes < SMALL * 100 for one in group)
        assert 2 * max(one.size_bytes for one in group) <= sum(one.size_bytes for one in group)
        assert len(group) >= FILES_LEAST or sum(one.size_bytes for one in group) >= SMALL * 100


@given(st.lists(st.integers(1, 30), min_size=1, max_size=300))
def test_upkeep_after_every_few_files_leaves_few_and_rewrites_little(sizes: list[int]) -> None:
    """A table that grows by small files keeps few of them, and a row moves a logarithmic number of times."""
    files: list[LakeFile] = []
    rewritten = 0
    for number, size in enumerate(sizes):
        files.append(file(number, size))
        if number % 5 == 0:
            while found := groups(files, 10_000):
                for group in found:
                    files = [one for one in files if one not in group]
                    files.append(file(min(one.place[0] for one in group), sum(one.size_bytes for one in group)))
                    rewritten += sum(one.size_bytes for one in group)
                files.sort(key=lambda one: one.place)
    assert len(files) <= 40
    assert rewritten <= 10 * sum(sizes)


def test_a_swap_puts_one_file_in_the_place_of_many(lake: Iceberg, connection: Connection) -> None:
    for batch in (1, 2, 3):
        put(lake, connection, [(batch, f"word {batch}")])
    state = state_of(lake, *PLACE, ["_batch"])
    assert state is not None and [one.place for one in state.files] == [(1,), (2,), (3,)]
    both = prepared(lake, state, state.files[:2], write(lake, [(1, "word 1"), (2, "word 2")]))
    with transaction(connection):
        assert swap(lake, state, [both]) == [both]
    assert len(lake.files(*PLACE)) == 2 and words(lake) == ["word 1", "word 2", "word 3"]
    assert lake.files(*PLACE, batch=2) == [str(both.new)]
    summary = lake.table(*PLACE).current_snapshot().summary  # type: ignore[union-attr]
    assert summary is not None and (summary["total-records"], summary["total-data-files"]) == ("3", "2")


def test_a_swap_whose_old_files_were_replaced_meanwhile_is_not_done(lake: Iceberg, connection: Connection) -> None:
    for batch in (1, 2, 3, 4):
        put(lake, connection, [(batch, f"word {batch}")])
    state = state_of(lake, *PLACE, ["_batch"])
    assert state is not None
    stale = prepared(lake, state, state.files[:2], write(lake, [(1, "word 1"), (2, "word 2")]))
    fresh = prepared(lake, state, state.files[2:], write(lake, [(3, "word 3"), (4, "word 4")]))
    put(lake, connection, [(1, "uno")], batch_is(1))
    put(lake, connection, [(5, "word 5")])
    with transaction(connection):
        assert swap(lake, state, [stale, fresh]) == [fresh], "what was added meanwhile hinders nobody"
    assert words(lake) == ["uno", "word 2", "word 3", "word 4", "word 5"]


def test_no_swap_is_done_once_the_columns_changed(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [(1, "one")])
    put(lake, connection, [(2, "two")])
    state = state_of(lake, *PLACE, ["_batch"])
    assert state is not None
    both = prepared(lake, state, state.files, write(lake, [(1, "one"), (2, "two")]))
    with transaction(connection):
        lake.ensure(*PLACE, [*COLUMNS, ("more", FieldType("string"))])
    with transaction(connection):
        assert swap(lake, state, [both]) == []
        lake.drop(*PLACE)
    with transaction(connection):
        assert swap(lake, state, [both]) == [] and state_of(lake, *PLACE, []) is None
        assert list(needed_files(lake, *PLACE)) == []


def test_states_are_let_go_by_age_and_by_number_but_never_the_current_one(
    lake: Iceberg, connection: Connection
) -> None:
    for batch in range(1, 6):
        put(lake, connection, [(batch, "word")])
    early = datetime.now(UTC) - timedelta(days=1)
    assert superseded(lake.table(*PLACE), early) == []
    with transaction(connection):
        assert expire(lake, *PLACE, early) == 0
        assert expire(lake, *PLACE, datetime.now(UTC)) == 4
        assert expire(lake, *PLACE, datetime.now(UTC)) == 0
    assert words(lake) == ["word"] * 5
    for batch in range(6, SNAPSHOTS_KEPT + 10):
        put(lake, connection, [(batch, "word")])
    table = lake.table(*PLACE)
    assert len(table.metadata.snapshots) > SNAPSHOTS_KEPT
    assert len(superseded(table, early)) == len(table.metadata.snapshots) - SNAPSHOTS_KEPT


def test_a_table_needs_the_files_of_every_state_that_it_keeps(lake: Iceberg, connection: Connection) -> None:
    first = put(lake, connection, [(1, "one")])
    put(lake, connection, [(1, "uno")], batch_is(1))
    folder = lake.folder(*PLACE)
    there = {str(path) for path in folder.rglob("*") if path.is_file()}
    assert set(needed_files(lake, *PLACE)) == there
    orphan = write(lake, [(9, "nobody")])
    assert str(orphan) not in set(needed_files(lake, *PLACE))
    with transaction(connection):
        expire(lake, *PLACE, datetime.now(UTC))
    needed = set(needed_files(lake, *PLACE))
    assert str(first) not in needed and set(lake.files(*PLACE)) < needed


def test_ranges_of_batches_leave_without_the_rows_of_others(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [(1, "a"), (2, "b")])
    put(lake, connection, [(3, "c"), (4, "d")])
    put(lake, connection, [(6, "e"), (9, "f")])
    with transaction(connection):
        lake.put(*PLACE, [], replacing=batches_within([(1, 3), (7, 9)]))
    assert words(lake) == ["d", "e"]
