"""Canonical tables as they stand in PostgreSQL, and what must change so that they look as their contracts say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from psycopg import sql

from assay.errors import Misconfigured
from assay.stores.changes import (
    ADD_FOREIGN,
    ADD_KEY,
    COLUMN,
    CREATE,
    CREATE_SCHEMA,
    DROP_FOREIGN,
    DROP_KEY,
    DROP_ROLE,
    DROP_SCHEMA,
    DROP_TABLE,
    INDEX,
    Change,
    Step,
)
from assay.stores.database import NAME_BYTES_MOST, Connection, short_name
from assay.stores.operational import INDEXED, PROVENANCE
from assay.stores.zone_roles import drop_steps, table_steps, zone_steps

if TYPE_CHECKING:
    from assay.zones.project import OperationalTable

#: What marks a schema as ours: a database that assay shares with others keeps its other schemas to itself.
MARK = "assay zone"

#: Names that every PostgreSQL table has already, and those that assay adds.
TAKEN = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", *(name for name, _ in PROVENANCE)})

#: Schemas that are not a zone's to have.
RESERVED_ZONES = frozenset({"assay", "public", "information_schema"})


@dataclass(frozen=True)
class Key:
    """A primary, unique or foreign key; two are equal when they demand the same, whatever their name."""

    kind: Literal["primary", "unique", "foreign"]
    columns: tuple[str, ...]
    table: str | None = None
    to_columns: tuple[str, ...] = ()
    name: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """The key as people read it."""
        listed = ", ".join(self.columns)
        if self.kind == "foreign":
            return f"foreign key ({listed}) to {self.table} ({', '.join(self.to_columns)})"
        return f"{self.kind} key ({listed})"


@dataclass(frozen=True)
class Standing:
    """A table as it stands: columns with type and NOT NULL, keys, and the names of its indexes."""

    columns: Mapping[str, tuple[str, bool]]
    keys: tuple[Key, ...] = ()
    indexes: frozenset[str] = frozenset()


def zones_standing(connection: Connection) -> dict[str, bool]:
    """The schemas of the database with whether each carries assay's mark."""
    found = connection.execute(
        "SELECT nspname, coalesce(obj_description(oid, 'pg_namespace'), '') = %s FROM pg_namespace "
        "WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
        (MARK,),
    )
    return {str(name): bool(marked) for name, marked in found}


def tables_standing(connection: Connection, zones: Iterable[str]) -> dict[tuple[str, str], Standing]:
    """Every table in the schemas of the zones, read from PostgreSQL's catalogue in three queries."""
    names = list(zones)
    columns: dict[tuple[str, str], dict[str, tuple[str, bool]]] = {}
    for zone, table, column, kind, required in connection.execute(_COLUMNS, (names,)):
        known = columns.setdefault((zone, table), {})
        if column is not None:
            known[column] = (_SHORT.get(str(kind), str(kind)), bool(required))
    keys: dict[tuple[str, str], list[Key]] = {}
    for zone, table, name, kind, mine, target, theirs in connection.execute(_KEYS, (names,)):
        keys.setdefault((zone, table), []).append(
            Key(_KINDS[kind], tuple(mine), target, tuple(theirs or ()), name=name)
        )
    indexes: dict[tuple[str, str], set[str]] = {}
    for zone, table, name in connection.execute(
        "SELECT schemaname, tablename, indexname FROM pg_indexes WHERE schemaname = ANY(%s)", (names,)
    ):
        indexes.setdefault((zone, table), set()).add(name)
    return {
        place: Standing(found, tuple(keys.get(place, ())), frozenset(indexes.get(place, ())))
        for place, found in columns.items()
    }


_SHORT = {
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
}
_KINDS: dict[str, Literal["primary", "unique", "foreign"]] = {"p": "primary", "u": "unique", "f": "foreign"}
_COLUMNS = """
SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p') ORDER BY 1, 2, a.attnum
"""
_KEYS = """
SELECT n.nspname::text, c.relname::text, k.conname::text, k.contype::text,
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
  (SELECT f.relname::text FROM pg_class f WHERE f.oid = k.confrelid),
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(number, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND k.contype IN ('p', 'u', 'f') ORDER BY 1, 2, 3
"""


def create_zone(connection: Connection, zone: str) -> Change:
    """The schema of a new zone, marked as assay's, and its roles."""
    name = sql.Identifier(zone)
    return Change(zone, "", "create", f"create zone {zone}", (
        Step(CREATE_SCHEMA, sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name)),
        Step(CREATE_SCHEMA, sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(MARK))),
        *zone_steps(connection, zone),
    ))  # fmt: skip


def drop_table_steps(zone: str, name: str, standing: Standing) -> tuple[Step, ...]:
    """Drops a table; its foreign keys first, so that tables that point to each other can go together."""
    table = sql.Identifier(zone, name)
    foreign = [_drop_key(table, key) for key in standing.keys if key.kind == "foreign"]
    return (*foreign, Step(DROP_TABLE, sql.SQL("DROP TABLE {}").format(table)))


def drop_table(connection: Connection, zone: str, name: str, standing: Standing) -> Change:
    """A table that no contract describes any more."""
    return Change(
        zone,
        f"operational.{name}",
        "lose",
        f"drop table {zone}.{name}",
        drop_table_steps(zone, name, standing),
        note=f"{_count(connection, zone, name):,} rows",
    )


def drop_schema_steps(connection: Connection, zone: str) -> tuple[Step, ...]:
    """Drops the schema of a removed zone, and its roles; PostgreSQL refuses while anything else stands in it."""
    schema = Step(DROP_SCHEMA, sql.SQL("DROP SCHEMA {}").format(sql.Identifier(zone)))
    return (schema, *drop_steps(connection, zone, DROP_ROLE))


def table_changes(
    connection: Connection,
    table: OperationalTable,
    standing: Standing | None,
    indexes: Iterable[str] = (),
) -> tuple[list[Change], list[Misconfigured]]:
    """What must change for one table, and what cannot be done to the rows that it holds."""
    deciding = _Deciding(connection, table, frozenset({*INDEXED, *indexes}))
    problems = deciding.names()
    if problems:
        return [], problems
    if standing is None:
        return [deciding.create()], []
    changes = [*deciding.columns(standing), *deciding.keys(standing), *deciding.indexing(standing)]
    return changes, deciding.problems


def foreign_keys_upon(
    changes: Iterable[Change], tables: Iterable[OperationalTable], standing: Mapping[tuple[str, str], Standing]
) -> list[Change]:
    """Foreign keys that stay but stand on a key that goes: PostgreSQL needs them dropped and made again."""
    gone: set[tuple[str, str, tuple[str, ...]]] = set()
    for change in changes:
        if isinstance(change, KeyChange) and change.dropped is not None and change.dropped.kind != "foreign":
            gone.add((change.zone, change.table, change.dropped.columns))
    found = []
    for table in tables if gone else ():
        there = standing.get((table.zone, table.name))
        wanted = {key: key for key in _keys(table)}
        for key in there.keys if there else ():
            if key.kind == "foreign" and (table.zone, key.table, key.to_columns) in gone and key in wanted:
                place = sql.Identifier(table.zone, table.name)
                found.append(
                    Change(
                        table.zone,
                        f"operational.{table.name}",
                        "change",
                        f"make anew {table.zone}.{table.name}: {key.words}",
                        (_drop_key(place, key), _add_key(table, wanted[key])),
                    )
                )
    return found


@dataclass(frozen=True)
class KeyChange(Change):
    """A change of a key; `dropped` is the key that goes."""

    table: str = ""
    dropped: Key | None = None


class _Deciding:
    """Compares one contract with one table; the statements, and the problems that the standing rows make."""

    def __init__(self, connection: Connection, table: OperationalTable, indexes: frozenset[str]) -> None:
        self._connection = connection
        self._table = table
        self._indexes = sorted(indexes)
        self._contract = table.contract
        self._full = f"{table.zone}.{table.name}"
        self._place = sql.Identifier(table.zone, table.name)
        self._required = {
            f.name: f.required or f.primary_key or f.name in table.contract.primary_key for f in table.contract.fields
        }
        self.problems: list[Misconfigured] = []

    def names(self) -> list[Misconfigured]:
        """Names that PostgreSQL would cut, or that are taken."""
        found = []
        if len(self._table.name.encode()) > NAME_BYTES_MOST:
            found.append(self._problem(f"the name {self._table.name} is too long", None, f"{NAME_BYTES_MOST} bytes"))
        for entry in self._contract.fields:
            if len(entry.name.encode()) > NAME_BYTES_MOST:
                found.append(
                    self._problem(f"the name {entry.name} is too long", entry.line, f"{NAME_BYTES_MOST} bytes at most")
                )
            if entry.name in TAKEN:
                found.append(
                    self._problem(
                        f"{self._table.name} cannot have a column {entry.name}: every table has one already",
                        entry.line,
                        "another name",
                    )
                )
        return found

    def create(self) -> Change:
        """The whole table, its keys and its indexes."""
        lines = [self._column(entry.name, entry.type.postgres) for entry in self._contract.fields]
        lines += [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in PROVENANCE]
        lines += [
            sql.SQL("CONSTRAINT {} {}").format(sql.Identifier(key.name), _definition(self._table, key))
            for key in _keys(self._table)
        ]
        made = sql.SQL("CREATE TABLE {} (\n    {}\n)").format(self._place, sql.SQL(",\n    ").join(lines))
        indexes = [self._index(column) for column in self._indexes]
        given = table_steps(self._connection, self._table.zone, self._table.name)
        return self._change("create", f"create table {self._full}", Step(CREATE, made), *indexes, *given)

    def columns(self, standing: Standing) -> list[Change]:
        """Columns to add, widen, loosen, tighten and drop."""
        changes: list[Change] = []
        for entry in self._contract.fields:
            there = standing.columns.get(entry.name)
            if there is None:
                changes += self._added(entry.name, entry.type.postgres)
                continue
            kind, required = there
            if kind != entry.type.postgres:
                changes += self._retyped(entry.name, kind, entry.type.postgres)
            if required != self._required[entry.name]:
                changes += self._loosened(entry.name) if required else self._tightened(entry.name)
        known = {*self._required, *(name for name, _ in PROVENANCE)}
        for name in standing.columns:
            if name not in known:
                statement = sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(self._place, sql.Identifier(name))
                changes.append(
                    self._change(
                        "lose",
                        f"drop column {self._full}.{name}",
                        Step(COLUMN, statement),
                        note=f"{self._filled(name):,} values",
                    )
                )
        return changes

    def _added(self, name: str, kind: str) -> list[Change]:
        if self._required[name]:
            rows = _count(self._connection, self._table.zone, self._table.name)
            if rows:
                self._refuse(
                    f"{self._full}.{name} is new and required, but the table holds {rows:,} rows without it",
                    name,
                    "a new column that is not required",
                    "leave out `required`, apply, deliver the values, then require it",
                )
                return []
        statement = sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(self._place, self._column(name, kind))
        return [self._change("change", f"add column {self._full}.{name} {kind}", Step(COLUMN, statement))]

    def _retyped(self, name: str, before: str, after: str) -> list[Change]:
        if not widens(before, after):
            self._refuse(
                f"{self._full}.{name} is {before} in the database and cannot become {after} without losing data",
                name,
                f"{before}, or a wider type",
                f"give the new column another name; the old one goes by --allow \"drop column {self._full}.{name}\"",
            )
            return []
        statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(
            self._place, sql.Identifier(name), sql.SQL(after)
        )
        words = f"widen column {self._full}.{name} from {before} to {after}"
        return [self._change("change", words, Step(COLUMN, statement))]

    def _loosened(self, name: str) -> list[Change]:
        statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(self._place, sql.Identifier(name))
        # After the keys: a column of the primary key must be NOT NULL as long as that stands.
        return [self._change("change", f"let column {self._full}.{name} be empty", Step(ADD_KEY, statement))]

    def _tightened(self, name: str) -> list[Change]:
        empty = _count(self._connection, self._table.zone, self._table.name) - self._filled(name)
        if empty:
            self._refuse(
                f"{self._full}.{name} is to be required, but {empty:,} rows have no value",
                name,
                "a value in every row",
                f'assay sql "SELECT * FROM operational.{self._table.name} WHERE {name} IS NULL" '
                f"--zone {self._table.zone}",
            )
            return []
        statement = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(self._place, sql.Identifier(name))
        return [self._change("change", f"require column {self._full}.{name}", Step(COLUMN, statement))]

    def keys(self, standing: Standing) -> list[Change]:
        """Keys to drop and to add; a new key must hold for the rows that stand."""
        wanted = _keys(self._table)
        changes: list[Change] = []
        for key in standing.keys:
            if key not in wanted:
                changes.append(
                    KeyChange(
                        self._table.zone,
                        f"operational.{self._table.name}",
                        "change",
                        f"drop {key.words} of {self._full}",
                        (_drop_key(self._place, key),),
                        table=self._table.name,
                        dropped=key,
                    )
                )
        for key in wanted:
            if key not in standing.keys and self._holds(key, standing):
                changes.append(self._change("change", f"add {key.words} to {self._full}", _add_key(self._table, key)))
        return changes

    def _holds(self, key: Key, standing: Standing) -> bool:
        if not set(key.columns) <= standing.columns.keys():
            return True  # a new column: empty in every row, and empty breaks no key but the primary (refused above)
        listed = sql.SQL(", ").join(sql.Identifier(name) for name in key.columns)
        if key.kind == "foreign":
            return self._points(key)
        present = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(n)) for n in key.columns)
        row = self._connection.execute(
            sql.SQL(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1) AS repeated"
            ).format(self._place, present, listed)
        ).fetchone()
        if row and row[0]:
            self._refuse(
                f"{self._full} cannot have the {key.words}: {row[0]:,} of its values stand in several rows",
                key.columns[0],
                "values that are unique already",
                f'assay sql "SELECT {", ".join(key.columns)}, count(*) AS n FROM operational.{self._table.name} '
                f'GROUP BY ALL HAVING n > 1" --zone {self._table.zone}',
            )
        return not (row and row[0])

    def _points(self, key: Key) -> bool:
        target = f"{self._table.zone}.{key.table}"
        there = tables_standing(self._connection, [self._table.zone]).get((self._table.zone, str(key.table)))
        if there is None or not set(key.to_columns) <= there.columns.keys():
            dangling = self._filled(key.columns[0])
        else:
            match = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("t", to), sql.Identifier("s", column))
                for column, to in zip(key.columns, key.to_columns, strict=True)
            )
            present = sql.SQL(" AND ").join(
                sql.SQL("{} IS NOT NULL").format(sql.Identifier("s", name)) for name in key.columns
            )
            row = self._connection.execute(
                sql.SQL("SELECT count(*) FROM {} AS s WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})").format(
                    self._place, present, sql.Identifier(self._table.zone, str(key.table)), match
                )
            ).fetchone()
            dangling = int(row[0]) if row else 0
        if dangling:
            self._refuse(
                f"{self._full} cannot have the {key.words}: {dangling:,} rows name something that {target} lacks",
                key.columns[0],
                f"rows of {target} for every value",
                f"deliver the missing rows of {target} first",
            )
        return not dangling

    def indexing(self, standing: Standing) -> list[Change]:
        """Indexes that assay needs and that are missing, and those of its own that it needs no longer."""
        changes = []
        wanted = {index_name(self._table.name, column): column for column in self._indexes}
        for name, column in wanted.items():
            if name not in standing.indexes:
                changes.append(self._change("change", f"index {self._full} by {column}", self._index(column)))
        for column in self._required:
            name = index_name(self._table.name, column)
            if name in standing.indexes and name not in wanted:
                statement = sql.SQL("DROP INDEX {}").format(sql.Identifier(self._table.zone, name))
                changes.append(
                    self._change("change", f"drop index of {self._full} by {column}", Step(DROP_KEY, statement))
                )
        return changes

    def _index(self, column: str) -> Step:
        name = sql.Identifier(index_name(self._table.name, column))
        statement = sql.SQL("CREATE INDEX {} ON {} ({})").format(name, self._place, sql.Identifier(column))
        return Step(INDEX, statement)

    def _column(self, name: str, kind: str) -> sql.Composed:
        return sql.SQL("{} {}{}").format(
            sql.Identifier(name), sql.SQL(kind), sql.SQL(" NOT NULL" if self._required[name] else "")
        )

    def _change(
        self, effect: Literal["create", "change", "lose"], words: str, *steps: Step, note: str | None = None
    ) -> Change:
        return Change(self._table.zone, f"operational.{self._table.name}", effect, words, steps, note=note)

    def _filled(self, column: str) -> int:
        row = self._connection.execute(
            sql.SQL("SELECT count({}) FROM {}").format(sql.Identifier(column), self._place)
        ).fetchone()
        return int(row[0]) if row else 0

    def _refuse(self, what: str, column: str, expected: str, next: str) -> None:
        self.problems.append(self._problem(what, self._contract.field(column).line, expected, next))

    def _problem(self, what: str, line: int | None, expected: str, next: str | None = None) -> Misconfigured:
        return Misconfigured(what, file=self._contract.path, line=line, expected=expected, next=next)


def _keys(table: OperationalTable) -> list[Key]:
    contract = table.contract
    keys = []
    if contract.primary_key:
        keys.append(Key("primary", contract.primary_key, name=short_name(f"{table.name}_pkey")))
    for unique in contract.unique_keys:
        keys.append(Key("unique", unique, name=short_name(f"{table.name}_{'_'.join(unique)}_key")))
    for key in contract.foreign_keys:
        name = short_name(f"{table.name}_{'_'.join(key.columns)}_fkey")
        keys.append(Key("foreign", key.columns, key.table, key.to_columns, name=name))
    return keys


def _definition(table: OperationalTable, key: Key) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in key.columns)
    if key.kind == "foreign":
        return sql.SQL("FOREIGN KEY ({}) REFERENCES {} ({})").format(
            columns,
            sql.Identifier(table.zone, str(key.table)),
            sql.SQL(", ").join(sql.Identifier(column) for column in key.to_columns),
        )
    return sql.SQL("PRIMARY KEY ({})" if key.kind == "primary" else "UNIQUE ({})").format(columns)


def _add_key(table: OperationalTable, key: Key) -> Step:
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
        sql.Identifier(table.zone, table.name), sql.Identifier(key.name), _definition(table, key)
    )
    return Step(ADD_FOREIGN if key.kind == "foreign" else ADD_KEY, statement)


def _drop_key(table: sql.Identifier, key: Key) -> Step:
    statement = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, sql.Identifier(key.name))
    return Step(DROP_FOREIGN if key.kind == "foreign" else DROP_KEY, statement)


def index_name(table: str, column: str) -> str:
    """The name of the index that assay makes for a column."""
    return short_name(f"{table}_{column}_index")


def _count(connection: Connection, zone: str, name: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(zone, name))).fetchone()
    return int(row[0]) if row else 0


def widens(before: str, after: str) -> bool:
    """Whether every value of one PostgreSQL type can be stored, unchanged, in another."""
    if before.startswith("numeric(") and after.startswith("numeric("):
        old = [int(part) for part in before[8:-1].split(",")]
        new = [int(part) for part in after[8:-1].split(",")]
        return new[1] >= old[1] and new[0] - new[1] >= old[0] - old[1]
    if before == "bigint" and after.startswith("numeric("):
        precision, scale = (int(part) for part in after[8:-1].split(","))
        return precision - scale >= 19
    return after == "text" or (before, after) in {("integer", "bigint"), ("date", "timestamp")}
