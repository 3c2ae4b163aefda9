"""How tables made anew differ from those that stand, and which rows would refer to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from assay.findings import masked
from assay.stores.canonical import names, same
from assay.stores.database import Connection
from assay.stores.shadow import ORIGIN, Shadow, apart, brought, exists, standing

if TYPE_CHECKING:
    from assay.zones.project import OperationalTable


@dataclass(frozen=True)
class RowDifference:
    """One row that differs: its kind (added, removed, changed), where it came from, its key, and its values."""

    kind: str
    batch: int | None
    sheet: str | None
    row: int | None
    key: str
    words: str


@dataclass(frozen=True)
class TableDifference:
    """How a table made anew differs from the one that stands; `moved` rows only say that another batch made them."""

    table: str
    same: int
    added: int
    removed: int
    changed: int
    moved: int
    examples: tuple[RowDifference, ...]


@dataclass(frozen=True)
class Dangling:
    """Rows of a batch that would refer to rows that are gone."""

    batch: int
    table: str
    parent: str
    rows: int
    examples: tuple[str, ...]


def differences(connection: Connection, shadow: Shadow, *, examples: int) -> list[TableDifference]:
    """What the tables made anew hold otherwise than those that stand; rows are compared by key."""
    return [_difference(connection, shadow, table, examples) for table in shadow.order]


def _difference(connection: Connection, shadow: Shadow, table: OperationalTable, examples: int) -> TableDifference:
    key = table.contract.primary_key
    if not key:
        return _difference_keyless(connection, shadow, table, examples)
    rest = [field.name for field in table.contract.fields if field.name not in key]
    changed, moved = apart(rest), apart(ORIGIN)
    joined = sql.SQL("{} AS t FULL JOIN {} AS s ON {}").format(standing(table), shadow.made(table), same(key))
    first = sql.Identifier(key[0])
    kind = sql.SQL(
        "CASE WHEN s.{0} IS NULL THEN 'removed' WHEN t.{0} IS NULL THEN 'added' WHEN {1} THEN 'changed' "
        "WHEN {2} THEN 'moved' ELSE 'same' END"
    ).format(first, changed, moved)
    query = sql.SQL("SELECT kind, count(*) FROM (SELECT {} AS kind FROM {}) AS q GROUP BY kind")
    rows = connection.execute(query.format(kind, joined))
    counted = {str(word): int(count) for word, count in rows}
    found: list[RowDifference] = []
    for wanted in ("added", "removed", "changed") if examples else ():
        if counted.get(wanted):
            values = [sql.SQL("t.{0}, s.{0}").format(sql.Identifier(name)) for name in (*key, *rest)]
            rows = connection.execute(
                sql.SQL(
                    "SELECT coalesce(t._batch, s._batch), coalesce(t._sheet, s._sheet), coalesce(t._row, s._row), "
                    "{} FROM {} WHERE {} = {} ORDER BY {} LIMIT {}"
                ).format(
                    sql.SQL(", ").join(values), joined, kind, sql.Literal(wanted),
                    sql.SQL(", ").join(
                        sql.SQL("coalesce(t.{0}, s.{0})").format(sql.Identifier(name)) for name in key
                    ),
                    sql.Literal(examples),
                )
            )  # fmt: skip
            found += [_row(table, wanted, row) for row in rows]
    counts = {name: int(counted.get(name, 0)) for name in ("same", "added", "removed", "changed", "moved")}
    return TableDifference(table.name, **counts, examples=tuple(found))


def _difference_keyless(
    connection: Connection, shadow: Shadow, table: OperationalTable, examples: int
) -> TableDifference:
    columns = [field.name for field in table.contract.fields]
    counts, found = {}, []
    stands, made = standing(table), shadow.made(table)
    for kind, ours, theirs in (("removed", stands, made), ("added", made, stands)):
        only = sql.SQL("(SELECT {0} FROM {1} EXCEPT ALL SELECT {0} FROM {2}) AS q").format(
            names(columns), ours, theirs
        )
        counts[kind] = _number(connection, sql.SQL("SELECT count(*) FROM {}").format(only))
        rows = connection.execute(
            sql.SQL("SELECT {} FROM {} LIMIT {}").format(names(columns), only, sql.Literal(examples))
        )
        for row in rows:
            pairs = [value for one in row for value in (one, one)]
            found.append(_row(table, kind, (None, None, None, *pairs)))
    total = _number(connection, sql.SQL("SELECT count(*) FROM {}").format(stands))
    return TableDifference(
        table.name, total - counts["removed"], counts["added"], counts["removed"], 0, 0, tuple(found)
    )


def dangling(
    connection: Connection, shadow: Shadow, tables: Iterable[OperationalTable], *, examples: int
) -> list[Dangling]:
    """Rows of `tables` (all of the pipeline) that would refer to a row that is not there, by their batch."""
    anew = shadow.places
    found = []
    for table in tables:
        for key in table.contract.foreign_keys:
            if table.name not in anew and key.table not in anew:
                continue
            child = sql.Identifier(anew.get(table.name, table.zone), table.name)
            parent = sql.Identifier(anew.get(key.table, table.zone), key.table)
            present = [sql.SQL("{} IS NOT NULL").format(sql.Identifier("t", column)) for column in key.columns]
            match = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("p", to), sql.Identifier("t", column))
                for column, to in zip(key.columns, key.to_columns, strict=True)
            )
            fields = [table.contract.field(column) for column in key.columns]
            value = sql.SQL("concat_ws(', ', {})").format(names(key.columns, "t"))
            rows = connection.execute(
                sql.SQL(
                    "SELECT t._batch, count(*), (array_agg(DISTINCT {}))[1:{}] FROM {} AS t "
                    "WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {}) GROUP BY t._batch ORDER BY t._batch"
                ).format(value, sql.Literal(examples), child, sql.SQL(" AND ").join(present), parent, match)
            )
            secret = any(field.sensitive for field in fields)
            found += [
                Dangling(
                    int(batch), table.name, key.table, int(count),
                    tuple(masked(str(one)) if secret else str(one) for one in values),
                )
                for batch, count, values in rows
            ]  # fmt: skip
    return found


def shared(connection: Connection, shadow: Shadow, concerned: Sequence[int]) -> dict[int, int]:
    """Other batch → how many rows that a concerned batch brings stand as the other made them."""
    found: dict[int, int] = {}
    for table in shadow.order:
        key = table.contract.primary_key
        if not key or not exists(connection, brought(table)):
            continue
        rows = connection.execute(
            sql.SQL(
                "SELECT t._batch, count(*) FROM {} AS t WHERE NOT t._batch = ANY({}) "
                "AND EXISTS (SELECT 1 FROM {} AS s WHERE {}) GROUP BY t._batch"
            ).format(standing(table), sql.Literal(list(concerned)), brought(table), same(key))
        )
        for batch, count in rows:
            found[int(batch)] = found.get(int(batch), 0) + int(count)
    return found


def _number(connection: Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _row(table: OperationalTable, kind: str, row: Sequence[Any]) -> RowDifference:
    """A row of (batch, sheet, row, then before and after of key and rest) in words; sensitive values are not shown."""
    batch, sheet, number, *values = row
    key = table.contract.primary_key
    fields = [table.contract.field(name) for name in (*key, *_rest(table, key))]
    words: list[str] = []
    keys: list[str] = []
    for position, field in enumerate(fields):
        before, after = values[2 * position], values[2 * position + 1]
        present = before if before is not None else after
        if field.name in key:
            keys.append(_shown(present, field.sensitive))
        elif kind == "changed" and before != after:
            pair = (_shown(before, field.sensitive), _shown(after, field.sensitive))
            words.append(f"{field.name} differs" if field.sensitive else f"{field.name}: {pair[0]} → {pair[1]}")
        elif kind != "changed" and not key:
            keys.append(_shown(present, field.sensitive))
    return RowDifference(kind, batch, sheet, number, ", ".join(keys), "; ".join(words))


def _rest(table: OperationalTable, key: Sequence[str]) -> list[str]:
    return [field.name for field in table.contract.fields if field.name not in key]


def _shown(value: Any, secret: bool) -> str:
    text = "nothing" if value is None else str(value)
    return masked(text) if secret and value is not None else text
