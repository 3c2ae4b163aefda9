"""What somebody gets to read does not depend on what is hidden from him.

Two platforms that are alike but for that say the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import pytest

from assay.errors import AssayError
from assay.pipelines.query import ask
from assay.serving.client import Connection
from serving.hidden import ANALYST, CANARY, OWNER, STEWARD, STRANGER, as_user, hiding
from serving.questions import questions
from shop_project import Shop

#: What differs: sales of salt (rows), notes (cells), everything in the annex but the codes of its goods.
OTHER_SALT = "3,2025-03-19,salt,7.77,quite another\n5,2025-04-01,salt,12.00,and one more\n"
OTHER_ANNEX = "77,2024-01-01,tea,1.00,other\n78,2024-01-02,tea,2.00,\n"


@pytest.fixture(scope="module")
def pair(new_shop: Callable[[], Shop]) -> tuple[Shop, Shop]:
    return hiding(new_shop), hiding(new_shop, salt=OTHER_SALT, note="7", annex=OTHER_ANNEX)


def said(connection: Connection, statement: str) -> bytes:
    """All that comes back, to the byte."""
    try:
        answer = connection.sql(statement)
        told = [answer.columns, [str(one) for one in answer.schema.types], answer.masked, answer.filtered]
        return repr([*told, list(answer.rows())]).encode()
    except AssayError as error:
        return repr(error.to_dict()).encode()


def compared(pair: tuple[Shop, Shop], user: str, asked: Iterator[str]) -> tuple[int, int]:
    """Asks both the same; how many questions there were, and how many were answered without an error."""
    count = answered = 0
    with as_user(pair[0], user) as one, as_user(pair[1], user) as two:
        with Connection(one, seconds=20) as first, Connection(two, seconds=20) as second:
            for statement in asked:
                here, there = said(first, statement), said(second, statement)
                assert here == there, statement
                assert CANARY.encode() not in here
                count += 1
                answered += not here.startswith(b"{")
    return count, answered


@pytest.mark.parametrize("user", [ANALYST, STEWARD, STRANGER])
def test_200_generated_questions_tell_nothing_of_what_is_hidden(pair: tuple[Shop, Shop], user: str) -> None:
    count = {ANALYST: 200}.get(user, 40)
    asked, answered = compared(pair, user, _of_his(user, questions(7, count)))
    assert asked == count
    if user == ANALYST:
        assert answered > asked / 4


@pytest.mark.slow
def test_thousands_of_generated_questions_tell_nothing_of_what_is_hidden(pair: tuple[Shop, Shop]) -> None:
    asked, answered = compared(pair, ANALYST, questions(11, 5_000))
    assert asked == 5_000 and answered > 1_000


def _of_his(user: str, asked: Iterator[str]) -> Iterator[str]:
    """A steward reads staging, where salt and notes are not hidden from him: he is asked of the rest."""
    if user != STEWARD:
        return asked
    elsewhere = {"staging.till": "annex.staging.till", "quarantine.till": "annex.readable.till"}
    return (reduce(lambda text, pair: text.replace(*pair), elsewhere.items(), one) for one in asked)


def test_an_owner_is_answered_as_the_engine_answers_over_the_stores_themselves(pair: tuple[Shop, Shop]) -> None:
    """Whether rows of PostgreSQL come by a file or by the engine's own way to it, the answer is the same."""
    compared = 0
    with as_user(pair[0], OWNER) as platform, Connection(platform, seconds=20) as connection:
        for statement in questions(3, 150):
            if "LIMIT" in statement or "any_value" in statement or "annex" in statement or "hash(" in statement:
                continue  # which rows these give is chance, or another zone's
            try:
                columns, rows = ask(platform, statement, "shop")
                answer = connection.sql(statement)
            except AssayError:
                continue
            assert answer.columns == columns
            assert sorted(map(repr, answer.rows())) == sorted(map(repr, rows)), statement
            compared += 1
    assert compared > 30


def test_the_two_platforms_do_differ(pair: tuple[Shop, Shop]) -> None:
    seen = []
    for shop in pair:
        with as_user(shop, OWNER) as platform, Connection(platform) as connection:
            seen.append(said(connection, "SELECT * FROM operational.sale"))
    assert seen[0] != seen[1]
