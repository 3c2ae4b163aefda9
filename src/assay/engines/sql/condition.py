"""A condition over the rows of one table: it looks at the row alone, and says the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlglot import exp

from assay.engines.sql.functions import function_name, is_aggregate, unstable
from assay.engines.sql.parse import refuse, refuse_reading_functions
from assay.engines.sql.trace import condition_of
from assay.errors import Misconfigured, nearest

EXPECTED = "a condition over the table's own columns, such as: country = 'NO'"


def row_condition(condition: str, columns: Collection[str], path: Path, line: int | None = None) -> str:
    """The condition as SQL.

    Raises `Misconfigured` for what is no condition, and for one that asks more than the row's own columns.
    """
    try:
        # The name stands in no condition: it would be looked up as a column, too.
        found = condition_of(("operational", "_asked"), condition, path)
    except Misconfigured as error:
        raise Misconfigured(f"the condition: {error.what}", file=path, line=line, expected=EXPECTED) from error
    try:
        _check(found, columns, path)
    except Misconfigured as error:  # its own line is one of the condition
        raise Misconfigured(error.what, file=path, line=line, expected=error.expected) from error
    return found.sql(dialect="duckdb", comments=False)


def _check(found: exp.Expr, columns: Collection[str], path: Path) -> None:
    for query in found.find_all(exp.Query):
        refuse("the condition has a subquery", path, query, expected=EXPECTED)
    for call in found.find_all(exp.Func):
        name = function_name(call)
        if is_aggregate(call) or isinstance(call.parent, exp.Window):
            refuse(f"the condition asks other rows, too: {name}()", path, call, expected=EXPECTED)
        if unstable(call):
            refuse(f"{name}() does not always return the same", path, call, expected=EXPECTED)
    refuse_reading_functions(exp.select("1").where(found.copy()), path)
    for column in found.find_all(exp.Column):
        if len(column.parts) != 1 or column.name.lower() not in columns:
            near = nearest(column.name.lower(), columns)
            what = f"the table has no column {column.sql('duckdb')}"
            refuse(what, path, column, expected=near or ", ".join(sorted(columns)))
