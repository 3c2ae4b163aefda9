"""The tables that a zone's SQL may name, made readable in an engine: its own stores and what it subscribes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.engines.duckdb import Engine, path_list, quoted
from assay.engines.sql import references
from assay.errors import Misconfigured, nearest
from assay.stores.lake import Lake, LakeTable, analytical, clean

if TYPE_CHECKING:
    from assay.zones.project import Project, Sql, Zone


@dataclass(frozen=True)
class Sight:
    """What a zone's SQL is shown in place of what stands, to see what would be.

    `operational` names, for tables that are made anew, the schema of PostgreSQL where they are; the staged rows of
    the batches in `without` are not shown.
    """

    operational: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[int] = frozenset()


AS_IT_STANDS = Sight()


def provide(
    engine: Engine, project: Project, zone: Zone, sql: Sql, iceberg: Lake, sight: Sight = AS_IT_STANDS
) -> None:
    """Makes every table that the SQL reads a view of the engine; `pg` must be attached to it already.

    Raises `Misconfigured` for a name that the zone does not have.
    """
    for reference in references(sql.text, sql.path):
        parts = reference.parts
        if parts == ("batch",):
            continue
        if len(parts) == 3:
            _published(engine, project, zone, sql, parts, iceberg)
        else:
            store, name = parts
            engine.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(store)}")
            engine.run(
                f"CREATE OR REPLACE VIEW {quoted(store)}.{quoted(name)} AS "
                + _own(zone, sql, store, name, iceberg, sight)
            )


def _own(zone: Zone, sql: Sql, store: str, name: str, iceberg: Lake, sight: Sight) -> str:
    stores: dict[str, Mapping[str, Any]] = {
        "staging": zone.sources,
        "operational": zone.operational,
        "analytical": zone.analytical,
    }
    known = stores[store]
    if name not in known:
        near = nearest(name, known)
        raise Misconfigured(
            f"there is no {store}.{name} in zone {zone.name}",
            file=sql.path,
            expected=f"{store}.{near}" if near else f"one of: {', '.join(sorted(known)) or 'none'}",
        )
    if store == "operational":
        return f"SELECT * FROM pg.{quoted(sight.operational.get(name, zone.name))}.{quoted(name)}"
    if store == "analytical":
        return lake_select(analytical(zone.analytical[name]), iceberg)
    staged = lake_select(clean(zone.sources[name]), iceberg)
    if sight.without:
        staged += f" WHERE _batch NOT IN ({', '.join(str(number) for number in sorted(sight.without))})"
    return staged


def _published(
    engine: Engine, project: Project, zone: Zone, sql: Sql, parts: tuple[str, ...], iceberg: Lake
) -> None:
    wanted = f"{parts[0]}.{parts[2]}"
    subscribed = {subscription.publication for subscription in zone.subscriptions}
    if parts[1] != "published" or wanted not in subscribed:
        raise Misconfigured(
            f"{'.'.join(parts)} is unknown in zone {zone.name}",
            file=sql.path,
            expected="a publication that zone.yaml subscribes to: " + (", ".join(sorted(subscribed)) or "none"),
            next=f"add a subscription to {wanted} in zone.yaml",
        )
    publisher = project.zones[parts[0]]
    publication = publisher.publications[parts[2]]
    columns = "*"
    if publication.store == "operational":
        fields = publisher.operational[publication.table].contract.fields
        chosen = publication.columns or tuple(field.name for field in fields)
        columns = ", ".join(quoted(name) for name in chosen)
        source = f"SELECT {columns} FROM pg.{quoted(publisher.name)}.{quoted(publication.table)}"
    else:
        if publication.columns:
            columns = ", ".join(quoted(name) for name in publication.columns)
        inner = lake_select(analytical(publisher.analytical[publication.table]), iceberg)
        source = f"SELECT {columns} FROM ({inner})"
    engine.run(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(parts[0])}")
    engine.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(parts[0])}.published")
    engine.run(f"CREATE OR REPLACE VIEW {quoted(parts[0])}.published.{quoted(parts[2])} AS {source}")


def lake_select(table: LakeTable, iceberg: Lake) -> str:
    """SQL over the current files of an Iceberg table."""
    columns = ", ".join(quoted(name) for name, _ in table.columns)
    return f"SELECT {columns} FROM {file_rows(table, iceberg.files(table.namespace, table.name))}"


def file_rows(table: LakeTable, files: list[str]) -> str:
    """A relation of the rows in files of a table: columns that an old file lacks read as null, no file as no row."""
    empty = ", ".join(f"CAST(NULL AS {kind.duckdb}) AS {quoted(name)}" for name, kind in table.columns)
    if not files:
        return f"(SELECT {empty} WHERE false)"
    return (
        f"(SELECT {empty} WHERE false UNION ALL BY NAME "
        f"SELECT * FROM read_parquet({path_list(files)}, union_by_name=true))"
    )
