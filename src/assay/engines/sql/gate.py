"""The first lock on a question: exactly one SELECT, made of nothing but what stands on a list.

What is read here by SQLGlot is read once more by the engine's own parser (`engines/duckdb_gate.py`), so that a text
which the two understand differently is refused. Neither lock decides which tables may be read: that is a matter of
who asks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from assay.engines.duckdb import is_no_path
from assay.engines.narrowing import Alternatives
from assay.engines.pure_functions import PURE, PURE_TABLES, REFUSED
from assay.engines.sql.functions import function_name
from assay.engines.sql.narrow import narrowing
from assay.engines.sql.parse import Parts, is_cte
from assay.errors import Usage

#: Longer questions, and those nested deeper, are not read.
LONGEST: Final = 100_000
DEEPEST: Final = 150

ONE_SELECT: Final = "one SELECT in DuckDB's SQL"
#: Everything but functions that a SELECT may be made of; whatever else the parser knows is refused.
_NODES: Final = frozenset({
    # the query
    "Select", "Subquery", "Union", "Intersect", "Except", "With", "CTE", "From", "Join", "Where", "Group", "Having",
    "Qualify", "Order", "Ordered", "Limit", "Offset", "Fetch", "Distinct", "Values", "Tuple", "Table", "TableAlias",
    "Lateral", "Unnest", "Window", "WindowSpec", "Filter", "WithinGroup", "IgnoreNulls", "RespectNulls",
    "Cube", "Rollup", "GroupingSets", "RecursiveWithSearch", "LimitOptions", "WithFill", "HavingMax",
    # names and values
    "Alias", "Aliases", "Column", "Columns", "TableColumn", "Dot", "Identifier", "Star", "PositionalColumn", "Literal",
    "Null", "Boolean", "Paren", "Var", "Bracket", "Slice", "PropertyEQ", "Kwarg", "Lambda", "Comprehension",
    "Interval", "IntervalSpan", "Cast", "DataType", "DataTypeParam", "ColumnDef", "Collate", "AtTimeZone", "Pivot",
    "PivotAlias", "PivotAny", "HexString", "BitString", "ByteString", "RawString", "National", "UnicodeString",
    "ToTableProperty", "Map", "MapFromEntries", "Struct", "Array", "List",
    # operators
    "Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Pow", "Neg", "And", "Or", "Not", "Xor", "EQ", "NEQ", "GT", "GTE",
    "LT", "LTE", "Is", "In", "Between", "Like", "ILike", "SimilarTo", "RegexpLike", "RegexpILike", "Escape", "Glob",
    "NullSafeEQ", "NullSafeNEQ", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitwiseLeftShift",
    "BitwiseRightShift", "DPipe", "Exists", "Any", "All", "If", "Case", "Distance", "ArrayContainsAll",
    "ArrayContainedBy", "ArrayOverlaps", "Overlaps", "Adjacent", "JSONExtract", "JSONExtractScalar", "JSONPath",
    "JSONPathRoot", "JSONPathKey", "JSONPathSubscript", "JSONPathWildcard", "JSONPathRecursive", "JSONPathSlice",
    "StartsWith", "Operator",
})  # fmt: skip
#: What to say of the nodes that people try most.
_WORDS: Final = {
    "TableSample": "a sample of rows", "HistoricalData": "an earlier state of a table", "Placeholder": "a parameter",
    "Parameter": "a parameter", "SessionParameter": "a setting", "Into": "SELECT INTO", "Lock": "a lock of rows",
}  # fmt: skip
#: How functions begin that SQLGlot knows as readers of files.
_READING: Final = ("read", "scan")


#: Nodes that may stand for columns which they do not name.
_WHOLE: Final = (
    exp.Star, exp.Columns, exp.Pivot, exp.TableColumn, exp.PositionalColumn, exp.TableAlias, exp.Join, exp.Column
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A place in the statement, counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"your statement, line {self.line}, column {self.column}"


@dataclass(frozen=True)
class WrittenTable:
    """A table as the question writes it, in small letters, and where."""

    parts: Parts
    place: Place

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Question:
    """A statement that passed the first lock.

    `names` are all names that occur in it, in small letters: a column that is not among them is not used. They say
    nothing where `whole` is true: then a star, a whole row, a position or a join over equal names may use every column.
    `narrowing` says of a table which of its rows can be used at all, where that is known.
    """

    text: str
    tables: tuple[WrittenTable, ...]
    names: frozenset[str]
    whole: bool
    narrowing: Mapping[Parts, Alternatives]

    def uses(self, column: str) -> bool:
        """Whether the question may use a column of this name."""
        return self.whole or column.lower() in self.names


def question(text: str) -> Question:
    """The question that a text asks.

    Raises `Usage`, with line and column, for a text that is not one SELECT or uses what is not on the list.
    """
    if len(text) > LONGEST:
        raise Usage(f"the statement has {len(text):,} characters", expected=f"at most {LONGEST:,}")
    if "\0" in text:
        raise Usage("the statement holds a NUL character", expected=ONE_SELECT)
    query = _parsed(text)
    aliases: set[str] = set()
    tables: dict[Parts, WrittenTable] = {}
    for node in _walked(query):
        _check(text, node)
        if isinstance(node, exp.Table):
            aliases.add(node.alias_or_name.lower())
            table = _table(text, node)
            if table is not None:
                tables.setdefault(table.parts, table)
        elif isinstance(node, exp.Subquery | exp.CTE | exp.Unnest | exp.Values | exp.Lateral) and node.alias:
            aliases.add(node.alias.lower())
    names = frozenset(
        function_name(node) if isinstance(node, exp.Func) else node.name.lower()
        for node in query.find_all(exp.Identifier, exp.Var, exp.Func)
    )
    return Question(text, tuple(tables.values()), names, _whole(query, aliases), narrowing(query))


def place_at(text: str, offset: int) -> Place:
    """The place of a character."""
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - before.rfind("\n"))


def refused(text: str, what: str, offset: int | None, expected: str = ONE_SELECT) -> Usage:
    """The refusal of a question, with the place where it is known."""
    where = "your statement" if offset is None else str(place_at(text, offset))
    return Usage(f"{what} is not allowed in a question", where=where, expected=expected)


def _parsed(text: str) -> exp.Query:
    try:
        with _quiet():
            statements = [one for one in sqlglot.parse(text, dialect="duckdb") if one is not None]
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        said = str(details[0].get("description") or "it is not SQL").partition("\n")[0].rstrip(".")
        line, column = details[0].get("line"), details[0].get("col")
        where = str(Place(line, column)) if line and column else "your statement"
        raise Usage(f"the statement cannot be read: {said}", where=where, expected=ONE_SELECT) from None
    except RecursionError:
        raise Usage("the statement is nested too deeply", expected=f"at most {DEEPEST} levels") from None
    statements = [one for one in statements if not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        raise Usage(f"there are {len(statements)} statements", where="your statement", expected=ONE_SELECT)
    statement = cast(exp.Expression, statements[0])
    if not isinstance(statement, exp.Query) or isinstance(statement, exp.Table):
        word = text.split(maxsplit=1)[0].upper() if isinstance(statement, exp.Command) else statement.key.upper()
        raise refused(text, word[:40], None)
    return statement


def _walked(query: exp.Query) -> Iterator[exp.Expr]:
    """Every node; raises `Usage` where they lie too deep."""
    waiting: list[tuple[exp.Expr, int]] = [(query, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            raise Usage("the statement is nested too deeply", expected=f"at most {DEEPEST} levels")
        yield node
        waiting.extend((child, depth + 1) for child in node.iter_expressions(reverse=True))


def _check(text: str, node: exp.Expr) -> None:
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc | exp.CombinedAggFunc):
        name = node.name.lower() if isinstance(node.this, str) else ""
        in_from = isinstance(node.parent, exp.Table | exp.Lateral)
        if name not in (PURE_TABLES if in_from else PURE):
            _refuse_function(text, node, name or "this function")
    elif isinstance(node, exp.Func) and type(node).__name__ not in _NODES:
        name = function_name(node)
        if name.startswith(_READING) or name.endswith("_scan") or name in REFUSED:
            _refuse_function(text, node, name)
    elif type(node).__name__ not in _NODES and not isinstance(node, exp.Func):
        kind = type(node).__name__
        raise refused(text, _WORDS.get(kind, kind), _offset(node))


def _refuse_function(text: str, node: exp.Expr, name: str) -> NoReturn:
    raise refused(
        text, f"the function {name}", _offset(node), "functions whose answer depends on their arguments alone"
    )


def _table(text: str, table: exp.Table) -> WrittenTable | None:
    """The table that is named; None for a name of the query itself, and for rows that a function makes."""
    if isinstance(table.this, exp.Func):
        name = function_name(table.this)
        if not isinstance(table.this, exp.GenerateSeries) and name not in PURE_TABLES:
            _refuse_function(text, table.this, name)
        return None
    if not all(isinstance(part, exp.Identifier) for part in table.parts):
        raise refused(text, "this in FROM", _offset(table))
    if is_cte(table):
        if not is_no_path(table.name):
            raise refused(text, f"the name {table.name!r}", _offset(table), "names of letters, digits and _")
        return None
    offset = _offset(table) or 0
    return WrittenTable(tuple(part.name.lower() for part in table.parts), place_at(text, offset))


def _whole(query: exp.Query, aliases: set[str]) -> bool:
    for node in query.find_all(*_WHOLE):
        if isinstance(node, exp.Star):
            if not isinstance(node.parent, exp.Count):
                return True
        elif isinstance(node, exp.Join):
            if str(node.method).upper() == "NATURAL":
                return True
        elif isinstance(node, exp.TableAlias):
            if node.columns:  # new names for columns by their position
                return True
        elif isinstance(node, exp.Column):
            if not node.table and node.name.lower() in aliases:
                return True
        else:
            return True
    return False


def _offset(node: exp.Expr) -> int | None:
    """Where the first word of a node stands that SQLGlot remembers."""
    found = [one.meta["start"] for one in node.walk() if "start" in one.meta]
    return min(found) if found else None


class _quiet:
    """Keeps SQLGlot from logging what it falls back to for statements that it does not read."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("sqlglot")
        self._level = self._logger.level
        self._logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
