"""The tables that a zone's SQL may name, made readable in an engine: its own stores and what it subscribes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.engines.duckdb import Engine, path_list, quoted
from assay.engines.masks import masked
from assay.engines.sql import references, row_condition
from assay.errors import Denied, Misconfigured, nearest
from assay.stores.lake import Lake, LakeTable, analytical, clean

if TYPE_CHECKING:
    from assay.zones.project import Project, Publication, Sql, Zone


class NotGranted(Denied):
    """What another zone publishes is not open to the zone, or no longer."""


@dataclass(frozen=True)
class Sight:
    """What a zone's SQL is shown: what other zones granted, and what stands in place of what would be seen otherwise.

    `published` has for each publication, as (zone, name), the state of the zone's subscription to it: only `granted`
    is shown, and nothing without an entry. `mask_keys` are those of the publishing zones, `publishers` the URLs under
    which what they hide can be left out of a copy: the zone itself may not read it. `operational` names, for
    tables that are made anew, the schema of PostgreSQL where they are; the staged rows of the batches in `without`
    are not shown.
    """

    published: Mapping[tuple[str, str], str] = field(default_factory=dict)
    mask_keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    publishers: Mapping[str, str] = field(default_factory=dict, repr=False)
    operational: Mapping[str, str] = field(default_factory=dict)
    without: frozenset[int] = frozenset()


#: The zone alone: nothing of another one is shown.
ALONE = Sight()


def provide(
    engine: Engine, project: Project, zone: Zone, sql: Sql, iceberg: Lake, sight: Sight = ALONE
) -> None:
    """Makes every table that the SQL reads a view of the engine; PostgreSQL must be attached to it (`attach`).

    Raises `Misconfigured` for a name that the zone does not have, `NotGranted` for a publication that is not open
    to it.
    """
    for reference in references(sql.text, sql.path):
        parts = reference.parts
        if parts == ("batch",):
            continue
        if len(parts) == 3:
            _published(engine, project, zone, sql, parts, iceberg, sight)
        else:
            store, name = parts
            engine.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(store)}")
            engine.run(
                f"CREATE OR REPLACE VIEW {quoted(store)}.{quoted(name)} AS "
                + _own(zone, sql, store, name, iceberg, sight)
            )


def attach(engine: Engine, url: str, zone: Zone, statements: Iterable[Sql], sight: Sight = ALONE) -> None:
    """Loads the extension for PostgreSQL, and attaches the database as `pg` where a statement may read a table there:
    that takes a while."""
    engine.load_postgres()
    schemas = set()
    for sql in statements:
        for reference in references(sql.text, sql.path):
            if len(reference.parts) == 3:
                schemas.add(reference.parts[0])
            elif reference.parts[0] == "operational":
                schemas.add(sight.operational.get(reference.parts[1], zone.name))
    if schemas:
        engine.attach_postgres(url, schema=schemas.pop() if len(schemas) == 1 else None)


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
    engine: Engine, project: Project, zone: Zone, sql: Sql, parts: tuple[str, ...], iceberg: Lake, sight: Sight
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
    check_granted(zone.name, (publisher.name, parts[2]), sight.published)
    publication = publisher.publications[parts[2]]
    engine.run(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(parts[0])}")
    engine.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(parts[0])}.published")
    name = f"{quoted(parts[0])}.published.{quoted(parts[2])}"
    if not publication.hides:
        source = published_select(publisher, publication, iceberg, b"")
        engine.run(f"CREATE VIEW IF NOT EXISTS {name} AS {source}")
        return
    # A view is no wall: a condition of the zone's SQL could be asked of rows and cells that the view leaves out.
    key = sight.mask_keys.get(publisher.name, b"")
    if publication.store == "operational":
        with engine.attached(sight.publishers[publisher.name]) as publishers:
            source = published_select(publisher, publication, iceberg, key, publishers)
            engine.run(f"CREATE TABLE IF NOT EXISTS {name} AS {source}")
    else:
        source = published_select(publisher, publication, iceberg, key)
        engine.run(f"CREATE TABLE IF NOT EXISTS {name} AS {source}")


def check_granted(zone: str, publication: tuple[str, str], states: Mapping[tuple[str, str], str]) -> None:
    """Returns where the zone's subscription stands as granted; raises `NotGranted`."""
    state = states.get(publication, "not asked for")
    if state != "granted":
        raise NotGranted(
            f"{'.'.join(publication)} is not granted to {zone}: {state}",
            where=".".join(publication),
            expected=f"a subscription that the owner of {publication[0]} has granted",
            next="assay subscription list",
        )


def published_select(
    publisher: Zone, publication: Publication, iceberg: Lake, key: bytes, postgres: str = "pg"
) -> str:
    """SQL of the rows and columns that a publication offers; `key` is the publisher's, by which it hashes.

    Where the table is operational, PostgreSQL is attached under the name `postgres`.
    """
    if publication.store == "operational":
        contract = publisher.operational[publication.table].contract
        source = f"{quoted(postgres)}.{quoted(publisher.name)}.{quoted(publication.table)}"
    else:
        contract = publisher.analytical[publication.table].contract
        source = f"({lake_select(analytical(publisher.analytical[publication.table]), iceberg)})"
    columns = []
    for offered in publication.contract.fields:
        mask = publication.masks.get(offered.name)
        if mask is None:
            columns.append(quoted(offered.name))
            continue
        if mask == "hash" and not key:
            raise ValueError(f"there is no key to hash {publication.name}.{offered.name} by")
        kind = contract.field(offered.name).type
        columns.append(f"{masked(offered.name, kind, mask, key)} AS {quoted(offered.name)}")
    found = f"SELECT {', '.join(columns)} FROM {source}"
    if publication.rows is not None:
        known = [entry.name for entry in contract.fields]
        condition = row_condition(publication.rows, known, publisher.path)
        # A condition that fails for a row says nothing of it: the row is not offered.
        found += f" WHERE coalesce(TRY({condition}), false)"
    return found


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
