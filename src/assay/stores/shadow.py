"""Canonical tables made anew beside those that stand: filled, compared, and put in their place in one transaction.

A shadow is a schema with a copy of each table: same columns and keys, no foreign keys (those are asked for at the end,
of all rows at once). It is the caller's to hold the pipeline while it exists, so that what stands does not move.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psycopg import sql

from assay.stores.canonical import Incoming, Rules, names, same
from assay.stores.database import Connection, advisory_key, transaction
from assay.stores.operational import PROVENANCE, copy_in, load_order
from assay.stores.zone_roles import roles_of

if TYPE_CHECKING:
    from assay.zones.project import OperationalTable

#: How long a change of the tables waits for those who read them, in seconds.
LOCK_SECONDS = 60
#: The columns that say where a row came from.
ORIGIN = [name for name, _ in PROVENANCE]


@dataclass(frozen=True)
class Concerned:
    """A batch whose rows are put, or taken away: only rows that it can have had a part in are looked at.

    `rules` are those of its source, `earlier` the batches that were conformed before it.
    """

    batch: int
    rules: Rules
    earlier: Sequence[int]


class Shadow:
    """The tables made anew; `schema` is where, `order` has parents first."""

    def __init__(self, connection: Connection, schema: str, tables: Iterable[OperationalTable]) -> None:
        self._connection = connection
        self.schema = schema
        self.order = load_order(tables)

    @property
    def places(self) -> dict[str, str]:
        """Table → schema, for SQL that is to read the tables made anew."""
        return {table.name: self.schema for table in self.order}

    def incoming(self, one: Incoming) -> Incoming:
        """The rows of a batch on their way into the shadow."""
        return replace(one, schema=self.schema)

    # --- what is looked at ---------------------------------------------------------------------------------------

    def bring(self, one: Incoming) -> None:
        """Remembers the rows that a concerned batch brings."""
        place = brought(one.table)
        self._connection.execute(
            sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {})").format(place, standing(one.table))
        )
        for column in one.columns:
            self._connection.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(place, sql.Identifier(column))
            )
        copy_in(self._connection, place, one.all_columns, one.file)

    def keep_the_rest(self, concerned: Sequence[Concerned]) -> None:
        """Gives every row in which no concerned batch can have had a part as it stands.

        Rows are made anew from the clean rows under the configuration at hand; what other batches once made under
        another one is not this change's to correct.
        """
        with transaction(self._connection) as tx:
            for table in self.order:
                if table.contract.primary_key:
                    self._keep_keyed(tx, table, concerned)
                else:
                    self._keep_keyless(tx, table, concerned)

    def _keep_keyed(self, tx: Connection, table: OperationalTable, concerned: Sequence[Concerned]) -> None:
        key = table.contract.primary_key
        numbers = [one.batch for one in concerned]
        mine = sql.SQL("SELECT {} FROM {} AS t WHERE t._batch = ANY({})")
        parts = [mine.format(names(key, "t"), place, sql.Literal(numbers)) for place in self._both(table)]
        if exists(tx, brought(table)):
            parts.append(sql.SQL("SELECT {} FROM {} AS t").format(names(key, "t"), brought(table)))
        parts += [
            sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(names(key, "t"), place, condition)
            for condition in self._governed(tx, table, concerned)
            for place in self._both(table)
        ]
        keys = sql.Identifier(f"keys_{table.name}"[:63])
        tx.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS {}").format(keys, sql.SQL(" UNION ").join(parts))
        )
        tx.execute(sql.SQL("ANALYZE {}").format(keys))
        other = sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})").format(keys, same(key))
        tx.execute(sql.SQL("DELETE FROM {} AS t WHERE {}").format(self.made(table), other))
        self._take(tx, table, other)

    def _keep_keyless(self, tx: Connection, table: OperationalTable, concerned: Sequence[Concerned]) -> None:
        mine = sql.SQL("t._batch = ANY({})").format(sql.Literal([one.batch for one in concerned]))
        wanted = sql.SQL(" OR ").join([mine, *self._governed(tx, table, concerned)])
        tx.execute(sql.SQL("DELETE FROM {} AS t WHERE NOT ({})").format(self.made(table), wanted))
        self._take(tx, table, sql.SQL("NOT ({})").format(mine))

    def _take(self, tx: Connection, table: OperationalTable, which: sql.Composable) -> None:
        columns = _columns(table)
        tx.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS t WHERE {}").format(
                self.made(table), names(columns), names(columns, "t"), standing(table), which
            )
        )

    def _governed(
        self, tx: Connection, table: OperationalTable, concerned: Sequence[Concerned]
    ) -> Iterator[sql.Composed]:
        """SQL: earlier rows of its source that a concerned batch takes away, or keeps, by its load mode."""
        for one in concerned:
            if not one.rules.govern(table):
                continue
            condition = sql.SQL("t._source = {} AND t._batch = ANY({})").format(
                sql.Literal(one.rules.source), sql.Literal(list(one.earlier))
            )
            if one.rules.mode == "replace":
                if not exists(tx, brought(table)):
                    continue
                condition += sql.SQL(" AND ({}) IN (SELECT {} FROM {} AS s WHERE s._batch = {})").format(
                    names(one.rules.by, "t"), names(one.rules.by, "s"), brought(table), sql.Literal(one.batch)
                )
            yield sql.SQL("({})").format(condition)

    # --- taking their place --------------------------------------------------------------------------------------

    def take_over(self, tx: Connection) -> None:
        """Makes the tables that stand equal those made anew, in the caller's transaction; foreign keys hold at its end.

        Raises psycopg's errors of `operational.Violation` where a key is broken.
        """
        with _deferred(tx, [standing(table) for table in self.order]):
            for table in reversed(self.order):
                self._remove(tx, table)
            for table in self.order:
                self._add(tx, table)

    def _remove(self, tx: Connection, table: OperationalTable) -> None:
        stands, made, key = standing(table), self.made(table), table.contract.primary_key
        if key:
            alike = sql.SQL("{} AND NOT ({})").format(same(key), apart(_columns(table)))
            where = sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})").format(made, alike)
        else:
            where = sql.SQL("t._batch IN (SELECT _batch FROM {})").format(self._unlike(tx, table))
        tx.execute(sql.SQL("DELETE FROM {} AS t WHERE {}").format(stands, where))

    def _add(self, tx: Connection, table: OperationalTable) -> None:
        stands, made, key, columns = standing(table), self.made(table), table.contract.primary_key, _columns(table)
        if key:
            where = sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})").format(stands, same(key))
        else:
            where = sql.SQL("s._batch IN (SELECT _batch FROM {})").format(_unlike_name(table))
        tx.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE {}").format(
                stands, names(columns), names(columns, "s"), made, where
            )
        )

    def _unlike(self, tx: Connection, table: OperationalTable) -> sql.Identifier:
        """A temporary table of the batches whose rows in a table without a key are not the same: they go as a whole."""
        found, columns = _unlike_name(table), names(_columns(table))
        one = sql.SQL("(SELECT {0} FROM {1} EXCEPT ALL SELECT {0} FROM {2})")
        both = [one.format(columns, *pair) for pair in (self._both(table), self._both(table)[::-1])]
        tx.execute(
            sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT DISTINCT _batch FROM ({}) AS q").format(
                found, sql.SQL(" UNION ALL ").join(both)
            )
        )
        return found

    def made(self, table: OperationalTable) -> sql.Identifier:
        """The table made anew."""
        return sql.Identifier(self.schema, table.name)

    def _both(self, table: OperationalTable) -> tuple[sql.Identifier, sql.Identifier]:
        return standing(table), self.made(table)


def shadow_schema(zone: str, pipeline: str) -> str:
    """The schema where the tables of a pipeline are made anew."""
    return f"assay_shadow_{advisory_key('shadow', zone, pipeline):x}"


@contextmanager
def shadow(connection: Connection, zone: str, pipeline: str, tables: Iterable[OperationalTable]) -> Iterator[Shadow]:
    """Empty copies of tables of a pipeline, gone afterwards; what a killed process left of them goes first.

    Whoever reads for the zone reads them too.
    """
    schema = shadow_schema(zone, pipeline)
    made = Shadow(connection, schema, tables)
    with transaction(connection) as tx:
        _drop(tx, made)
        reader = sql.Identifier(roles_of(tx, zone).read)
        tx.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        tx.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), reader))
        for table in made.order:
            tx.execute(
                sql.SQL("CREATE UNLOGGED TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(schema, table.name), standing(table)
                )
            )
            tx.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(made.made(table), reader))
    try:
        yield made
    finally:
        if not connection.closed:
            with transaction(connection) as tx:
                _drop(tx, made)


def _drop(tx: Connection, made: Shadow) -> None:
    tx.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(made.schema)))
    for table in made.order:
        tx.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(brought(table)))


@contextmanager
def _deferred(tx: Connection, tables: Sequence[sql.Identifier]) -> Iterator[None]:
    """Lets the foreign keys from and to the tables be broken on the way; they are asked for at the end."""
    relations = [table.as_string(None) for table in tables]
    keys = tx.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint WHERE contype = 'f' "
        "AND (conrelid = ANY(%(t)s::regclass[]) OR confrelid = ANY(%(t)s::regclass[])) ORDER BY 1, 2",
        {"t": relations},
    ).fetchall()
    tx.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
    # PostgreSQL itself words and quotes the names.
    words = [sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} ").format(sql.SQL(t), sql.SQL(n)) for t, n in keys]
    for alter in words:
        tx.execute(alter + sql.SQL("DEFERRABLE INITIALLY DEFERRED"))
    yield
    tx.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for alter in words:
        tx.execute(alter + sql.SQL("NOT DEFERRABLE"))


def _columns(table: OperationalTable) -> list[str]:
    return [*(field.name for field in table.contract.fields), *ORIGIN]


def standing(table: OperationalTable) -> sql.Identifier:
    """The table that stands."""
    return sql.Identifier(table.zone, table.name)


def brought(table: OperationalTable) -> sql.Identifier:
    """The temporary table of what concerned batches bring; not there where they bring nothing."""
    return sql.Identifier("pg_temp", f"brought_{table.name}"[:63])


def _unlike_name(table: OperationalTable) -> sql.Identifier:
    return sql.Identifier(f"unlike_{table.name}"[:63])


def exists(connection: Connection, table: sql.Identifier) -> bool:
    """Whether there is such a table."""
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table.as_string(None),)).fetchone() == (True,)


def apart(columns: Sequence[str]) -> sql.Composable:
    """SQL: some of the columns of `t` and `s` differ."""
    if not columns:
        return sql.SQL("false")
    return sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(names(columns, "t"), names(columns, "s"))
