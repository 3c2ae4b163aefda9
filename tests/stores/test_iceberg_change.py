"""A change of a table is one snapshot, and holds what the condition did not select and what came."""

from __future__ import annotations

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.words import COLUMNS, PLACE, write

from assay.engines.duckdb import path_list
from assay.stores.database import Connection, transaction
from assay.stores.iceberg import PROPERTIES, SNAPSHOTS_KEPT, Iceberg, batch_is

Rows = list[tuple[int, str]]


def put(lake: Iceberg, connection: Connection, files: list[Rows], replacing: object = None) -> None:
    paths = []
    for rows in files:
        paths.append(write(lake, rows))
    with transaction(connection):
        lake.put(*PLACE, paths, replacing=replacing)


def content(lake: Iceberg) -> Rows:
    files = lake.files(*PLACE)
    if not files:
        return []
    return sorted(duckdb.execute(f"SELECT _batch, word FROM read_parquet({path_list(files)})").fetchall())


def snapshots(lake: Iceberg) -> int:
    return len(lake.table(*PLACE).metadata.snapshots)


def test_whole_files_that_go_and_files_that_come_are_one_snapshot(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [[(1, "a")], [(2, "b"), (2, "c")]], replacing=batch_is(1))
    assert snapshots(lake) == 1
    put(lake, connection, [[(2, "d")]], replacing=batch_is(2))
    assert snapshots(lake) == 2 and content(lake) == [(1, "a"), (2, "d")]
    assert lake.file_count(*PLACE) == len(lake.files(*PLACE)) == 2
    put(lake, connection, [], replacing=batch_is(3))  # nothing goes, nothing comes
    assert snapshots(lake) == 2
    put(lake, connection, [], replacing=True)
    assert content(lake) == [] and lake.file_count(*PLACE) == 0


def test_a_file_of_which_only_some_rows_go_is_written_anew(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [[(1, "a"), (2, "b")]])
    put(lake, connection, [[(2, "c")]], replacing=batch_is(2))
    assert content(lake) == [(1, "a"), (2, "c")]


def test_the_manifests_and_snapshots_of_a_table_do_not_grow_with_its_commits(
    lake: Iceberg, connection: Connection
) -> None:
    for number in range(SNAPSHOTS_KEPT + 15):
        put(lake, connection, [[(number, "x")]], replacing=batch_is(number))
    table = lake.table(*PLACE)
    assert snapshots(lake) < SNAPSHOTS_KEPT + 10
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) <= int(PROPERTIES["commit.manifest.min-count-to-merge"])
    assert len(content(lake)) == SNAPSHOTS_KEPT + 15


def test_a_table_made_with_other_settings_takes_those_of_now(lake: Iceberg, connection: Connection) -> None:
    with transaction(connection), lake.table(*PLACE).transaction() as change:
        change.set_properties({"commit.manifest.min-count-to-merge": "20"})
    with transaction(connection):
        lake.ensure(*PLACE, COLUMNS)
    assert PROPERTIES.items() <= {**lake.table(*PLACE).properties, "format-version": "2"}.items()


changes = st.lists(
    st.tuples(
        st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=3), max_size=3),
        st.sampled_from([None, True, 0, 1, 2, 3]),
    ),
    max_size=6,
)


@given(changes)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_rows_are_those_that_were_not_replaced_and_those_that_came(
    lake: Iceberg, connection: Connection, done: list[tuple[list[Rows], int | bool | None]]
) -> None:
    put(lake, connection, [], replacing=True)
    expected: Rows = []
    for files, replaced in done:
        condition = replaced if replaced is None or replaced is True else batch_is(replaced)
        put(lake, connection, files, replacing=condition)
        expected = [row for row in expected if replaced is not True and (replaced is None or row[0] != replaced)]
        expected = sorted(expected + [row for rows in files for row in rows])
        assert content(lake) == expected
