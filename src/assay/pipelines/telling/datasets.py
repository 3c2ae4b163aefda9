"""The datasets that a segment reads and writes, as OpenLineage names them: `zone.store.table`, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assay.engines.sql import Parts, column_lineage, references
from assay.errors import Misconfigured
from assay.pipelines import refresh

if TYPE_CHECKING:
    from assay.zones.contract import Contract, Field
    from assay.zones.project import AnalyticalTable, Project, Source, Sql, Zone

#: (zone, store, table)
Name = tuple[str, str, str]


@dataclass(frozen=True)
class Dataset:
    """One dataset: its name, its columns (name, type, meaning), and from which columns of others each is computed.

    `columns` and `origins` are empty where they are not known.
    """

    name: Name
    columns: tuple[tuple[str, str, str | None], ...] = ()
    origins: tuple[tuple[str, tuple[tuple[Name, str], ...]], ...] = ()
    contract: Contract | None = None


@dataclass(frozen=True)
class Ends:
    """What a segment reads and writes for one source, and the SQL by which it does."""

    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]
    sql: tuple[str, ...] = ()


def ends(project: Project, source: Source, segment: str, tables: Iterable[str] | None = None) -> Ends:
    """The two ends of a segment; `tables` names the analytical tables that were recomputed, where that is known."""
    zone = project.zones[source.zone]
    if segment == "land":
        return Ends((Dataset((zone.name, "ingress", source.name)),), (Dataset((zone.name, "landing", source.name)),))
    if segment == "approve":
        return _approve(source)
    if segment == "clean":
        return _clean(source)
    if segment == "conform":
        return _conform(project, zone, source)
    pipeline = zone.pipelines[source.pipeline]
    wanted = pipeline.analytical.keys() if tables is None else set(tables)
    return _denormalize(project, zone, [table for table in pipeline.analytical.values() if table.name in wanted])


def bare_ends(zone: str, source: str, segment: str) -> Ends:
    """What is known of the ends without the project: the names that follow from the map."""
    from assay.flow import movement

    step = movement(segment)
    sides = [Dataset((zone, store, source)) for store in (step.source, step.target) if store in _OF_SOURCES]
    inputs = tuple(one for one in sides if one.name[1] == step.source)
    return Ends(inputs, tuple(one for one in sides if one.name[1] == step.target))


#: Stores whose tables are named after sources.
_OF_SOURCES = frozenset({"ingress", "landing", "readable", "clean"})


def _approve(source: Source) -> Ends:
    landed = (source.zone, "landing", source.name)
    # What a column is called in the file is known; which of its names the file at hand used is not.
    origins = tuple((field.name, ((landed, field.headers[0]),)) for field in source.contract.fields)
    readable = Dataset((source.zone, "readable", source.name), _columns(source.contract.fields), origins,
                       source.contract)  # fmt: skip
    headers = tuple((field.headers[0], "string", None) for field in source.contract.fields)
    return Ends((Dataset(landed, headers, contract=source.contract),), (readable,))


def _clean(source: Source) -> Ends:
    readable = _readable(source)
    if not source.cleans:
        return Ends((readable,), ())
    contract = source.clean_contract or source.contract
    name = (source.zone, "clean", source.name)
    if source.clean_sql is None:
        origins = tuple((field.name, ((readable.name, field.name),)) for field in contract.fields)
        return Ends((readable,), (Dataset(name, _columns(contract.fields), origins, contract),))
    schema: refresh.Schema = {("batch",): {field.name: field.type.duckdb for field in source.contract.fields}}
    found = _origins(source.clean_sql, schema, contract, {("batch",): readable.name})
    clean = Dataset(name, _columns(contract.fields), found, contract)
    return Ends((readable,), (clean,), (source.clean_sql.text,))


def _conform(project: Project, zone: Zone, source: Source) -> Ends:
    cleaned = _staged(source)
    schema = refresh.batch_schema(project, zone, source.name)
    inputs, outputs = {cleaned.name: cleaned}, []
    for name, statement in source.conform.items():
        contract = zone.operational[name].contract
        read = _read(project, zone, statement, {("batch",): cleaned})
        inputs.update((one.name, one) for one in read.values())
        found = _origins(statement, schema, contract, {parts: one.name for parts, one in read.items()})
        outputs.append(Dataset((zone.name, "operational", name), _columns(contract.fields), found, contract))
    return Ends(tuple(inputs.values()), tuple(outputs), tuple(one.text for one in source.conform.values()))


def _denormalize(project: Project, zone: Zone, tables: list[AnalyticalTable]) -> Ends:
    schema = refresh.schema(project, zone)
    inputs: dict[Name, Dataset] = {}
    outputs = []
    for table in tables:
        read = _read(project, zone, table.sql, {})
        inputs.update((one.name, one) for one in read.values())
        found = _origins(table.sql, schema, table.contract, {parts: one.name for parts, one in read.items()})
        fields = table.contract.fields
        outputs.append(Dataset((zone.name, "analytical", table.name), _columns(fields), found, table.contract))
    return Ends(tuple(inputs.values()), tuple(outputs), tuple(table.sql.text for table in tables))


def _read(project: Project, zone: Zone, statement: Sql, known: Mapping[Parts, Dataset]) -> dict[Parts, Dataset]:
    """The datasets that a SELECT reads, by the names under which it does."""
    found: dict[Parts, Dataset] = {}
    for reference in references(statement.text, statement.path):
        parts = reference.parts
        one = known.get(parts) or _named(project, zone, parts)
        if one is not None:
            found[parts] = one
    return found


def _named(project: Project, zone: Zone, parts: Parts) -> Dataset | None:
    match parts:
        case ("staging", name) if name in zone.sources:
            return _staged(zone.sources[name])
        case ("operational" | "analytical" as store, name):
            return _table(zone, store, name)
        case (publisher, "published", name):
            publication = project.zones[publisher].publications[name]
            return _table(project.zones[publisher], publication.store, publication.table)
    return None


def _table(zone: Zone, store: str, name: str) -> Dataset:
    contract = (zone.operational if store == "operational" else zone.analytical)[name].contract
    return Dataset((zone.name, store, name), _columns(contract.fields), contract=contract)


def _readable(source: Source) -> Dataset:
    fields = source.contract.fields
    return Dataset((source.zone, "readable", source.name), _columns(fields), contract=source.contract)


def _staged(source: Source) -> Dataset:
    """The clean rows of a source; they are the readable ones where nothing happens between the two."""
    if not source.cleans:
        return _readable(source)
    contract = source.clean_contract or source.contract
    return Dataset((source.zone, "clean", source.name), _columns(source.clean_fields), contract=contract)


def _columns(fields: Iterable[Field]) -> tuple[tuple[str, str, str | None], ...]:
    return tuple((field.name, _type(field), field.description) for field in fields)


def _type(field: Field) -> str:
    """The type as contracts write it: `string`, `integer`, `decimal(12,2)`, ..."""
    return str(field.type) if field.type.kind == "decimal" else field.type.kind


def _origins(
    statement: Sql, schema: refresh.Schema, contract: Contract, read: Mapping[Parts, Name]
) -> tuple[tuple[str, tuple[tuple[Name, str], ...]], ...]:
    """Column → the columns of datasets behind it; nothing for SQL that cannot be followed."""
    shape = tuple((parts, tuple(columns.items())) for parts, columns in schema.items())
    found = _followed(statement.text, statement.path, shape)
    lines = []
    for field in contract.fields:
        behind = [
            (read[parts], column)
            for parts, column in found.get(field.name, ())
            if parts in read and not column.startswith("_")
        ]
        if behind:
            lines.append((field.name, tuple(dict.fromkeys(behind))))
    return tuple(lines)


@lru_cache(maxsize=512)
def _followed(
    text: str, path: Path, shape: tuple[tuple[Parts, tuple[tuple[str, str], ...]], ...]
) -> Mapping[str, tuple[tuple[Parts, str], ...]]:
    try:
        return column_lineage(text, path, {parts: dict(columns) for parts, columns in shape})
    except Misconfigured:
        return {}
