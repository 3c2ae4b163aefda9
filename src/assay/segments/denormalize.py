"""denormalize: operational → analytical. The zone's SQL, recomputed where the batch touched something."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.engines.duckdb import PARQUET, Engine, EngineFailed, literal, quoted
from assay.engines.sql import references
from assay.errors import Misconfigured
from assay.segments.outcome import Outcome
from assay.segments.relations import provide
from assay.stores.iceberg import Iceberg
from assay.stores.lake import analytical

if TYPE_CHECKING:
    from assay.zones.project import AnalyticalTable, Project, Source

#: A refresh of more values than this is a full one: the predicate would cost more than it saves.
VALUES_MOST = 500


def prepare(
    batch: Batch,
    project: Project,
    source: Source,
    engine: Engine,
    iceberg: Iceberg,
    url: str,
    scratch: Path,
    touched: Mapping[str, dict[str, list[Any]] | None],
) -> Outcome:
    """Recomputes the analytical tables that read what the batch touched."""
    zone = project.zones[source.zone]
    engine.attach_postgres(url)
    written: list[tuple[AnalyticalTable, list[Path], Any]] = []
    fresh: dict[str, str] = {}
    detail: dict[str, Any] = {}
    for table in _in_order(zone.pipelines[source.pipeline].analytical):
        read = {reference.parts for reference in references(table.sql.text, table.sql.path)}
        reads_touched = any(parts[0] == "operational" and parts[-1] in touched for parts in read)
        reads_fresh = any(parts[0] == "analytical" and parts[-1] in fresh for parts in read)
        reads_staging = ("staging", source.name) in read
        if not (reads_touched or reads_fresh or reads_staging):
            continue
        provide(engine, project, zone, table.sql, iceberg)
        for name, view in fresh.items():
            engine.run("CREATE SCHEMA IF NOT EXISTS analytical")
            engine.run(f"CREATE OR REPLACE VIEW analytical.{quoted(name)} AS {view}")
        values = _values(table, touched)
        files = _compute(engine, table, iceberg, batch, scratch, values)
        written.append((table, files, True if values is None else _expression(values)))
        detail[table.name] = "all of it" if values is None else {k: [str(v) for v in vs] for k, vs in values.items()}
        if values is None and files:
            fresh[table.name] = f"SELECT * FROM read_parquet([{', '.join(literal(str(f)) for f in files)}])"

    def commit(connection: Any) -> None:
        for table, files, replacing in written:
            target = analytical(table)
            iceberg.put(target.namespace, target.name, files, replacing=replacing)

    return Outcome(commit, detail=detail)


def _in_order(tables: Mapping[str, AnalyticalTable]) -> list[AnalyticalTable]:
    waiting = dict(tables)
    ordered: list[AnalyticalTable] = []
    while waiting:
        free = [
            name
            for name, table in waiting.items()
            if not any(
                r.parts[0] == "analytical" and r.parts[1] in waiting and r.parts[1] != name
                for r in references(table.sql.text, table.sql.path)
            )
        ]
        if not free:
            raise Misconfigured("these analytical tables read each other: " + ", ".join(sorted(waiting)))
        ordered.extend(waiting.pop(name) for name in sorted(free))
    return ordered


def _values(
    table: AnalyticalTable, touched: Mapping[str, dict[str, list[Any]] | None]
) -> dict[str, list[Any]] | None:
    """The values of the `refresh by` columns to recompute; None for a full refresh."""
    if table.refresh_by is None:
        return None
    found = touched.get("*" + table.name)
    if found is None or any(len(found[column]) > VALUES_MOST for column in found):
        return None
    return {column: [_typed(table, column, value) for value in found[column]] for column in table.refresh_by}


def _typed(table: AnalyticalTable, column: str, value: Any) -> Any:
    kind = table.contract.field(column).type.kind
    if value is None:
        return None
    if kind == "date":
        return date.fromisoformat(str(value)[:10])
    if kind == "timestamp":
        return datetime.fromisoformat(str(value))
    return value


def _compute(
    engine: Engine,
    table: AnalyticalTable,
    iceberg: Iceberg,
    batch: Batch,
    scratch: Path,
    values: dict[str, list[Any]] | None,
) -> list[Path]:
    target = analytical(table)
    columns = ", ".join(
        f"CAST({quoted(field.name)} AS {field.type.duckdb}) AS {quoted(field.name)}"
        for field in table.contract.fields
    )
    where = "" if values is None else "WHERE " + " AND ".join(_condition(c, vs) for c, vs in values.items())
    try:
        engine.run(
            f"CREATE OR REPLACE TEMP TABLE computed AS SELECT {columns} "
            f"FROM ({table.sql.text.strip().rstrip(';')}) {where}"
        )
    except EngineFailed as error:
        raise Misconfigured(
            f"the SQL did not run: {error.what}",
            file=table.sql.path,
            expected="a SELECT with the columns " + ", ".join(field.name for field in table.contract.fields),
        ) from error
    files = []
    # One file per value of the refresh columns, so that the next refresh drops whole files.
    if table.refresh_by is None:
        parts = ["true"]
    else:
        names = ", ".join(quoted(name) for name in table.refresh_by)
        parts = [
            " AND ".join(_condition(c, [v]) for c, v in zip(table.refresh_by, row, strict=True))
            for row in engine.rows(f"SELECT DISTINCT {names} FROM computed ORDER BY ALL")
        ]
    for part in parts:
        file = iceberg.new_file(target.namespace, target.name, f"{batch.id}-denormalize")
        engine.run(f"COPY (SELECT * FROM computed WHERE {part}) TO {literal(str(file))} ({PARQUET})")
        files.append(file)
    return files


def _condition(column: str, values: list[Any]) -> str:
    name = quoted(column)
    known = [literal(str(value)) for value in values if value is not None]
    tests = [f"{name} IN ({', '.join(known)})"] if known else []
    if None in values:
        tests.append(f"{name} IS NULL")
    return f"({' OR '.join(tests) or 'false'})"


def _expression(values: dict[str, list[Any]]) -> Any:
    import pyiceberg.expressions as library

    # The library's annotations describe its JSON form, not the positional one that it documents.
    made: Any = library
    whole: Any = made.AlwaysTrue()
    for column, wanted in values.items():
        one: Any = made.AlwaysFalse()
        known = [value.isoformat() if isinstance(value, date) else value for value in wanted if value is not None]
        if known:
            one = made.Or(one, made.In(column, known))
        if None in wanted:
            one = made.Or(one, made.IsNull(column))
        whole = made.And(whole, one)
    return whole
