"""A mask gives a value of the column's type from which the cell cannot be had back."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from assay.engines.masks import hashed, masked
from assay.zones.masks import FITS, MASKS, Mask, may_be_missing
from assay.zones.types import FieldType

KEY = bytes(range(32))
TYPES = {
    "string": ("abcdefgh", FieldType("string")),
    "integer": (4711, FieldType("integer")),
    "decimal": ("12.50", FieldType("decimal", 12, 2)),
    "date": ("2025-01-31", FieldType("date")),
    "boolean": (True, FieldType("boolean")),
}


def cell(value: Any, kind: FieldType, mask: Mask, key: bytes = KEY) -> tuple[Any, str]:
    """The value under the mask, and its type."""
    statement = f"SELECT m, typeof(m) FROM (SELECT {masked('c', kind, mask, key)} AS m FROM " \
        f"(SELECT CAST(? AS {kind.duckdb}) AS c))"  # fmt: skip
    found = duckdb.execute(statement, [value]).fetchone()
    assert found is not None
    return found[0], found[1]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", TYPES)
def test_the_type_stays_and_the_cell_goes(mask: Mask, name: str) -> None:
    value, kind = TYPES[name]
    fit = FITS[mask]
    if fit is not None and kind.kind not in fit:
        return  # the project's check refuses it
    shown, seen = cell(value, kind, mask)
    assert seen == kind.duckdb and str(shown) != str(value)
    assert (shown is None) == may_be_missing(kind.kind, mask)


@pytest.mark.parametrize(("text", "shown"), [("abcdefgh", "****efgh"), ("abcdefg", "****"), ("", "****"), (None, None)])
def test_of_a_short_text_nothing_is_shown(text: str | None, shown: str | None) -> None:
    assert cell(text, FieldType("string"), "partial")[0] == shown


def test_equal_cells_have_equal_hashes_under_one_key_and_others_under_another() -> None:
    kind = FieldType("string")
    one, again = cell("tea", kind, "hash")[0], cell("tea", kind, "hash")[0]
    assert one == again == hashed("tea", KEY)
    assert cell("tea", kind, "hash", b"another")[0] != one != cell("gin", kind, "hash")[0]
    assert cell(None, kind, "hash")[0] is None
