"""The fingerprint of content, and the figures of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.batch import Profile
from assay.engines.duckdb import Engine, connect
from assay.segments.profile import profile
from assay.zones.contract import Field
from assay.zones.types import FieldType

FIELDS = (
    Field("who", FieldType("string"), ("who",)),
    Field("amount", FieldType("decimal", 12, 2), ("amount",)),
    Field("secret", FieldType("string"), ("secret",), classification="restricted"),
)
ROWS = st.lists(
    st.tuples(
        st.text("ab", max_size=2) | st.none(), st.decimals(-9, 9, places=2) | st.none(), st.text("xy", max_size=1)
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


def seen(engine: Engine, rows: list[tuple[Any, ...]]) -> Profile:
    columns = list(zip(*rows, strict=True)) or [[], [], []]
    types = (pa.string(), pa.decimal128(12, 2), pa.string())
    table = pa.table({f.name: pa.array(c, t) for f, c, t in zip(FIELDS, columns, types, strict=True)})
    engine.register("rows_seen", table)
    return profile(engine, "rows_seen", FIELDS)


def test_figures_are_exact_and_sensitive_values_are_not_kept(engine: Engine) -> None:
    found = seen(engine, [("a", Decimal("0.10"), "x"), *[("a", Decimal("0.20"), "y")] * 4, (None, None, "y")])
    assert found.rows == 6
    assert found.columns["amount"].total == Decimal("0.90") and found.columns["amount"].nulls == 1
    assert found.columns["who"].categories == {"a": 5}
    assert found.columns["secret"].categories == {}
    assert Profile.from_dict(found.to_dict()) == found


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms())
def test_the_fingerprint_is_that_of_the_rows_in_any_order(engine: Engine, rows: list[Any], random: Any) -> None:
    mixed = list(rows)
    random.shuffle(mixed)
    assert seen(engine, mixed).fingerprint == seen(engine, rows).fingerprint


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_other_rows_have_another_fingerprint(engine: Engine, one: list[Any], other: list[Any]) -> None:
    def content(rows: list[Any]) -> list[str]:
        return sorted(map(str, rows))

    same = seen(engine, one).fingerprint == seen(engine, other).fingerprint
    empty = all(value is None for row in (*one, *other) for value in row)
    assert same == (content(one) == content(other)) or empty
