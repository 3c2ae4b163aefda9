"""Columns: which a query returns, and which columns of which tables each is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from assay.engines.sql.parse import (
    BATCH,
    RUNTIME_COLUMNS,
    Parts,
    Schema,
    is_cte,
    parse,
    parts_of,
    refuse,
    refuse_reading_functions,
)
from assay.errors import Misconfigured

SEPARATOR = "$"  # never part of a name in a project, so a joined name cannot be mistaken for another


def output_columns(text: str, path: Path, schema: Schema) -> tuple[str, ...]:
    """The names of the columns that the query returns, in order, with stars expanded."""
    return tuple(projection.alias_or_name.lower() for projection in qualified(text, path, schema).selects)


def identity_columns(text: str, path: Path, schema: Schema) -> dict[str, str]:
    """Output column → column of batch, for each output that is that column unchanged."""
    query = qualified(text, path, schema)
    if not isinstance(query, exp.Select):
        return {}
    found: dict[str, str] = {}
    scope = traverse_scope(query)[-1]
    for projection in query.selects:
        column = projection.unalias()
        if isinstance(column, exp.Column):
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and unflatten(source) == BATCH:
                found[projection.alias_or_name.lower()] = column.name.lower()
    return found


def column_lineage(text: str, path: Path, schema: Schema) -> dict[str, tuple[tuple[Parts, str], ...]]:
    """Output column → the (table, column) pairs its value is computed from, through CTEs, subqueries and joins.

    Columns that only decide which rows there are (WHERE, ON, GROUP BY) are not part of a value.
    """
    query = qualified(text, path, schema)
    scopes = traverse_scope(query)
    homes: dict[int, Scope] = {}
    for scope in scopes:  # innermost first, so a column of a subquery belongs to the subquery
        for node in scope.walk():
            homes.setdefault(id(node), scope)
    trace = _Trace(homes)
    return {
        projection.alias_or_name.lower(): tuple(dict.fromkeys(trace.output(scopes[-1], index)))
        for index, projection in enumerate(query.selects)
    }


class _Trace:
    """Follows a column back to the tables it was read from."""

    def __init__(self, homes: Mapping[int, Scope]) -> None:
        self._homes = homes
        self._open: set[tuple[int, int]] = set()  # outputs being followed: a recursive CTE meets itself

    def output(self, scope: Scope, index: int) -> list[tuple[Parts, str]]:
        """The origins of one output of a scope, by position."""
        key = (id(scope.expression), index)
        if key in self._open:
            return []
        self._open.add(key)
        try:
            return self._output(scope, index)
        finally:
            self._open.discard(key)

    def _output(self, scope: Scope, index: int) -> list[tuple[Parts, str]]:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            name = expression.selects[index].alias_or_name
            found: list[tuple[Parts, str]] = []
            for branch in scope.set_operation_scopes:
                position = index
                if expression.args.get("by_name"):
                    names = [one.alias_or_name for one in cast(exp.Query, branch.expression).selects]
                    if name not in names:
                        continue
                    position = names.index(name)
                found += self.output(branch, position)
            return found
        if isinstance(expression, exp.Query):
            return self._values(expression.selects[index], scope)
        return self._values(expression, scope)  # unnest(...), values(...): any of their columns

    def _values(self, node: exp.Expr, scope: Scope) -> list[tuple[Parts, str]]:
        found: list[tuple[Parts, str]] = []
        for column in node.find_all(exp.Column, bfs=False):
            found += self._column(column, self._homes.get(id(column), scope))
        return found

    def _column(self, column: exp.Column, scope: Scope | None) -> list[tuple[Parts, str]]:
        while scope is not None:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table):
                return [(unflatten(source), column.name.lower())]
            if isinstance(source, Scope):
                return self._through(source, column.name)
            scope = scope.parent
        return []

    def _through(self, scope: Scope, name: str) -> list[tuple[Parts, str]]:
        if not isinstance(scope.expression, exp.Query):
            return self._values(scope.expression, scope.parent or scope)
        names = [one.alias_or_name for one in scope.expression.selects]
        return self.output(scope, names.index(name)) if name in names else []


def qualified(text: str, path: Path, schema: Schema) -> exp.Query:
    """The query with every star expanded and every column under its table's alias, or Misconfigured."""
    query = parse(text, path)
    refuse_reading_functions(query, path)
    _refuse_unfollowable(query, path)
    known = {parts: {name.lower(): kind for name, kind in schema[parts].items()} for parts in schema}
    if BATCH in known:
        known[BATCH] = {**known[BATCH], **{k: v for k, v in RUNTIME_COLUMNS.items() if k not in known[BATCH]}}
    _flatten(query, path, known)
    mapping = MappingSchema(
        {SEPARATOR.join(parts): dict(columns) for parts, columns in known.items()},
        dialect="duckdb",
        normalize=False,
    )
    try:
        qualified = qualify(query, schema=mapping, dialect="duckdb", quote_identifiers=False)
    except OptimizeError as error:
        reason = str(error).splitlines()[0]
        # SQLGlot knows the column's line only in words.
        _, _, rest = reason.partition("Line: ")
        number = rest.split(",")[0]
        raise Misconfigured(
            reason.split(". Line:")[0],
            file=path,
            line=int(number) if number.isdigit() else None,
            expected="columns of the tables in the FROM",
        ) from error
    except SqlglotError as error:
        raise Misconfigured(f"the SQL cannot be followed: {error}", file=path) from error
    for row in qualified.find_all(exp.TableColumn):  # its columns would escape the book-keeping
        refuse(f'"{row.name}" is a whole row', path, row, expected="columns by name, or *")
    return qualified


def _refuse_unfollowable(query: exp.Query, path: Path) -> None:
    for node in query.find_all(exp.Columns, exp.Pivot):
        what = "COLUMNS(...)" if isinstance(node, exp.Columns) else "PIVOT"
        refuse(f"{what} hides which columns are read", path, node, expected="columns by name, or *")
    for position, projection in enumerate(query.selects, 1):
        if not isinstance(projection, exp.Alias | exp.Column | exp.Star):
            said = projection.sql("duckdb")
            refuse(f"output {position} has no name: {said}", path, projection, expected=f"{said} AS <name>")


def _flatten(query: exp.Query, path: Path, known: Schema) -> None:
    """Give each table one flat name: SQLGlot's schema wants every table at the same depth."""
    written: set[Parts] = set()
    for table in list(query.find_all(exp.Table)):
        if is_cte(table):
            continue
        parts = parts_of(table, path)
        if parts not in known:
            names = ", ".join(sorted(".".join(one) for one in known))
            refuse(f'there is no table "{".".join(parts)}"', path, table, expected=f"one of {names}")
        written.add(parts)
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(parts[-1])))
        table.set("this", exp.to_identifier(SEPARATOR.join(parts), quoted=True))
        table.set("db", None)
        table.set("catalog", None)
    for column in query.find_all(exp.Column):
        prefix = tuple(part.name.lower() for part in column.parts[:-1])
        if len(prefix) > 1 and prefix in written:  # operational.x.code: the alias alone says it
            column.set("db", None)
            column.set("catalog", None)


def unflatten(table: exp.Table) -> Parts:
    return tuple(table.name.split(SEPARATOR))
