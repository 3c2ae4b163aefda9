"""The operational store: canonical tables in PostgreSQL, a schema per zone, keys enforced by the database."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from assay.errors import Misconfigured
from assay.stores.database import Connection

if TYPE_CHECKING:
    from assay.zones.project import OperationalTable

#: Where each operational row came from: source, batch, sheet and row of the delivered file.
PROVENANCE = (("_source", "text"), ("_batch", "bigint"), ("_sheet", "text"), ("_row", "bigint"))
INDEXED = ("_batch",)


def load_order(tables: Iterable[OperationalTable]) -> list[OperationalTable]:
    """Tables so that every one comes after those that its foreign keys name."""
    waiting = {table.name: table for table in tables}
    ordered: list[OperationalTable] = []
    while waiting:
        free = [
            table
            for table in waiting.values()
            if all(key.table == table.name or key.table not in waiting for key in table.contract.foreign_keys)
        ]
        if not free:
            raise Misconfigured(
                "the foreign keys of these tables form a circle: " + ", ".join(sorted(waiting)),
                file=next(iter(waiting.values())).contract.path,
            )
        for table in sorted(free, key=lambda entry: entry.name):
            ordered.append(table)
            del waiting[table.name]
    return ordered


def copy_in(connection: Connection, target: sql.Composable, columns: Iterable[str], file: Path) -> int:
    """Loads a file in PostgreSQL's binary COPY format; returns the number of rows."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        target, sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    )
    with connection.cursor() as cursor, file.open("rb") as reader:
        with cursor.copy(statement) as copy:
            while chunk := reader.read(1 << 20):
                copy.write(chunk)
        return cursor.rowcount


Violation = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.NotNullViolation,
    psycopg.errors.CheckViolation,
    psycopg.errors.CardinalityViolation,
    psycopg.errors.NumericValueOutOfRange,
)
