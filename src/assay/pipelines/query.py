"""The platform's own read-only questions over the stores of all zones; landing is in none of them.

What people ask goes through `serving`, which keeps it to what they may see.

A table goes by `store.name` where one zone has it, or by `zone.store.name`; `zone.published.name` is a publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.engines.duckdb import Engine, EngineFailed, quoted
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Usage
from assay.pipelines.names import TABLES, place_of
from assay.pipelines.platform import Platform
from assay.pipelines.subscriptions import hash_key
from assay.segments.relations import lake_select, published_select
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.stores.lake import analytical, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Project, Zone

Rows = tuple[list[str], list[tuple[Any, ...]]]

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
    with reading(platform, [statement], zone) as engine:
        try:
            columns, rows = engine.streamed(statement)
            yield columns, _translated(rows)
        except EngineFailed as error:
            raise _not_run(error) from error


@contextmanager
def reading(platform: Platform, statements: Iterable[str], zone: str | None) -> Iterator[Engine]:
    """An engine in which the tables that the statements name can be read.

    Raises `Misconfigured` for a statement that is not a SELECT over tables of the stores.
    """
    from assay.engines.sql import names_read

    path = Path("your statement")
    places = {
        parts: place_of(platform.project, zone, parts, path)
        for statement in statements
        for parts in names_read(statement, path, expected=TABLES)
    }
    with platform.scratch() as scratch, transaction(platform.connection) as tx:
        with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
            if any(store in ("operational", "published") for _, store, _ in places.values()):
                engine.attach_postgres(platform.url)
            iceberg = Iceberg(tx, platform.data)
            for parts, place in places.items():
                _provide(engine, platform.project, iceberg, parts, *place)
            yield engine


def _translated(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    try:
        yield from rows
    except EngineFailed as error:
        raise _not_run(error) from error


def _not_run(error: EngineFailed) -> Usage:
    return Usage(f"the statement did not run: {error.what}")


def _provide(
    engine: Engine, project: Project, iceberg: Iceberg, parts: tuple[str, ...], owner: Zone, store: str, name: str
) -> None:
    if len(parts) == 3:
        engine.run(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(parts[0])}")
        schema = f"{quoted(parts[0])}.{quoted(parts[1])}"
    else:
        schema = quoted(parts[0])
    kind = "VIEW"
    if store == "published":
        offered = owner.publications[name]
        select = published_select(owner, offered, iceberg, hash_key(project, offered))
        kind = "TABLE" if offered.hides else kind
    else:
        select = _select(iceberg, owner, store, name)
    engine.run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    engine.run(f"CREATE OR REPLACE {kind} {schema}.{quoted(name)} AS {select}")


def _select(iceberg: Iceberg, owner: Zone, store: str, name: str) -> str:
    if store == "operational":
        return f"SELECT * FROM pg.{quoted(owner.name)}.{quoted(name)}"
    make = {"readable": readable, "staging": clean, "quarantine": quarantine}
    table = analytical(owner.analytical[name]) if store == "analytical" else make[store](owner.sources[name])
    return lake_select(table, iceberg)
