"""The proof that a table may be refreshed in part: no row outside the touched values can change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias, cast

from sqlglot import exp

from assay.engines.sql.functions import aggregates, function_name, unstable
from assay.engines.sql.lineage import qualified, unflatten
from assay.engines.sql.parse import Reference, Schema, parse, refuse

ForeignKeys: TypeAlias = tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...]
Tables: TypeAlias = Mapping[str, tuple[tuple[str, ...], tuple[str, ...], ForeignKeys]]
"""Operational tables: columns, primary key, and foreign keys as (columns, to table, to columns)."""


@dataclass(frozen=True)
class Hop:
    """One foreign key followed: `table`.`columns` point to `to_table`.`to_columns`."""

    table: str
    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]


@dataclass(frozen=True)
class JoinedTable:
    """A joined operational table, and the foreign keys that lead to it from the driving table."""

    name: str
    path: tuple[Hop, ...]


@dataclass(frozen=True)
class Driving:
    """The proof that a query may be refreshed in part.

    `columns` maps each refresh column of the output to its column in the driving `table`; `joined` are the
    operational tables reached from it; `publications` are tables of other zones, whose changes have no path
    back to the driving table.
    """

    table: str
    columns: Mapping[str, str]
    joined: tuple[JoinedTable, ...]
    publications: tuple[Reference, ...] = ()


def refresh_proof(text: str, path: Path, schema: Schema, by: tuple[str, ...], tables: Tables) -> Driving:
    """Prove that recomputing only the rows of the touched `by` values gives what a full refresh gives.

    It holds when each output row is made of rows of one driving table that share its `by` values: then no
    row outside those values can change it. Whatever does not show this plainly is refused.
    """
    _Proof(path, tables).refuse_forms(parse(text, path))
    query = cast(exp.Select, qualified(text, path, schema))
    return _Proof(path, tables).driving(query, tuple(name.lower() for name in by))


class _Proof:
    def __init__(self, path: Path, tables: Tables) -> None:
        self._path = path
        self._tables = tables

    def refuse(self, reason: str, node: exp.Expr | None = None) -> NoReturn:
        refuse(
            f"it cannot be shown that a refresh in part equals a full one: {reason}",
            self._path,
            node,
            expected="one SELECT from an operational table, joined along its foreign keys",
            next="set `refresh: full`, or simplify the query",
        )

    def refuse_forms(self, query: exp.Query) -> None:
        if not isinstance(query, exp.Select):
            self.refuse(f"it is a set operation ({query.key.upper()})", query)
        if query.args.get("with_"):
            self.refuse("it has a CTE (WITH)", query)
        for node in query.walk():
            if node is not query and isinstance(node, exp.Query):
                self.refuse("it has a subquery", node)
            if isinstance(node, exp.Window):
                self.refuse("it has a window function (OVER)", node)
            if isinstance(node, exp.Unnest | exp.Lateral | exp.Values | exp.Explode):
                self.refuse(f"it has {node.key.upper()}", node)
            if isinstance(node, exp.TableSample):
                self.refuse("it samples rows", node)
            if isinstance(node, exp.Func) and unstable(node):
                self.refuse(f"{function_name(node)}() does not always return the same", node)
        for clause in ("limit", "offset", "fetch", "qualify", "windows", "sample"):
            if query.args.get(clause):
                self.refuse(f"it has {clause.upper()}", query)
        distinct = query.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            self.refuse("it has DISTINCT ON", query)

    def driving(self, query: exp.Select, by: tuple[str, ...]) -> Driving:
        source = query.args.get("from_")
        if source is None or not isinstance(source.this, exp.Table):
            self.refuse("it has no table in its FROM", query)
        parts = unflatten(source.this)
        if parts[0] != "operational" or len(parts) != 2 or parts[1] not in self._tables:
            self.refuse(f'its FROM is "{".".join(parts)}", not an operational table', source)
        alias = source.this.alias_or_name
        joined, publications = self._joins(query, alias, parts[1])
        return Driving(parts[1], self._by(query, alias, by), joined, publications)

    def _joins(
        self, query: exp.Select, alias: str, driving: str
    ) -> tuple[tuple[JoinedTable, ...], tuple[Reference, ...]]:
        paths: dict[str, tuple[str, tuple[Hop, ...]]] = {alias: (driving, ())}
        seen = {alias}
        joined: list[JoinedTable] = []
        publications: list[Reference] = []
        for join in query.args.get("joins") or []:
            parts = unflatten(join.this)
            name = ".".join(parts)
            if join.method or join.side not in ("", "LEFT") or join.kind not in ("", "INNER", "OUTER"):
                said = " ".join(word for word in (join.method, join.side, join.kind) if word)
                self.refuse(f"{name} is joined by {said} JOIN, only INNER and LEFT are followed", join)
            pairs = self._equalities(join, name, seen)
            if len(parts) == 3:
                publications.append(Reference(parts))
            elif parts[0] == "operational" and parts[1] in self._tables:
                origin, hop = self._hop(join, parts[1], pairs, paths)
                path = (*paths[origin][1], hop)
                paths[join.this.alias_or_name] = (parts[1], path)
                joined.append(JoinedTable(parts[1], path))
            else:
                self.refuse(f"{name} is neither an operational table nor a publication", join)
            seen.add(join.this.alias_or_name)
        return tuple(joined), tuple(dict.fromkeys(publications))

    def _equalities(self, join: exp.Join, name: str, seen: set[str]) -> list[tuple[str, str, str]]:
        """(earlier alias, its column, column of the joined table) for each part of the ON."""
        condition = join.args.get("on")
        if condition is None:
            self.refuse(f"{name} is joined without a condition", join)
        alias = join.this.alias_or_name
        pairs: list[tuple[str, str, str]] = []
        for part in condition.unnest().flatten() if isinstance(condition.unnest(), exp.And) else [condition]:
            equality = part.unnest()
            sides = (equality.left, equality.right) if isinstance(equality, exp.EQ) else ()
            columns = [side.unnest() for side in sides]
            if len(columns) != 2 or not all(isinstance(one, exp.Column) for one in columns):
                self.refuse(f"{name} is joined on {part.sql('duckdb')}, not on equality of columns", join)
            left, right = cast(list[exp.Column], columns)
            if left.table == alias:
                left, right = right, left
            if right.table != alias or left.table not in seen:
                self.refuse(f"{part.sql('duckdb')} does not join {name} to a table before it", join)
            pairs.append((left.table, left.name.lower(), right.name.lower()))
        return pairs

    def _hop(
        self,
        join: exp.Join,
        name: str,
        pairs: list[tuple[str, str, str]],
        paths: Mapping[str, tuple[str, tuple[Hop, ...]]],
    ) -> tuple[str, Hop]:
        origins = {pair[0] for pair in pairs}
        if len(origins) != 1 or not origins <= paths.keys():
            self.refuse(f"operational.{name} is not joined to exactly one operational table", join)
        origin = origins.pop()
        table = paths[origin][0]
        wanted = {(one, other) for _, one, other in pairs}
        primary_key = {column.lower() for column in self._tables[name][1]}
        for columns, to_table, to_columns in self._tables[table][2]:
            mine, theirs = _lower(columns), _lower(to_columns)
            same = to_table.lower() == name and set(zip(mine, theirs, strict=True)) == wanted
            if same and primary_key and set(theirs) == primary_key:
                return origin, Hop(table, mine, name, theirs)
        self.refuse(
            f"operational.{name} is not joined by a foreign key of operational.{table} to its primary key",
            join,
        )

    def _by(self, query: exp.Select, alias: str, by: tuple[str, ...]) -> dict[str, str]:
        if not by:
            self.refuse("no column to refresh by is named", query)
        outputs = {one.alias_or_name.lower(): one.unalias() for one in query.selects}
        group = query.args.get("group")
        if group is not None and group.find(exp.GroupingSets, exp.Cube, exp.Rollup) is not None:
            self.refuse("it has GROUPING SETS, CUBE or ROLLUP, whose totals span the groups", group)
        if group is None and (aggregates(query) or query.args.get("having")):
            self.refuse("it aggregates all rows without GROUP BY", query)
        found: dict[str, str] = {}
        for name in by:
            column = outputs.get(name)
            if column is None:
                self.refuse(f'"{name}" is not among its outputs ({", ".join(outputs)})', query)
            if not isinstance(column, exp.Column) or column.table != alias:
                self.refuse(f'"{name}" is not a bare column of the table in its FROM', query)
            if group is not None and not group.args.get("all") and column not in group.expressions:
                self.refuse(f'"{name}" is not in its GROUP BY', group)
            found[name] = column.name.lower()
        return found


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
