"""Where a value comes from: rows back to the delivered cell's row, columns back through the zone's SQL."""

from __future__ import annotations

from typing import Any

from assay.engines.sql import column_lineage
from assay.errors import Usage
from assay.pipelines import refresh
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask, zone_of
from assay.zones.project import Project

#: How many rows a trace shows.
ROWS_MOST = 50


def row_origins(
    platform: Platform, dataset: str, where: str | None, zone: str | None
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The delivered rows behind rows of an operational or analytical table.

    An analytical row is traced through the operational table that drives its refresh, by the refresh columns.
    """
    store, _, name = dataset.partition(".")
    chosen = zone_of(platform.project, zone, name)
    if store == "operational" and name in chosen.operational:
        statement = f"SELECT _batch, _sheet, _row, * EXCLUDE (_batch, _sheet, _row, _source) FROM {dataset}"
        statement += f" WHERE {where}" if where else ""
    elif store == "analytical" and name in chosen.analytical:
        proof = refresh.driving(platform.project, chosen, chosen.analytical[name])
        if proof is None:
            raise Usage(
                f"{dataset} is refreshed as a whole: its rows have no single origin",
                next=f"assay lineage {dataset} --columns",
            )
        on = " AND ".join(f"o.{column} IS NOT DISTINCT FROM a.{by}" for by, column in proof.columns.items())
        statement = (
            f"SELECT o._batch, o._sheet, o._row, o.* EXCLUDE (_batch, _sheet, _row, _source) "
            f"FROM operational.{proof.table} AS o WHERE EXISTS (SELECT 1 FROM {dataset} AS a WHERE {on}"
            + (f" AND ({where})" if where else "")
            + ")"
        )
    else:
        raise Usage(f"there is no {dataset} in zone {chosen.name}", expected="operational.x or analytical.x")
    columns, rows = ask(platform, f"{statement} ORDER BY 1, 2, 3 LIMIT {ROWS_MOST}", chosen.name)
    numbers = sorted({row[0] for row in rows})
    found = platform.connection.execute(
        "SELECT id, file_name, sha256, config_version FROM assay.batch WHERE id = ANY(%s)", (numbers,)
    )
    files = {int(row[0]): (str(row[1]), str(row[2])[:12], str(row[3])) for row in found}
    names = ("batch", "file", "sha256", "configuration", "sheet", "row", *columns[3:])
    return names, [(row[0], *files.get(row[0], ("", "", "")), *row[1:]) for row in rows]


def column_origins(project: Project, dataset: str, zone: str | None) -> list[tuple[str, str]]:
    """For every column of a derived dataset, the columns that its SQL makes it from."""
    store, _, name = dataset.partition(".")
    chosen = zone_of(project, zone, name)
    found: list[tuple[str, str]] = []
    if store == "analytical" and name in chosen.analytical:
        statements = [(None, chosen.analytical[name].sql)]
    else:
        statements = [(s.name, s.conform[name]) for s in chosen.sources.values() if name in s.conform]  # type: ignore[misc]
    if not statements:
        raise Usage(f"no SQL makes {dataset}", expected="operational.x or analytical.x")
    for source, statement in statements:
        if source is None:
            known = refresh.schema(project, chosen)
        else:
            known = refresh.batch_schema(project, chosen, source)
        for column, origins in column_lineage(statement.text, statement.path, known).items():
            words = ", ".join(f"{'.'.join(table)}.{origin}" for table, origin in origins) or "a constant"
            if source is not None:
                words = words.replace("batch.", f"staging.{source}.")
            found.append((column, words))
    return found
