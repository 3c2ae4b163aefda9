"""What assay understands of SQL: tables read, columns returned, their origin, and refreshes in part."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from assay.engines import sql
from assay.engines.sql import Driving, Hop, JoinedTable, Reference
from assay.errors import Misconfigured

PATH = Path("conform/card/line.sql")
SCHEMA: dict[tuple[str, ...], dict[str, str]] = {
    ("batch",): {"code": "VARCHAR", "name": "VARCHAR", "amount": "DECIMAL(12,2)", "day": "DATE"},
    ("operational", "line"): {
        "id": "BIGINT",
        "dept": "VARCHAR",
        "amount": "DECIMAL(12,2)",
        "month": "VARCHAR",
    },
    ("operational", "department"): {"code": "VARCHAR", "title": "VARCHAR", "area": "VARCHAR"},
    ("operational", "area"): {"code": "VARCHAR", "title": "VARCHAR"},
    ("reference", "published", "currency"): {"code": "VARCHAR", "name": "VARCHAR"},
}
TABLES: sql.Tables = {
    "line": (("id", "dept", "amount", "month"), ("id",), ((("dept",), "department", ("code",)),)),
    "department": (("code", "title", "area"), ("code",), ((("area",), "area", ("code",)),)),
    "area": (("code", "title"), ("code",), ()),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select a from batch", ["batch"]),
        ("SELECT a FROM BATCH b JOIN Operational.X AS x ON b.a = x.a", ["batch", "operational.x"]),
        ("from reference.published.currency", ["reference.published.currency"]),
        ("with y as (select a from batch) select * from y join staging.y using (a)", ["batch", "staging.y"]),
        ("with batch as (select * from batch) select * from batch", ["batch"]),
        ("with a as (select 1 x), b as (select * from a) select * from b", []),
        ("with recursive r as (select 1 n union all select n + 1 from r) select * from r", []),
        ("select a from batch where exists (from analytical.x)", ["batch", "analytical.x"]),
        ("select a from staging.x union all select b from analytical.y", ["staging.x", "analytical.y"]),
        ("select a, t.v from batch, unnest([1, 2]) t(v)", ["batch"]),
        ("(select a from batch);", ["batch"]),
    ],
)
def test_references_are_the_tables_read(text: str, expected: list[str]) -> None:
    assert sorted(str(one) for one in sql.references(text, PATH)) == sorted(expected)


def test_a_reference_keeps_its_parts() -> None:
    assert sql.references("from operational.x", PATH) == (Reference(("operational", "x")),)


@pytest.mark.parametrize(
    "text",
    [
        "from 'x.csv'",
        'from "x.parquet"',
        "from read_csv('x.csv')",
        "from read_parquet('x')",
        "from glob('*')",
        "from query('select 1')",
        "from range(3)",
        "from other.x",
        "from x",
        "from pg_catalog.pg_class",
        "from a.operational.x",
        "with y as (from x) from y",
        "select getenv('HOME') from batch",
        "select (select max(a) from secret) from batch",
        "with y as (select 1) select a from other.y",
    ],
)
def test_any_other_read_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        sql.references(text, PATH)
    assert "staging.<source>" in str(caught.value)


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(Misconfigured) as caught:
        sql.references("select a\nfrom batch\njoin secret using (a)", PATH)
    assert (caught.value.file, caught.value.line) == (str(PATH), 3)


@pytest.mark.parametrize(
    "text",
    ["", "select 1; select 2", "delete from batch", "create table x as select 1", "show tables", "values (1)",
     "select a frm batch b c", "select a into x from batch", "copy batch to 'x'", "select $1 from batch",
     "pivot batch on a using sum(b)", "attach 'x'", "load 'x'", "install 'x'", "select 1) from batch; load 'x'; --",
     "set allow_unsigned_extensions = true", "reset allow_unsigned_extensions"],
)  # fmt: skip
def test_only_one_select_is_read(text: str) -> None:
    with pytest.raises(Misconfigured):
        sql.parse(text, PATH)


def run(text: str) -> list[dict[str, object]]:
    with duckdb.connect() as db:
        db.execute(
            "create table batch (code text, name text, amount decimal(12,2), _row bigint, _sheet text)"
        )
        db.execute(
            "insert into batch values ('a','A',1,2,'S'), ('b','B',2,3,'S'), ('a','AA',3,4,'S'), ('a','A',1,5,'S')"
        )
        db.execute("create schema operational")
        db.execute("create table operational.department as select 'a' as code, 'Apples' as title")
        found = db.execute(text)
        names = [one[0] for one in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("select code from batch", [(2, "S"), (3, "S"), (4, "S"), (5, "S")]),
        ("select * from batch", [(2, "S"), (3, "S"), (4, "S"), (5, "S")]),
        ("select * exclude (_row, _sheet) from batch b", [(2, "S"), (3, "S"), (4, "S"), (5, "S")]),
        ("select * rename (_row as line, _sheet as tab) from batch", [(2, "S"), (3, "S"), (4, "S"), (5, "S")]),
        ("select b.code from batch as b where b.amount > 1", [(3, "S"), (4, "S")]),
        ("select d.title from batch b join operational.department d using (code)", [(2, "S"), (4, "S"), (5, "S")]),
        ("select d.* from operational.department d join batch b using (code)", [(2, "S"), (4, "S"), (5, "S")]),
        ("select code, rank() over (order by sum(amount)) r from batch group by code", [(2, "S"), (3, "S")]),
        ("select code, sum(amount) over () as s from batch", [(2, "S"), (3, "S"), (4, "S"), (5, "S")]),
        ("select distinct code, name from batch", [(2, "S"), (3, "S"), (4, "S")]),
        ("select distinct d.* from batch b join operational.department d using (code)", [(2, "S")]),
        ("select distinct on (code) code from batch order by code, amount desc", [(3, "S"), (4, "S")]),
        ("select code, max(name) as name from batch group by code", [(2, "S"), (3, "S")]),
        ("select x.code, max(name) as name from batch x group by all order by all", [(2, "S"), (3, "S")]),
        ("select sum(amount) as s from batch", [(2, "S")]),
        ("select fsum(amount) as s from batch", [(2, "S")]),
        ("select code from batch limit 1", [(2, "S")]),
        ("with d as (select 'a' as code) select batch.code from batch join d using (code)",
         [(2, "S"), (4, "S"), (5, "S")]),
        ("select code, max(_row) as _row from batch group by code", [(3, None), (5, None)]),
        ("with x as (select code, _row from batch) select * from x", [(2, None), (3, None), (4, None), (5, None)]),
        ("select code, _row from batch union select code, _row from batch",
         [(2, None), (3, None), (4, None), (5, None)]),
        ("with x as (select * from batch) select * from x", [(2, "S"), (3, "S"), (4, "S"), (5, "S")]),
    ],
)  # fmt: skip
def test_each_output_row_knows_the_row_it_came_from(text: str, rows: list[tuple[int, str | None]]) -> None:
    found = run(sql.with_provenance(text, PATH))
    assert sorted(((row["_row"], row["_sheet"]) for row in found), key=str) == rows
    assert len(found) == len(run(text))


@pytest.mark.parametrize(
    "text",
    [
        "select code from batch union all select name from batch",
        "with x as (select code from batch) select code from x",
        "select code from (select code from batch) x",
        "select code from operational.department",
        "select d.code from operational.department d semi join batch using (code)",
        "with batch as (select 1 as code) select code from batch",
        "select distinct code, count(*) as n from batch group by code",
        "select 1 as x",
    ],
)
def test_rows_without_a_single_origin_ask_the_author_for_it(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        sql.with_provenance(text, PATH)
    assert "return the column _row" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select code, upper(name) as n, Amount as Value from batch", {"code": "code", "value": "amount"}),
        ("select b.code as c, d.code from batch b join operational.department d on b.code = d.code",
         {"c": "code"}),
        ("select * from batch union select * from batch", {}),
        ("select code, max(name) as name from batch group by 1", {"code": "code"}),
        ("select code from (select upper(code) as code from batch) batch", {}),
    ],
)  # fmt: skip
def test_identity_columns(text: str, expected: dict[str, str]) -> None:
    assert sql.identity_columns(text, PATH, SCHEMA) == expected


B, L, D = ("batch",), ("operational", "line"), ("operational", "department")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select code, amount * 2 as a, 1 as one from batch", {"code": [(B, "code")], "a": [(B, "amount")], "one": []}),
        ("select name || code as x from batch where amount > 1", {"x": [(B, "name"), (B, "code")]}),
        ("with x as (select upper(code) as c from batch), y as (select c from x) select c from y",
         {"c": [(B, "code")]}),
        (("select z.c as d from (select b.code || d.title as c from batch b join operational.department d "
         "on d.code = b.code) z"), {"d": [(B, "code"), (D, "title")]}),
        ("select code from batch union all select title from operational.department",
         {"code": [(B, "code"), (D, "title")]}),
        ("select (select max(d.title) from operational.department d where d.code = b.code) as t from batch b",
         {"t": [(D, "title"), (D, "code"), (B, "code")]}),
        ("select operational.department.title from operational.department", {"title": [(D, "title")]}),
        ("select u.v from batch, unnest([code, name]) as u(v)", {"v": [(B, "code"), (B, "name")]}),
        (("with recursive r as (select amount as n from batch union all select n + 1 as n from r where n < 3) "
         "select n from r"), {"n": [(B, "amount")]}),
        ("select amount + 1 as x, x * 2 as y from batch", {"x": [(B, "amount")], "y": [(B, "amount")]}),
        ("select count(*) as n, month from operational.line group by all", {"n": [], "month": [(L, "month")]}),
    ],
)  # fmt: skip
def test_column_lineage(text: str, expected: dict[str, list[tuple[tuple[str, ...], str]]]) -> None:
    assert sql.column_lineage(text, PATH, SCHEMA) == {name: tuple(pairs) for name, pairs in expected.items()}


def test_output_columns_expand_stars() -> None:
    text = "select d.*, b.* exclude (_batch, _row, _sheet, _file, _period, code) from batch b, operational.department d"
    assert sql.output_columns(text, PATH, SCHEMA) == ("code", "title", "area", "name", "amount", "day")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select nme from batch", "nme"),
        ("select count(*) from batch", "has no name"),
        ("select batch from batch", "whole row"),
        ("select columns('a.*') as x from batch", "COLUMNS"),
        ("select * from operational.nothing", "operational.nothing"),
        ("from batch pivot (sum(amount) for code in ('a'))", "PIVOT"),
    ],
)
def test_columns_that_cannot_be_followed_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        sql.output_columns(text, PATH, SCHEMA)
    assert reason in str(caught.value)


TO_DEPARTMENT = Hop("line", ("dept",), "department", ("code",))
TO_AREA = Hop("department", ("area",), "area", ("code",))


def prove(text: str) -> Driving:
    return sql.refresh_proof(text, PATH, SCHEMA, ("month",), TABLES)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("select month, sum(amount) as s from operational.line group by month", ()),
        ("select month, id from operational.line", ()),
        (("select l.month, d.title, sum(amount) as s from operational.line l "
         "left join operational.department d on d.code = l.dept group by all"),
         (JoinedTable("department", (TO_DEPARTMENT,)),)),
        (("select l.month, a.title from operational.line l join operational.department d on (l.dept = d.code) "
         "join operational.area a on a.code = d.area where a.title <> 'x' group by 1, 2"),
         (JoinedTable("department", (TO_DEPARTMENT,)), JoinedTable("area", (TO_DEPARTMENT, TO_AREA)))),
    ],
)  # fmt: skip
def test_a_refresh_in_part_is_proven(text: str, joined: tuple[JoinedTable, ...]) -> None:
    assert prove(text) == Driving("line", {"month": "month"}, joined)


def test_a_publication_may_be_joined() -> None:
    text = "select month, c.name from operational.line l left join reference.published.currency c on c.code = l.dept"
    assert prove(text).publications == (Reference(("reference", "published", "currency")),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select month from operational.line union select month from operational.line", "set operation"),
        ("with x as (select 1 as y) select month from operational.line", "CTE"),
        ("select month from (from operational.line) x", "subquery"),
        ("select month from operational.line where amount > (select avg(amount) from operational.line)", "subquery"),
        ("select month, sum(amount) over () as s from operational.line", "window"),
        ("select distinct on (dept) month from operational.line", "DISTINCT ON"),
        ("select month from operational.line limit 1", "LIMIT"),
        ("select month from operational.line offset 1", "OFFSET"),
        ("select month, random() as r from operational.line", "random|rand"),
        ("select month from operational.line where month < current_date::text", "current_date"),
        ("select month, now() as n from operational.line", "now"),
        ("select month, uuid() as n from operational.line", "uuid"),
        ("select month, today() as n from operational.line", "always"),
        ("select code as month from batch", "not an operational table"),
        ("select upper(month) as month from operational.line", "bare column"),
        ("select d.area as month from operational.line l join operational.department d on d.code = l.dept", "bare"),
        ("select dept from operational.line", "not among"),
        ("select sum(amount) as month from operational.line", "GROUP BY"),
        ("select max(month) as month from operational.line group by dept", "bare column"),
        ("select month, sum(amount) as s from operational.line group by rollup (month)", "ROLLUP"),
        ("select month from operational.line l, operational.department d", "without a condition"),
        ("select month from operational.line l join operational.department d on d.code = l.month", "foreign key"),
        ("select month from operational.line l join operational.department d on d.code > l.dept", "equality"),
        ("select month from operational.line l join operational.department d on d.code = l.dept and d.area = 'x'",
         "equality"),
        ("select month from operational.line l right join operational.department d on d.code = l.dept", "RIGHT"),
        ("select l.month from operational.line l join operational.line k on k.id = l.id", "foreign key"),
        ("select month, u.v from operational.line, unnest([1]) u(v)", "UNNEST"),
    ],
)  # fmt: skip
def test_a_refresh_in_part_that_is_not_proven_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        prove(text)
    assert any(one in caught.value.what for one in reason.split("|"))
    assert caught.value.next is not None and "refresh: full" in caught.value.next
