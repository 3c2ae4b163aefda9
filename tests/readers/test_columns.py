"""Values become the same texts and kinds one by one and by columns."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.readers import columns, values
from assay.readers.grid import Kind

FLOATS = st.one_of(
    st.floats(),
    st.integers(-(10**17), 10**17).map(float),
    st.decimals(-(10**9), 10**9, places=2).map(float),
    st.integers(-20, 20).map(lambda power: 10.0**power),
)
ONE_TYPE: list[st.SearchStrategy[Any]] = [
    FLOATS, st.text(max_size=5), st.booleans(), st.dates(), st.datetimes(), st.times(),
    st.timedeltas(), st.text(max_size=5).map(values.ErrorCell),
    st.datetimes().map(lambda one: one.replace(microsecond=0)),
    st.dates().map(lambda one: datetime.datetime.combine(one, datetime.time())),
]  # fmt: skip
COLUMNS = st.one_of(
    *(st.lists(one, min_size=1) for one in ONE_TYPE),
    *(st.lists(st.one_of(one, st.just("")), min_size=1) for one in ONE_TYPE),
    *(st.lists(st.one_of(one, other), min_size=1) for one in ONE_TYPE for other in ONE_TYPE),
    st.lists(st.one_of(*ONE_TYPE), min_size=1),
)


@settings(deadline=None)
@given(COLUMNS)
def test_a_column_is_what_its_cells_are(column: list[Any]) -> None:
    texts, kinds = columns.column(column)
    assert list(zip(texts.to_pylist(), map(Kind, kinds.to_pylist()), strict=True)) == [
        values.cell(value) for value in column
    ]


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1))
def test_a_delimited_column_keeps_every_text(column: list[str | None]) -> None:
    texts, kinds = columns.delimited(column)
    assert texts.to_pylist() == column
    assert kinds.to_pylist() == [int(Kind.TEXT if text else Kind.EMPTY) for text in column]


@settings(deadline=None)
@given(st.decimals(-(10**12), 10**12, places=2))
def test_an_amount_is_the_same_after_its_way_through_a_double(amount: Decimal) -> None:
    assert Decimal(values.number_text(float(amount))) == amount


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"), (1e20, "100000000000000000000"), (1e-7, "0.0000001"), (-0.0, "0"), (12.0, "12"),
        (1234567890123456.0, "1234567890123460"), (float("inf"), "inf"), (-12.5, "-12.5"),
    ],
)  # fmt: skip
def test_a_number_has_at_most_fifteen_digits_and_no_exponent(value: float, text: str) -> None:
    assert values.number_text(value) == text


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        (datetime.datetime(2024, 2, 29), "2024-02-29", Kind.DATE),
        (datetime.datetime(2024, 2, 29, 13, 5), "2024-02-29 13:05:00", Kind.DATE),
        (datetime.time(13, 5), "13:05:00", Kind.TIME),
        (datetime.timedelta(hours=30, minutes=5), "30:05:00", Kind.DURATION),
        (-datetime.timedelta(minutes=90), "-01:30:00", Kind.DURATION),
        (True, "true", Kind.BOOLEAN),
        (None, None, Kind.EMPTY),
    ],
)
def test_a_value_has_one_text(value: Any, text: str | None, kind: Kind) -> None:
    assert values.cell(value) == (text, kind)
