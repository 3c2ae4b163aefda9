"""Which rows of each table a question needs, as far as its WHERE says so plainly.

Only the WHERE of the SELECT in whose FROM a table stands is looked at. Wherever that SELECT stands, and however often
it is evaluated, a row for which the WHERE is not true has no part in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from sqlglot import exp

from assay.engines.narrowing import TURNED, Alternatives, Condition, Kind, Operator, Value, number
from assay.engines.sql.parse import Parts, is_cte

#: What a SELECT may have whose WHERE is looked at, and what a table in it.
_SELECT: Final = frozenset({
    "expressions", "from_", "where", "joins", "group", "having", "qualify", "windows", "distinct", "order", "limit",
    "offset", "with_",
})  # fmt: skip
_TABLE: Final = frozenset({"this", "db", "catalog", "alias"})
_COLUMN: Final = frozenset({"this", "table"})
#: Joins after which WHERE sees the rows of the left side as they are.
_JOINS: Final = frozenset({("", ""), ("", "INNER"), ("", "CROSS"), ("LEFT", ""), ("LEFT", "OUTER")})
_JOIN: Final = frozenset({"this", "side", "kind", "on", "using"})
_COMPARED: Final[Mapping[type[exp.Expr], Operator]] = {
    exp.EQ: "=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="
}  # fmt: skip
_CASTS: Final[Mapping[exp.DType, Kind]] = {exp.DType.DATE: "date", exp.DType.TIMESTAMPNTZ: "timestamp"}
#: As many digits as no parser takes for something else.
_NUMBER: Final = re.compile(r"[0-9]{1,18}|(?=[0-9.]{1,19}$)[0-9]+\.[0-9]+")

Said: TypeAlias = tuple[exp.Column, Condition]


def narrowing(query: exp.Query) -> dict[Parts, Alternatives]:
    """The conditions by which each table can be narrowed; a table is missing where one of its places has none."""
    if query.find(exp.Where) is None:
        return {}
    found: dict[Parts, list[tuple[Condition, ...]]] = {}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and not is_cte(table):
            parts = tuple(part.name.lower() for part in table.parts)
            found.setdefault(parts, []).append(tuple(_at(table)))
    return {parts: tuple(dict.fromkeys(places)) for parts, places in found.items() if all(places)}


def _at(table: exp.Table) -> Iterator[Condition]:
    """The conditions that hold for every row of a table that is used where it stands."""
    holder = table.parent
    select = holder.parent if isinstance(holder, exp.From | exp.Join) else None
    if not isinstance(select, exp.Select) or not _said(select) <= _SELECT or not _said(table) <= _TABLE:
        return
    joins: list[exp.Join] = select.args.get("joins") or []
    where = select.args.get("where")
    if where is None or table.alias_column_names or not all(_plain(one) for one in joins):
        return
    if isinstance(holder, exp.Join) and holder.side:
        return
    sources = [select.args["from_"].this, *(one.this for one in joins)]
    names = [str(one.alias_or_name).lower() for one in sources]
    own = table.alias_or_name.lower()
    if names.count(own) == 1:
        for column, condition in _conditions(where.this):
            if column.table.lower() == own or (not column.table and not joins):
                yield condition


def _said(node: exp.Expr) -> set[str]:
    return {key for key, value in node.args.items() if value}


def _plain(join: exp.Join) -> bool:
    return _said(join) <= _JOIN and (join.side.upper(), join.kind.upper()) in _JOINS


def _conditions(node: exp.Expr) -> Iterator[Said]:
    """The conditions that all hold where a node is true, each with its column."""
    if isinstance(node, exp.Paren):
        yield from _conditions(node.this)
    elif isinstance(node, exp.And):
        yield from _conditions(node.left)
        yield from _conditions(node.right)
    elif type(node) in _COMPARED:
        operator = _COMPARED[type(node)]
        yield from _compared(node.this, operator, [node.expression])
        yield from _compared(node.expression, TURNED[operator], [node.this])
    elif isinstance(node, exp.Between) and _said(node) == {"this", "low", "high"}:
        yield from _compared(node.this, ">=", [node.args["low"]])
        yield from _compared(node.this, "<=", [node.args["high"]])
    elif isinstance(node, exp.In) and _said(node) == {"this", "expressions"}:
        yield from _compared(node.this, "IN", node.expressions)
    elif isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        yield from _compared(node.this, "IS NULL", [])
    elif isinstance(node, exp.Not) and isinstance(node.this, exp.Is) and isinstance(node.this.expression, exp.Null):
        yield from _compared(node.this.this, "IS NOT NULL", [])


def _compared(column: exp.Expr, operator: Operator, literals: list[exp.Expr]) -> Iterator[Said]:
    if isinstance(column, exp.Column) and isinstance(column.this, exp.Identifier) and _said(column) <= _COLUMN:
        values = [value for one in literals if (value := _value(one)) is not None]
        if len(values) == len(literals):
            yield column, Condition(column.name.lower(), operator, tuple(values))


def _value(node: exp.Expr) -> Value | None:
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        within = _value(node.this)
        return within and number(-Decimal(within.text))
    if isinstance(node, exp.Boolean):
        return Value("boolean", "true" if node.this else "false")
    if type(node) is exp.Cast and _said(node) == {"this", "to"} and not _said(node.to) - {"this"}:
        kind = _CASTS.get(node.to.this)
        text = isinstance(node.this, exp.Literal) and node.this.is_string
        return Value(kind, node.this.this) if kind and text else None
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return Value("text", node.this)
    return number(Decimal(node.this)) if _NUMBER.fullmatch(node.this) else None
