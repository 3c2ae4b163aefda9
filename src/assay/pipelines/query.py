"""Read-only questions over the stores of all zones; landing is in none of them.

A table goes by `store.name` where one zone has it, or by `zone.store.name`; `zone.published.name` is a publication.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.engines.duckdb import Engine, EngineFailed, quoted
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Misconfigured, Usage, nearest
from assay.pipelines.platform import Platform
from assay.segments.relations import lake_select
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.stores.lake import analytical, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Project, Publication, Zone

Rows = tuple[list[str], list[tuple[Any, ...]]]

#: The stores that can be asked; `staging` is the clean rows of a source.
STORES = ("readable", "staging", "quarantine", "operational", "analytical")
TABLES = "store.table or zone.store.table; the stores are " + ", ".join(STORES) + ", and published"


def zone_of(project: Project, name: str | None, dataset: str | None = None) -> Zone:
    """The named zone; without a name the only one, or the only one that has the dataset (`name` or `store.name`)."""
    if name is not None:
        if name not in project.zones:
            near = nearest(name, project.zones)
            raise Usage(f"there is no zone {name}", expected=near or ", ".join(project.zones))
        return project.zones[name]
    having = list(project.zones.values())
    if dataset is not None:
        store, _, table = dataset.rpartition(".")
        stores = (store,) if store else STORES
        having = [zone for zone in having if any(table in tables(zone, one) for one in stores)]
    if len(having) != 1:
        which = "no zone has" if not having else "several zones have"
        raise Usage(
            f"{which} {dataset or 'it'}",
            expected=", ".join(zone.name for zone in having or project.zones.values()),
            next="add --zone NAME",
        )
    return having[0]


def tables(zone: Zone, store: str) -> Mapping[str, Any]:
    """What a zone has in a store, by name; empty for a store that cannot be asked."""
    stores: dict[str, Mapping[str, Any]] = {
        "readable": zone.sources,
        "staging": zone.sources,
        "quarantine": zone.sources,
        "operational": zone.operational,
        "analytical": zone.analytical,
        "published": zone.publications,
    }
    return stores.get(store, {})


def ask(platform: Platform, statement: str, zone: str | None) -> Rows:
    """Runs one SELECT and gives column names and rows.

    Raises `Misconfigured` for what is not a SELECT over tables of the stores, `Usage` for one that does not run.
    """
    with asked(platform, statement, zone) as (columns, rows):
        return columns, list(rows)


@contextmanager
def asked(
    platform: Platform, statement: str, zone: str | None
) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """Like `ask`, the rows as they come; they end with the context."""
    from assay.engines.sql import names_read

    path = Path("your statement")
    places = [
        (parts, _place(platform.project, zone, parts, path))
        for parts in names_read(statement, path, expected=TABLES)
    ]
    with platform.scratch() as scratch, transaction(platform.connection) as tx:
        with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
            if any(store in ("operational", "published") for _, (_, store, _) in places):
                engine.attach_postgres(platform.url)
            iceberg = Iceberg(tx, platform.data)
            for parts, place in places:
                _provide(engine, iceberg, parts, *place)
            try:
                columns, rows = engine.streamed(statement)
                yield columns, _translated(rows)
            except EngineFailed as error:
                raise _not_run(error) from error


def _translated(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    try:
        yield from rows
    except EngineFailed as error:
        raise _not_run(error) from error


def _not_run(error: EngineFailed) -> Usage:
    return Usage(f"the statement did not run: {error.what}")


def _place(project: Project, zone: str | None, parts: tuple[str, ...], path: Path) -> tuple[Zone, str, str]:
    """Zone, store and table that a name in the statement stands for."""
    if len(parts) == 3:
        owner = zone_of(project, parts[0])
        store, name = parts[1:]
    elif len(parts) == 2:
        store, name = parts
        owner = _owner(project, zone, store, name)
    else:
        raise Misconfigured(f'"{".".join(parts)}" is not a table', file=path, expected=TABLES)
    if store not in (*STORES, "published"):
        near = nearest(store, STORES)
        what = f"no store is called {store}"
        if store == "landing":
            what = "landing holds the delivered bytes, which nobody reads"
        raise Misconfigured(what, file=path, expected=f"{near}.{name}" if near else TABLES)
    known = tables(owner, store)
    if name not in known:
        near = nearest(name, known)
        raise Misconfigured(
            f"there is no {store}.{name} in zone {owner.name}",
            file=path,
            expected=f"{store}.{near}" if near else f"one of: {', '.join(sorted(known)) or 'none'}",
        )
    return owner, store, name


def _owner(project: Project, zone: str | None, store: str, name: str) -> Zone:
    if zone is not None:
        return zone_of(project, zone)
    having = [entry for entry in project.zones.values() if name in tables(entry, store)]
    if len(having) == 1:
        return having[0]
    if having:
        raise Usage(
            f"several zones have {store}.{name}",
            expected=" or ".join(f"{entry.name}.{store}.{name}" for entry in having),
            next="add --zone NAME",
        )
    every = {f"{entry.name}.{store}.{one}" for entry in project.zones.values() for one in tables(entry, store)}
    near = nearest(f"{store}.{name}", {one.partition(".")[2] for one in every})
    raise Usage(f"no zone has {store}.{name}", expected=near or ", ".join(sorted(every)) or TABLES)


def _provide(
    engine: Engine, iceberg: Iceberg, parts: tuple[str, ...], owner: Zone, store: str, name: str
) -> None:
    if len(parts) == 3:
        engine.run(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(parts[0])}")
        schema = f"{quoted(parts[0])}.{quoted(parts[1])}"
    else:
        schema = quoted(parts[0])
    engine.run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    engine.run(f"CREATE OR REPLACE VIEW {schema}.{quoted(name)} AS {_select(iceberg, owner, store, name)}")


def _select(iceberg: Iceberg, owner: Zone, store: str, name: str) -> str:
    if store == "published":
        return _published(iceberg, owner, owner.publications[name])
    if store == "operational":
        return f"SELECT * FROM pg.{quoted(owner.name)}.{quoted(name)}"
    make = {"readable": readable, "staging": clean, "quarantine": quarantine}
    table = analytical(owner.analytical[name]) if store == "analytical" else make[store](owner.sources[name])
    return lake_select(table, iceberg)


def _published(iceberg: Iceberg, owner: Zone, publication: Publication) -> str:
    contract = tables(owner, publication.store)[publication.table].contract
    columns = publication.columns or tuple(field.name for field in contract.fields)
    inner = _select(iceberg, owner, publication.store, publication.table)
    return f"SELECT {', '.join(quoted(column) for column in columns)} FROM ({inner})"
