"""Answers that come from the contracts: which tables there are for somebody, and which columns a table has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.security.resources import PUBLISHED
from assay.serving.answer import Answer

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.serving.names import Names
    from assay.serving.sight import Sight


def at_once(table: pa.Table) -> Answer:
    """A table that is there already, as an answer."""
    return Answer(table.to_reader(), ["VARCHAR"] * table.num_columns, lambda complete: None, (), ())


def listed(names: Names) -> pa.Table:
    """The tables that somebody reads."""
    return _texts(
        ("table_name", "columns", "rows"),
        [
            (".".join(parts), ", ".join(one.name for one in sight.columns), "some" if _left_out(sight) else "all")
            for parts, sight in names.all()
        ],
    )


def _left_out(sight: Sight) -> bool:
    """Whether he is not shown all that is offered."""
    return sight.filtered and sight.store != PUBLISHED


def columns(sight: Sight) -> pa.Table:
    """The columns of a table, with their types and whether their cells are shown."""
    return _texts(
        ("column_name", "column_type", "cells"),
        [
            (one.name, one.type.duckdb, "masked" if one.name in sight.masked else "shown")
            for one in sight.columns
        ],
    )


def _texts(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {heading: pa.array([row[number] for row in rows], pa.string()) for number, heading in enumerate(headings)}
    )
