"""Who uses the lake's files is known from the locks of his session, and forgotten with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from psycopg.errors import DivisionByZero

from assay.stores.database import Connection, connect, one, transaction
from assay.stores.lake_use import in_use, in_use_until_commit, used_since


@pytest.fixture
def two(database: Callable[[], str]) -> Iterator[tuple[Connection, Connection]]:
    """Sessions in one database that nobody else knows."""
    url = database()
    with connect(url, autocommit=True) as first, connect(url, autocommit=True) as second:
        yield first, second


def test_use_is_seen_by_others_from_its_beginning_to_its_end(two: tuple[Connection, Connection]) -> None:
    reader, keeper = two
    assert used_since(keeper) is None
    before = one(keeper, "SELECT clock_timestamp()")
    with in_use(reader):
        since = used_since(keeper)
        assert since is not None and before - timedelta(seconds=1) <= since <= one(keeper, "SELECT clock_timestamp()")
        with in_use(reader):
            assert used_since(keeper) == since, "the oldest use counts"
        assert used_since(keeper) == since
    assert used_since(keeper) is None


def test_a_second_is_counted_from_its_beginning(two: tuple[Connection, Connection]) -> None:
    """What happens within the second in which somebody began is never taken for older than he is."""
    reader, keeper = two
    for _ in range(20):
        with in_use(reader):
            since = used_since(keeper)
            assert since is not None and since <= one(keeper, "SELECT clock_timestamp()")
            assert since.microsecond == 0


def test_use_ends_with_the_session_that_dies(two: tuple[Connection, Connection]) -> None:
    reader, keeper = two
    with in_use(reader):
        reader_pid = reader.info.backend_pid
        assert used_since(keeper) is not None
        keeper.execute("SELECT pg_terminate_backend(%s, 5000)", (reader_pid,))
        assert used_since(keeper) is None
        reader.close()


def test_use_until_commit_ends_with_the_transaction(two: tuple[Connection, Connection]) -> None:
    writer, keeper = two
    with transaction(writer) as tx:
        in_use_until_commit(tx)
        assert used_since(keeper) is not None
    assert used_since(keeper) is None


def test_use_within_a_transaction_that_fails_ends_with_it(two: tuple[Connection, Connection]) -> None:
    reader, keeper = two
    with pytest.raises(ZeroDivisionError), transaction(reader) as tx, in_use(tx):
        with pytest.raises(DivisionByZero):
            tx.execute("SELECT 1 / 0")
        assert used_since(keeper) is None, "what it prepared can never be committed"
        raise ZeroDivisionError
    assert used_since(keeper) is None


def test_use_of_another_database_does_not_count(
    two: tuple[Connection, Connection], database: Callable[[], str]
) -> None:
    with connect(database(), autocommit=True) as stranger, in_use(stranger):
        assert used_since(two[1]) is None
