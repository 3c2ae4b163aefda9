"""Which texts a field takes, and as what value; everything else is refused, never bent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engines import forms
from assay.engines.duckdb import Engine, EngineFailed, connect
from assay.zones.contract import Field
from assay.zones.types import FieldType

MONEY = FieldType("decimal", 12, 2)
WHOLE = FieldType("integer")
DAY = FieldType("date")
REFUSED = object()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


def field(kind: FieldType, **more: Any) -> Field:
    return Field("f", kind, ("f",), **more)


def read(engine: Engine, text: str | None, wanted: Field, kind: int | None = None) -> Any:
    """The value of a cell, REFUSED where it does not fit; the quick and the exact expression must agree."""
    import pyarrow as pa

    engine.register("cell", pa.table({"c": pa.array([text], pa.string()), "k": pa.array([kind or 0], pa.int8())}))
    kinds = None if kind is None else "k"
    fits, null, value = engine.row(
        f"SELECT {forms.fits(wanted, 'c', kinds)}, {forms.is_null(wanted, 'c')}, {forms.typed(wanted, 'c', kinds)} "
        f"FROM cell"
    )
    exact = None if null else value if fits else REFUSED
    if kind is None:
        try:
            quick = engine.row(f"SELECT {forms.typed_or_fail(wanted, 'c')} FROM cell")[0]
        except EngineFailed:
            quick = REFUSED
        assert quick == exact
    return exact


@pytest.mark.parametrize(
    ("text", "kind", "options", "value"),
    [
        ("12.50", MONEY, {}, Decimal("12.50")),
        ("12.5", MONEY, {}, Decimal("12.50")),
        ("12.500", MONEY, {}, Decimal("12.50")),
        ("12.505", MONEY, {}, REFUSED),
        ("1e3", MONEY, {}, REFUSED),
        ("12,50", MONEY, {}, REFUSED),
        ("12,50", MONEY, {"decimal_sign": ","}, Decimal("12.50")),
        ("1.234,56", MONEY, {"decimal_sign": ",", "thousands_sign": "."}, Decimal("1234.56")),
        ("1.23,56", MONEY, {"decimal_sign": ",", "thousands_sign": "."}, REFUSED),
        ("1\u202f234,56", MONEY, {"decimal_sign": ",", "thousands_sign": " "}, Decimal("1234.56")),
        ("-£2,910.70", MONEY, {"thousands_sign": ",", "currency_signs": ("£",)}, Decimal("-2910.70")),
        ("£-2,910.70", MONEY, {"thousands_sign": ",", "currency_signs": ("£",)}, Decimal("-2910.70")),
        ("-£-2,910.70", MONEY, {"thousands_sign": ",", "currency_signs": ("£",)}, REFUSED),
        ("12,50 €", MONEY, {"decimal_sign": ",", "currency_signs": ("€",)}, Decimal("12.50")),
        ("(12.50)", MONEY, {}, REFUSED),
        ("(12.50)", MONEY, {"parentheses": True}, Decimal("-12.50")),
        ("(£12.50)", MONEY, {"parentheses": True, "currency_signs": ("£",)}, Decimal("-12.50")),
        ("-(12.50)", MONEY, {"parentheses": True}, REFUSED),
        ("12 %", MONEY, {"percent": True}, Decimal("0.12")),
        ("12.5%", MONEY, {"percent": True}, REFUSED),
        ("12.5%", FieldType("decimal", 8, 4), {"percent": True}, Decimal("0.1250")),
        ("12", MONEY, {"percent": True}, REFUSED),
        ("10,144 (C)", MONEY, {"thousands_sign": ",", "footnote_marks": ("(B)", "(C)")}, Decimal("10144")),
        ("(C) - 84", MONEY, {"footnote_marks": ("(C)",)}, Decimal("-84")),
        (" - 52(B)  ", MONEY, {"footnote_marks": ("(B)",)}, Decimal("-52")),
        ("*-£5.00", MONEY, {"footnote_marks": ("*",), "currency_signs": ("£",)}, Decimal("-5.00")),
        ("(1)(5.00)", MONEY, {"footnote_marks": ("(1)",), "parentheses": True}, Decimal("-5.00")),
        ("(1)", MONEY, {"footnote_marks": ("(1)",), "parentheses": True}, REFUSED),
        ("(B) 5 (B)", MONEY, {"footnote_marks": ("(B)",)}, REFUSED),
        ("5 (D)", MONEY, {"footnote_marks": ("(B)",)}, REFUSED),
        ("(B)", MONEY, {"footnote_marks": ("(B)",)}, REFUSED),
        ("- 84", MONEY, {}, REFUSED),
        ("99999999999.00", MONEY, {}, REFUSED),
        ("9999999999999999999999999999.9999999999", FieldType("decimal", 38, 10), {},
         Decimal("9999999999999999999999999999.9999999999")),
        ("1,234.50", FieldType("decimal", 38, 2), {"thousands_sign": ","}, Decimal("1234.50")),
        ("0.123456789012345678901234567890", FieldType("decimal", 38, 30), {},
         Decimal("0.123456789012345678901234567890")),
        ("0.1234567890123456789", FieldType("decimal", 38, 18), {}, REFUSED),
        ("007", WHOLE, {}, 7),
        ("1_000", WHOLE, {}, REFUSED),
        ("0x1F", WHOLE, {}, REFUSED),
        ("1.5", WHOLE, {}, REFUSED),
        ("12.0", WHOLE, {}, 12),
        ("99999999999999999999", WHOLE, {}, REFUSED),
        ("007", FieldType("string"), {}, "007"),
        ("1E5", FieldType("string"), {}, "1E5"),
        ("  ", FieldType("string"), {}, "  "),
        ("  ", MONEY, {}, None),
        (" - ", MONEY, {"null_words": ("-",)}, None),
        ("-", MONEY, {}, REFUSED),
        ("yes", FieldType("boolean"), {}, REFUSED),
        ("Straße", FieldType("boolean"), {"true_words": ("Straße",)}, True),
        ("straße", FieldType("boolean"), {"true_words": ("Straße",)}, True),
        ("STRASSE", FieldType("boolean"), {"true_words": ("Straße",)}, REFUSED),
        (" ÄRA ", FieldType("boolean"), {"false_words": ("ära ",)}, False),
        ("true", FieldType("boolean"), {"true_words": ()}, REFUSED),
        ("Yes", FieldType("boolean"), {"true_words": ("yes",), "false_words": ("no",)}, True),
        ("2026-02-28", DAY, {}, date(2026, 2, 28)),
        ("2026-02-30", DAY, {}, REFUSED),
        ("2026-01-05 10:00", DAY, {}, REFUSED),
        ("05/01/2026", DAY, {"formats": ("%d/%m/%Y",)}, date(2026, 1, 5)),
        ("5/1/2026", DAY, {"formats": ("%d/%m/%Y",)}, REFUSED),
        ("5/1/2026", DAY, {"formats": ("%-d/%-m/%Y",)}, date(2026, 1, 5)),
        ("03/04/2026", DAY, {"formats": ("%d/%m/%Y", "%m/%d/%Y")}, REFUSED),
        ("13/04/2026", DAY, {"formats": ("%d/%m/%Y", "%m/%d/%Y")}, date(2026, 4, 13)),
        ("04/04/2026", DAY, {"formats": ("%d/%m/%Y", "%m/%d/%Y")}, date(2026, 4, 4)),
        ("46027", DAY, {}, REFUSED),
        ("46027", DAY, {"formats": ("excel",)}, date(2026, 1, 5)),
        ("44565", DAY, {"formats": ("excel1904",)}, date(2026, 1, 5)),
        ("1", DAY, {"formats": ("excel",)}, date(1900, 1, 1)),
        ("59", DAY, {"formats": ("excel",)}, date(1900, 2, 28)),
        ("60", DAY, {"formats": ("excel",)}, REFUSED),
        ("260105", DAY, {"formats": ("excel", "%y%m%d")}, REFUSED),
        ("61", DAY, {"formats": ("excel",)}, date(1900, 3, 1)),
        ("46027.5", DAY, {"formats": ("excel",)}, REFUSED),
        ("46027.5", FieldType("timestamp"), {"formats": ("excel",)}, datetime(2026, 1, 5, 12)),
        ("abc", FieldType("string"), {"pattern": "[a-z]+"}, "abc"),
        ("ABC", FieldType("string"), {"pattern": "[a-z]+"}, REFUSED),
        ("5", WHOLE, {"minimum": 6}, REFUSED),
    ],
)
def test_a_text_is_taken_exactly_or_refused(
    engine: Engine, text: str, kind: FieldType, options: dict[str, Any], value: Any
) -> None:
    assert read(engine, text, field(kind, **options)) == value


@pytest.mark.parametrize(
    ("text", "kind", "type_", "options", "value"),
    [
        # A number of a workbook has a point whatever texts are declared to have.
        ("1.234", forms.KIND_NUMBER, FieldType("decimal", 9, 3), {"decimal_sign": ",", "thousands_sign": "."},
         Decimal("1.234")),
        ("12.50", forms.KIND_TEXT, MONEY, {}, Decimal("12.50")),
        ("12.50", forms.KIND_TEXT, MONEY, {"numbers_as_text": "reject"}, REFUSED),
        ("123", forms.KIND_NUMBER, FieldType("string"), {}, "123"),
        ("123", forms.KIND_NUMBER, FieldType("string"), {"text_as_numbers": "reject"}, REFUSED),
        ("1234567890123460", forms.KIND_ROUNDED, FieldType("string"), {}, REFUSED),
        ("1234567890123460", forms.KIND_ROUNDED, WHOLE, {}, REFUSED),
        ("#N/A", forms.KIND_ERROR, FieldType("string"), {}, REFUSED),
        ("#N/A", forms.KIND_ERROR, MONEY, {"null_words": ("#N/A",)}, None),
        ("2026-01-05", forms.KIND_DATE, DAY, {"formats": ("%d/%m/%Y",)}, date(2026, 1, 5)),
        ("2026-01-05 10:00:00", forms.KIND_DATE, DAY, {}, REFUSED),
        ("2026-01-05", forms.KIND_TEXT, DAY, {"formats": ("%d/%m/%Y",)}, REFUSED),
        ("46027", forms.KIND_NUMBER, DAY, {}, REFUSED),
        ("20260105", forms.KIND_NUMBER, DAY, {"formats": ("%Y%m%d",)}, date(2026, 1, 5)),
        ("46027", forms.KIND_NUMBER, DAY, {"formats": ("excel",)}, date(2026, 1, 5)),
        ("true", forms.KIND_BOOLEAN, FieldType("boolean"), {"true_words": ("J",), "false_words": ("N",)}, True),
        ("true", forms.KIND_BOOLEAN, MONEY, {}, REFUSED),
        # JSON may have exponents.
        ("1.5e3", forms.KIND_NUMBER, MONEY, {}, Decimal("1500.00")),
        ("1.5E7", forms.KIND_NUMBER, MONEY, {}, Decimal("15000000.00")),
        ("-1.25E+1", forms.KIND_NUMBER, MONEY, {}, Decimal("-12.50")),
        ("5e-2", forms.KIND_NUMBER, MONEY, {}, Decimal("0.05")),
        ("5e-3", forms.KIND_NUMBER, MONEY, {}, REFUSED),
        ("1.2345e1", forms.KIND_NUMBER, MONEY, {}, REFUSED),
        ("1500e-2", forms.KIND_NUMBER, MONEY, {}, Decimal("15.00")),
        ("1e10", forms.KIND_NUMBER, MONEY, {}, REFUSED),
        ("0e0", forms.KIND_NUMBER, MONEY, {}, Decimal("0.00")),
        ("1.5e3", forms.KIND_NUMBER, WHOLE, {}, 1500),
        ("1.5e0", forms.KIND_NUMBER, WHOLE, {}, REFUSED),
        ("1e999", forms.KIND_NUMBER, WHOLE, {}, REFUSED),
        ("1e-999", forms.KIND_NUMBER, MONEY, {}, REFUSED),
        ("1e1000", forms.KIND_NUMBER, MONEY, {}, REFUSED),
        ("1.5e3", forms.KIND_NUMBER, FieldType("double"), {}, 1500.0),
        ("1.5e3", forms.KIND_NUMBER, FieldType("string"), {}, "1.5e3"),
        ("1.5e3", forms.KIND_TEXT, MONEY, {}, REFUSED),
        ("2026", forms.KIND_DATE, WHOLE, {}, REFUSED),
    ],
)  # fmt: skip
def test_a_cell_that_the_file_typed_is_taken_exactly_or_refused(
    engine: Engine, text: str, kind: int, type_: FieldType, options: dict[str, Any], value: Any
) -> None:
    assert read(engine, text, field(type_, **options), kind) == value


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[-+£(]{0,2}[0-9.,]{1,8}[)%€]?", fullmatch=True))
def test_what_is_taken_as_a_number_reads_back_as_the_same_digits(engine: Engine, text: str) -> None:
    """Whatever the text: the digits of the value are the digits of the text, none added, lost or rounded."""
    if "\0" in text:
        return
    options = {"thousands_sign": ",", "currency_signs": ("£", "€"), "parentheses": True}
    value = read(engine, text, field(FieldType("decimal", 18, 4), **options))
    if value is REFUSED or value is None:
        return
    digits = "".join(c for c in text if c.isdigit() or c == ".")
    assert abs(value) == Decimal(digits or "0")
    assert (value < 0) == (("-" in text or "(" in text) and value != 0)


@settings(max_examples=150, deadline=None)
@given(
    whole=st.integers(0, 10**9), fraction=st.from_regex("(?:[.][0-9]{1,6})?", fullmatch=True),
    exponent=st.integers(-10, 9), sign=st.sampled_from(["", "-"]), scale=st.integers(0, 6),
)  # fmt: skip
def test_a_number_with_an_exponent_is_taken_where_its_value_is_exact(
    engine: Engine, whole: int, fraction: str, exponent: int, sign: str, scale: int
) -> None:
    """Another arithmetic says what the value is and whether the type can hold it."""
    text = f"{sign}{whole}{fraction}e{exponent}"
    sent = Decimal(text)
    held = sent == sent.quantize(Decimal(1).scaleb(-scale)) and abs(sent) < Decimal(10) ** (18 - scale)
    assert read(engine, text, field(FieldType("decimal", 18, scale)), forms.KIND_NUMBER) == (sent if held else REFUSED)
