"""Rows meeting canonical tables: filling an empty one and merging into a full one must not differ."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.engines.duckdb import Engine, literal
from assay.errors import Rejected
from assay.segments.measure import tally
from assay.stores import canonical
from assay.stores.canonical import Incoming, Rules, merge
from assay.stores.changes import GRANT
from assay.stores.database import Connection, connect
from assay.stores.operational import Violation
from assay.stores.operational_schema import table_changes
from assay.stores.postgres_server import running
from assay.stores.refusal import refused
from assay.zones.contract import load_contract
from assay.zones.project import OperationalTable

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
version: 1.0.0
id: zone.{name}
status: active
schema:
  - name: {name}
    properties:
"""
DEPARTMENT = """
      - {name: code, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: name, logicalType: string}
"""
LINE = """
      - {name: line, logicalType: integer, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: period, logicalType: string, required: true}
      - {name: amount, logicalType: number, physicalType: "decimal(12,2)"}
      - name: department
        logicalType: string
        relationships: [{type: foreignKey, to: department.code}]
"""
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with running(tmp_path_factory.mktemp("canonical")) as url:
        opened = connect(url, autocommit=True)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def tables(connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> dict[str, OperationalTable]:
    folder = tmp_path_factory.mktemp("contracts")
    found = {}
    connection.execute("CREATE SCHEMA zone")
    for name, fields in (("department", DEPARTMENT), ("line", LINE)):
        path = folder / f"{name}.odcs.yaml"
        path.write_text(CONTRACT.replace("{name}", name) + fields)
        found[name] = OperationalTable("zone", "pipeline", name, load_contract(path))
        indexes = {"period"} if name == "line" else set()
        changes, problems = table_changes(connection, found[name], None, indexes)
        assert not problems
        for step in changes[0].steps:
            if step.phase != GRANT:  # the zone has no roles here
                connection.execute(step.statement)
    return found


@pytest.fixture
def empty(connection: Connection, tables: dict[str, OperationalTable]) -> None:
    connection.execute("TRUNCATE zone.line, zone.department")


def brought(folder: Path, table: OperationalTable, rows: list[Row], batch: int = 1, source: str = "ledger") -> Incoming:
    """Rows of (contract's columns) as conform hands them over."""
    fields = table.contract.fields
    values = ", ".join(
        "(" + ", ".join(literal(None if v is None else str(v)) for v in row) + f", {number})"
        for number, row in enumerate(rows, start=2)
    )
    columns = ", ".join(f"CAST(c{i} AS {field.type.duckdb}) AS {field.name}" for i, field in enumerate(fields))
    names = ", ".join(f"c{i}" for i in range(len(fields)))
    file = folder / f"{table.name}-{batch}.pgcopy"
    width = ", ".join(["NULL"] * (len(fields) + 1))
    given = f"(VALUES {values or f'({width})'}) AS v ({names}, _row)" + ("" if rows else " WHERE false")
    relation = (
        f"(SELECT {columns}, '{source}' AS _source, CAST({batch} AS BIGINT) AS _batch, "
        f"CAST(NULL AS VARCHAR) AS _sheet, CAST(_row AS BIGINT) AS _row FROM {given})"
    )
    count = engine().copy(f"COPY {relation} TO {literal(str(file))} (FORMAT postgres_binary)")
    numeric = [field.name for field in fields if field.type.numeric]
    return Incoming(table, file, count, tally(engine(), table.name, relation, numeric).sums)


@cache
def engine() -> Engine:
    """One engine for all tests: the rows are made up in it."""
    made = Engine(duckdb.connect())
    made.load_postgres()
    return made


def content(connection: Connection, table: str) -> list[Row]:
    return connection.execute(f"SELECT * FROM zone.{table} ORDER BY 1".encode()).fetchall()


def definitions(connection: Connection) -> list[Row]:
    return connection.execute(
        "SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint "
        "WHERE conrelid = 'zone.line'::regclass "
        "UNION ALL SELECT indexname, indexdef, true FROM pg_indexes WHERE schemaname = 'zone' ORDER BY 1, 2"
    ).fetchall()


LEDGER = Rules("ledger", "upsert", (), ())
lines = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.sampled_from(["2025-01", "2025-02", "2025-03"]),
        st.one_of(st.none(), st.decimals(-1000, 1000, places=2)),
        st.sampled_from([None, "a", "b"]),
    ),
    max_size=30,
    unique_by=lambda row: row[0],
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=lines)
@pytest.mark.parametrize("mode", ["append", "upsert", "replace", "snapshot"])
def test_filling_an_empty_table_equals_merging_into_it(
    mode: str,
    rows: list[Row],
    connection: Connection,
    tables: dict[str, OperationalTable],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    incoming = [
        brought(tmp_path, tables["department"], [("a", "Audit"), ("b", "Board")]),
        brought(tmp_path, tables["line"], rows),
    ]
    rules = Rules("ledger", mode, ("period",) if mode == "replace" else (), ())
    results = []
    for worth, is_empty in ((1, canonical._is_empty), (1, lambda connection, one: False)):
        monkeypatch.setattr(canonical, "ROWS_WORTH_REBUILDING", worth)
        monkeypatch.setattr(canonical, "_is_empty", is_empty)
        with connection.transaction(force_rollback=True):
            connection.execute("TRUNCATE zone.line, zone.department")
            before = definitions(connection)
            done = merge(connection, incoming, rules, {"line": ("period",)})
            assert definitions(connection) == before
            merged, tally = done["line"]
            results.append((content(connection, "line"), merged.inserted, merged.touched, tally))
        monkeypatch.undo()
    assert results[0] == results[1]
    assert len(results[0][0]) == len(rows)


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize(
    ("rows", "kind", "row"),
    [
        ([(1, "2025-01", 1, "a"), (2, "2025-01", 2, "a"), (1, "2025-01", 3, "a")], "duplicate_key", 2),
        ([(1, "2025-01", 1, "a"), (2, "2025-01", 2, "nowhere")], "unknown_reference", 3),
        ([(1, "2025-01", 1, "a"), (2, None, 2, "a")], "missing_value", 3),
    ],
)
@pytest.mark.parametrize("worth", [1, 1_000_000])
def test_a_broken_key_is_refused_with_its_rows_and_leaves_nothing(
    rows: list[Row],
    kind: str,
    row: int,
    worth: int,
    connection: Connection,
    tables: dict[str, OperationalTable],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(canonical, "ROWS_WORTH_REBUILDING", worth)
    incoming = [brought(tmp_path, tables["department"], [("a", "Audit")]), brought(tmp_path, tables["line"], rows)]
    before = definitions(connection)
    with pytest.raises(Rejected) as caught, connection.transaction():
        try:
            with connection.transaction():
                merge(connection, incoming, LEDGER, {})
        except Violation as error:
            raise refused(connection, incoming, error) from error
    assert [finding.kind for finding in caught.value.findings] == [kind]
    assert caught.value.findings[0].cells[0].row == row
    assert content(connection, "line") == [] and content(connection, "department") == []
    assert definitions(connection) == before


@pytest.mark.usefixtures("empty")
def test_a_fill_keeps_the_keys_in_place_while_somebody_reads_the_parent(
    connection: Connection, tables: dict[str, OperationalTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canonical, "ROWS_WORTH_REBUILDING", 1)
    connection.execute("INSERT INTO zone.department VALUES ('a', 'Audit')")
    dangling = [brought(tmp_path, tables["line"], [(1, "2025-01", 1, "nowhere")])]
    good = [brought(tmp_path, tables["line"], [(1, "2025-01", 1, "a")], batch=2)]
    with connect(connection.info.dsn + f" password={connection.info.password}") as reader:
        reader.execute("SELECT * FROM zone.department")
        with pytest.raises(Violation), connection.transaction():
            merge(connection, dangling, LEDGER, {})
        with connection.transaction():
            merge(connection, good, LEDGER, {})
    assert len(content(connection, "line")) == 1


@pytest.mark.usefixtures("empty")
def test_values_touched_are_those_that_come_and_those_that_are_replaced(
    connection: Connection, tables: dict[str, OperationalTable], tmp_path: Path
) -> None:
    tracked = {"line": ("period",)}
    months = [(1, "2025-01", 1, None), (2, "2025-02", 1, None), (3, "2025-03", 1, None)]
    first = [brought(tmp_path, tables["line"], months)]
    second = [brought(tmp_path, tables["line"], [(1, "2025-04", 1, None), (2, "2025-02", 5, None)], batch=2)]
    third = [brought(tmp_path, tables["line"], [(2, "2025-02", 5, None)], batch=3)]
    with connection.transaction():
        merge(connection, first, LEDGER, tracked)
        merged, tally = merge(connection, second, LEDGER, tracked)["line"]
    assert merged.touched == {"period": ["2025-01", "2025-02", "2025-04"]}
    assert (merged.inserted, merged.updated) == (0, 2)
    assert (tally.rows, tally.sums["amount"]) == (2, Decimal(6))
    with connection.transaction():
        merged, _ = merge(connection, third, Rules("ledger", "snapshot", (), ()), tracked)["line"]
    assert merged.touched == {"period": ["2025-02", "2025-03", "2025-04"]}
    assert (merged.updated, merged.deleted) == (0, 2)


@pytest.mark.usefixtures("empty")
def test_a_stronger_source_keeps_its_rows_and_both_sides_still_add_up(
    connection: Connection, tables: dict[str, OperationalTable], tmp_path: Path
) -> None:
    strong = [brought(tmp_path, tables["line"], [(1, "2025-01", 10, None)])]
    weak = [brought(tmp_path, tables["line"], [(1, "2025-01", 99, None), (2, "2025-01", 7, None)], 2, "card")]
    with connection.transaction():
        merge(connection, strong, LEDGER, {})
        merged, tally = merge(connection, weak, Rules("card", "upsert", (), ("ledger",)), {})["line"]
    assert (merged.inserted, merged.updated) == (1, 0)
    assert (tally.rows, tally.sums["amount"]) == (1, Decimal(7))
    assert [row[2] for row in content(connection, "line")] == [Decimal(10), Decimal(7)]


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("first", ["ledger", "card"])
def test_a_row_that_two_sources_bring_alike_belongs_to_the_stronger_whoever_came_first(
    first: str, connection: Connection, tables: dict[str, OperationalTable], tmp_path: Path
) -> None:
    rules = {
        "ledger": Rules("ledger", "upsert", (), (), not_weaker=("ledger",)),
        "card": Rules("card", "upsert", (), ("ledger",), not_weaker=("ledger", "card")),
    }
    for number, name in enumerate(sorted(rules, key=lambda name: name != first), start=1):
        row = [(1, "2025-01", 10, None)]
        with connection.transaction():
            merge(connection, [brought(tmp_path, tables["line"], row, number, name)], rules[name], {})
    later = [brought(tmp_path, tables["line"], [(1, "2025-01", 99, None)], 3, "card")]
    with connection.transaction():
        merged, _ = merge(connection, later, rules["card"], {})["line"]
    assert merged.updated == 0
    assert connection.execute("SELECT amount, _source FROM zone.line").fetchall() == [(Decimal(10), "ledger")]


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("already", [[], [(9, "2025-01", 1, None)]])
def test_a_table_that_does_not_hold_what_was_counted_is_rejected(
    already: list[Row], connection: Connection, tables: dict[str, OperationalTable], tmp_path: Path
) -> None:
    """The engine's count of the rows that it handed over is compared with what PostgreSQL holds."""
    with connection.transaction():
        merge(connection, [brought(tmp_path, tables["line"], already)], LEDGER, {})
    honest = brought(tmp_path, tables["line"], [(1, "2025-01", 10, None)], batch=2)
    wrong = Incoming(honest.table, honest.file, honest.rows, {"line": Decimal(1), "amount": Decimal(11)})
    with pytest.raises(Rejected, match="does not add up"), connection.transaction():
        merge(connection, [wrong], LEDGER, {})
    assert len(content(connection, "line")) == len(already)
