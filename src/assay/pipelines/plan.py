"""plan and apply: what the configuration would change in the stores, and doing it in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from assay.catalog import records
from assay.engines.sql import output_columns, references
from assay.errors import Misconfigured
from assay.pipelines import refresh
from assay.pipelines.platform import Platform
from assay.stores.database import Connection, transaction
from assay.stores.iceberg import Iceberg
from assay.stores.lake import LakeTable, analytical, clean, quarantine, readable
from assay.stores.operational import Change, changes, load_order
from assay.zones.project import Project, Zone


@dataclass(frozen=True)
class Plan:
    """What `apply` would do, in words; `losing` are the changes that need to be named explicitly."""

    changes: tuple[str, ...]
    losing: tuple[str, ...]
    version: str


def check_sql(project: Project) -> None:
    """Reads every SELECT of the project against the columns that it may use, and proves the part refreshes.

    Raises `Misconfigured` with every problem found.
    """
    problems: list[Misconfigured] = []
    for zone in project.zones.values():
        known = refresh.schema(project, zone)
        for table in zone.analytical.values():
            try:
                references(table.sql.text, table.sql.path)
                _covers(
                    output_columns(table.sql.text, table.sql.path, known),
                    [field.name for field in table.contract.fields],
                    str(table.sql.path),
                )
                refresh.driving(project, zone, table)
            except Misconfigured as error:
                problems.append(error)
        for source in zone.sources.values():
            seen = refresh.batch_schema(project, zone, source.name)
            for name, statement in source.conform.items():
                try:
                    _covers(
                        output_columns(statement.text, statement.path, seen),
                        [field.name for field in zone.operational[name].contract.fields],
                        str(statement.path),
                    )
                except Misconfigured as error:
                    problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Misconfigured(f"{len(problems)} SQL files have a problem", problems=problems)


def _covers(found: tuple[str, ...], wanted: list[str], path: str) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Misconfigured(
            f"the SELECT does not give {', '.join(missing)}",
            file=path,
            expected="the columns of the contract: " + ", ".join(wanted),
        )


def plan(platform: Platform) -> Plan:
    """Computes the changes; nothing is changed."""
    check_sql(platform.project)
    words: list[str] = []
    losing: list[str] = []
    with transaction(platform.connection) as tx:
        for zone in platform.project.zones.values():
            if not _schema_exists(tx, zone.name):
                words.append(f"create zone {zone.name}")
            for change in _relational(tx, zone, platform.project):
                (losing if change.loses_data else words).append(change.words)
            words.extend(_lake_words(tx, zone))
    return Plan(tuple(words), tuple(losing), platform.project.version)


def apply(platform: Platform, *, allowed_losses: frozenset[str] = frozenset()) -> Plan:
    """Carries the plan out in one transaction and records the configuration's version.

    Raises `Misconfigured` when a change would lose data and is not among `allowed_losses`.
    """
    found = plan(platform)
    refused = [words for words in found.losing if words not in allowed_losses]
    if refused:
        raise Misconfigured(
            "this would lose data: " + "; ".join(refused),
            next=f'assay apply --allow "{refused[0]}"  (once for each), or put the column back into the contract',
        )
    with transaction(platform.connection) as tx:
        iceberg = Iceberg(tx, platform.data)
        for zone in platform.project.zones.values():
            tx.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(zone.name)))
            for change in _relational(tx, zone, platform.project):
                if change.statement is not None:
                    tx.execute(change.statement)
            for table in _lake(zone):
                iceberg.ensure(table.namespace, table.name, table.columns)
        if records.applied_version(tx) != found.version:
            records.add_configuration(tx, found.version, platform.actor, [*found.changes, *found.losing])
    return found


def _schema_exists(connection: Connection, zone: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (zone,)).fetchone() is not None


def _relational(connection: Connection, zone: Zone, project: Project) -> list[Change]:
    tracked = refresh.tracked(project, zone)
    found: list[Change] = []
    for table in load_order(zone.operational.values()):
        by = {
            column
            for source in zone.sources.values()
            if source.load.mode == "replace" and table.name in source.conform
            for column in source.load.by
        }
        columns = {field.name for field in table.contract.fields}
        indexes = {*tracked.get(table.name, ()), *(by if by <= columns else ())}
        found.extend(changes(connection, table, indexes))
    return found


def _lake(zone: Zone) -> list[LakeTable]:
    tables = []
    for source in zone.sources.values():
        tables += [readable(source), quarantine(source)]
        if source.cleans:
            tables.append(clean(source))
    return [*tables, *(analytical(table) for table in zone.analytical.values())]


def _lake_words(connection: Connection, zone: Zone) -> list[str]:
    """What is missing in the lake, read from the catalog's own rows so that no Iceberg library is loaded."""
    found = connection.execute(
        "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE table_namespace LIKE %s",
        (zone.name + ".%",),
    ).fetchall()
    existing = {(str(namespace), str(name)): str(place) for namespace, name, place in found}
    words = []
    for table in _lake(zone):
        place = existing.get((table.namespace, table.name))
        if place is None:
            words.append(f"create {table.namespace}.{table.name}")
            continue
        columns = _columns(place)
        words += [
            f"add {table.namespace}.{table.name}.{name} {kind}" for name, kind in table.columns if name not in columns
        ]
        words += [
            f"widen {table.namespace}.{table.name}.{name} to {kind}"
            for name, kind in table.columns
            if kind.kind == "decimal" and columns.get(name, "").replace(" ", "") not in ("", str(kind))
        ]
    return words


def _columns(metadata: str) -> dict[str, str]:
    import json
    from pathlib import Path

    content = json.loads(Path(metadata.removeprefix("file://")).read_text())
    current = next(s for s in content["schemas"] if s["schema-id"] == content["current-schema-id"])
    return {field["name"]: str(field["type"]) for field in current["fields"]}
