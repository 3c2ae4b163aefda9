"""conform: clean → operational. The zone's SQL gives the rows; PostgreSQL merges them and enforces the keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql as pgsql

from assay.batch import Batch, Tally
from assay.engines.duckdb import Engine, EngineFailed, literal, path_list, quoted
from assay.engines.sql import with_provenance
from assay.errors import Misconfigured, Rejected
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding, masked
from assay.segments.outcome import Outcome
from assay.segments.relations import provide
from assay.stores.database import Connection
from assay.stores.iceberg import Iceberg
from assay.stores.lake import clean
from assay.stores.operational import PROVENANCE, Violation, copy_in, load_order

if TYPE_CHECKING:
    from assay.zones.contract import Contract
    from assay.zones.project import OperationalTable, Project, Source


@dataclass(frozen=True)
class Staged:
    """The rows of one canonical table, ready to be copied in."""

    table: OperationalTable
    file: Path

    @property
    def columns(self) -> list[str]:
        """The contract's columns, in its order."""
        return [field.name for field in self.table.contract.fields]

    @property
    def target(self) -> pgsql.Identifier:
        """The table in PostgreSQL."""
        return pgsql.Identifier(self.table.zone, self.table.name)

    @property
    def stage(self) -> pgsql.Identifier:
        """The temporary table that holds the rows of the batch."""
        return pgsql.Identifier(f"stage_{self.table.name}")


def prepare(
    batch: Batch,
    project: Project,
    source: Source,
    engine: Engine,
    iceberg: Iceberg,
    url: str,
    scratch: Path,
    tracked: dict[str, tuple[str, ...]],
    record_touched: Any,
) -> Outcome:
    """Runs the SELECT of every canonical table; `commit` merges the rows and records which values they touched.

    `tracked` names, per table, the columns by which analytical tables are refreshed; `record_touched` is
    called with (connection, table, values per column or None for "unknown").
    """
    zone = project.zones[source.zone]
    pipeline = zone.pipelines[source.pipeline]
    table = clean(source)
    files = iceberg.files(table.namespace, table.name, batch.id)
    rows = f"read_parquet({path_list(files)})" if files else f"({_nothing(table.columns)})"
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW batch AS SELECT *, {literal(batch.file_name)} AS _file, "
        f"CAST({literal(batch.period)} AS VARCHAR) AS _period FROM {rows} WHERE _batch = {batch.id}"
    )
    engine.attach_postgres(url)
    staged = []
    for target in load_order(pipeline.operational[name] for name in source.conform):
        zone_sql = source.conform[target.name]
        provide(engine, project, zone, zone_sql, iceberg)
        file = scratch / f"{target.name}.pgcopy"
        columns = ", ".join(
            f"CAST({quoted(field.name)} AS {field.type.duckdb}) AS {quoted(field.name)}"
            for field in target.contract.fields
        )
        try:
            engine.run(
                f"COPY (SELECT {columns}, CAST({literal(source.name)} AS VARCHAR) AS _source, "
                f"CAST({batch.id} AS BIGINT) AS _batch, CAST(_sheet AS VARCHAR) AS _sheet, "
                f"CAST(_row AS BIGINT) AS _row FROM ({with_provenance(zone_sql.text, zone_sql.path)})) "
                f"TO {literal(str(file))} (FORMAT postgres_binary)"
            )
        except EngineFailed as error:
            raise Misconfigured(
                f"the SQL did not run: {error.what}",
                file=zone_sql.path,
                expected="a SELECT from batch with the columns " + ", ".join(f.name for f in target.contract.fields),
            ) from error
        staged.append(Staged(target, file))

    tallies: list[Tally] = []
    changed: dict[str, Any] = {}

    def commit(connection: Connection) -> None:
        for one in staged:
            _load(connection, one)
        try:
            with connection.transaction():
                for one in staged:
                    columns = tracked.get(one.table.name, ())
                    record_touched(connection, one.table.name, _touched(connection, one, source, columns))
                for one in staged:
                    changed[one.table.name] = _merge(connection, one, source, pipeline.precedence)
                for one in reversed(staged):
                    changed[one.table.name]["deleted"] = _delete(connection, one, source)
        except Violation as error:
            raise _refused(connection, staged, error) from error
        for one in staged:
            tallies.append(_reconcile(connection, one, pipeline.precedence, source))

    return Outcome(commit, late_tallies=tallies, detail=changed)


def _nothing(columns: Iterable[tuple[str, Any]]) -> str:
    empty = ", ".join(f"CAST(NULL AS {kind.duckdb}) AS {quoted(name)}" for name, kind in columns)
    return f"SELECT {empty} WHERE false"


def _load(connection: Connection, one: Staged) -> None:
    connection.execute(
        pgsql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(one.stage, one.target)
    )
    for column in one.columns:
        # The stage takes what comes, so that the keys of the real table find what is wrong and we can show it.
        connection.execute(
            pgsql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(one.stage, pgsql.Identifier(column))
        )
    copy_in(connection, one.stage, [*one.columns, *(name for name, _ in PROVENANCE)], one.file)
    connection.execute(pgsql.SQL("ANALYZE {}").format(one.stage))


def governed(source: Source, table: OperationalTable) -> bool:
    """Whether the source's load mode speaks of this table; others are merged by key and never deleted from."""
    if source.load.mode == "replace":
        return set(source.load.by) <= {field.name for field in table.contract.fields}
    return source.load.mode == "snapshot"


def _names(names: Iterable[str], table: str | None = None) -> pgsql.Composed:
    """Identifiers joined with commas, each qualified by `table` where it is given."""
    return pgsql.SQL(", ").join(pgsql.Identifier(table, n) if table else pgsql.Identifier(n) for n in names)


def _same(names: Iterable[str]) -> pgsql.Composed:
    """`t.a = s.a AND t.b = s.b` for key columns."""
    return pgsql.SQL(" AND ").join(
        pgsql.SQL("{} = {}").format(pgsql.Identifier("t", name), pgsql.Identifier("s", name)) for name in names
    )


def _merge(
    connection: Connection, one: Staged, source: Source, precedence: tuple[str, ...]
) -> dict[str, int]:
    """Inserts new rows and updates those that differ; an unchanged row keeps the batch that made it."""
    key = one.table.contract.primary_key
    names = [*one.columns, *(name for name, _ in PROVENANCE)]
    before = _count(connection, one)
    if not key:
        inserted = connection.execute(
            pgsql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS s").format(
                one.target, _names(names), _names(names, "s"), one.stage
            )
        ).rowcount
        return {"staged": before, "inserted": inserted, "updated": 0}
    updated = 0
    rest = [name for name in one.columns if name not in key]
    fact = source.load.mode == "append" and one.table.contract.primary_key and _appends(one)
    if rest and not fact:
        sets = pgsql.SQL(", ").join(
            pgsql.SQL("{} = {}").format(pgsql.Identifier(name), pgsql.Identifier("s", name))
            for name in [*rest, *(name for name, _ in PROVENANCE)]
        )
        updated = connection.execute(
            pgsql.SQL(
                "UPDATE {} AS t SET {} FROM {} AS s WHERE {} AND {} AND ({}) IS DISTINCT FROM ({})"
            ).format(
                one.target,
                sets,
                one.stage,
                _same(key),
                _may_overwrite(source, precedence),
                pgsql.SQL("ROW({})").format(_names(rest, "t")),
                pgsql.SQL("ROW({})").format(_names(rest, "s")),
            )
        ).rowcount
    inserted = connection.execute(
        pgsql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})"
        ).format(one.target, _names(names), _names(names, "s"), one.stage, one.target, _same(key))
    ).rowcount
    return {"staged": before, "inserted": inserted, "updated": updated}


def _appends(one: Staged) -> bool:
    """A table that other tables' rows point to is described again and again; only a fact is appended once."""
    return bool(one.table.contract.foreign_keys)


def _count(connection: Connection, one: Staged) -> int:
    row = connection.execute(pgsql.SQL("SELECT count(*) FROM {}").format(one.stage)).fetchone()
    return int(row[0]) if row else 0


def _may_overwrite(source: Source, precedence: tuple[str, ...]) -> pgsql.Composable:
    """SQL: the row in the table `t` does not come from a source that the pipeline trusts more."""
    if source.name not in precedence:
        stronger = list(precedence)
    else:
        stronger = list(precedence[: precedence.index(source.name)])
    if not stronger:
        return pgsql.SQL("true")
    return pgsql.SQL("t._source <> ALL(ARRAY[{}])").format(
        pgsql.SQL(", ").join(pgsql.Literal(name) for name in stronger)
    )


def _delete(connection: Connection, one: Staged, source: Source) -> int:
    """Takes away the rows of the same source (and period) that the batch no longer holds."""
    if not governed(source, one.table):
        return 0
    condition = _gone(one, source)
    return connection.execute(pgsql.SQL("DELETE FROM {} AS t WHERE {}").format(one.target, condition)).rowcount


def _gone(one: Staged, source: Source) -> pgsql.Composed:
    """SQL: a row of `t` that this batch replaces and does not bring again."""
    key = one.table.contract.primary_key
    mine = pgsql.SQL("t._source = {}").format(pgsql.Literal(source.name))
    if key:
        absent = pgsql.SQL("NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})").format(one.stage, _same(key))
    else:
        absent = pgsql.SQL("t._batch <> (SELECT min(_batch) FROM {})").format(one.stage)
    conditions = [mine, absent]
    if source.load.mode == "replace":
        conditions.append(
            pgsql.SQL("({}) IN (SELECT DISTINCT {} FROM {} AS s)").format(
                _names(source.load.by, "t"), _names(source.load.by, "s"), one.stage
            )
        )
    return pgsql.SQL(" AND ").join(conditions)


def _touched(
    connection: Connection, one: Staged, source: Source, columns: tuple[str, ...]
) -> dict[str, list[Any]] | None:
    """The values of the tracked columns in the rows that come, that they replace, and that go away.

    A table whose values are not tracked touches everything that reads it: None; unless nothing comes.
    """
    if not columns:
        return None
    key = one.table.contract.primary_key
    touched: dict[str, list[Any]] = {}
    for column in columns:
        name = pgsql.Identifier(column)
        parts = [pgsql.SQL("SELECT {} AS v FROM {}").format(name, one.stage)]
        if key:
            parts.append(
                pgsql.SQL("SELECT t.{} FROM {} AS t JOIN {} AS s ON {}").format(
                    name, one.target, one.stage, _same(key)
                )
            )
        if governed(source, one.table):
            parts.append(
                pgsql.SQL("SELECT t.{} FROM {} AS t WHERE {}").format(name, one.target, _gone(one, source))
            )
        found = connection.execute(
            pgsql.SQL("SELECT DISTINCT v FROM ({}) AS q (v) ORDER BY v").format(pgsql.SQL(" UNION ").join(parts))
        )
        touched[column] = [row[0] for row in found]
    return touched


def _reconcile(
    connection: Connection, one: Staged, precedence: tuple[str, ...], source: Source
) -> Tally:
    """Counts and sums the batch's rows as they now stand in the table, and compares them with what was brought.

    Rows that a stronger source keeps are left out on both sides: the precedence explains them.
    """
    numeric = [field.name for field in one.table.contract.fields if field.type.numeric]
    sums = [pgsql.SQL(", sum({})").format(pgsql.Identifier("t", name)) for name in numeric]
    wanted_sums = [pgsql.SQL(", sum({})").format(pgsql.Identifier("s", name)) for name in numeric]
    key = one.table.contract.primary_key
    if key:
        joined = pgsql.SQL("FROM {} AS t JOIN {} AS s ON {} WHERE {}").format(
            one.target, one.stage, _same(key), _may_overwrite(source, precedence)
        )
    else:
        joined = pgsql.SQL("FROM {} AS t WHERE t._batch IN (SELECT _batch FROM {})").format(one.target, one.stage)
    found = connection.execute(
        pgsql.SQL("SELECT count(*){} {}").format(pgsql.SQL("").join(sums), joined)
    ).fetchone()
    if key:
        wanted = connection.execute(
            pgsql.SQL("SELECT count(*){} {}").format(pgsql.SQL("").join(wanted_sums), joined)
        ).fetchone()
    else:
        wanted = connection.execute(
            pgsql.SQL("SELECT count(*){} FROM {} AS s").format(pgsql.SQL("").join(wanted_sums), one.stage)
        ).fetchone()
    assert found is not None and wanted is not None
    if found != wanted:
        raise Rejected(
            f"operational.{one.table.name} does not add up to the clean rows",
            [Finding("reconciliation", f"rows and sums are {found}, expected {wanted}", expected=str(wanted))],
        )
    totals = {name: Decimal(str(value or 0)) for name, value in zip(numeric, found[1:], strict=True)}
    return Tally(f"operational.{one.table.name}", int(found[0]), totals)


def _refused(connection: Connection, staged: list[Staged], error: Exception) -> Rejected:
    """Every key of the batch that PostgreSQL would refuse, found by asking for all of them."""
    findings: list[Finding] = []
    for one in staged:
        findings.extend(_repeated(connection, one))
        findings.extend(_dangling(connection, one, staged))
        findings.extend(_absent(connection, one))
    if not findings:
        # PostgreSQL's own words name the offending values.
        secret = any(field.sensitive for one in staged for field in one.table.contract.fields)
        diagnosis = getattr(error, "diag", None)
        detail = None if secret else getattr(diagnosis, "message_detail", None)
        constraint = getattr(diagnosis, "constraint_name", None)
        what = f"the rows break {constraint or 'a key'}" if secret else f"{error}".strip().splitlines()[0]
        findings.append(Finding("key_violation", what, expected=detail))
    return Rejected(f"PostgreSQL refused the rows: {findings[0].message}", findings)


def _key_finding(
    kind: str, message: str, columns: Iterable[str], rows: list[Any], count: int, contract: Contract
) -> Finding:
    names = list(columns)
    secret = [contract.field(name).sensitive for name in names]

    def shown(values: list[Any]) -> str:
        return ", ".join(masked(str(v)) if hide else str(v) for v, hide in zip(values, secret, strict=True))

    return Finding(
        kind,
        message,
        field=", ".join(names),
        count=count,
        cells=tuple(Cell(row=row, column=None, found=shown(values), sheet=sheet) for row, sheet, *values in rows),
    )


def _repeated(connection: Connection, one: Staged) -> list[Finding]:
    findings = []
    contract = one.table.contract
    for key in (contract.primary_key, *contract.unique_keys):
        if not key:
            continue
        rows = connection.execute(
            pgsql.SQL(
                "SELECT _row, _sheet, {0} FROM {1} WHERE ({0}) IN "
                "(SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1) ORDER BY {0}, _row"
            ).format(_names(key), one.stage)
        ).fetchall()
        if rows:
            findings.append(
                _key_finding(
                    "duplicate_key",
                    f"{len(rows)} rows for {one.table.name} share a value of the key ({', '.join(key)})",
                    key,
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings


def _dangling(connection: Connection, one: Staged, staged: list[Staged]) -> list[Finding]:
    findings = []
    for key in one.table.contract.foreign_keys:
        present = [pgsql.SQL("{} IS NOT NULL").format(pgsql.Identifier("s", column)) for column in key.columns]
        parents: list[pgsql.Composable] = [pgsql.Identifier(one.table.zone, key.table)]
        parents += [other.stage for other in staged if other.table.name == key.table]
        for parent in parents:
            match = pgsql.SQL(" AND ").join(
                pgsql.SQL("{} = {}").format(pgsql.Identifier("p", to), pgsql.Identifier("s", column))
                for column, to in zip(key.columns, key.to_columns, strict=True)
            )
            present.append(pgsql.SQL("NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})").format(parent, match))
        rows = connection.execute(
            pgsql.SQL("SELECT _row, _sheet, {} FROM {} AS s WHERE {} ORDER BY _row").format(
                _names(key.columns, "s"), one.stage, pgsql.SQL(" AND ").join(present)
            )
        ).fetchall()
        if rows:
            findings.append(
                _key_finding(
                    "unknown_reference",
                    f"{len(rows)} rows for {one.table.name} name a {key.table} that does not exist",
                    key.columns,
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings


def _absent(connection: Connection, one: Staged) -> list[Finding]:
    findings = []
    for field in one.table.contract.fields:
        if not (field.required or field.primary_key):
            continue
        rows = connection.execute(
            pgsql.SQL("SELECT _row, _sheet, {0} FROM {1} WHERE {0} IS NULL ORDER BY _row").format(
                pgsql.Identifier(field.name), one.stage
            )
        ).fetchall()
        if rows:
            findings.append(
                _key_finding(
                    "missing_value",
                    f"{len(rows)} rows for {one.table.name} have no {field.name}",
                    [field.name],
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings
