"""A table of the lake with a batch's number and a word, for tests of what happens to its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from assay.stores.iceberg import Iceberg
from assay.zones.types import FieldType

COLUMNS = [("_batch", FieldType("integer")), ("word", FieldType("string"))]
PLACE = ("zone.store", "words")


def write(lake: Iceberg, rows: Sequence[tuple[int, str]]) -> Path:
    """A new file of the table, which does not count yet."""
    file = lake.new_file(*PLACE, "test")
    values = ", ".join(f"({batch}::BIGINT, '{word}')" for batch, word in rows)
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {values}) AS v (_batch, word)) TO '{file}'")
    return file
