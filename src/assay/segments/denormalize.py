"""denormalize: operational → analytical. The zone's SQL, recomputed where the batch touched something."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.engines.duckdb import PARQUET, Engine, EngineFailed, literal, path_list, quoted
from assay.engines.sql import references
from assay.errors import Misconfigured
from assay.segments.outcome import Outcome
from assay.segments.relations import ALONE, Sight, attach, lake_select, provide
from assay.stores.lake import Lake, analytical

if TYPE_CHECKING:
    from assay.zones.project import AnalyticalTable, Project, Source, Zone

#: A refresh of more values than this is a full one: the predicate would cost more than it saves.
VALUES_MOST = 500


def prepare(
    batch: Batch,
    project: Project,
    source: Source,
    engine: Engine,
    lake: Lake,
    url: str,
    scratch: Path,
    touched: Mapping[str, dict[str, list[Any]] | None],
    sight: Sight = ALONE,
) -> Outcome:
    """Recomputes the analytical tables that read what the batch touched; `sight` is what the SQL is shown of others."""
    zone = project.zones[source.zone]
    tables = zone.pipelines[source.pipeline].analytical
    attach(engine, url, zone, [table.sql for table in tables.values()], sight)
    engine.forget_order()

    def reads(parts: set[tuple[str, ...]]) -> bool:
        return ("staging", source.name) in parts or any(
            one[0] == "operational" and one[-1] in touched for one in parts
        )

    made = _recomputed(project, zone, tables, reads, engine, lake, scratch, touched, sight=sight)
    detail = {
        one.table.name: "all of it" if one.values is None else {k: [str(v) for v in vs] for k, vs in one.values.items()}
        for one in made
    }
    return Outcome(lambda _: put(lake, made, f"{batch.id}-denormalize"), detail=detail)


@dataclass(frozen=True)
class Recomputed:
    """An analytical table made anew: its rows in files that nobody reads yet.

    `values` are those of the refresh columns whose rows they replace; None for all of the table.
    """

    table: AnalyticalTable
    files: tuple[Path, ...]
    values: dict[str, list[Any]] | None


def recompute(
    project: Project,
    zone: Zone,
    pipeline: str,
    reads: Callable[[set[tuple[str, ...]]], bool],
    engine: Engine,
    lake: Lake,
    scratch: Path,
    *,
    named: Collection[str] = (),
    sight: Sight = ALONE,
) -> list[Recomputed]:
    """Makes analytical tables of a pipeline anew as a whole: those `named`, those whose SQL `reads` what changed (it
    is asked with the names in the SQL), and those that read one of them.

    PostgreSQL must be attached to the engine already.
    """
    engine.forget_order()
    tables = zone.pipelines[pipeline].analytical
    return _recomputed(project, zone, tables, reads, engine, lake, scratch, {}, named=named, sight=sight)


def put(lake: Lake, made: Iterable[Recomputed], hint: str) -> None:
    """Brings recomputed rows into their tables, in place of those that they replace."""
    for one in made:
        place = _place(one.table)
        files = [file.replace(lake.new_file(*place, hint)) for file in one.files]
        lake.put(*place, files, replacing=True if one.values is None else _expression(one.values))


def _recomputed(
    project: Project,
    zone: Zone,
    tables: Mapping[str, AnalyticalTable],
    reads: Callable[[set[tuple[str, ...]]], bool],
    engine: Engine,
    lake: Lake,
    scratch: Path,
    touched: Mapping[str, dict[str, list[Any]] | None],
    *,
    named: Collection[str] = (),
    sight: Sight = ALONE,
) -> list[Recomputed]:
    fresh: dict[str, Recomputed] = {}
    for table in _in_order(tables):
        read = {reference.parts for reference in references(table.sql.text, table.sql.path)}
        reads_fresh = {parts[-1] for parts in read if parts[0] == "analytical"} & fresh.keys()
        if not (table.name in named or reads_fresh or reads(read)):
            continue
        provide(engine, project, zone, table.sql, lake, sight)
        for name in sorted(reads_fresh):
            view = _as_refreshed(fresh[name], lake)
            engine.run(f"CREATE OR REPLACE VIEW analytical.{quoted(name)} AS {view}")
        values = _values(table, touched)
        engine.scan_postgres_in_parts(values is None or not lake.file_count(*_place(table)))
        fresh[table.name] = Recomputed(table, tuple(_compute(engine, table, scratch, values)), values)
    return list(fresh.values())


def _place(table: AnalyticalTable) -> tuple[str, str]:
    target = analytical(table)
    return target.namespace, target.name


def _as_refreshed(one: Recomputed, lake: Lake) -> str:
    """SQL of the table as it will stand after the commit, for the tables that read it."""
    before = lake_select(analytical(one.table), lake)
    now = f"SELECT * FROM read_parquet({path_list([str(file) for file in one.files])})" if one.files else None
    where = "false" if one.values is None else f"({_touches(one.values)}) IS NOT TRUE"
    kept = f"SELECT * FROM ({before}) WHERE {where}"
    return f"{kept} UNION ALL BY NAME {now}" if now else kept


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
    engine: Engine, table: AnalyticalTable, scratch: Path, values: dict[str, list[Any]] | None
) -> list[Path]:
    """Streams the rows into Parquet files: one per value of the refresh columns, so that the next refresh
    drops whole files."""
    columns = ", ".join(
        f"CAST({quoted(field.name)} AS {field.type.duckdb}) AS {quoted(field.name)}"
        for field in table.contract.fields
    )
    where = "" if values is None else f"WHERE {_touches(values)}"
    rows = f"SELECT {columns} FROM ({table.sql.text.strip().rstrip(';')}) {where}"
    try:
        if table.refresh_by is None:
            file = scratch / f"{table.name}.parquet"
            written = engine.copy_files(f"COPY ({rows}) TO {literal(str(file))} ({PARQUET})")
        else:
            # A folder per hash, not per value: a value may be too long for a file's name, and the files keep
            # their columns. Two values that share a hash share a file, which is only slower to refresh.
            part = ", ".join(quoted(name) for name in table.refresh_by)
            written = engine.copy_files(
                f"COPY (SELECT *, hash({part}) AS _part FROM ({rows})) TO {literal(str(scratch / table.name))} "
                f"({PARQUET}, PARTITION_BY (_part))"
            )
    except EngineFailed as error:
        raise Misconfigured(
            f"the SQL did not run: {error.what}",
            file=table.sql.path,
            expected="a SELECT with the columns " + ", ".join(field.name for field in table.contract.fields),
        ) from error
    return written


def _touches(values: dict[str, list[Any]]) -> str:
    """SQL: the row's refresh columns have values that the batch touched."""
    return " AND ".join(_condition(column, wanted) for column, wanted in values.items())


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
