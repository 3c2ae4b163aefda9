"""Read-only questions over the stores of a zone; landing is in none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.engines.duckdb import EngineFailed
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Usage
from assay.pipelines.platform import Platform
from assay.segments.relations import provide
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.zones.project import Project, Sql, Zone


def zone_of(project: Project, name: str | None, dataset: str | None = None) -> Zone:
    """The named zone; without a name the only one, or the only one that has the dataset."""
    if name is not None:
        if name not in project.zones:
            raise Usage(f"there is no zone {name}", expected=", ".join(project.zones))
        return project.zones[name]
    having = list(project.zones.values())
    if dataset is not None:
        having = [z for z in having if {*z.sources, *z.operational, *z.analytical} & {dataset}]
    if len(having) != 1:
        raise Usage("which zone is meant?", expected=", ".join(project.zones), next="add --zone NAME")
    return having[0]


def ask(platform: Platform, statement: str, zone: str | None) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Runs one SELECT and gives column names and rows."""
    from assay.engines.sql import references

    sql = Sql(text=statement, path=Path("your statement"))
    named = next((r.parts[1] for r in references(statement, sql.path) if len(r.parts) == 2), None)
    chosen = zone_of(platform.project, zone, named)
    with platform.scratch() as scratch, transaction(platform.connection) as tx:
        with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
            engine.attach_postgres(platform.url)
            provide(engine, platform.project, chosen, sql, Iceberg(tx, platform.data))
            try:
                return engine.table(statement)
            except EngineFailed as error:
                raise Usage(f"the statement did not run: {error.what}") from error
