"""Batches are given out once, in order, fairly; a dead owner's at once, a frozen one's when its lease is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import assay
from assay.catalog import events, queue, records
from assay.catalog.queue import Lease, LeaseLost
from assay.errors import Rejected, Unavailable
from assay.stores.database import Connection, connect, transaction

SOURCES = str(Path(assay.__file__).parents[1])


class Board:
    """A database with batches, and workers that ask for them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = connect(url, autocommit=True)

    def batch(self, zone: str = "z", source: str = "s", state: str = "landed", rank: int = 0) -> int:
        number = records.add_batch(
            self.connection, zone=zone, pipeline="p", source=source, file_name="f", size_bytes=1,
            sha256="0", delivered_by="me", config_version="v", period=None, rank=rank,
        )  # fmt: skip
        self.connection.execute("UPDATE assay.batch SET state = %s WHERE id = %s", (state, number))
        return number

    @contextmanager
    def worker(self, name: str) -> Iterator[Connection]:
        """A worker's session."""
        with connect(self.url, autocommit=True) as connection:
            queue.register(connection, name, "service", "here", os.getpid(), "me", "0")
            yield connection

    def finish(self, lease: Lease, state: str = "done") -> None:
        """What a segment's commit does."""
        with transaction(self.connection) as tx:
            before = records.batch(tx, lease.batch).state
            records.lock_batch(tx, lease.batch, before, lease)
            tx.execute("UPDATE assay.batch SET state = %s WHERE id = %s", (state, lease.batch))
        queue.give_back(self.connection, lease)

    def value(self, number: int, column: str) -> object:
        row = self.connection.execute(f"SELECT {column} FROM assay.batch WHERE id = %s".encode(), (number,)).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
def board(database: Callable[[], str]) -> Iterator[Board]:
    found = Board(database())
    yield found
    found.connection.close()


def test_no_batch_is_given_to_two(board: Board) -> None:
    """Eight workers, each with a session of its own, empty a queue of many sources."""
    wanted = [board.batch(source=f"s{number % 40}") for number in range(200)]
    given: list[int] = []
    active: set[int] = set()
    guard = threading.Lock()

    def work(name: str) -> None:
        with board.worker(name) as connection:
            idle = 0
            while idle < 3:
                lease = queue.claim(connection, name)
                if lease is None:
                    idle += 1
                    time.sleep(0.02)
                    continue
                with guard:
                    assert lease.batch not in active
                    active.add(lease.batch)
                    given.append(lease.batch)
                with transaction(connection) as tx:
                    records.lock_batch(tx, lease.batch, "landed", lease)
                    with guard:
                        active.discard(lease.batch)
                    tx.execute("UPDATE assay.batch SET state = 'done' WHERE id = %s", (lease.batch,))
                queue.give_back(connection, lease)

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(given) == Counter(wanted)


def test_batches_of_a_source_go_one_after_the_other(board: Board) -> None:
    first, second = board.batch(), board.batch()
    other = board.batch(source="t")
    with board.worker("a") as a, board.worker("b") as b:
        one = queue.claim(a, "a")
        two = queue.claim(b, "b")
        assert one is not None and two is not None
        assert {one.batch, two.batch} == {first, other}
        assert queue.claim(a, "a", number=second) is None
        assert queue.before(board.connection, second) == [first]
        board.finish(one if one.batch == first else two)
        three = queue.claim(a, "a", number=second)
        assert three is not None and three.batch == second


@pytest.mark.parametrize("state", ["held", "rejected", "done"])
def test_a_batch_that_rests_keeps_nobody_waiting(board: Board, state: str) -> None:
    board.batch(state=state)
    second = board.batch()
    with board.worker("a") as a:
        lease = queue.claim(a, "a")
        assert lease is not None and lease.batch == second


def test_a_batch_that_failed_keeps_the_later_ones_of_its_source_waiting(board: Board) -> None:
    first, second = board.batch(), board.batch()
    with board.worker("a") as a:
        lease = queue.claim(a, "a")
        assert lease is not None and lease.batch == first
        assert not queue.note_failure(a, lease, "approve", ValueError("a mistake of ours"))
        queue.give_back(a, lease)
        assert queue.claim(a, "a") is None
        assert queue.before(board.connection, second) == [first]


def test_rows_that_others_refer_to_are_modelled_first_and_one_batch_at_a_time(board: Board) -> None:
    facts = board.batch(source="facts", state="released", rank=1)
    names = board.batch(source="names", state="landed", rank=0)
    with board.worker("a") as a, board.worker("b") as b:
        lease = queue.claim(a, "a")
        assert lease is not None and lease.batch == names
        assert queue.claim(b, "b") is None
        board.finish(lease, "released")
        modelling = queue.claim(a, "a")
        assert modelling is not None and modelling.batch == names
        third = board.batch(source="third", state="released", rank=0)
        assert queue.claim(b, "b", number=third) is None, "two batches write the pipeline's tables"
        board.finish(modelling)
        assert queue.claim(b, "b", number=third) is not None
        assert queue.claim(a, "a", number=facts) is None


def test_what_waits_for_a_person_does_not_keep_the_pipelines_facts_waiting(board: Board) -> None:
    names = board.batch(source="names", rank=0)
    facts = board.batch(source="facts", state="released", rank=1)
    board.connection.execute("UPDATE assay.batch SET parked = true WHERE id = %s", (names,))
    with board.worker("a") as a:
        lease = queue.claim(a, "a")
        assert lease is not None and lease.batch == facts


def test_a_zone_with_two_hundred_batches_does_not_starve_another(board: Board) -> None:
    for number in range(200):
        board.batch(zone="busy", source=f"s{number}")
    lonely = board.batch(zone="quiet")
    with ExitStack() as stack:
        workers = [(name, stack.enter_context(board.worker(name))) for name in ("a", "b")]
        given = [queue.claim(connection, name) for name, connection in workers]
        assert lonely in {lease.batch for lease in given if lease is not None}


def test_zones_take_turns(board: Board) -> None:
    for number in range(6):
        board.batch(zone="x", source=f"s{number}")
    for number in range(3):
        board.batch(zone="y", source=f"s{number}")
    zones = []
    with board.worker("a") as a:
        for _ in range(6):
            lease = queue.claim(a, "a")
            assert lease is not None
            zones.append(records.batch(a, lease.batch).zone)
            board.finish(lease)
    assert Counter(zones) == {"x": 3, "y": 3}


def test_a_zone_has_no_more_in_work_than_its_limit(board: Board) -> None:
    for number in range(5):
        board.batch(zone="x", source=f"s{number}")
    other = board.batch(zone="y")
    with ExitStack() as stack:
        workers = [(name, stack.enter_context(board.worker(name))) for name in ("a", "b", "c", "d")]
        given = [queue.claim(connection, name, limits={"x": 2}) for name, connection in workers]
        held = [lease for lease in given if lease is not None]
        zones = Counter(records.batch(board.connection, lease.batch).zone for lease in held)
        assert zones == {"x": 2, "y": 1} and other in {lease.batch for lease in held}


def test_a_killed_owners_batch_is_given_out_at_once(board: Board) -> None:
    number = board.batch()
    with board.worker("survivor") as survivor:
        with board.worker("victim") as victim:
            lost = queue.claim(victim, "victim")
            assert lost is not None and queue.claim(survivor, "survivor") is None
        found = _soon(lambda: queue.claim(survivor, "survivor"))
        assert found.batch == number and found.fence > lost.fence
        with pytest.raises(LeaseLost), transaction(board.connection) as tx:
            records.lock_batch(tx, number, "landed", lost)
        assert queue.note_failure(board.connection, lost, "approve", ValueError("too late")) is None
        assert records.batch(board.connection, number).state == "landed"
        assert queue.failure(board.connection, number) is None


FROZEN = """
import os, signal, sys
from assay.catalog import queue, records
from assay.stores.database import connect, transaction
url = sys.argv[1]
with connect(url, autocommit=True) as connection:
    queue.register(connection, "frozen", "service", "here", os.getpid(), "me", "0")
    lease = queue.claim(connection, "frozen")
    with transaction(connection) as tx:
        records.lock_batch(tx, lease.batch, "landed", lease)
        tx.execute("UPDATE assay.batch SET file_name = 'written by the frozen one' WHERE id = %s", (lease.batch,))
        print("in the middle", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_frozen_owner_is_taken_over_when_its_lease_is_over_and_cannot_commit(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still inside its transaction, with the batch's row locked, and wakes up when it is too late."""
    number = board.batch()
    script = f"from assay.catalog import queue\nqueue.LEASE_SECONDS = 1.0\n{FROZEN}"
    frozen = subprocess.Popen(
        [sys.executable, "-c", script, board.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
    )  # fmt: skip
    try:
        assert frozen.stdout is not None and frozen.stdout.readline() == "in the middle\n"
        with board.worker("survivor") as survivor:
            found = _soon(lambda: queue.claim(survivor, "survivor"))
            assert found.batch == number
            os.kill(frozen.pid, signal.SIGCONT)
            _, said = frozen.communicate(timeout=30)
            assert frozen.returncode != 0 and "Unavailable" in said
            assert board.value(number, "file_name") == "f"
            board.finish(found)
    finally:
        frozen.kill()
        frozen.wait()


def test_a_lease_that_is_renewed_lasts(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LEASE_SECONDS", 0.4)
    board.batch()
    with board.worker("a") as a, board.worker("b") as b:
        lease = queue.claim(a, "a")
        assert lease is not None
        for _ in range(6):
            time.sleep(0.15)
            queue.beat(board.connection, ["a"])
            assert queue.claim(b, "b") is None
        board.finish(lease)


def test_what_is_unavailable_is_tried_again_later_and_in_the_end_waits_for_a_person(board: Board) -> None:
    number = board.batch()
    with board.worker("a") as a:
        for attempt in range(queue.ATTEMPTS_MOST):
            a.execute("UPDATE assay.batch SET retry_at = NULL")
            lease = queue.claim(a, "a")
            assert lease is not None
            again = queue.note_failure(a, lease, "conform", Unavailable("the disk is full", next="free some space"))
            queue.give_back(a, lease)
            assert again == (attempt + 1 < queue.ATTEMPTS_MOST)
            assert queue.claim(a, "a") is None, "its time has not come"
        failure = queue.failure(a, number)
        assert failure is not None and failure.parked and failure.passing and failure.segment == "conform"
        assert failure.error["what"] == "the disk is full" and failure.error["next"] == "free some space"
        assert queue.take_up(a) == 1
        assert queue.claim(a, "a") is not None


def test_the_pause_before_another_try_grows(board: Board) -> None:
    number = board.batch()
    pauses = []
    with board.worker("a") as a:
        for _ in range(5):
            a.execute("UPDATE assay.batch SET retry_at = NULL")
            lease = queue.claim(a, "a")
            assert lease is not None
            queue.note_failure(a, lease, "conform", Unavailable("away"))
            queue.give_back(a, lease)
            pauses.append(board.value(number, "extract(epoch FROM retry_at - clock_timestamp())"))
    # By two: each pause is up to a quarter more or less than its due.
    for before, after in zip(pauses, pauses[2:], strict=False):
        assert after > before  # type: ignore[operator]


@pytest.mark.parametrize("error", [ValueError("ours"), Rejected("theirs"), psycopg.DataError("odd")])
def test_what_will_not_pass_waits_for_a_person_at_once(board: Board, error: Exception) -> None:
    board.batch()
    with board.worker("a") as a:
        lease = queue.claim(a, "a")
        assert lease is not None and not queue.note_failure(a, lease, "clean", error)


def test_a_batch_that_workers_die_of_is_set_aside_and_told(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "DEATHS_MOST", 3)
    number = board.batch()
    for victim in range(4):
        name = f"victim {victim}"
        with board.worker(name) as connection:
            assert _soon(lambda: queue.claim(connection, name)).batch == number  # noqa: B023 - called at once
    with board.worker("survivor") as survivor:
        _soon(lambda: queue.claim(survivor, "survivor") is None and board.value(number, "parked"))
        failure = queue.failure(survivor, number)
        assert failure is not None and "3 workers ended" in failure.error["what"]
        assert [event.kind for event in events.of_batch(survivor, number)] == ["failed"]
        assert queue.take_up(survivor, number=number) == 1
        assert queue.claim(survivor, "survivor") is not None


def test_whoever_gives_back_what_was_taken_over_gives_back_nothing(board: Board) -> None:
    number = board.batch()
    with board.worker("survivor") as survivor:
        with board.worker("victim") as victim:
            lost = queue.claim(victim, "victim")
            assert lost is not None
        found = _soon(lambda: queue.claim(survivor, "survivor"))
        queue.give_back(board.connection, lost)
        assert board.value(number, "lease_owner") == "survivor"
        board.finish(found)


def test_work_is_announced_once_its_transaction_is_through(board: Board) -> None:
    with connect(board.url, autocommit=True) as listener:
        listener.execute(f"LISTEN {queue.CHANNEL}".encode())
        with transaction(board.connection) as tx:
            queue.announce(tx)
            assert list(listener.notifies(timeout=0.2)) == []
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1


def _soon(ask: Callable[[], Any]) -> Any:
    """The first answer; PostgreSQL needs a moment to notice that a session is gone."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = ask()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")
