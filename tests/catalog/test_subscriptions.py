"""A subscription comes only to the states that its own state allows, and opens something in one of them alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.catalog import subscriptions
from assay.catalog.subscriptions import MOVES, OPEN, STATES, State, Subscription, may_move
from assay.errors import NotFound, Usage
from assay.stores.database import Connection, connect, transaction

SALE = ("shop", "sale")


@pytest.fixture(scope="module")
def tx(database: Callable[[], str]) -> Iterator[Connection]:
    with connect(database(), autocommit=True) as connection:
        yield connection


def asked(tx: Connection, subscriber: str, until: datetime | None = None) -> Subscription:
    return subscriptions.add(tx, SALE, "zone", subscriber, "to count", by="owner", until=until)


def forget(tx: Connection) -> None:
    tx.execute("TRUNCATE assay.subscription_step, assay.subscription")


def test_the_states_that_move_are_those_in_which_somebody_waits_or_reads() -> None:
    assert {"requested", "granted", "broken"} == OPEN
    assert all(not may_move(state, after) for state in set(STATES) - OPEN for after in STATES)
    assert set().union(*MOVES.values()) == set(STATES) - {"requested"}


@given(st.lists(st.sampled_from(STATES), max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_decisions_leads_along_the_moves_alone(tx: Connection, wanted: list[State]) -> None:
    forget(tx)
    number = asked(tx, "reader").id
    state: State = "requested"
    walked = [state]
    for after in wanted:
        if may_move(state, after):
            assert subscriptions.move(tx, number, after, by="owner", reason="so be it").state == after
            state = after
            walked.append(after)
        else:
            with pytest.raises(Usage):
                subscriptions.move(tx, number, after, by="owner", reason="so be it")
        open_to = subscriptions.granted(tx)["zone"].get(SALE, frozenset())
        assert open_to == (frozenset({"reader"}) if state == "granted" else frozenset())
        assert subscriptions.standing(tx, "zone", "reader") == {SALE: state}
    assert [step.state for step in subscriptions.steps(tx, number)] == walked


def test_nobody_asks_twice_for_what_he_waits_for_or_has_but_anew_for_what_was_refused(tx: Connection) -> None:
    forget(tx)
    number = asked(tx, "reader").id
    with pytest.raises(Usage, match=r"zone reader has asked for shop\.sale already"):
        asked(tx, "reader")
    subscriptions.move(tx, number, "refused", by="owner", reason="no")
    assert asked(tx, "reader").id != number
    assert asked(tx, "other").state == "requested"


def test_a_grant_ends_at_its_time_whether_or_not_anybody_records_it(tx: Connection) -> None:
    forget(tx)
    number = asked(tx, "reader", datetime.now(UTC) + timedelta(hours=1)).id
    subscriptions.move(tx, number, "granted", by="owner", reason="fine")
    assert subscriptions.over(tx) == [] and SALE in subscriptions.granted(tx)["zone"]
    tx.execute("UPDATE assay.subscription SET until = clock_timestamp() - interval '1 second'")
    assert subscriptions.granted(tx)["zone"] == {}
    assert subscriptions.standing(tx, "zone", "reader") == {SALE: "expired"}
    assert subscriptions.over(tx) == [number]


def test_steps_are_written_one_transaction_after_the_other_so_that_the_stamp_misses_none(
    database: Callable[[], str],
) -> None:
    url = database()
    with (
        connect(url, autocommit=True) as one, connect(url, autocommit=True) as other,
        connect(url, autocommit=True) as onlooker,
    ):  # fmt: skip
        first, second = asked(one, "a").id, asked(one, "b").id
        before = subscriptions.stamp(one)
        deciding = threading.Thread(
            target=subscriptions.move, args=(other, second, "granted"), kwargs={"by": "owner", "reason": "fine"}
        )
        with transaction(one):
            subscriptions.move(one, first, "granted", by="owner", reason="fine")
            deciding.start()
            deciding.join(0.3)
            assert deciding.is_alive() and subscriptions.stamp(onlooker) == before
        deciding.join()
        assert subscriptions.stamp(one)[0] == before[0] + 2


def test_the_stamp_changes_when_a_grant_runs_out(tx: Connection) -> None:
    forget(tx)
    number = asked(tx, "reader", datetime.now(UTC) + timedelta(hours=1)).id
    subscriptions.move(tx, number, "granted", by="owner", reason="fine")
    before = subscriptions.stamp(tx)
    tx.execute("UPDATE assay.subscription SET until = clock_timestamp()")
    assert subscriptions.stamp(tx) != before


def test_a_subscription_that_is_not_there_is_not_found(tx: Connection) -> None:
    with pytest.raises(NotFound):
        subscriptions.move(tx, 10**9, "granted", by="owner", reason="fine")
