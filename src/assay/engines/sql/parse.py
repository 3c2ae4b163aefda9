"""Reading a zone's SQL: exactly one SELECT, and only of tables and functions that are allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from assay.engines.sql.functions import READING_FUNCTIONS, function_name
from assay.errors import Misconfigured

Parts: TypeAlias = tuple[str, ...]
"""A table as it is written: ("batch",), ("operational", "x"), ("reference", "published", "currency")."""
Schema: TypeAlias = Mapping[Parts, Mapping[str, str]]
"""The columns of each table that may be read, with their DuckDB types."""

STORES = ("staging", "operational", "analytical")
ALLOWED = "batch, staging.<source>, operational.<table>, analytical.<table> or <zone>.published.<name>"
BATCH: Parts = ("batch",)
RUNTIME_COLUMNS = {
    "_batch": "BIGINT",
    "_row": "BIGINT",
    "_sheet": "VARCHAR",
    "_file": "VARCHAR",
    "_period": "VARCHAR",
}


@dataclass(frozen=True)
class Reference:
    """One table that a query reads, in lower case."""

    parts: Parts

    def __str__(self) -> str:
        return ".".join(self.parts)


def parse(text: str, path: Path) -> exp.Query:
    """The one SELECT (or UNION, INTERSECT, EXCEPT of SELECTs) that the file holds."""
    try:
        statements = [one for one in sqlglot.parse(text, dialect="duckdb") if one is not None]
    except SqlglotError as error:
        details: list[dict[str, Any]] = getattr(error, "errors", None) or [{}]
        line = details[0].get("line")
        reason = details[0].get("description") or str(error).splitlines()[0]
        raise Misconfigured(
            f"the SQL cannot be read: {reason}", file=path, line=line, expected="one SELECT in DuckDB's SQL"
        ) from error
    statements = [one for one in statements if not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        refuse(f"the file holds {len(statements)} statements", path, expected="exactly one SELECT")
    statement: exp.Expression = cast(exp.Expression, statements[0])
    while isinstance(statement, exp.Subquery) and statement.is_wrapper:
        statement = statement.this
    if not isinstance(statement, exp.Select | exp.SetOperation):
        refuse(f"the statement is {statement.key.upper()}", path, statement, expected="exactly one SELECT")
    into = statement.find(exp.Into)
    if into is not None:
        refuse("SELECT INTO writes a table", path, into, expected="a SELECT that only reads")
    parameter = statement.find(exp.Placeholder, exp.Parameter, exp.SessionParameter)
    if parameter is not None:
        refuse("the SQL has a parameter", path, parameter, expected="a SELECT that is complete in itself")
    return statement


@lru_cache(maxsize=4096)
def references(text: str, path: Path) -> tuple[Reference, ...]:
    """Every table that the query reads, each once, in order of appearance; names of its own CTEs left out.

    Raises `Misconfigured` for a name that no zone's SQL may use, and for functions that read outside.
    """
    return tuple(Reference(parts_of(table, path)) for table in _tables(text, path))


def names_read(text: str, path: Path, *, expected: str) -> tuple[Parts, ...]:
    """Like `references`, for a reader with tables of other names: the caller decides which of them there are."""
    return tuple(_identified(table, path, expected) for table in _tables(text, path))


def _tables(text: str, path: Path) -> list[exp.Table]:
    query = parse(text, path)
    refuse_reading_functions(query, path)
    found: dict[str, exp.Table] = {}
    for table in query.find_all(exp.Table, bfs=False):
        if not is_cte(table):
            key = ".".join(part.name.lower() for part in table.parts) if table.parts else table.sql("duckdb")
            found.setdefault(key, table)
    return list(found.values())


def refuse_reading_functions(query: exp.Expr, path: Path) -> None:
    for call in query.find_all(exp.Func):
        name = function_name(call)
        if name in READING_FUNCTIONS or name.startswith("read_") or isinstance(call, exp.ReadCSV):
            refuse(f"{name}() reads outside the zone's tables", path, call, expected=f"reads of {ALLOWED}")


def parts_of(table: exp.Table, path: Path) -> Parts:
    """The reference that a table node stands for, when it is one of those allowed."""
    parts = _identified(table, path, f"reads of {ALLOWED}")
    match parts:
        case ("batch",) | ("staging" | "operational" | "analytical", _) | (_, "published", _):
            return parts
    refuse(f'"{".".join(parts)}" is not a table of this zone', path, table, expected=f"reads of {ALLOWED}")


def _identified(table: exp.Table, path: Path, expected: str) -> Parts:
    if not isinstance(table.this, exp.Identifier):
        name = function_name(table.this) if isinstance(table.this, exp.Func) else table.this.sql("duckdb")
        refuse(f"the table function {name} is not allowed", path, table, expected=expected)
    return tuple(part.name.lower() for part in table.parts)


def is_cte(table: exp.Table) -> bool:
    """True when the name is that of a CTE visible where it stands: an own CTE hides a table of the same name."""
    if table.db or not isinstance(table.this, exp.Identifier):
        return False
    name = table.name.lower()
    inside: exp.Expr = table
    node = table.parent
    while node is not None:
        with_ = node.args.get("with_")
        if isinstance(with_, exp.With) and inside is not with_ and _names(with_.expressions, name):
            return True
        if isinstance(node, exp.With):
            # A CTE sees those before it; itself (and, when recursive, every sibling) only under RECURSIVE.
            index = next((i for i, cte in enumerate(node.expressions) if cte is inside), 0)
            visible = node.expressions if node.args.get("recursive") else node.expressions[:index]
            if _names(visible, name):
                return True
        inside, node = node, node.parent
    return False


def _names(ctes: list[exp.CTE], name: str) -> bool:
    return any(cte.alias.lower() == name for cte in ctes)


def cte_of(table: exp.Table) -> exp.CTE | None:
    node: exp.Expr | None = table
    while node is not None:
        with_ = node if isinstance(node, exp.With) else node.args.get("with_")
        for cte in with_.expressions if isinstance(with_, exp.With) else []:
            if cte.alias.lower() == table.name.lower() and cte not in _ancestors(table):
                return cast(exp.CTE, cte)
        node = node.parent
    return None


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def to_sql(query: exp.Query) -> str:
    return query.sql(dialect="duckdb", comments=False)


def line_of(node: exp.Expr | None) -> int | None:
    """The first line that SQLGlot remembers in or under a node."""
    lines = [one.meta["line"] for one in node.walk() if "line" in one.meta] if node is not None else []
    return min(lines) if lines else None


def refuse(
    what: str,
    path: Path,
    node: exp.Expr | None = None,
    *,
    expected: str | None = None,
    next: str | None = None,
) -> NoReturn:
    raise Misconfigured(what, file=path, line=line_of(node), expected=expected, next=next)
