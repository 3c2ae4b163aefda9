"""What fits at sight: typed exactly as the careful way types it, whatever the field and the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engines import forms
from assay.engines.duckdb import Engine, EngineFailed, connect
from assay.zones.contract import Field
from assay.zones.types import FieldType

KINDS = (
    *map(FieldType, ("string", "integer", "double", "date", "timestamp", "time", "boolean")),
    FieldType("timestamp", timezone=True), FieldType("decimal", 8, 2), FieldType("decimal", 9, 0),
    FieldType("decimal", 30, 4), FieldType("decimal", 38, 20),
)  # fmt: skip
FORMATS = [
    (), ("%d/%m/%Y", "%m/%d/%Y"), (" %d.%m.%Y",), ("excel",), ("%b %d %Y",), ("%Y-%m-%d", "%Y-%d-%m"), ("%Y-%m-%d",),
]  # fmt: skip
MORE = {
    "required": st.booleans(),
    "null_words": st.sampled_from([(), ("n/a",), ("0",), ("-", " x "), ("0 ",), ("0.00", "-1", "true", "2024-01-02")]),
    "thousands_sign": st.sampled_from([None, ",", " ", "."]),
    "decimal_sign": st.sampled_from([".", ","]),
    "currency_signs": st.sampled_from([(), ("€",), (" kr",), ("$", "EUR")]),
    "footnote_marks": st.sampled_from([(), ("*",), (" r",)]),
    "parentheses": st.booleans(),
    "percent": st.booleans(),
    "true_words": st.sampled_from([("true",), ("yes ", "Y"), ("1",), ("Straße", "Ä"), (" ",)]),
    "false_words": st.sampled_from([("false",), ("no",), ("0", "y"), ()]),
    "limit": st.booleans(),
    "formats": st.sampled_from(FORMATS),
}
KNOWN = (
    "", " ", "\xa0", "2024-01-02", " 2024-01-02", "2024-02-30", "1,234.50", "(12.50)", "12.50 kr", "€ 12", "0 ",
    "n/a", " n/a", "n/a ", "n/ab", "- ", " TRUE ", "true", "T", "yes ", "yes", "Y", "y", "straße", "STRASSE", "ä",
    "01/02/2024", "13/02/2024", "45000", "60", "12:30:00", "24:00:00", "99999999999999999999", "2024-01-02 10:00:00",
    "2024-01-02 10:00:00.5", "2026-01-05 24:00:00", "10000-01-01", "2026-1-5", "2024-01-02 (BC)", "infinity", "epoch",
    "12.", "12.5", "12.555", "12.500", "+1.00", "01", ".50", "-0", "-0.00", "0.00", "1e5", "1_000", "0x1F", "12%",
    "12.5*", "\xa0abc", "abc\xa0", "¡x", "éx", "12345678901234567890.1234", "1.00005",
)  # fmt: skip
TEXTS = st.one_of(
    st.none(), st.sampled_from(KNOWN), st.text("0123456789.,-+()€$ \t\xa0yYtruefalsnox/:%kE_", max_size=9),
    st.integers().map(str), st.decimals(-999, 999, places=3).map(str), st.dates().map(str), st.datetimes().map(str),
)  # fmt: skip
ASKED: tuple[Callable[[Field, str], str], ...] = (forms.fits, forms.unfit, forms.is_missing, forms.typed)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


def answers(engine: Engine, field: Field, texts: list[str | None]) -> list[tuple[Any, ...]]:
    """What each question gives for each text, and what the statement that stops at a bad cell gives for it."""
    engine.register("cells", pa.table({"n": range(len(texts)), "c": pa.array(texts, pa.string())}))
    asked = ", ".join(f"CAST({ask(field, 'c')} AS VARCHAR)" for ask in ASKED)
    rows = engine.rows(f"SELECT {asked} FROM cells ORDER BY n")
    return [(*row, quick(engine, field, at)) for at, row in enumerate(rows)]


def quick(engine: Engine, field: Field, at: int) -> Any:
    try:
        return engine.row(f"SELECT CAST({forms.typed_or_fail(field, 'c')} AS VARCHAR) FROM cells WHERE n = {at}")[0]
    except EngineFailed as error:
        assert "assay" in str(error)
        return "refused"


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(KINDS), more=st.fixed_dictionaries(MORE), texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_a_cell_known_at_sight_gets_the_answers_of_the_careful_way(
    engine: Engine, kind: FieldType, more: dict[str, Any], texts: list[str | None]
) -> None:
    if more.pop("limit"):
        more |= {"string": {"min_length": 2}, "integer": {"minimum": 3}, "decimal": {"maximum": 12}}.get(kind.kind, {})
    if kind.kind not in ("date", "timestamp"):
        more["formats"] = ()
    field = Field("f", kind, ("f",), **more)
    given = answers(engine, field, texts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forms, "_at_sight", lambda *_: [])
        patched.setattr(forms, "_filled", lambda *_: "false")
        careful = answers(engine, field, texts)
    for text, one, other in zip(texts, given, careful, strict=True):
        assert one == other, (field, text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12.50", FieldType("decimal", 8, 2)), ("12", FieldType("decimal", 30, 2)), ("7", FieldType("integer")),
        ("2024-01-02", FieldType("date")), ("2024-01-02 10:00:00", FieldType("timestamp")),
        ("true", FieldType("boolean")), ("12:30:00", FieldType("time")), ("1e5", FieldType("double")),
        ("abc", FieldType("string")),
    ],
)  # fmt: skip
def test_an_ordinary_cell_is_known_at_sight(engine: Engine, text: str, kind: FieldType) -> None:
    """Or else the test above would compare the careful way with itself."""
    tests = [test for test, _ in forms._at_sight(Field("f", kind, ("f",), required=True), "c", None)]
    engine.register("cells", pa.table({"c": pa.array([text], pa.string())}))
    assert engine.row(f"SELECT {' OR '.join(tests)} FROM cells") == (True,)
