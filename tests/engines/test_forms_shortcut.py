"""The shortcut of the quick pass: it types what it knows at sight exactly as the careful way does."""

from __future__ import annotations

import math
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engines import forms
from assay.zones.contract import Field
from assay.zones.types import FieldType

KINDS = (*map(FieldType, ("string", "integer", "double", "date", "timestamp", "time", "boolean")),
         FieldType("decimal", 8, 2))  # fmt: skip
MORE = {
    "required": st.booleans(),
    "null_words": st.sampled_from([(), ("n/a",), ("0",), ("-", " x "), ("0 ",)]),
    "thousands_sign": st.sampled_from([None, ",", " ", "."]),
    "decimal_sign": st.sampled_from([".", ","]),
    "currency_signs": st.sampled_from([(), ("€",), (" kr",), ("$", "EUR")]),
    "parentheses": st.booleans(),
    "true_words": st.sampled_from([("true",), ("yes ", "Y"), ("1",)]),
    "false_words": st.sampled_from([("false",), ("no",), ("0",)]),
    "minimum_length": st.sampled_from([None, 2]),
    "formats": st.sampled_from([(), ("%d/%m/%Y", "%m/%d/%Y"), (" %d.%m.%Y",), ("excel",), ("%b %d %Y",)]),
}
KNOWN = ("", " ", "\xa0", "2024-01-02", " 2024-01-02", "2024-02-30", "1,234.50", "(12.50)", "12.50 kr", "€ 12", "0 ",
         "n/a", " n/a", " TRUE ", "yes ", "01/02/2024", "13/02/2024", "45000", "60", "12:30:00", "99999999999999999999",
         "2024-01-02 10:00:00", "12.", "12.555", "12.500", "1e5", "\xa0abc", "abc\xa0", "¡x")  # fmt: skip
TEXTS = st.one_of(st.none(), st.sampled_from(KNOWN), st.text("0123456789.,-+()€$ \t\xa0yYtruefalsnox/:%kE", max_size=9))


def outcome(expression: str, text: str | None) -> Any:
    try:
        row = duckdb.execute(f"SELECT {expression} FROM (SELECT ?::VARCHAR AS c0)", [text]).fetchone()
    except duckdb.InvalidInputException:
        return "refused"
    assert row is not None
    return "NaN" if isinstance(row[0], float) and math.isnan(row[0]) else row[0]


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(KINDS), more=st.fixed_dictionaries(MORE), texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_a_text_known_at_sight_is_typed_as_the_careful_way_types_it(
    kind: FieldType, more: dict[str, Any], texts: list[str | None]
) -> None:
    shortest = more.pop("minimum_length")
    if kind.kind not in ("date", "timestamp"):
        more["formats"] = ()
    field = Field("f", kind, ("f",), min_length=shortest if kind.kind == "string" else None, **more)
    for text in texts:
        assert outcome(forms.typed_or_fail(field, "c0"), text) == outcome(forms._typed_or_fail(field, "c0"), text)
