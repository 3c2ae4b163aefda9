"""Conditions of a question that another database may decide first: which rows of a table it needs at all.

A condition compares one column with literals. It is read out of a statement twice, by SQLGlot (`engines/sql/narrow.py`)
and from the tree of the engine's own parser (here): what is fetched by the one must follow from the other. The question
is still evaluated whole, so the rows need not be exactly those that it asks for, but none of those may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from assay.engines.duckdb import quoted
from assay.zones.types import FieldType

Kind: TypeAlias = Literal["text", "number", "boolean", "date", "timestamp"]
Operator: TypeAlias = Literal["=", "<", "<=", ">", ">=", "IN", "IS NULL", "IS NOT NULL"]

#: The same comparison read from its other side.
TURNED: Final[Mapping[Operator, Operator]] = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

_EQUAL: Final = frozenset({"=", "IN"})
_BIGINT: Final = range(-(1 << 63), 1 << 63)
#: Whatever a whole number is written with, the engine may take it for one of so many digits.
_WHOLE_DIGITS: Final = 19
_MOST_DIGITS: Final = 38
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)?")


class Value(NamedTuple):
    """A literal: what it is written as, and its value as text."""

    kind: Kind
    text: str


class Condition(NamedTuple):
    """A comparison of a column, in small letters, with literals."""

    column: str
    operator: Operator
    values: tuple[Value, ...] = ()


Alternatives: TypeAlias = tuple[tuple[Condition, ...], ...]
"""For each place where a table stands in a question, conditions that all hold for the rows that are used there."""


def number(value: Decimal) -> Value:
    """A number as it is compared: with the digits behind the point that it was written with."""
    return Value("number", format(value, "f"))


# What PostgreSQL is asked


def decidable(alternatives: Alternatives, types: Mapping[str, FieldType]) -> Alternatives:
    """Of the conditions those that PostgreSQL decides as the engine does; none where a place would be left without."""

    def decided(place: tuple[Condition, ...]) -> tuple[Condition, ...]:
        return tuple(one for one in place if one.column in types and in_postgres(one, types[one.column]))

    kept = tuple(map(decided, alternatives))
    return kept if all(kept) else ()


def where(alternatives: Alternatives, types: Mapping[str, FieldType]) -> str:
    """The WHERE, with a space before it, of decidable conditions; nothing where there are none."""
    if not alternatives:
        return ""
    places = (" AND ".join(in_postgres(one, types[one.column]) or "" for one in place) for place in alternatives)
    return f" WHERE {' OR '.join(f'({place})' for place in places)}"


def in_postgres(condition: Condition, kind: FieldType) -> str | None:
    """The condition in PostgreSQL's SQL, for a column of this type.

    None where PostgreSQL and the engine might decide differently.
    """
    name = quoted(condition.column)
    if condition.operator in ("IS NULL", "IS NOT NULL"):
        return None if kind.kind == "object" else f"{name} {condition.operator}"
    write = _WRITERS.get(kind.kind)
    if write is None or kind.timezone or len({one.kind for one in condition.values}) != 1:
        return None
    if kind.kind in ("string", "boolean") and condition.operator not in _EQUAL:
        return None
    values = [write(one, kind) for one in condition.values]
    if None in values:
        return None
    listed = ", ".join(cast(list[str], values))
    return f"{name} IN ({listed})" if condition.operator == "IN" else f"{name} {condition.operator} {listed}"


def _text(value: Value, _: FieldType) -> str | None:
    if value.kind != "text" or "\0" in value.text:
        return None
    # With E the meaning of a backslash does not depend on a setting.
    return "E'" + value.text.replace("\\", "\\\\").replace("'", "''") + "'::text"


def _integer(value: Value, _: FieldType) -> str | None:
    whole = value.kind == "number" and "." not in value.text and int(value.text) in _BIGINT
    return f"'{int(value.text)}'::bigint" if whole else None


def _decimal(value: Value, kind: FieldType) -> str | None:
    if value.kind != "number":
        return None
    assert kind.precision is not None and kind.scale is not None
    whole, _, fraction = value.text.lstrip("-").partition(".")
    digits = max(kind.precision - kind.scale, len(whole), _WHOLE_DIGITS) + max(kind.scale, len(fraction))
    return f"'{Decimal(value.text):f}'::numeric" if digits <= _MOST_DIGITS else None


def _boolean(value: Value, _: FieldType) -> str | None:
    return value.text if value.kind == "boolean" and value.text in ("true", "false") else None


def _date(value: Value, _: FieldType) -> str | None:
    if value.kind in ("text", "date") and _DATE.fullmatch(value.text):
        with suppress(ValueError):
            return f"'{date.fromisoformat(value.text).isoformat()}'::date"
    return None


def _timestamp(value: Value, _: FieldType) -> str | None:
    written = _DATE if value.kind == "date" else _TIMESTAMP
    if value.kind in ("text", "date", "timestamp") and written.fullmatch(value.text):
        with suppress(ValueError):
            return f"'{datetime.fromisoformat(value.text).isoformat(' ')}'::timestamp"
    return None


_WRITERS: Final[Mapping[str, Callable[[Value, FieldType], str | None]]] = {
    "string": _text, "integer": _integer, "decimal": _decimal, "boolean": _boolean, "date": _date,
    "timestamp": _timestamp,
}  # fmt: skip


# What the engine's own parser says


Node: TypeAlias = dict[str, Any]

_COMPARED: Final[Mapping[str, Operator]] = {
    "COMPARE_EQUAL": "=", "COMPARE_LESSTHAN": "<", "COMPARE_LESSTHANOREQUALTO": "<=", "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}  # fmt: skip
_INTEGERS: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_CASTS: Final[Mapping[str, Kind]] = {"DATE": "date", "TIMESTAMP": "timestamp"}


def follows(nodes: Iterable[Node], narrowed: Mapping[tuple[str, ...], Alternatives]) -> bool:
    """Whether every place where a narrowed table stands uses no other rows than were fetched of it.

    `nodes` are all nodes of the engine's tree of the statement, `narrowed` says by what tables were narrowed.
    """
    standing: list[Node] = []
    proven: set[int] = set()
    for node in nodes:
        if node.get("type") == "BASE_TABLE" and parts(node) in narrowed:
            standing.append(node)
        elif node.get("type") == "SELECT_NODE" and node.get("from_table") and node.get("where_clause"):
            said = list(_conditions(node["where_clause"]))
            alone = node["from_table"].get("type") == "BASE_TABLE"
            for table in _kept_sources(node["from_table"]):
                name = str(table["alias"] or table["table_name"]).lower()
                own = {one for owner, one in said if owner == name or (alone and owner is None)}
                if any(own.issuperset(place) for place in narrowed.get(parts(table), ())):
                    proven.add(id(table))
    return all(id(table) in proven for table in standing)


def parts(table: Node) -> tuple[str, ...]:
    """The name of a table of the tree, in small letters."""
    names = (table.get("catalog_name"), table.get("schema_name"), table["table_name"])
    return tuple(str(name).lower() for name in names if name)


def _kept_sources(source: Node) -> Iterator[Node]:
    """The tables of a FROM whose rows WHERE sees as they are."""
    if source["type"] == "BASE_TABLE" and not source.get("column_name_alias"):
        yield source
    elif source["type"] == "JOIN" and source["ref_type"] in ("REGULAR", "CROSS"):
        if source["join_type"] in ("INNER", "LEFT"):
            yield from _kept_sources(source["left"])
        if source["join_type"] == "INNER":
            yield from _kept_sources(source["right"])


def _conditions(node: Node) -> Iterator[tuple[str | None, Condition]]:
    """The conditions that all hold where a node is true, each with the table that its column is said to be of."""
    kind = node["type"]
    if kind == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _conditions(child)
    elif kind in _COMPARED:
        yield from _compared(node["left"], _COMPARED[kind], [node["right"]])
        yield from _compared(node["right"], TURNED[_COMPARED[kind]], [node["left"]])
    elif kind == "COMPARE_BETWEEN":
        yield from _compared(node["input"], ">=", [node["lower"]])
        yield from _compared(node["input"], "<=", [node["upper"]])
    elif kind == "COMPARE_IN":
        yield from _compared(node["children"][0], "IN", node["children"][1:])
    elif kind == "OPERATOR_IS_NULL":
        yield from _compared(node["children"][0], "IS NULL", [])
    elif kind == "OPERATOR_IS_NOT_NULL":
        yield from _compared(node["children"][0], "IS NOT NULL", [])
    elif kind == "OPERATOR_NOT" and node["children"][0]["type"] == "OPERATOR_IS_NULL":
        yield from _compared(node["children"][0]["children"][0], "IS NOT NULL", [])


def _compared(column: Node, operator: Operator, literals: list[Node]) -> Iterator[tuple[str | None, Condition]]:
    if column["type"] == "COLUMN_REF" and len(column["column_names"]) <= 2:
        *owner, name = (str(one).lower() for one in column["column_names"])
        values = [_value(one) for one in literals]
        if None not in values:
            yield owner[0] if owner else None, Condition(name, operator, tuple(cast(list[Value], values)))


def _value(node: Node) -> Value | None:
    if node["type"] == "OPERATOR_CAST" and node["child"]["type"] == "VALUE_CONSTANT" and not node["try_cast"]:
        within, kind = _value(node["child"]), node["cast_type"]["id"]
        if within is None or within.kind != "text":
            return None
        if kind == "BOOLEAN" and within.text in ("t", "f"):
            return Value("boolean", "true" if within.text == "t" else "false")
        return Value(_CASTS[kind], within.text) if kind in _CASTS else None
    if node["type"] != "VALUE_CONSTANT" or node["value"]["is_null"]:
        return None
    kind, value = node["value"]["type"]["id"], node["value"]["value"]
    if kind == "VARCHAR" and isinstance(value, str):
        return Value("text", value)
    if kind in _INTEGERS:
        return number(Decimal(value))
    if kind == "DECIMAL" and isinstance(value, int):
        return number(Decimal(value).scaleb(-int(node["value"]["type"]["type_info"]["scale"])))
    return None
