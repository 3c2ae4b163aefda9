"""The second lock on a question: what the engine's own parser makes of the text, held against the same list.

It is the parser whose tree is run, so that nothing can look like one thing to the check and be another when it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from assay.engines.duckdb import Engine, EngineFailed, is_no_path
from assay.engines.narrowing import Alternatives, follows
from assay.engines.narrowing import parts as _parts
from assay.engines.pure_functions import PURE, PURE_TABLES
from assay.errors import AssayError

Parts = tuple[str, ...]

#: Classes of expressions.
_CLASSES: Final = frozenset({
    "COLUMN_REF", "CONSTANT", "FUNCTION", "CAST", "CASE", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN",
    "SUBQUERY", "STAR", "WINDOW", "LAMBDA", "LAMBDA_REF", "COLLATE", "POSITIONAL_REFERENCE", "TYPE",
})  # fmt: skip
#: Types of whatever else has one: queries, what stands in FROM, and what comes after.
_TYPES: Final = frozenset({
    "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE",
    "BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EMPTY", "EXPRESSION_LIST", "PIVOT", "COLUMN_DATA",
    "ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER",
    "ORDER_DEFAULT", "ASCENDING", "DESCENDING",
})  # fmt: skip
_WORDS: Final = {
    "SHOW_REF": "DESCRIBE, SHOW or SUMMARIZE", "PARAMETER": "a parameter", "DEFAULT": "DEFAULT",
    "VALUE_PARAMETER": "a parameter",
}  # fmt: skip
NOTHING: Final[Mapping[Parts, Alternatives]] = {}


class TooNarrow(Exception):
    """What the engine's parser understands may use rows of a table that were not fetched."""


class Refused(AssayError):
    """The engine's parser found what is not allowed; `offset` is the byte where it stands, if it is known."""

    def __init__(self, what: str, offset: int | None = None) -> None:
        super().__init__(what)
        self.offset = offset


def check(engine: Engine, text: str, tables: set[Parts], narrowed: Mapping[Parts, Alternatives] = NOTHING) -> None:
    """Returns when the text is one SELECT of the allowed functions over these tables, named as in `tables`.

    `narrowed` says by which conditions rows of a table were fetched. Raises `Refused` for another text, `EngineFailed`
    for what the engine cannot read, `TooNarrow` where the conditions do not follow from the text.
    """
    told = json.loads(engine.row("SELECT json_serialize_sql(?)", [text])[0])
    if told["error"]:
        if told.get("error_type") == "parser":
            raise EngineFailed(f"Parser Error: {str(told['error_message']).splitlines()[0]}")
        raise Refused("this statement")
    if len(told["statements"]) != 1 or told["statements"][0].get("named_param_map"):
        raise Refused("more than one statement, or a parameter,")
    found: set[Parts] = set()
    own: set[str] = set()
    for node in _dictionaries(told["statements"][0]["node"]):
        _check_kind(node)
        _check_function(node)
        own.update(str(entry["key"]).lower() for entry in _entries(node))
        if node.get("type") == "RECURSIVE_CTE_NODE":
            own.add(str(node["cte_name"]).lower())
        if node.get("type") == "BASE_TABLE":
            if node.get("sample") or node.get("at_clause"):
                raise Refused("a sample or an earlier state of a table", _offset(node))
            found.add(_parts(node))
    # A name of the query itself has one part, and cannot be a path: the first lock sees to it, and so does this one.
    strange = {parts for parts in found if len(parts) == 1 and (parts[0] not in own or not is_no_path(parts[0]))}
    named = {parts for parts in found if len(parts) > 1}
    if strange or named != tables:
        raise Refused("a statement that two parsers read differently")
    if narrowed and not follows(_dictionaries(told["statements"][0]["node"]), narrowed):
        raise TooNarrow


def _check_kind(node: dict[str, Any]) -> None:
    kind = node.get("class")
    if isinstance(kind, str):
        if kind not in _CLASSES:
            raise Refused(_WORDS.get(kind, kind), _offset(node))
        return
    kind = node.get("type")
    if isinstance(kind, str) and kind not in _TYPES:
        raise Refused(_WORDS.get(kind, kind), _offset(node))
    if node.get("sample"):
        raise Refused("a sample of rows", _offset(node))


def _check_function(node: dict[str, Any]) -> None:
    if node.get("type") == "TABLE_FUNCTION":
        function = node["function"]
        if str(function.get("function_name", "")).lower() not in PURE_TABLES or function.get("schema"):
            raise Refused(f"the function {function.get('function_name')}", _offset(function))
    name = node.get("function_name")
    if name is not None and str(name).lower() not in PURE | PURE_TABLES:
        raise Refused(f"the function {name}", _offset(node))


def _dictionaries(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            # The type of a constant or a cast is no node of the query; a constant's value is the asker's own.
            yield node
            skipped = ("value", "cast_type") if "class" in node else ("type_info",)
            waiting.extend(child for key, child in node.items() if key not in skipped)
        elif isinstance(node, list):
            waiting.extend(node)


def _entries(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The names that a WITH of the node brings."""
    found = node.get("cte_map")
    return found.get("map") or [] if isinstance(found, dict) else []


def _offset(node: dict[str, Any]) -> int | None:
    offset = node.get("query_location")
    return offset if isinstance(offset, int) and offset < 1 << 62 else None
