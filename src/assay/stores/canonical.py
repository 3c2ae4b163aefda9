"""A batch's rows meet a canonical table of PostgreSQL: filled when it is empty, merged by key when it is not.

Everything happens in the caller's transaction. A table that holds rows gets the batch by way of a temporary
table (the stage), from which rows are updated, inserted and, where the load mode says so, deleted. An empty one
is copied into directly, its foreign keys and plain indexes put back afterwards: PostgreSQL then checks all rows
of a key in one pass instead of one by one (decision 0010). Either way PostgreSQL enforces the keys, and what it
refuses is reported by `refusals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from assay.batch import Tally
from assay.errors import Rejected
from assay.findings import Finding
from assay.stores.database import Connection
from assay.stores.operational import PROVENANCE, copy_in

if TYPE_CHECKING:
    from assay.zones.project import OperationalTable, Source

#: From this many rows on, putting keys and indexes back costs less than keeping them up row by row.
ROWS_WORTH_REBUILDING = 20_000

#: How long a fill waits for readers of the table and of those it refers to, before it keeps the keys in place.
#: Below PostgreSQL's `deadlock_timeout` (1 s), so that a circle of waits ends here and hurts nobody.
LOCK_MILLISECONDS = 500

#: What PostgreSQL may hold in memory while it sorts an index that is put back.
SORT_MEMORY = "256MB"

EVERY = sql.SQL("")


@dataclass(frozen=True)
class Incoming:
    """The rows of a batch for one canonical table.

    `file` is in PostgreSQL's binary COPY format, with the contract's columns and then the provenance; `rows` and
    `sums` (of the numeric columns) are what the engine counted in them. `schema` is where the table stands, when not
    in the schema of its zone.
    """

    table: OperationalTable
    file: Path
    rows: int
    sums: Mapping[str, Decimal]
    schema: str | None = None

    @property
    def columns(self) -> list[str]:
        """The contract's columns, in its order."""
        return [field.name for field in self.table.contract.fields]

    @property
    def all_columns(self) -> list[str]:
        """The contract's columns and the provenance: those of the file."""
        return [*self.columns, *(name for name, _ in PROVENANCE)]

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key; empty where the table has none."""
        return self.table.contract.primary_key

    @property
    def target(self) -> sql.Identifier:
        """The table in PostgreSQL."""
        return sql.Identifier(self.schema or self.table.zone, self.table.name)

    @property
    def stage(self) -> sql.Identifier:
        """The temporary table that holds the rows of the batch."""
        return sql.Identifier(f"stage_{self.table.name}")


@dataclass
class Merged:
    """What became of the rows of one table; `touched` are values per tracked column, None for "any".

    `kept` are rows of a replayed batch that its replay does not bring and the load mode does not take away.
    """

    inserted: int
    updated: int
    touched: dict[str, list[Any]] | None
    filled: bool
    deleted: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Rules:
    """How rows meet those that are there: the source's load mode, and the sources that it may not overwrite.

    A row that any source not in `not_weaker` brought becomes the source's, also where both say the same: so it does
    not depend on who came first which source a row belongs to, and what may overwrite it.
    `replays` is the batch whose place the rows take: those that they repeat become theirs, and in mode `append`
    the facts that they do not repeat go. Rows of the batches in `later` came after that place, and stay.
    """

    source: str
    mode: str
    by: tuple[str, ...]
    stronger: tuple[str, ...]
    replays: int | None = None
    later: tuple[int, ...] = ()
    not_weaker: tuple[str, ...] = ()

    @staticmethod
    def of(
        source: Source, precedence: tuple[str, ...], replays: int | None = None, later: tuple[int, ...] = ()
    ) -> Rules:
        """The rules of a source; one that the precedence does not name is weaker than all that it names."""
        place = strength(source.name, precedence)
        not_weaker = precedence[: place + 1] if source.name in precedence else ()
        return Rules(source.name, source.load.mode, source.load.by, precedence[:place], replays, later, not_weaker)

    def appends(self, table: OperationalTable) -> bool:
        """Whether the table's rows are facts that are only ever added.

        A table that other tables' rows point to is described again and again.
        """
        return self.mode == "append" and bool(table.contract.foreign_keys)

    def govern(self, table: OperationalTable) -> bool:
        """Whether the load mode speaks of this table; others are merged by key and never deleted from."""
        if self.mode == "replace":
            return set(self.by) <= {field.name for field in table.contract.fields}
        return self.mode == "snapshot"


def strength(source: str, precedence: tuple[str, ...]) -> int:
    """The place of a source in the precedence, the most trusted first; those that it does not name come last."""
    return precedence.index(source) if source in precedence else len(precedence)


def merge(
    connection: Connection,
    incoming: list[Incoming],
    rules: Rules,
    tracked: Mapping[str, tuple[str, ...]],
) -> dict[str, tuple[Merged, Tally]]:
    """Brings the rows of a batch into their tables, parents first, and counts them there.

    Raises psycopg's errors of `operational.Violation` where PostgreSQL refuses a row, and `Rejected` where a
    table does not add up to what was brought.
    """
    done: dict[str, Merged] = {}
    for one in incoming:
        columns = tracked.get(one.table.name, ())
        place = _fill if _is_empty(connection, one) else _meet
        done[one.table.name] = place(connection, one, rules, columns)
    for one in reversed(incoming):
        merged = done[one.table.name]
        if not merged.filled:
            merged.deleted = _delete(connection, one, rules)
            merged.kept = _kept(connection, one, rules)
    return {
        one.table.name: (done[one.table.name], _reconcile(connection, one, rules, done[one.table.name].filled))
        for one in incoming
    }


def _is_empty(connection: Connection, one: Incoming) -> bool:
    """Whether the table holds no row, and cannot get one from elsewhere until the transaction ends."""
    query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(one.target)
    if connection.execute(query).fetchone() != (False,):
        return False
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(one.target))
    return connection.execute(query).fetchone() == (False,)


# --- a table that holds no row ---------------------------------------------------------------------------------


def _fill(connection: Connection, one: Incoming, rules: Rules, tracked: tuple[str, ...]) -> Merged:
    put_back = _set_aside(connection, one) if one.rows >= ROWS_WORTH_REBUILDING else []
    inserted = copy_in(connection, one.target, one.all_columns, one.file)
    if put_back:
        connection.execute(f"SET LOCAL maintenance_work_mem = '{SORT_MEMORY}'".encode())
    for statement in put_back:
        connection.execute(statement)
    if one.rows >= ROWS_WORTH_REBUILDING:
        connection.execute(sql.SQL("ANALYZE {}").format(one.target))
    everything = sql.SQL("SELECT {} FROM {}")
    touched = {
        name: _column(connection, everything.format(sql.Identifier(name), one.target)) for name in tracked
    }
    return Merged(inserted, 0, touched or None, filled=True)


def _set_aside(connection: Connection, one: Incoming) -> list[sql.SQL | sql.Composed]:
    """Drops the table's foreign keys and plain indexes; returns the statements that put each back as it was.

    Drops none, and returns none, where somebody uses the table or one that it refers to for longer than a moment.
    """
    relation = one.target.as_string(None)
    keys = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'f' ORDER BY conname",
        (relation,),
    ).fetchall()
    indexes = connection.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index AS i "
        "WHERE i.indrelid = %s::regclass AND NOT i.indisunique "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = i.indexrelid) ORDER BY 1",
        (relation,),
    ).fetchall()
    # PostgreSQL itself words and quotes the definitions and the indexes' names.
    drops = [
        *(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(one.target, sql.Identifier(name)) for name, _ in keys),
        *(sql.SQL("DROP INDEX {}").format(sql.SQL(name)) for name, _ in indexes),
    ]
    try:
        with connection.transaction():
            before = connection.execute("SHOW lock_timeout").fetchone()
            connection.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}".encode())
            for drop in drops:
                connection.execute(drop)
            connection.execute("SELECT set_config('lock_timeout', %s, true)", before)
    except psycopg.errors.LockNotAvailable:
        return []
    return [
        *(sql.SQL(definition) for _, definition in indexes),
        *(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(one.target, sql.Identifier(name), sql.SQL(words))
            for name, words in keys
        ),
    ]


# --- a table that holds rows -----------------------------------------------------------------------------------


def stage(connection: Connection, one: Incoming) -> int:
    """Copies the rows into a temporary table without any key, gone with the transaction; returns their number."""
    connection.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(one.stage, one.target))
    # The stage takes what comes, so that the keys of the real table find what is wrong and we can show it.
    free = sql.SQL(", ").join(
        sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(column)) for column in one.columns
    )
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(one.stage, free))
    rows = copy_in(connection, one.stage, one.all_columns, one.file)
    connection.execute(sql.SQL("ANALYZE {}").format(one.stage))
    return rows


def _meet(connection: Connection, one: Incoming, rules: Rules, tracked: tuple[str, ...]) -> Merged:
    staged = stage(connection, one)
    touched = _touched(connection, one, rules, tracked)
    if not one.key:
        return Merged(_insert(connection, one), 0, touched, filled=False)
    updated = _update(connection, one, rules) if staged else 0
    return Merged(_insert(connection, one), updated, touched, filled=False)


def _touched(
    connection: Connection, one: Incoming, rules: Rules, tracked: tuple[str, ...]
) -> dict[str, list[Any]] | None:
    """The values of the tracked columns in the rows that come, that they replace, and that go away.

    A table whose values are not tracked touches everything that reads it: None.
    """
    touched: dict[str, list[Any]] = {}
    for column in tracked:
        name = sql.Identifier(column)
        parts = [sql.SQL("SELECT {} AS v FROM {}").format(name, one.stage)]
        if one.key:
            parts.append(
                sql.SQL("SELECT t.{0} FROM {1} AS t JOIN {2} AS s ON {3} WHERE t.{0} IS DISTINCT FROM s.{0}").format(
                    name, one.target, one.stage, same(one.key)
                )
            )
        if rules.govern(one.table):
            parts.append(sql.SQL("SELECT t.{} FROM {} AS t WHERE {}").format(name, one.target, gone(one, rules)))
        if rules.replays is not None:
            parts.append(sql.SQL("SELECT t.{} FROM {} AS t WHERE {}").format(name, one.target, _replayed(rules)))
        touched[column] = _column(connection, sql.SQL(" UNION ").join(parts))
    return touched or None


def _column(connection: Connection, query: sql.Composed) -> list[Any]:
    """The distinct values `v` of a query, in order."""
    found = connection.execute(sql.SQL("SELECT DISTINCT v FROM ({}) AS q (v) ORDER BY v").format(query))
    return [row[0] for row in found]


def _update(connection: Connection, one: Incoming, rules: Rules) -> int:
    """Updates the rows that differ; an unchanged row keeps the batch that made it, unless that is replayed, or came
    from a weaker source."""
    rest = [name for name in one.columns if name not in one.key]
    differing: list[sql.Composable] = []
    if rest and not rules.appends(one.table):
        differing.append(sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(names(rest, "t"), names(rest, "s")))
    if rules.not_weaker and not rules.appends(one.table):
        differing.append(_from_none_of(rules.not_weaker))
    if rules.replays is not None:
        differing.append(_replayed(rules))
    if not differing:
        return 0
    sets = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("s", name))
        for name in [*rest, *(name for name, _ in PROVENANCE)]
    )
    statement = sql.SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {} AND {} AND ({})").format(
        one.target, sets, one.stage, same(one.key), _may_overwrite(rules), sql.SQL(" OR ").join(differing)
    )
    return connection.execute(statement).rowcount


def _insert(connection: Connection, one: Incoming) -> int:
    """Inserts the rows whose key is new; all of them where there is no key."""
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS s").format(
        one.target, names(one.all_columns), names(one.all_columns, "s"), one.stage
    )
    if one.key:
        statement += sql.SQL(" WHERE NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})").format(one.target, same(one.key))
    return connection.execute(statement).rowcount


def _delete(connection: Connection, one: Incoming, rules: Rules) -> int:
    """Takes away the rows of the same source (and period), or of the replayed batch, that are no longer brought."""
    if rules.govern(one.table):
        where = gone(one, rules)
    elif rules.replays is not None and rules.appends(one.table):
        where = sql.SQL("{} AND {}").format(_replayed(rules), _absent(one))
    else:
        return 0
    return connection.execute(sql.SQL("DELETE FROM {} AS t WHERE {}").format(one.target, where)).rowcount


def _kept(connection: Connection, one: Incoming, rules: Rules) -> int:
    if rules.replays is None:
        return 0
    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE {}").format(one.target, _replayed(rules))
    return int(_line(connection, query)[0])


def _replayed(rules: Rules) -> sql.Composed:
    """SQL: a row of `t` that the replayed batch made."""
    return sql.SQL("t._batch = {}").format(sql.Literal(rules.replays))


def _absent(one: Incoming) -> sql.Composed:
    """SQL: a row of `t` that the batch does not bring."""
    if one.key:
        return sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})").format(one.stage, same(one.key))
    return sql.SQL("t._batch IS DISTINCT FROM (SELECT min(_batch) FROM {})").format(one.stage)


def gone(one: Incoming, rules: Rules) -> sql.Composed:
    """SQL: a row of `t` that this batch replaces and does not bring again."""
    mine = sql.SQL("t._source = {}").format(sql.Literal(rules.source))
    conditions = [mine, _absent(one)]
    if rules.mode == "replace":
        conditions.append(
            sql.SQL("({}) IN (SELECT DISTINCT {} FROM {} AS s)").format(
                names(rules.by, "t"), names(rules.by, "s"), one.stage
            )
        )
    return sql.SQL(" AND ").join(conditions)


def _may_overwrite(rules: Rules) -> sql.Composable:
    """SQL: the row in the table `t` comes neither from a source that the pipeline trusts more, nor from later on."""
    conditions: list[sql.Composable] = []
    if rules.stronger:
        conditions.append(_from_none_of(rules.stronger))
    if rules.later:
        conditions.append(sql.SQL("t._batch <> ALL({})").format(sql.Literal(list(rules.later))))
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def _from_none_of(sources: tuple[str, ...]) -> sql.Composed:
    """SQL: the row in the table `t` comes from none of these sources."""
    names = sql.SQL(", ").join(sql.Literal(name) for name in sources)
    return sql.SQL("t._source <> ALL(ARRAY[{}])").format(names)


# --- counting --------------------------------------------------------------------------------------------------


def _reconcile(connection: Connection, one: Incoming, rules: Rules, filled: bool) -> Tally:
    """Counts and sums the batch's rows as they now stand in the table, and compares them with what was brought.

    Rows that a stronger source, or a later batch, keeps are left out on both sides: the rules explain them.
    """
    numeric = [field.name for field in one.table.contract.fields if field.type.numeric]
    if filled or not one.key:
        where = sql.SQL("") if filled else sql.SQL(" WHERE t._batch IN (SELECT _batch FROM {})").format(one.stage)
        query = sql.SQL("SELECT count(*){} FROM {} AS t").format(_sums(numeric, "t"), one.target) + where
        standing = _line(connection, query)
        _compare(one, standing, _brought(one, numeric))
    else:
        # One pass: each joined row holds the value that was brought and the one that stands there.
        ours = sql.SQL(" FILTER (WHERE {})").format(_may_overwrite(rules))
        counted = _line(
            connection,
            sql.SQL("SELECT count(*){}, count(*){}{}, count(*){}{} FROM {} AS t JOIN {} AS s ON {}").format(
                _sums(numeric, "s"), ours, _sums(numeric, "t", ours), ours, _sums(numeric, "s", ours),
                one.target, one.stage, same(one.key),
            ),
        )  # fmt: skip
        width = len(numeric) + 1
        _compare(one, counted[:width], _brought(one, numeric))
        standing = counted[width : 2 * width]
        _compare(one, standing, counted[2 * width :])
    return Tally(f"operational.{one.table.name}", int(standing[0]), dict(zip(numeric, standing[1:], strict=True)))


def _brought(one: Incoming, numeric: Iterable[str]) -> tuple[Decimal, ...]:
    return (Decimal(one.rows), *(one.sums[name] for name in numeric))


def _compare(one: Incoming, standing: tuple[Decimal, ...], wanted: tuple[Decimal, ...]) -> None:
    if standing == wanted:
        return
    found, expected = (", ".join(str(value) for value in side) for side in (standing, wanted))
    raise Rejected(
        f"operational.{one.table.name} does not add up to the clean rows",
        [Finding("reconciliation", f"rows and sums are {found}, expected {expected}", expected=expected)],
    )


def _sums(numeric: Iterable[str], table: str, filtered: sql.Composable = EVERY) -> sql.Composed:
    return sql.SQL("").join(sql.SQL(", sum({}){}").format(sql.Identifier(table, name), filtered) for name in numeric)


def _line(connection: Connection, query: sql.Composed) -> tuple[Decimal, ...]:
    """The one row of a query as exact numbers; the sum of nothing is zero."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(Decimal(str(value or 0)) for value in row)


# --- SQL of keys -----------------------------------------------------------------------------------------------


def names(columns: Iterable[str], table: str | None = None) -> sql.Composed:
    """Identifiers joined with commas, each qualified by `table` where it is given."""
    return sql.SQL(", ").join(sql.Identifier(table, n) if table else sql.Identifier(n) for n in columns)


def same(columns: Iterable[str]) -> sql.Composed:
    """`t.a = s.a AND t.b = s.b` for key columns."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("t", name), sql.Identifier("s", name)) for name in columns
    )
