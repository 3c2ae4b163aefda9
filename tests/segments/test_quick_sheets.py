"""The quick pass over sheets of typed cells: what it lets pass, the exact pass lets pass as the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_reading import same

from assay.engines.duckdb import Engine, EngineFailed, connect
from assay.readers import values
from assay.readers.grid import Grid, GridBuilder, Kind
from assay.readers.locate import locate
from assay.segments import quick_sheets
from assay.segments.exact import Exact, Examination, Sheet
from assay.zones.contract import Contract, Field
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

HINTS = ReaderHints()
TYPES = {
    "whole": FieldType("integer"), "text": FieldType("string"), "money": FieldType("decimal", 9, 2),
    "ratio": FieldType("double"), "flag": FieldType("boolean"), "day": FieldType("date"),
    "moment": FieldType("timestamp"), "clock": FieldType("time"),
}  # fmt: skip
MORE: dict[str, list[dict[str, Any]]] = {
    "whole": [{}, {"minimum": 0}, {"thousands_sign": "."}, {"null_words": ("7",)}],
    "text": [{}, {"max_length": 3}, {"pattern": "[a-z]+"}, {"null_words": ("x",)}, {"text_as_numbers": "reject"}],
    "money": [{}, {"decimal_sign": ","}, {"percent": True}, {"parentheses": True, "currency_signs": ("£",)}],
    "ratio": [{}, {"decimal_sign": ","}, {"percent": True}, {"maximum": 100}],
    "flag": [{}, {"true_words": ("yes",), "false_words": ("no",)}],
    "day": [{}, {"formats": ("%d/%m/%Y",)}, {"formats": ("%d/%m/%Y", "%m/%d/%Y")}, {"formats": ("excel",)}],
    "moment": [{}, {"formats": ("%d/%m/%Y %H:%M",)}],
    "clock": [{}, {"formats": ("%H:%M",)}],
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(10**15) + 1, 10**15 - 1).map(float) | st.just(7.0) | st.floats(),
    "text": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=4)
    | st.sampled_from(["x", " ", "abc"]),
    "money": st.integers(-(10**10), 10**10).map(lambda one: one / 100) | st.floats(-(10**6), 10**6),
    "ratio": st.floats(),
    "flag": st.booleans(),
    "day": st.dates() | st.datetimes(),
    "moment": st.datetimes() | st.dates() | st.datetimes().map(lambda one: one.replace(microsecond=0)),
    "clock": st.times() | st.just(time(1, 2, 3)),
}
#: Values that a column of the type seldom holds.
ODD = st.sampled_from([None, None, "", "odd", "12", 1.5, True, date(2026, 1, 5), values.ErrorCell("#N/A"), 1e15])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine"), threads=2) as made:
        yield made


@st.composite
def cases(draw: Any) -> tuple[Contract, list[list[Any]]]:
    names = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4, unique=True))
    fields = [
        Field(name, TYPES[name], (name,), required=draw(st.booleans()), **draw(st.sampled_from(MORE[name])))
        for name in names
    ]
    odd = draw(st.booleans())
    columns = [VALUES[name] | ODD if odd else VALUES[name] | st.none() for name in names]
    rows = draw(st.lists(st.tuples(*columns).map(list), max_size=5))
    if draw(st.booleans()):
        rows.insert(draw(st.integers(0, len(rows))), [None] * len(names))
    return Contract(Path("c.yaml"), "c", "1", "active", "c", tuple(fields)), rows


def grid_of(names: list[str], rows: list[list[Any]], sheet: str = "Lines") -> Grid:
    builder = GridBuilder(sheet, typed=True)
    builder.add(1, names, [Kind.TEXT] * len(names))
    for number, row in enumerate(rows, start=2):
        texts, kinds = zip(*map(values.cell, row), strict=True)
        while texts and kinds[-1] == Kind.EMPTY:
            texts, kinds = texts[:-1], kinds[:-1]
        builder.add(number, texts, kinds)
    return builder.build()


def sheets_of(engine: Engine, contract: Contract, grids: list[Grid], hints: ReaderHints = HINTS) -> list[Sheet]:
    sheets = []
    for number, located in enumerate(locate(grids, contract, hints)):
        engine.register(f"cells_{number}", located.grid.table)
        sheets.append(Sheet(f"cells_{number}", located, kinds=located.grid.typed))
    return sheets


def quick(engine: Engine, contract: Contract, sheets: list[Sheet], folder: Path) -> Examination | None:
    try:
        return quick_sheets.quick(engine, contract, sheets, folder, {"_batch": 7})
    except EngineFailed:
        return None


def rows_of(engine: Engine, found: Examination) -> list[tuple[Any, ...]]:
    return engine.rows(f"SELECT * FROM {found.rows} ORDER BY _sheet, _row")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_what_the_quick_pass_lets_pass_the_exact_pass_lets_pass(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, case: tuple[Contract, list[list[Any]]]
) -> None:
    contract, rows = case
    sheets = sheets_of(engine, contract, [grid_of([field.name for field in contract.fields], rows)])
    found = quick(engine, contract, sheets, tmp_path_factory.getbasetemp())
    if found is None:
        return
    passed = rows_of(engine, found)
    exact = Exact(contract, HINTS, engine, 5).examine(sheets)
    assert not exact.refused and found.findings == exact.findings
    others = rows_of(engine, exact)
    assert len(passed) == len(others) == found.rows_total == exact.rows_total
    assert all(same(a, b) or a != a for one, other in zip(passed, others, strict=True)
               for a, b in zip(one, other, strict=True)), (passed, others, found.files[0].read_bytes())  # fmt: skip


def contract_of(*names: str, **more: Any) -> Contract:
    fields = tuple(Field(name, TYPES[name], (name,), **more) for name in names)
    return Contract(Path("c.yaml"), "c", "1", "active", "c", fields)


ROWS = [[1.0, "a", 12.5, True, date(2026, 1, 5), datetime(2026, 1, 5, 1, 2, 3)],
        [2.0, "b", -0.01, False, date(2026, 1, 6), datetime(2026, 1, 6)]]  # fmt: skip
NAMES = ["whole", "text", "money", "flag", "day", "moment"]


def test_ordinary_sheets_are_typed_and_written_with_their_places(engine: Engine, tmp_path: Path) -> None:
    contract, hints = contract_of(*NAMES), ReaderHints(sheet="L*")
    sheets = sheets_of(engine, contract, [grid_of(NAMES, ROWS, "L1"), grid_of(NAMES[::-1], [], "x"),
                                          grid_of(NAMES, ROWS[:1], "L2")], hints)  # fmt: skip
    found = quick(engine, contract, sheets, tmp_path)
    assert found is not None and found.way == "quick" and found.rows_total == 3
    assert [row[-2:] for row in rows_of(engine, found)] == [("L1", 2), ("L1", 3), ("L2", 2)]
    kept = engine.rows(f"SELECT DISTINCT _batch FROM read_parquet({[str(file) for file in found.files]})")
    assert kept == [(7,)]


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, "1"), (0, 1.5), (0, 1e15), (1, 7.0), (1, date(2026, 1, 1)), (2, 0.001), (2, values.ErrorCell("#N/A")),
     (3, "true"), (4, 46027.0), (4, datetime(2026, 1, 5, 1)), (5, datetime(1, 1, 1, 1, 1, 1, 5))],
)  # fmt: skip
def test_one_cell_out_of_the_ordinary_leaves_the_sheet_to_the_exact_pass(
    engine: Engine, tmp_path: Path, column: int, value: Any
) -> None:
    rows = [*ROWS, [value if at == column else one for at, one in enumerate(ROWS[0])]]
    contract = contract_of(*NAMES)
    found = quick(engine, contract, sheets_of(engine, contract, [grid_of(NAMES, rows)]), tmp_path)
    exact = Exact(contract, HINTS, engine, 5).examine(sheets_of(engine, contract, [grid_of(NAMES, rows)]))
    # The last value fits all the same: its digits behind the point are in one of the forms.
    assert (found is None) or (exact.findings == () and rows_of(engine, found) == rows_of(engine, exact))
    assert (found is None) is (column != 5)


@pytest.mark.parametrize("change", ["no row", "doubled column", "missing column", "blank row of blanks"])
def test_what_is_not_a_plain_table_is_left_to_the_exact_pass(engine: Engine, tmp_path: Path, change: str) -> None:
    contract, names, rows = contract_of("text", "whole"), ["text", "whole"], [["a", 1.0]]
    if change == "no row":
        rows = []
    elif change == "doubled column":
        names, rows = [*names, "text"], [["a", 1.0, "b"]]
    elif change == "missing column":
        names, rows = ["text"], [["a"]]
    else:
        rows = [["a", 1.0], ["  ", None]]
    assert quick(engine, contract, sheets_of(engine, contract, [grid_of(names, rows)]), tmp_path) is None
    if change == "missing column":
        absent = replace(contract, fields=(contract.fields[0], replace(contract.fields[1], may_be_absent=True)))
        found = quick(engine, absent, sheets_of(engine, absent, [grid_of(names, rows)]), tmp_path)
        assert found is not None and rows_of(engine, found) == [("a", None, "Lines", 2)]
