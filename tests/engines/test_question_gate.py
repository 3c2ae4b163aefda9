"""The two locks on a question, and the list of functions that they go by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assay.engines import duckdb_gate
from assay.engines.duckdb import Engine, connect
from assay.engines.pure_functions import (
    AGGREGATES,
    PURE,
    PURE_TABLES,
    REFUSED,
    REFUSED_BEGINNINGS,
    REFUSED_TABLES,
    SCALARS,
    SPOKEN,
)
from assay.engines.sql.gate import question
from assay.errors import Usage


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def test_every_function_of_the_engine_was_looked_at(engine: Engine) -> None:
    """A new version of the engine fails here until each new name stands in one of the lists."""
    kinds = {"scalar": PURE | REFUSED, "macro": PURE | REFUSED, "aggregate": AGGREGATES,
             "table": PURE_TABLES | REFUSED_TABLES, "table_macro": PURE_TABLES | REFUSED_TABLES}  # fmt: skip
    found = engine.rows("SELECT DISTINCT function_type, lower(function_name) FROM duckdb_functions()")
    unknown = [
        (kind, name) for kind, name in found
        if kind in kinds and name not in kinds[kind] and not name.startswith(REFUSED_BEGINNINGS)
        and not name.startswith("postgres_") and not name.startswith("pg_")
    ]  # fmt: skip
    assert unknown == []
    there = {name for _, name in found}
    assert (SCALARS | AGGREGATES | PURE_TABLES) - there - {"unnest"} <= SPOKEN | {"row"}
    assert not PURE & REFUSED and not PURE_TABLES & REFUSED_TABLES


#: What analysts write, in DuckDB's dialect.
ALLOWED = [
    "SELECT a, count(*) AS n FROM staging.t GROUP BY ALL HAVING n > 1 ORDER BY ALL LIMIT 10 OFFSET 2",
    "FROM staging.t SELECT a WHERE b",
    "SELECT DISTINCT ON (a) a, b FROM staging.t ORDER BY a NULLS LAST LIMIT 10%",
    "SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) FROM staging.t",
    "SELECT COLUMNS('a.*'), min(COLUMNS(*)) FROM staging.t",
    "SELECT t FROM staging.t AS t",
    "SELECT row_number() OVER w, lag(a, 1) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    " FROM staging.t WINDOW w AS (ORDER BY a) QUALIFY row_number() OVER w = 1",
    "SELECT sum(a) FILTER (WHERE b), string_agg(a, ',' ORDER BY b), quantile_cont(a, [0.1, 0.9]) FROM staging.t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM staging.t",
    "SELECT a[1], a[1:2], {'x': 1}.x, [x + 1 FOR x IN a IF x > 1], list_filter(a, lambda x: x > 1) FROM staging.t",
    "SELECT MAP {'k': 1}, struct_pack(x := 1), (1, 2), unnest([1, 2]), a.b.c FROM staging.t",
    "SELECT '{}'::JSON ->> '$.a', json_extract(a, '$.b'), a::DATE, TRY_CAST(a AS INT), TRY(a::INT) FROM staging.t",
    "SELECT date_trunc('month', d), d + INTERVAL 1 MONTH, EXTRACT(year FROM d), d AT TIME ZONE 'UTC', age(d, e)"
    " FROM staging.t",
    "SELECT CASE a WHEN 1 THEN 2 ELSE 3 END, coalesce(a, b), nullif(a, b), if(a, b, c), ifnull(a, b) FROM staging.t",
    "SELECT a LIKE 'x%' ESCAPE '!', a ILIKE b, a SIMILAR TO 'x', regexp_matches(a, 'x'), a ~ 'x', a GLOB 'x'"
    " FROM staging.t",
    "SELECT a IN (1, 2), a IN (SELECT 1), EXISTS (SELECT 1), a = ANY (SELECT 1), a BETWEEN 1 AND 2, a IS NOT DISTINCT"
    " FROM b FROM staging.t",
    "SELECT substring(a FROM 1 FOR 2), position('a' IN b), trim(BOTH 'x' FROM a), a.upper().lower(), a COLLATE nocase"
    " FROM staging.t",
    "SELECT a // b, a % b, a ** b, ~a, a & b, a << 1, xor(a, b), -a, @a FROM staging.t",
    "SELECT * FROM staging.t JOIN operational.x USING (a) LEFT JOIN analytical.y ON x.b = y.b SEMI JOIN staging.z"
    " USING (a) ANTI JOIN staging.w USING (a)",
    "SELECT * FROM staging.t ASOF JOIN operational.x ON t.a >= x.a",
    "SELECT * FROM staging.t POSITIONAL JOIN operational.x",
    "SELECT * FROM staging.t t, LATERAL (SELECT t.a + 1 AS b) x",
    "SELECT a FROM staging.t UNION ALL BY NAME SELECT b FROM operational.x EXCEPT SELECT 1",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
    "WITH a AS MATERIALIZED (SELECT 1), b AS (FROM a) SELECT * FROM b, a",
    "SELECT * FROM staging.t PIVOT (sum(a) FOR b IN (1, 2))",
    "SELECT * FROM (PIVOT staging.t ON a IN (1, 2) USING sum(b))",
    "SELECT * FROM staging.t UNPIVOT (v FOR n IN (a, b))",
    "SELECT GROUPING(a), a FROM staging.t GROUP BY CUBE (a, b)",
    "SELECT a FROM staging.t GROUP BY GROUPING SETS ((a), ())",
    "SELECT * FROM (VALUES (1, 'x')) v(a, b), range(3) r, generate_series(1, 2) g, unnest([1, 2]) u",
    "SELECT $$text$$, e'\\n', 'it''s', 0x1F, 1e3, 1_000, DATE '2025-01-01', TIMESTAMP '2025-01-01 10:00'",
    "SELECT a FROM zone.operational.t, zone.published.p",
    "TABLE staging.t",
    "(SELECT 1)",
    "SELECT 1 /* a comment */ -- and another",
    "SELECT now(), current_date, today(), random(), uuid()",
]  # fmt: skip


@pytest.mark.parametrize("text", ALLOWED)
def test_what_analysts_write_passes_both_locks(text: str, engine: Engine) -> None:
    asked = question(text)
    duckdb_gate.check(engine, text, {table.parts for table in asked.tables})


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT * FROM read_csv('x')", set()),
        ("SELECT getenv('x')", set()),
        ("SELECT * FROM 'x.csv'", set()),
        ("SELECT * FROM a.b", {("a", "c")}),
        ("SELECT 1", {("a", "c")}),
        ("SELECT * FROM (SUMMARIZE SELECT 1)", set()),
        ("SELECT * FROM x", set()),
        ("WITH \"x.csv\" AS (SELECT 1) FROM \"x.csv\"", set()),
        ("SELECT $1", set()),
        ("SELECT 1; SELECT 2", set()),
        ("COPY (SELECT 1) TO 'x'", set()),
        ("SELECT * FROM a.b USING SAMPLE 1", {("a", "b")}),
        ("SELECT list_transform([1], lambda x: getenv('x'))", set()),
        ("SELECT sum(1) FILTER (error('x'))", set()),
        ("SELECT 1 LIMIT (SELECT length(getenv('x')))", set()),
        ("SELECT * FROM (PIVOT a.b ON c IN (1) USING first(getenv('x')))", {("a", "b")}),
        ("SELECT * FROM range(1) WHERE EXISTS (FROM duckdb_tables())", set()),
    ],
)
def test_the_second_lock_holds_by_itself(text: str, tables: set[tuple[str, ...]], engine: Engine) -> None:
    with pytest.raises(duckdb_gate.Refused):
        duckdb_gate.check(engine, text, tables)


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        ("SELECT a,\n  getenv('x') FROM staging.t", "getenv", "line 2, column 3"),
        ("SELECT *\nFROM\n  read_csv('x')", "read_csv", "line 3, column 3"),
        ("PRAGMA version", "PRAGMA", "your statement"),
        ("SELECT FROM WHERE", "cannot be read", "line 1, column"),
        ("SELECT 1; SELECT 2", "2 statements", "your statement"),
    ],
)
def test_a_refusal_says_what_and_where(text: str, said: str, where: str) -> None:
    with pytest.raises(Usage) as caught:
        question(text)
    assert said in caught.value.what and where in str(caught.value.where) and caught.value.expected


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("SELECT a FROM s.t WHERE b = 1", {"a", "b"}),
        ("SELECT count(*) FROM s.t", set()),
        ("SELECT * FROM s.t", {"a", "b", "c"}),
        ("SELECT t FROM s.t AS t", {"a", "b", "c"}),
        ("SELECT t.* FROM s.t", {"a", "b", "c"}),
        ("SELECT #1 FROM s.t", {"a", "b", "c"}),
        ("SELECT y FROM s.t AS u(x, y)", {"a", "b", "c"}),
        ("SELECT 1 FROM s.t NATURAL JOIN s.u", {"a", "b", "c"}),
        ("SELECT 1 FROM s.t JOIN s.u USING (a)", {"a"}),
        ("SELECT COLUMNS('x') FROM s.t", {"a", "b", "c"}),
        ("SELECT * FROM s.t PIVOT (sum(a) FOR b IN (1))", {"a", "b", "c"}),
        ("SELECT (SELECT max(\"A\") FROM s.t)", {"a"}),
    ],
)
def test_a_column_that_a_question_may_use_is_known(text: str, uses: set[str]) -> None:
    asked = question(text)
    assert {name for name in "abc" if asked.uses(name)} == uses
