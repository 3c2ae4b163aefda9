"""Rows and sums of numeric columns: the lines of the reconciliation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from assay.batch import Tally
from assay.engines.duckdb import Engine, quoted


def tally(engine: Engine, store: str, relation: str, columns: Iterable[str]) -> Tally:
    """Counts the rows of a relation (any SQL that can stand after FROM) and sums its numeric columns."""
    columns = list(columns)
    sums = "".join(f", sum({quoted(column)})" for column in columns)
    return as_tally(store, engine.row(f"SELECT count(*){sums} FROM {relation}"), columns)


def as_tally(store: str, row: Sequence[Any], columns: Sequence[str]) -> Tally:
    """A tally from the count of rows and the sums of the columns; the sum of no row is zero."""
    rows, *totals = row
    exact = (Decimal(0) if total is None else Decimal(str(total)) for total in totals)
    return Tally(store, int(rows), dict(zip(columns, exact, strict=True)))
