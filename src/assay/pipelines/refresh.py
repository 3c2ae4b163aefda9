"""Which analytical tables can be refreshed in part, and by which columns of which operational table."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.engines.sql import Driving, refresh_proof
from assay.stores.lake import clean
from assay.stores.operational import PROVENANCE

if TYPE_CHECKING:
    from assay.zones.project import AnalyticalTable, Project, Zone

Schema = dict[tuple[str, ...], dict[str, str]]


def schema(project: Project, zone: Zone) -> Schema:
    """The columns of every table that the zone's SQL may name."""
    known: Schema = {}
    for source in zone.sources.values():
        table = clean(source)
        known["staging", source.name] = {name: kind.duckdb for name, kind in table.columns}
    for name, operational in zone.operational.items():
        known["operational", name] = {
            **{field.name: field.type.duckdb for field in operational.contract.fields},
            **{column: "BIGINT" if kind == "bigint" else "VARCHAR" for column, kind in PROVENANCE},
        }
    for name, analytical in zone.analytical.items():
        known["analytical", name] = {f.name: f.type.duckdb for f in analytical.contract.fields}
    for subscription in zone.subscriptions:
        publication = project.zones[subscription.zone].publications[subscription.name]
        known[subscription.zone, "published", subscription.name] = {
            field.name: field.type.duckdb for field in publication.contract.fields
        }
    return known


def batch_schema(project: Project, zone: Zone, source: str) -> Schema:
    """The tables of a zone plus `batch`, as the conform SQL of a source sees them."""
    columns = {name: kind.duckdb for name, kind in clean(zone.sources[source]).columns}
    return {**schema(project, zone), ("batch",): {**columns, "_file": "VARCHAR", "_period": "VARCHAR"}}


def driving(project: Project, zone: Zone, table: AnalyticalTable) -> Driving | None:
    """The proof that refreshing by the table's columns equals a full refresh; None where it is full.

    Raises `Misconfigured` when the table declares `refresh: {by: ...}` and that cannot be shown.
    """
    if table.refresh_by is None:
        return None
    tables = {
        name: (
            tuple(field.name for field in entry.contract.fields),
            entry.contract.primary_key,
            tuple((key.columns, key.table, key.to_columns) for key in entry.contract.foreign_keys),
        )
        for name, entry in zone.operational.items()
    }
    known = tuple((parts, tuple(columns.items())) for parts, columns in schema(project, zone).items())
    return _proof(table.sql.text, table.sql.path, known, table.refresh_by, tuple(tables.items()))


@lru_cache(maxsize=1024)
def _proof(text: str, path: Path, known: Any, by: tuple[str, ...], tables: Any) -> Driving:
    """Each proof is asked for several times for every batch, and depends on nothing but this."""
    return refresh_proof(text, path, {parts: dict(columns) for parts, columns in known}, by, dict(tables))


def tracked(project: Project, zone: Zone) -> dict[str, tuple[str, ...]]:
    """Per operational table, the columns whose touched values must be remembered."""
    found: dict[str, set[str]] = {}
    for table in zone.analytical.values():
        proof = driving(project, zone, table)
        if proof is not None:
            found.setdefault(proof.table, set()).update(proof.columns.values())
    return {name: tuple(sorted(columns)) for name, columns in found.items()}


def by_table(
    project: Project,
    zone: Zone,
    touched: dict[str, dict[str, list[Any]] | None],
    updated: set[str],
    publications_changed: bool,
) -> dict[str, dict[str, list[Any]] | None]:
    """What the batch touched, with an entry `*name` for each analytical table that a part refresh serves.

    A changed row of a joined table, or of a publication, may show anywhere: then the refresh is full.
    A new row of a joined table cannot: the foreign key kept every older row from pointing to it.
    """
    found = dict(touched)
    for table in zone.analytical.values():
        proof = driving(project, zone, table)
        if proof is None or publications_changed or {entry.name for entry in proof.joined} & updated:
            continue
        values = touched.get(proof.table)
        if values is not None and set(proof.columns.values()) <= values.keys():
            found["*" + table.name] = {by: values[column] for by, column in proof.columns.items()}
    return found
