"""conform: clean → operational. The zone's SQL gives the rows; PostgreSQL merges them and enforces the keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch, Tally
from assay.engines.duckdb import Engine, EngineFailed, literal, quoted
from assay.engines.sql import with_provenance
from assay.errors import Misconfigured
from assay.segments.measure import tally
from assay.segments.outcome import Outcome
from assay.segments.relations import ALONE, Sight, attach, file_rows, provide
from assay.stores.canonical import Incoming, Rules, merge
from assay.stores.database import Connection
from assay.stores.lake import Lake, clean
from assay.stores.operational import Violation, load_order
from assay.stores.refusal import refused

if TYPE_CHECKING:
    from assay.zones.project import OperationalTable, Project, Source


def prepare(
    batch: Batch,
    project: Project,
    source: Source,
    engine: Engine,
    lake: Lake,
    url: str,
    scratch: Path,
    tracked: Mapping[str, tuple[str, ...]],
    record_touched: Any,
    later: tuple[int, ...] = (),
    sight: Sight = ALONE,
) -> Outcome:
    """Runs the SELECT of every canonical table; `commit` merges the rows and records which values they touched.

    `tracked` names, per table, the columns by which analytical tables are refreshed; `record_touched` is
    called with (connection, table, values per column or None for "unknown"). `later` are batches whose rows a replay
    leaves as they are, `sight` what the SQL is shown of other zones.
    """
    pipeline = project.zones[source.zone].pipelines[source.pipeline]
    attach(engine, url, project.zones[source.zone], source.conform.values(), sight)
    incoming = canonical_rows(batch, project, source, engine, lake, scratch, sight=sight)

    rules = Rules.of(source, pipeline.precedence, batch.replaces if batch.origin == "replay" else None, later)
    tallies: list[Tally] = []
    changed: dict[str, Any] = {}

    def commit(connection: Connection) -> None:
        try:
            with connection.transaction():
                done = merge(connection, incoming, rules, tracked)
        except Violation as error:
            raise refused(connection, incoming, error, rules) from error
        for one in incoming:
            merged, counted = done[one.table.name]
            record_touched(connection, one.table.name, merged.touched)
            changed[one.table.name] = {
                "staged": one.rows,
                "inserted": merged.inserted,
                "updated": merged.updated,
                "deleted": merged.deleted,
                "kept": merged.kept,
            }
            tallies.append(counted)

    return Outcome(commit, late_tallies=tallies, detail=changed)


def canonical_rows(
    batch: Batch,
    project: Project,
    source: Source,
    engine: Engine,
    lake: Lake,
    scratch: Path,
    *,
    tables: Collection[str] | None = None,
    sight: Sight = ALONE,
) -> list[Incoming]:
    """The rows that a batch brings to its canonical tables (to those of `tables` only), parents first.

    PostgreSQL must be attached to the engine already where their SQL reads it (`attach`), its extension loaded.
    """
    zone = project.zones[source.zone]
    table = clean(source)
    rows = file_rows(table, lake.files(table.namespace, table.name, batch.id))
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW batch AS SELECT *, {literal(batch.file_name)} AS _file, "
        f"CAST({literal(batch.period)} AS VARCHAR) AS _period FROM {rows} WHERE _batch = {batch.id}"
    )
    incoming = []
    for target in load_order(zone.operational[name] for name in source.conform if tables is None or name in tables):
        provide(engine, project, zone, source.conform[target.name], lake, sight)
        incoming.append(_canonical(engine, batch, source, target, scratch))
    return incoming


def _canonical(engine: Engine, batch: Batch, source: Source, table: OperationalTable, scratch: Path) -> Incoming:
    """Runs the SELECT of one canonical table, once, into a file that PostgreSQL loads."""
    statement = source.conform[table.name]
    columns = ", ".join(
        f"CAST({quoted(field.name)} AS {field.type.duckdb}) AS {quoted(field.name)}" for field in table.contract.fields
    )
    rows = (
        f"(SELECT {columns}, CAST({literal(source.name)} AS VARCHAR) AS _source, "
        f"CAST({batch.id} AS BIGINT) AS _batch, CAST(_sheet AS VARCHAR) AS _sheet, "
        f"CAST(_row AS BIGINT) AS _row FROM ({with_provenance(statement.text, statement.path)}))"
    )
    numeric = [field.name for field in table.contract.fields if field.type.numeric]
    once = scratch / f"{table.name}.parquet"
    file = scratch / f"{table.name}.pgcopy"
    try:
        if numeric:
            # Sums and rows are taken from one result: SQL that picks among equals may pick otherwise next time.
            engine.run(f"COPY {rows} TO {literal(str(once))} (FORMAT parquet, COMPRESSION snappy)")
            rows = f"read_parquet({literal(str(once))})"
        count = engine.copy(f"COPY (FROM {rows}) TO {literal(str(file))} (FORMAT postgres_binary)")
    except EngineFailed as error:
        raise Misconfigured(
            f"the SQL did not run: {error.what}",
            file=statement.path,
            expected="a SELECT from batch with the columns " + ", ".join(f.name for f in table.contract.fields),
        ) from error
    sums = tally(engine, table.name, rows, numeric).sums if numeric else {}
    once.unlink(missing_ok=True)
    return Incoming(table, file, count, sums)
