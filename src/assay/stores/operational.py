"""The operational store: canonical tables in PostgreSQL, a schema per zone, keys enforced by the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Change:
    """One statement that brings the database to the configuration, in words and in SQL."""

    words: str
    statement: sql.Composed | None
    loses_data: bool = False


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


def changes(connection: Connection, table: OperationalTable, indexes: Iterable[str] = ()) -> list[Change]:
    """What must change so that the table looks as its contract says. Columns are never dropped unnamed."""
    existing = _columns(connection, table.zone, table.name)
    name = sql.Identifier(table.zone, table.name)
    fields = {field.name: (field.type.postgres, field.required) for field in table.contract.fields}
    done: list[Change] = []
    if not existing:
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(field.name),
                sql.SQL(field.type.postgres),
                sql.SQL(" NOT NULL" if field.required or field.primary_key else ""),
            )
            for field in table.contract.fields
        ]
        columns += [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in PROVENANCE]
        columns += [sql.SQL("{} {}").format(n, d) for n, d in _keys(table)]
        done.append(
            Change(
                f"create table {table.zone}.{table.name}",
                sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(columns)),
            )
        )
    else:
        for column, (wanted, required) in fields.items():
            if column not in existing:
                if required:
                    raise Misconfigured(
                        f"{table.name}.{column} is new and required, but the table may hold rows",
                        file=table.contract.path,
                        line=table.contract.field(column).line,
                        expected="a new column that is not required",
                    )
                done.append(
                    Change(
                        f"add column {table.zone}.{table.name}.{column} {wanted}",
                        sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                            name, sql.Identifier(column), sql.SQL(wanted)
                        ),
                    )
                )
            elif existing[column] != wanted:
                if not _widens(existing[column], wanted):
                    raise Misconfigured(
                        f"{table.name}.{column} is {existing[column]} in the database and cannot become "
                        f"{wanted} without losing data",
                        file=table.contract.path,
                        line=table.contract.field(column).line,
                        expected="the same type or a wider one",
                    )
                done.append(
                    Change(
                        f"widen column {table.zone}.{table.name}.{column} from {existing[column]} to {wanted}",
                        sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(
                            name, sql.Identifier(column), sql.SQL(wanted)
                        ),
                    )
                )
        known = {*fields, *(column for column, _ in PROVENANCE)}
        for column in existing:
            if column not in known:
                done.append(
                    Change(
                        f"drop column {table.zone}.{table.name}.{column}",
                        sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(name, sql.Identifier(column)),
                        loses_data=True,
                    )
                )
        have = _constraints(connection, table.zone, table.name)
        for key_name, definition in _keys(table):
            plain = key_name.as_string(None).removeprefix("CONSTRAINT ").strip('"')
            if plain not in have:
                done.append(
                    Change(
                        f"add key {table.zone}.{table.name}: {definition.as_string(None)}",
                        sql.SQL("ALTER TABLE {} ADD {} {}").format(name, key_name, definition),
                    )
                )
    have_indexes = _indexes(connection, table.zone, table.name)
    for column in sorted({*INDEXED, *indexes}):
        index = f"{table.name}_{column}_index"[:63]
        if index not in have_indexes:
            done.append(
                Change(
                    f"create index on {table.zone}.{table.name} ({column})",
                    sql.SQL("CREATE INDEX {} ON {} ({})").format(
                        sql.Identifier(index), name, sql.Identifier(column)
                    ),
                )
            )
    return done


def _keys(table: OperationalTable) -> list[tuple[sql.Composable, sql.Composed]]:
    """The constraints of a table: (CONSTRAINT name, definition)."""

    def listed(columns: Iterable[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(column) for column in columns)

    def named(suffix: str) -> sql.Composed:
        return sql.SQL("CONSTRAINT {}").format(sql.Identifier(f"{table.name}_{suffix}"[:63]))

    contract = table.contract
    keys: list[tuple[sql.Composable, sql.Composed]] = []
    if contract.primary_key:
        keys.append((named("pkey"), sql.SQL("PRIMARY KEY ({})").format(listed(contract.primary_key))))
    for unique in contract.unique_keys:
        keys.append((named("_".join(unique) + "_key"), sql.SQL("UNIQUE ({})").format(listed(unique))))
    for key in contract.foreign_keys:
        keys.append(
            (
                named("_".join(key.columns) + "_fkey"),
                sql.SQL("FOREIGN KEY ({}) REFERENCES {} ({})").format(
                    listed(key.columns), sql.Identifier(table.zone, key.table), listed(key.to_columns)
                ),
            )
        )
    return keys


def _columns(connection: Connection, zone: str, name: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f'"{zone}"."{name}"',),
    )
    short = {"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}
    short["time without time zone"] = "time"
    return {str(column): short.get(str(kind), str(kind)) for column, kind in found}


def _constraints(connection: Connection, zone: str, name: str) -> set[str]:
    found = connection.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s)", (f'"{zone}"."{name}"',)
    )
    return {str(row[0]) for row in found}


def _indexes(connection: Connection, zone: str, name: str) -> set[str]:
    found = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = %s", (zone, name)
    )
    return {str(row[0]) for row in found}


def _widens(before: str, after: str) -> bool:
    if before.startswith("numeric(") and after.startswith("numeric("):
        old = [int(part) for part in before[8:-1].split(",")]
        new = [int(part) for part in after[8:-1].split(",")]
        return new[1] >= old[1] and new[0] - new[1] >= old[0] - old[1]
    return after == "text" or (before, after) in {
        ("integer", "bigint"),
        ("date", "timestamp"),
    }


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
