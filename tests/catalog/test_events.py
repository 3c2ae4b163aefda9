"""Events are there exactly when what they tell is, and no reader misses one."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest

from assay.catalog import events
from assay.stores.database import Connection, connect, transaction


@pytest.fixture
def url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with connect(url, autocommit=True) as found:
        yield found


def read(connection: Connection, reader: str) -> list[int]:
    """What a reader has not passed, passed afterwards."""
    found = events.unread(connection, reader)
    if found:
        events.passed(connection, reader, found[-1])
    return [event.body["number"] for event in found]


def add(connection: Connection, number: int) -> None:
    events.add(connection, "applied", body={"number": number})


def test_a_new_reader_begins_with_what_happens_from_now_on(connection: Connection) -> None:
    add(connection, 1)
    assert read(connection, "r") == []
    add(connection, 2)
    assert read(connection, "r") == [2]
    assert read(connection, "r") == []


def test_what_is_rolled_back_is_not_told(connection: Connection) -> None:
    events.unread(connection, "r")
    with pytest.raises(KeyError), transaction(connection) as tx:
        add(tx, 1)
        raise KeyError
    add(connection, 2)
    assert read(connection, "r") == [2]


def test_readers_do_not_disturb_each_other(connection: Connection) -> None:
    events.unread(connection, "a")
    events.unread(connection, "b")
    add(connection, 1)
    assert read(connection, "a") == [1]
    assert read(connection, "b") == [1]


def test_what_a_slow_transaction_writes_late_slips_in_behind_nobodys_back(url: str, connection: Connection) -> None:
    """Its event has the smaller number and becomes visible after those with larger ones."""
    events.unread(connection, "r")
    with connect(url, autocommit=True) as slow:
        with transaction(slow) as tx:
            add(tx, 1)
            add(connection, 2)
            early = read(connection, "r")
        assert early + read(connection, "r") == [1, 2]


def test_every_event_of_many_writers_is_read_once(url: str, connection: Connection) -> None:
    events.unread(connection, "r")

    def write(first: int) -> None:
        chance = random.Random(first)
        with connect(url, autocommit=True) as own:
            for number in range(first, first + 40):
                with transaction(own) as tx:
                    add(tx, number)
                    tx.execute("SELECT pg_sleep(%s)", (chance.random() / 100,))

    writers = [threading.Thread(target=write, args=(100 * number,)) for number in range(5)]
    for writer in writers:
        writer.start()
    found: list[int] = []
    while any(writer.is_alive() for writer in writers):
        found += read(connection, "r")
    found += read(connection, "r")
    assert sorted(found) == sorted(100 * writer + number for writer in range(5) for number in range(40))
