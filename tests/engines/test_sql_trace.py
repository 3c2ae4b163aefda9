"""Rows behind an output row: exactly those that it was made of, whatever the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.engines.sql import Made, references, trace_rows
from assay.errors import Misconfigured

PATH = Path("analytical/x.sql")
ORIGIN = {"_source": "VARCHAR", "_batch": "BIGINT", "_sheet": "VARCHAR", "_row": "BIGINT"}
SCHEMA: dict[tuple[str, ...], dict[str, str]] = {
    ("operational", "line"): {
        "id": "BIGINT", "dept": "VARCHAR", "amount": "DECIMAL(12,2)", "month": "VARCHAR", **ORIGIN,
    },
    ("operational", "department"): {"code": "VARCHAR", "title": "VARCHAR", **ORIGIN},
    ("operational", "old"): {"month": "VARCHAR", "amount": "DECIMAL(12,2)", **ORIGIN},
    ("analytical", "y"): {"month": "VARCHAR", "dept": "VARCHAR", "amount": "DECIMAL(14,2)"},
    ("reference", "published", "currency"): {"code": "VARCHAR", "name": "VARCHAR"},
}  # fmt: skip
Y = Made(
    "select month, dept, sum(amount) as amount from operational.line group by month, dept", PATH,
    {"month": "VARCHAR", "dept": "VARCHAR", "amount": "DECIMAL(14,2)"},
)  # fmt: skip
#: Queries whose outputs are called a, b, c where there are so many.
QUERIES = [
    "select month as a, sum(amount) as b, count(*) as c from operational.line group by month",
    "select month as a, dept as b, sum(amount) as c from operational.line group by all",
    "select sum(amount) as a from operational.line where amount > 0",
    "select month as a, sum(amount) as b from operational.line group by month having count(*) > 1 order by a limit 2",
    "select sum(amount) as a from operational.line group by month, dept",
    "select count(*) as a from operational.line group by upper(dept)",
    "select month as a, d.title as b, sum(l.amount) filter (where l.amount > 0) as c from operational.line l "
    "join operational.department d on d.code = l.dept group by 1, 2",
    "select d.title as a, count(l.id) as b from operational.department d "
    "left join operational.line l on l.dept = d.code group by d.title",
    "select l.id as a, d.title as b, l.amount as c from operational.line l "
    "left join operational.department d on d.code = l.dept",
    "select distinct month as a, dept as b from operational.line",
    "select month as a, n as b from (select month, dept, count(*) as n from operational.line group by month, dept) x",
    "with x as (select month, dept, sum(amount) as s from operational.line group by all), "
    "z as (select month, max(s) as top, count(*) as n from x group by month) "
    "select month as a, top as b, n as c from z",
    "select month as a, amount as b from operational.line union all select month, amount from operational.old",
    "select month as a from operational.line union select month from operational.old",
    "select month as a, sum(amount) as b from (select month, amount from operational.line union all "
    "select month, amount from operational.old) u group by month",
    "select month as a, sum(amount) as b from analytical.y group by month",
    "select month as a, id as b from operational.line l where exists "
    "(select 1 from operational.department d where d.code = l.dept)",
    "select month as a, max(amount) as b from (select distinct month, amount from operational.line) x group by month",
    "select l.month as a, c.name as b, count(*) as c from operational.line l "
    "left join reference.published.currency c on c.code = l.dept group by all",
    "select id as a, dept as b from operational.line qualify row_number() over (partition by dept order by id) = 1",
    "select l.id as a, k.id as b from operational.line l join operational.line k using (dept)",
    "select l.month as a, u.v as b from operational.line l, unnest([1, 2]) as u(v)",
]

WORDS = st.sampled_from(["x", "y", "X", None])
MONTHS = st.sampled_from(["2025-01", "2025-02", None])
MONEY = st.decimals(min_value=-5, max_value=5, places=2)
LINES = st.lists(st.tuples(WORDS, MONEY, MONTHS), max_size=6)
OLD = st.lists(st.tuples(MONTHS, MONEY), max_size=4)


@contextmanager
def filled(lines: list[Any], old: list[Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        db.execute("create schema operational; create schema analytical; attach ':memory:' as reference")
        db.execute("create schema reference.published; create table reference.published.currency as "
                   "select 'x' as code, 'Xish' as name")  # fmt: skip
        for (store, *rest), columns in SCHEMA.items():
            if store == "operational":
                listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
                db.execute(f"create table operational.{rest[0]} ({listed})")
        for number, (dept, amount, month) in enumerate(lines):
            db.execute("insert into operational.line values (?, ?, ?, ?, 's', 1, null, ?)",
                       [number, dept, amount, month, number + 2])  # fmt: skip
        for number, (month, amount) in enumerate(old):
            db.execute("insert into operational.old values (?, ?, 's', 2, 'A', ?)", [month, amount, number + 2])
        db.execute("insert into operational.department values ('x', 'Xs', 's', 3, null, 2)")
        db.execute("insert into operational.department values ('y', 'Ys', 's', 3, null, 3)")
        yield db


def types(text: str, db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return {name: kind for name, kind, *_ in db.execute(f"describe {text}").fetchall()}


def behind(db: duckdb.DuckDBPyConnection, text: str, row: tuple[Any, ...], target: str) -> list[int]:
    """The `_row` of each row of the target that the trace finds behind one output row."""
    made = {("analytical", "made"): Made(text, PATH, types(text, db)), ("analytical", "y"): Y}
    condition = " AND ".join(
        f"{name} IS NOT DISTINCT FROM {'NULL' if value is None else repr(value) if isinstance(value, str) else value}"
        for name, value in zip(made["analytical", "made"].types, row, strict=True)
    )
    traced = trace_rows(("analytical", "made"), made, SCHEMA, condition, ("operational", target))
    assert {str(one).split(".")[0] for one in references(traced.text, PATH)} <= {
        "operational", "analytical", "reference",
    }  # fmt: skip
    result = db.execute(traced.text)
    names = [one[0] for one in result.description or []]
    return sorted(found[names.index("_row")] for found in result.fetchall())


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("text", QUERIES)
@given(lines=LINES, old=OLD)
def test_the_rows_behind_an_output_row_make_it_and_without_them_it_is_gone(
    text: str, lines: list[Any], old: list[Any]
) -> None:
    """The meaning of lineage, tried: the traced rows alone give the output row again; the others do not.

    A row that the query makes of the department alone (an outer join) has no line behind it.
    """
    with filled(lines, old) as db:
        db.execute(f"create view analytical.y as {Y.text}")
        db.execute(f"create table analytical.made as {text}")
        rows = db.execute("select * from analytical.made").fetchall()
        db.execute("create table every as from operational.line")
        for row in set(rows):
            found = behind(db, text, row, "line")
            if not found:
                continue
            db.execute("delete from operational.line where not list_contains(?::bigint[], _row)", [found])
            if "union" not in text and "limit" not in text:
                alone = db.execute(text).fetchall()
                assert row in alone
            db.execute("delete from operational.line; insert into operational.line from every")


@pytest.mark.parametrize(
    "text",
    [QUERIES[0], QUERIES[1], QUERIES[4], QUERIES[5], QUERIES[9], QUERIES[11], QUERIES[15], QUERIES[17]],
)
@settings(max_examples=6, deadline=None)
@given(lines=LINES)
def test_the_groups_of_a_table_share_its_rows_out(text: str, lines: list[Any]) -> None:
    """Every row is behind one group; groups that look alike in all outputs share theirs."""
    with filled(lines, []) as db:
        db.execute(f"create view analytical.y as {Y.text}")
        db.execute(f"create table analytical.made as {text}")
        rows = db.execute("select * from analytical.made").fetchall()
        found = [behind(db, text, row, "line") for row in set(rows)]
        assert sorted(number for group in found for number in group) == [n + 2 for n in range(len(lines))]


def test_other_tables_of_the_query_can_be_traced_too() -> None:
    with filled([("x", 1, "2025-01")], []) as db:
        db.execute(f"create table analytical.made as {QUERIES[6]}")
        row = db.execute("select * from analytical.made").fetchall()[0]
        assert behind(db, QUERIES[6], row, "department") == [2]


def test_the_trace_says_which_tables_it_could_follow_and_which_are_another_zones() -> None:
    text = "select l.month as a, c.name as b from operational.line l, reference.published.currency c"
    made = {("analytical", "x"): Made(text, PATH, {"a": "VARCHAR", "b": "VARCHAR"})}
    traced = trace_rows(("analytical", "x"), made, SCHEMA, None)
    assert traced.table == ("operational", "line")
    assert traced.tables == (("operational", "line"),) and traced.closed == (("reference", "published", "currency"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select id as a, sum(amount) over (partition by month) as b from operational.line", "window function"),
        ("select month as a, 1 as b from operational.line except select month, 1 from operational.old", "EXCEPT"),
        ("select month as a, 1 as b from operational.line intersect select month, 1 from operational.old", "INTERSECT"),
        ("select distinct on (month) month as a, id as b from operational.line", "DISTINCT ON"),
        ("select month as a, sum(amount) as b from operational.line group by rollup (month)", "ROLLUP"),
        ("select id as a, random() as b from operational.line", "rand"),
        ("with recursive r as (select 1 as n union all select n + 1 from r where n < 3) "
         "select n as a, month as b from r, operational.line", "RECURSIVE"),
        ("select c.code as a, c.name as b from reference.published.currency c", "a table whose rows are known"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_by_name(text: str, reason: str) -> None:
    made = {("analytical", "x"): Made(text, PATH, {"a": "VARCHAR", "b": "VARCHAR"})}
    with pytest.raises(Misconfigured) as caught:
        trace_rows(("analytical", "x"), made, SCHEMA, None)
    assert reason in caught.value.what


@pytest.mark.parametrize("condition", ["1 = 1 union select 1", "a = 1; select 2", "a = 1 limit 3", "a = getenv('x')"])
def test_a_condition_is_a_condition_and_nothing_else(condition: str) -> None:
    made = {("analytical", "x"): Made(QUERIES[0], PATH, {"a": "VARCHAR", "b": "DOUBLE", "c": "BIGINT"})}
    with pytest.raises(Misconfigured):
        references(trace_rows(("analytical", "x"), made, SCHEMA, condition).text, PATH)
