"""A question over an operational table fetches the rows that it needs, and is answered as if it had fetched all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

import pyarrow.parquet as pq
import pytest

from assay.errors import AssayError, Usage
from assay.pipelines.platform import Platform
from assay.serving import relations
from assay.serving.client import Connection
from assay.serving.process import Process
from assay.serving.relations import Relation
from serving.hidden import ANALYST, OWNER, as_user, hiding
from serving.questions import questions
from shop_project import Shop


@pytest.fixture(scope="module")
def hidden(new_shop: Callable[[], Shop]) -> Shop:
    return hiding(new_shop)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """How many rows of each table the process was handed, each time that it was asked."""
    seen: list[list[int]] = []
    ask = Process.ask

    def counted(self: Process, statement: str, made: Iterable[Relation], seconds: float | None = None) -> list[str]:
        seen.append([pq.read_metadata(file).num_rows for one in made for file in one.files])
        return ask(self, statement, made, seconds)

    monkeypatch.setattr(Process, "ask", counted)
    return seen


@pytest.mark.parametrize(
    ("statement", "rows", "answer"),
    [
        ("SELECT goods FROM operational.sale WHERE number = '3'", [1], [("salt",)]),
        ("SELECT number FROM operational.sale WHERE amount BETWEEN 2.5 AND 3.75", [2], [("1",), ("2",)]),
        ("SELECT count(*) FROM shop.operational.sale WHERE note IS NULL AND number::INTEGER > 4", [1], [(0,)]),
        ("SELECT a.number FROM operational.sale a JOIN operational.goods g ON a.goods = g.code "
         "WHERE g.code = 'salt' AND a.number IN ('3', '4')", [2, 1], [("3",)]),
        ("SELECT (SELECT count(*) FROM operational.sale) FROM operational.goods WHERE code = 'tea'", [4, 1], [(4,)]),
        ("SELECT number FROM operational.sale WHERE number = '1' UNION ALL "
         "SELECT number FROM operational.sale WHERE number = '4'", [2], [("1",), ("4",)]),
        ("SELECT number FROM operational.sale WHERE number > '3'", [4], [("4",)]),
        ("SELECT number FROM annex.published.codes AS c, operational.sale WHERE c.code = 'tea' AND sale.number = '1'",
         [1, 1], [("1",)]),
    ],
)  # fmt: skip
def test_the_rows_that_a_question_needs_are_fetched(
    statement: str, rows: list[int], answer: list[tuple[object, ...]], hidden: Shop, fetched: list[list[int]]
) -> None:
    with as_user(hidden, OWNER) as platform, Connection(platform) as connection:
        assert list(connection.sql(statement).rows()) == answer
    assert [sorted(one) for one in fetched] == [sorted(rows)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT number FROM operational.sale WHERE number = '3'",
        "SELECT number FROM operational.sale WHERE number = '1'",
        "SELECT number FROM operational.sale WHERE note = '****' AND number = '1'",
    ],
)
def test_nothing_is_asked_of_rows_or_cells_that_are_hidden(
    statement: str, hidden: Shop, fetched: list[list[int]]
) -> None:
    with as_user(hidden, ANALYST) as platform, Connection(platform) as connection:
        list(connection.sql(statement).rows())
    assert fetched == [[3]]


def test_where_the_parsers_differ_every_row_is_fetched(hidden: Shop, fetched: list[list[int]]) -> None:
    with as_user(hidden, OWNER) as platform, Connection(platform) as connection:
        answer = connection.sql("SELECT number FROM operational.sale WHERE amount = +2.5")
        assert list(answer.rows()) == [("1",)]
        assert fetched == [[1], [4]]
        assert list(connection.sql("SELECT number FROM operational.sale WHERE amount = 2.5").rows()) == [("1",)]


def test_a_column_of_another_type_than_the_contract_says_is_asked_as_a_whole(
    hidden: Shop, fetched: list[list[int]]
) -> None:
    statement = "SELECT number, goods FROM operational.sale WHERE number = '3'"
    with as_user(hidden, OWNER) as platform:
        _as_type(platform, "integer")
        try:
            with Connection(platform) as connection:
                assert list(connection.sql(statement).rows()) == [(3, "salt")]
        finally:
            _as_type(platform, "text")
        with Connection(platform) as connection:
            assert list(connection.sql(statement).rows()) == [("3", "salt")]
    assert fetched == [[4], [1]]


def _as_type(platform: Platform, kind: str) -> None:
    change = f"ALTER TABLE shop.sale ALTER COLUMN number TYPE {kind} USING number::{kind}"
    platform.connection.execute(change.encode())


def test_a_value_that_is_not_asked_for_is_no_reason_to_fail(hidden: Shop) -> None:
    with as_user(hidden, OWNER) as platform, Connection(platform) as connection:
        with pytest.raises(Usage, match="Could not convert"):
            connection.sql("SELECT note::INTEGER FROM operational.sale WHERE number = '1'").arrow()
        statement = "SELECT note::INTEGER FROM operational.sale WHERE number = '4' AND note::INTEGER IS NULL"
        assert list(connection.sql(statement).rows()) == [(None,)]


def test_generated_questions_are_answered_alike_and_never_fail_for_it(
    hidden: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is narrowed is a matter of chance here, but for a condition that is added to many of them."""
    chance = random.Random(17)
    narrowed = relations._narrowed
    compared = narrower = 0
    with as_user(hidden, OWNER) as platform, Connection(platform) as connection:

        def answered(statement: str, how: object) -> list[str] | None:
            monkeypatch.setattr(relations, "_narrowed", how)
            try:
                return list(map(repr, connection.sql(statement).rows()))
            except AssayError:
                return None

        def noticed(*given: object) -> object:
            nonlocal narrower
            found = narrowed(*given)  # type: ignore[arg-type]
            narrower += bool(found)
            return found

        for statement in _more(chance, questions(23, 130)):
            with_all = answered(statement, lambda *_: ())
            with_few = answered(statement, noticed)
            if with_all is None:
                continue  # it may be answered now: what it failed for need not be there
            if "JOIN" in statement or "hash(" in statement:  # in no order that the statement says
                assert with_few is not None and sorted(with_few) == sorted(with_all), statement
            else:
                assert with_few == with_all, statement
            compared += 1
    assert compared > 50 and narrower > 25


def _more(chance: random.Random, statements: Iterator[str]) -> Iterator[str]:
    conditions = {
        "operational.sale": ("number = '3'", "number IN ('1', '4', '9')", "goods = 'tea'", "amount > 2.505",
                             "amount BETWEEN -9000 AND 3", "note IS NULL", "_row IS NOT NULL", "_batch = -1"),
        "operational.goods": ("code = 'salt'", "code IN ('tea', 'salt ')", "_row >= 1"),
    }  # fmt: skip
    for statement in statements:
        for table, known in conditions.items():
            for end in (f"FROM {table} WHERE ", f"FROM {table} AS t WHERE "):
                statement = statement.replace(end, f"{end}{chance.choice(known)} AND ")
        yield statement
