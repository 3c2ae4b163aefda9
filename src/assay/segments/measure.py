"""Rows and sums of numeric columns: the lines of the reconciliation."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from assay.batch import Tally
from assay.engines.duckdb import Engine, quoted


def tally(engine: Engine, store: str, relation: str, columns: Iterable[str]) -> Tally:
    """Counts the rows of a relation (any SQL that can stand after FROM) and sums its numeric columns."""
    columns = list(columns)
    sums = "".join(f", sum({quoted(column)})" for column in columns)
    rows, *totals = engine.row(f"SELECT count(*){sums} FROM {relation}")
    return Tally(store, rows, {name: _exact(total) for name, total in zip(columns, totals, strict=True)})


def _exact(total: object) -> Decimal:
    return Decimal(0) if total is None else Decimal(str(total))
