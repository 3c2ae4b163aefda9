"""Tables of the lake: what a commit replaces, and what it says while doing so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from assay.stores.database import Connection, connect, transaction
from assay.stores.iceberg import CATALOG_TABLES, Iceberg, batch_is
from assay.stores.postgres_server import running
from assay.zones.types import FieldType

COLUMNS = [("_batch", FieldType("integer")), ("word", FieldType("string"))]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with running(tmp_path_factory.mktemp("iceberg")) as url:
        opened = connect(url, autocommit=True)
        opened.execute(CATALOG_TABLES.encode())
        yield opened
        opened.close()


@pytest.fixture
def lake(connection: Connection, tmp_path: Path) -> Iterator[Iceberg]:
    made = Iceberg(connection, tmp_path)
    with transaction(connection):
        made.ensure("zone.store", "words", COLUMNS)
    yield made
    connection.execute("TRUNCATE iceberg_tables")


def write(lake: Iceberg, rows: list[tuple[int, str]]) -> Path:
    file = lake.new_file("zone.store", "words", "test")
    values = ", ".join(f"({batch}::BIGINT, '{word}')" for batch, word in rows)
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {values}) AS v (_batch, word)) TO '{file}'")
    return file


def put(lake: Iceberg, connection: Connection, files: list[Path], replacing: object) -> None:
    with warnings.catch_warnings(), transaction(connection):
        warnings.simplefilter("error")
        lake.put("zone.store", "words", files, replacing=replacing)


def words(lake: Iceberg) -> list[str]:
    files = lake.files("zone.store", "words")
    if not files:
        return []
    return [row[0] for row in duckdb.execute(f"SELECT word FROM read_parquet({files}) ORDER BY 1").fetchall()]


def test_a_batch_put_again_replaces_its_rows_only(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [write(lake, [(1, "one")])], batch_is(1))
    put(lake, connection, [write(lake, [(2, "two")])], batch_is(2))
    put(lake, connection, [write(lake, [(1, "uno")])], batch_is(1))
    assert words(lake) == ["two", "uno"]


def test_a_batch_between_those_of_one_file_replaces_nothing_in_silence(lake: Iceberg, connection: Connection) -> None:
    """The statistics of a file with batches 1 and 3 leave open whether it holds batch 2."""
    put(lake, connection, [write(lake, [(1, "one"), (3, "three")])], None)
    put(lake, connection, [write(lake, [(2, "two")])], batch_is(2))
    assert words(lake) == ["one", "three", "two"]


def test_rows_of_a_batch_leave_a_file_that_it_shares(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [write(lake, [(1, "one"), (2, "two")])], None)
    put(lake, connection, [], batch_is(1))
    assert words(lake) == ["two"]


def test_a_table_replaced_as_a_whole_may_become_empty(lake: Iceberg, connection: Connection) -> None:
    put(lake, connection, [], True)
    put(lake, connection, [write(lake, [(1, "one")])], True)
    put(lake, connection, [], True)
    assert words(lake) == []
