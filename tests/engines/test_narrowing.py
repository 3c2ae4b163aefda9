"""Which rows of a table PostgreSQL is asked for, and that no answer depends on it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

import pytest

from assay.engines.duckdb import Engine, connect, literal
from assay.engines.duckdb_gate import _dictionaries
from assay.engines.narrowing import decidable, follows, where
from assay.engines.sql.gate import question
from assay.stores import database as stores
from assay.zones.types import FieldType

TYPES = {
    "name": FieldType("string"),
    "other": FieldType("string"),
    "whole": FieldType("integer"),
    "amount": FieldType("decimal", 12, 2),
    "wide": FieldType("decimal", 38, 30),
    "day": FieldType("date"),
    "moment": FieldType("timestamp"),
    "instant": FieldType("timestamp", timezone=True),
    "flag": FieldType("boolean"),
    "share": FieldType("double"),
    "object": FieldType("object"),
}

#: What is asked, and the WHERE that PostgreSQL decides for operational.t, without the word.
PUSHED = [
    ("name = 'x'", "(\"name\" = E'x'::text)"),
    ("'x' = t.name", "(\"name\" = E'x'::text)"),
    ("T.\"Name\" IN ('it''s', 'ü ')", "(\"name\" IN (E'it''s'::text, E'ü '::text))"),
    (r"name = '\'", r"(" + '"name"' + r" = E'\\'::text)"),
    ("whole = 5 AND (name = 'x' AND 7 > whole)",
     "(\"whole\" = '5'::bigint AND \"name\" = E'x'::text AND \"whole\" < '7'::bigint)"),
    ("whole BETWEEN -3 AND 8", "(\"whole\" >= '-3'::bigint AND \"whole\" <= '8'::bigint)"),
    ("amount >= -2.505", "(\"amount\" >= '-2.505'::numeric)"),
    ("amount IN (1, 2.5)", "(\"amount\" IN ('1'::numeric, '2.5'::numeric))"),
    ("day < DATE '2025-01-31'", "(\"day\" < '2025-01-31'::date)"),
    ("day = '2025-01-31'", "(\"day\" = '2025-01-31'::date)"),
    ("moment > '2025-01-31'::DATE", "(\"moment\" > '2025-01-31 00:00:00'::timestamp)"),
    ("moment <= TIMESTAMP '2025-01-31 10:00:00.5'", "(\"moment\" <= '2025-01-31 10:00:00.500000'::timestamp)"),
    ("flag = true", '("flag" = true)'),
    ("share IS NULL", '("share" IS NULL)'),
    ("instant IS NOT NULL AND NOT whole IS NULL", '("instant" IS NOT NULL AND "whole" IS NOT NULL)'),
    ("name = 'x' AND lower(other) = 'y' AND (whole = 1 OR whole = 2)", "(\"name\" = E'x'::text)"),
    # not the same for both, or not said plainly
    ("name > 'x'", ""),
    ("name = 5", ""),
    ("name LIKE 'x%'", ""),
    ("name COLLATE NOCASE = 'x'", ""),
    ("name <> 'x'", ""),
    ("NOT name = 'x'", ""),
    ("name NOT IN ('x')", ""),
    ("name = other", ""),
    ("name IN ('x', NULL)", ""),
    ("name IN ('x', other)", ""),
    ("name IN (SELECT 'x')", ""),
    ("name = 'x' OR whole = 1", ""),
    ("(name = 'x') IS TRUE", ""),
    ("CASE WHEN name = 'x' THEN true ELSE false END", ""),
    ("upper(name) = 'X'", ""),
    ("name || '' = 'x'", ""),
    ("name::VARCHAR = 'x'", ""),
    ("name = 'x'::VARCHAR", ""),
    ("whole = 5.0", ""),
    ("whole = '5'", ""),
    ("whole = 1e2", ""),
    ("whole + 1 = 5", ""),
    ("whole = 99999999999999999999", ""),
    ("amount = '2.50'", ""),
    ("wide = 5", ""),
    ("day = '2025-1-31'", ""),
    ("day = '2025-02-30'", ""),
    ("day = 'infinity'", ""),
    ("day = '0044-03-15 (BC)'", ""),
    ("day < TIMESTAMP '2025-01-31 10:00:00'", ""),
    ("day IN ('2025-01-31', DATE '2025-01-31')", ""),
    ("moment = '2025-01-31T10:00:00Z'", ""),
    ("instant = '2025-01-31 10:00:00'", ""),
    ("flag > false", ""),
    ("flag", ""),
    ("share = 1", ""),
    ("object IS NULL", ""),
    ("nothing = 1", ""),
    ("operational.t.name = 'x'", ""),
]  # fmt: skip
X, Y = "(\"name\" = E'x'::text)", "(\"name\" = E'y'::text)"
#: Where the table stands.
PLACES = [
    ("FROM operational.t WHERE name = 'x'", X),
    ("SELECT lower(name) AS other FROM operational.t WHERE other = 'x'", "(\"other\" = E'x'::text)"),
    ("SELECT name FROM operational.t AS a WHERE a.name = 'x' GROUP BY ALL HAVING true ORDER BY 1 LIMIT 1", X),
    ("SELECT 1 FROM operational.t JOIN operational.u USING (whole) WHERE t.name = 'x' AND u.name = 'y'", X),
    ("SELECT 1 FROM operational.t, operational.u WHERE t.name = 'x'", X),
    ("SELECT 1 FROM operational.u, operational.t WHERE t.name = 'x'", X),
    ("SELECT 1 FROM operational.t LEFT JOIN operational.u ON true WHERE t.name = 'x'", X),
    ("WITH c AS (FROM operational.t WHERE name = 'x') SELECT 1 FROM c, c AS d WHERE d.name = 'y'", X),
    ("SELECT (SELECT max(whole) FROM operational.t WHERE name = 'x' AND t.whole = u.whole) FROM operational.u", X),
    ("SELECT 1 FROM operational.u WHERE EXISTS (FROM operational.t WHERE name = 'x')", X),
    ("FROM operational.t WHERE name = 'x' UNION ALL FROM operational.t WHERE name = 'y'", f"{X} OR {Y}"),
    ("SELECT 1 FROM operational.t a JOIN operational.t b ON true WHERE a.name = 'x' AND b.name = 'y'", f"{X} OR {Y}"),
    ("WITH RECURSIVE c AS (SELECT whole FROM operational.t WHERE name = 'x' UNION SELECT t.whole FROM c "
     "JOIN operational.t ON t.whole = c.whole + 1 WHERE t.name = 'y') FROM c", f"{X} OR {Y}"),
    # every row may be used
    ("FROM operational.t WHERE name = 'x' UNION ALL FROM operational.t", ""),
    ("SELECT 1 FROM operational.t a JOIN operational.t b ON true WHERE a.name = 'x'", ""),
    ("SELECT 1 FROM operational.t JOIN operational.u USING (name) WHERE name = 'x'", ""),
    ("SELECT 1 FROM operational.u LEFT JOIN operational.t ON true WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.t RIGHT JOIN operational.u ON true WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.t FULL JOIN operational.u ON true WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.t POSITIONAL JOIN operational.u WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.u ASOF JOIN operational.t ON u.whole >= t.whole WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.t NATURAL JOIN operational.u WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.t JOIN operational.u ON t.name = 'x'", ""),
    ("SELECT 1 FROM operational.u LEFT JOIN (operational.t JOIN operational.v ON true) ON true WHERE t.name = 'x'", ""),
    ("SELECT 1 FROM operational.t AS t (other, name) WHERE name = 'x'", ""),
    ("SELECT 1 FROM (FROM operational.t) AS s WHERE s.name = 'x'", ""),
    ("WITH c AS (FROM operational.t) FROM c WHERE name = 'x'", ""),
    ("SELECT name FROM operational.t GROUP BY name HAVING name = 'x'", ""),
    ("SELECT count(*) FILTER (WHERE name = 'x') FROM operational.t", ""),
    ("SELECT name FROM operational.t QUALIFY name = 'x'", ""),
    ("SELECT 1 FROM operational.u WHERE (SELECT max(name) FROM operational.t) = 'x'", ""),
    ("WITH t AS (SELECT 1 AS name) FROM t WHERE name = 'x'", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def engine(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Knows a table of unpleasant values in PostgreSQL, and, as `whole`, all of it at hand."""
    url = database()
    with stores.connect(url) as connection:
        columns = ", ".join(f'"{name}" {kind.postgres}' for name, kind in TYPES.items())
        connection.execute(f"CREATE TABLE public.t ({columns})".encode())
        insert = f"INSERT INTO public.t VALUES ({', '.join(['%s'] * len(TYPES))})"
        connection.cursor().executemany(insert.encode(), _rows())
        connection.execute("CREATE INDEX ON public.t (name)")
        connection.execute("CREATE INDEX ON public.t (whole)")
        connection.execute("CREATE UNIQUE INDEX ON public.t (other)")
    with stores.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE public.t")
    with connect(tmp_path_factory.mktemp("engine"), postgres=True) as opened:
        opened.attach_postgres(stores.as_they_lie(url))
        opened.run(f"CREATE TABLE at_hand AS {_fetched('')}")
        opened.run("CREATE SCHEMA operational")
        yield opened


def narrowed(text: str) -> str:
    found = decidable(question(text).narrowing.get(("operational", "t"), ()), TYPES)
    return where(found, TYPES).removeprefix(" WHERE ")


@pytest.mark.parametrize(("condition", "expected"), PUSHED, ids=[one for one, _ in PUSHED])
def test_postgres_is_asked_what_it_decides_as_the_engine_does(condition: str, expected: str, engine: Engine) -> None:
    text = f"SELECT count(*) FROM operational.t WHERE {condition}"
    assert narrowed(text) == expected
    assert proven(engine, text)


@pytest.mark.parametrize(("text", "expected"), PLACES, ids=[one for one, _ in PLACES])
def test_a_condition_counts_where_every_row_that_is_used_keeps_it(text: str, expected: str, engine: Engine) -> None:
    assert narrowed(text) == expected
    assert proven(engine, text)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("name = 'x'", "name = 'X'"),
        ("name = 'x'", "name = 'x' OR true"),
        ("whole <= 5", "whole >= 5"),
        ("name = 'x'", "t.name || '' = 'x'"),
        ("name = 'x' AND whole = 1", "name = 'x'"),
        ("name IN ('x')", "name IN ('x', 'y')"),
        ("day = DATE '2025-01-01'", "day = TIMESTAMP '2025-01-01'"),
        ("amount = 2.50", "amount = 2.05"),
    ],
)
def test_what_the_engines_parser_does_not_say_is_not_believed(first: str, second: str, engine: Engine) -> None:
    beginning = "SELECT 1 FROM operational.t WHERE "
    assert proven(engine, beginning + first)
    assert not follows(tree(engine, beginning + second), question(beginning + first).narrowing)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM operational.u LEFT JOIN operational.t ON true WHERE t.name = 'x'",
        "SELECT 1 FROM operational.t RIGHT JOIN operational.u ON true WHERE t.name = 'x'",
        "SELECT 1 FROM operational.t FULL JOIN operational.u ON true WHERE t.name = 'x'",
        "SELECT 1 FROM operational.t POSITIONAL JOIN operational.u WHERE t.name = 'x'",
        "SELECT 1 FROM operational.t ASOF JOIN operational.u ON t.whole >= u.whole WHERE t.name = 'x'",
        "SELECT 1 FROM operational.t, operational.u WHERE name = 'x'",
        "SELECT 1 FROM operational.t AS a (other, name) WHERE name = 'x'",
        "SELECT 1 FROM operational.t WHERE name = 'x' UNION ALL SELECT 1 FROM operational.t",
        "SELECT 1 FROM operational.t",
    ],
)
def test_neither_parser_believes_a_condition_elsewhere(text: str, engine: Engine) -> None:
    assert not follows(tree(engine, text), question("SELECT 1 FROM operational.t WHERE name = 'x'").narrowing)


def proven(engine: Engine, text: str) -> bool:
    return follows(tree(engine, text), question(text).narrowing)


def tree(engine: Engine, text: str) -> list[dict[str, object]]:
    told = json.loads(engine.row("SELECT json_serialize_sql(?)", [text])[0])
    return list(_dictionaries(told["statements"][0]["node"]))


def test_rows_and_their_order_are_the_same_with_and_without(engine: Engine) -> None:
    chance = random.Random(5)
    fewer = answered = 0
    for _ in range(400):
        condition = " AND ".join(_condition(chance) for _ in range(chance.randint(1, 2)))
        text = f"SELECT * FROM operational.t WHERE {condition}"
        asked = narrowed(text)
        assert asked and proven(engine, text), condition
        engine.run(f"CREATE OR REPLACE VIEW operational.t AS FROM ({_fetched(asked)})")
        found = engine.rows(text)
        assert found == engine.rows(text.replace("operational.t", "at_hand")), condition
        answered += bool(found)
        fewer += engine.row("SELECT count(*) FROM operational.t")[0] < ROWS
    assert fewer > 200 and answered > 100


def test_an_index_does_not_change_the_order(engine: Engine) -> None:
    asked = narrowed("SELECT * FROM operational.t WHERE other IN ('8000', '8777', '8999')")
    assert [row[1] for row in engine.rows(_fetched(asked))] == ["8999", "8777", "8000"]


ROWS = 3_000
#: Values as they are written in a question and, without quotes, taken for a cell.
VALUES: dict[str, list[str]] = {
    "name": ["''", "'x'", "'X'", "'x '", "' x'", "'it''s'", "'ü'", "'Ü'", "'u\u0308'", r"'a\b'", r"'a\\b'", "'%'",
             "'\U0001f600'", "'NULL'", "'a\nb'", "'\u00a0'"],
    "whole": ["0", "-1", "1", "-0", "007", "12", "-128", "300", "999999999999999999", "-999999999999999999"],
    "amount": ["0", "0.00", "-0.01", "0.005", "0.0051", "2.5", "2.50", "2.505", "-2.5", "9999999999.99", "99999999999",
               "-9999999999.99", "123456789012345.1"],
    "day": ["'0001-01-01'", "DATE '1970-01-01'", "'9999-12-31'", "DATE '2024-02-29'", "'2025-01-31'"],
    "moment": ["'0001-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "TIMESTAMP '2025-01-31 10:00:00.5'",
               "'9999-12-31 23:59:59.999999'", "DATE '2024-02-29'", "'2025-01-31'"],
    "flag": ["true", "false"],
}  # fmt: skip


def _rows() -> Iterator[list[object]]:
    chance = random.Random(3)
    for number in range(ROWS):
        cells: dict[str, object] = {"other": str(9_000 - number), "share": chance.random(), "object": "{}"}
        for name, values in VALUES.items():
            text = chance.choice(values)
            cell = text.split("'", 1)[1][:-1].replace("''", "'") if "'" in text else text
            fits = name != "amount" or abs(float(cell)) < 1e10
            cells[name] = cell if chance.random() < 0.8 and fits else None
        if chance.random() < 0.9 and number % 3:
            cells["whole"] = chance.randint(-5_000, 5_000)
        yield [cells.get(name) for name in TYPES]


def _condition(chance: random.Random) -> str:
    name, values = chance.choice(list(VALUES.items()))
    ordered = () if name in ("name", "flag") else ("<", "<=", ">", ">=", "BETWEEN")
    operator = chance.choice(("=", "IN", "IS NULL", "IS NOT NULL", *ordered))
    if operator.startswith("IS"):
        return f"{name} {operator}"
    if name == "whole" and chance.random() < 0.5:
        values = [str(chance.randint(-5_000, 5_000)) for _ in range(4)]
    first = chance.choice(values)
    alike = [one for one in values if one.split("'")[0] == first.split("'")[0]]
    if operator == "IN":
        return f"{name} IN ({', '.join(chance.choices(alike, k=chance.randint(1, 3)))})"
    if operator == "BETWEEN":
        return f"{name} BETWEEN {first} AND {chance.choice(alike)}"
    return f"{name} {operator} {first}"


def _fetched(asked: str) -> str:
    return f"SELECT * FROM postgres_query('pg', {literal(f'SELECT * FROM public.t WHERE {asked or True}')})"
