"""PostgreSQL's tables: rows that have served their time are deleted, and what deleted rows took is made free."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql

from assay.batch import FINAL
from assay.pipelines.upkeep.scope import Scope, Step
from assay.stores.database import Connection, translated

#: A table is vacuumed once this part of its rows, and at least so many, were changed or deleted since last time.
PART, ROWS_LEAST = 0.05, 100


def vacuum(scope: Scope) -> Iterator[Step]:
    """Deletes events, records of housekeeping and workers that are gone, then vacuums the tables that need it."""
    connection = scope.platform.connection
    age = scope.platform.project.maintain.events
    if scope.zone is None:
        if age is not None:
            yield from _deleted(connection, "assay.event", _EVENTS, (age, list(FINAL)), scope.dry)
            yield from _deleted(connection, "assay.maintenance", _MAINTENANCE, (age,), scope.dry)
        yield from _deleted(connection, "assay.worker", "beat_at < clock_timestamp() - interval '1 day'", (), scope.dry)
    schemas = [zone for zone in scope.platform.project.zones if scope.covers(zone)]
    for schema, table, rows in _in_need(connection, schemas, records=scope.zone is None):
        if not scope.dry:
            _vacuum(connection, schema, table)
        words = f"{rows:,} changed or deleted rows {'can be' if scope.dry else 'were'} vacuumed"
        yield Step("vacuum", f"{schema}.{table}", words)


#: Events that every reader has passed and whose batch has come to rest: nobody acts upon them any more.
_EVENTS = """
at < clock_timestamp() - %s::interval
AND transaction < coalesce((SELECT min(r.transaction) FROM assay.event_reader AS r), '9223372036854775807'::xid8)
AND NOT EXISTS (SELECT 1 FROM assay.batch AS b WHERE b.id = batch_id AND b.state <> ALL(%s))
"""
#: The last run stays, whenever it was: it says when the next one is due.
_MAINTENANCE = "started_at < clock_timestamp() - %s::interval AND id < (SELECT max(id) FROM assay.maintenance)"


def _deleted(
    connection: Connection, table: str, condition: str, values: tuple[object, ...], dry: bool
) -> Iterator[Step]:
    given = values or None  # without values a % means itself
    if dry:
        found = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}".encode(), given).fetchone()
        count = int(found[0]) if found else 0
    else:
        count = connection.execute(f"DELETE FROM {table} WHERE {condition}".encode(), given).rowcount
    if count:
        yield Step("vacuum", table, f"{count:,} old rows {'can be' if dry else 'were'} deleted")


def _in_need(connection: Connection, schemas: list[str], *, records: bool) -> list[tuple[str, str, int]]:
    """Schema, table and changed rows of the tables that are worth it; alembic's own is not looked at."""
    found = connection.execute(
        "SELECT schemaname, relname, greatest(n_dead_tup, n_mod_since_analyze) FROM pg_stat_user_tables "
        "WHERE (schemaname = ANY(%s) OR %s AND (schemaname = 'assay' AND relname <> 'alembic_version' "
        "OR relname IN ('iceberg_tables', 'iceberg_namespace_properties'))) "
        "AND greatest(n_dead_tup, n_mod_since_analyze) > %s + %s * n_live_tup ORDER BY schemaname, relname",
        (schemas, records, ROWS_LEAST, PART),
    )
    return [(str(schema), str(table), int(rows)) for schema, table, rows in found]


def _vacuum(connection: Connection, schema: str, table: str) -> None:
    """Outside of any transaction, as PostgreSQL wants it; a table that somebody locks is left for the next time."""
    statement = sql.SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(sql.Identifier(schema, table))
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        raise translated(error) from error
