"""Workbooks: what the fast parser does not tell, sheets that begin anywhere, and cells far away."""

from __future__ import annotations

import datetime
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import Rejected
from assay.readers import excel, marks_xlsb
from assay.readers.grid import Grid, Kind
from assay.readers.limits import Limits
from assay.zones.model import ReaderHints

TORTURE = Path(__file__).parents[3] / "shared/data/torture"
HINTS = ReaderHints()


def cells(grid: Grid) -> dict[tuple[int, int], tuple[str, Kind]]:
    """What is filled: (row from 1, column from 0) → (text, kind)."""
    return {
        (row["row"], index): (row[f"c{index}"], Kind(row[f"k{index}"]))
        for row in grid.table.to_pylist()
        for index in range(grid.width)
        if row[f"k{index}"]
    }


def edited(path: Path, part: str, change: Any) -> None:
    """Changes the bytes of one part of a workbook."""
    with zipfile.ZipFile(path) as before:
        parts = {name: before.read(name) for name in before.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for name, content in parts.items():
            after.writestr(name, content)


def test_a_sheet_that_begins_below_and_to_the_right_keeps_its_places(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write("C3", "x")
        sheet.write("D5", 5)
        sheet.write_formula("B4", "=1/0", None, "#DIV/0!")
    (grid,) = excel.read(path, HINTS)
    assert cells(grid) == {
        (3, 2): ("x", Kind.TEXT), (4, 1): ("#DIV/0!", Kind.ERROR), (5, 3): ("5", Kind.NUMBER),
    }  # fmt: skip
    assert grid.table["row"].to_pylist() == [1, 2, 3, 4, 5]


def test_an_error_in_a_later_block_of_rows_stands_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row in range(300):
            sheet.write_row(row, 0, [f"k{row}", row, row % 2 == 0])
        sheet.write_formula(250, 1, "=NA()", None, "#N/A")
        sheet.write_formula(250, 5, "=NA()", None, "#N/A")
        sheet.write_blank(400, 0, None, book.add_format({"bold": True}))
    (grid,) = excel.read(path, HINTS)
    found = cells(grid)
    assert {place: cell for place, cell in found.items() if cell[1] is Kind.ERROR} == {
        (251, 1): ("#N/A", Kind.ERROR), (251, 5): ("#N/A", Kind.ERROR),
    }  # fmt: skip
    assert len(found) == 300 * 3 + 1
    assert (grid.height, grid.width) == (300, 6)


VALUES = st.one_of(
    st.none(), st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=5).filter(str.strip),
    st.integers(-(10**14), 10**14), st.booleans(),
    st.decimals(-(10**6), 10**6, places=2).map(float),
    st.dates(datetime.date(1901, 1, 1), datetime.date(2100, 1, 1)),
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=6),
    st.integers(0, 3), st.integers(0, 3), st.sampled_from([1, 60]),
)  # fmt: skip
def test_any_sheet_comes_back_in_its_place(
    tmp_path_factory: Any, table: Any, down: int, right: int, times: int
) -> None:
    path = tmp_path_factory.mktemp("excel") / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet, dated = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
        for row, values in enumerate(table * times):
            for column, value in enumerate(values):
                place = row + down, column + right
                if isinstance(value, datetime.date):
                    sheet.write_datetime(*place, datetime.datetime.combine(value, datetime.time()), dated)
                elif isinstance(value, str):
                    sheet.write_string(*place, value)
                elif value is not None:
                    sheet.write(*place, value)
    (grid,) = excel.read(path, HINTS)
    expected = {
        (row + down + 1, column + right): cell(value)
        for row, values in enumerate(table * times)
        for column, value in enumerate(values)
        if value is not None
    }
    assert cells(grid) == expected


def cell(value: Any) -> tuple[str, Kind]:
    if isinstance(value, bool):
        return str(value).lower(), Kind.BOOLEAN
    if isinstance(value, datetime.date):
        return value.isoformat(), Kind.DATE
    if isinstance(value, (int, float)):
        return f"{value:.2f}".rstrip("0").rstrip(".").replace("-0", "0", value == 0), Kind.NUMBER
    return value, Kind.TEXT


def test_merged_and_hidden_cells_are_told(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.merge_range("B1:C1", "Amount")
        sheet.merge_range("A1:A2", "Date")
        sheet.write_row("A3", ["x", 1, 2])
        sheet.write_row("A4", ["y", 1, 2])
        sheet.set_row(2, None, None, {"hidden": True})
        sheet.set_column("C:C", None, None, {"hidden": True})
        book.add_chartsheet("Chart")
        book.add_worksheet("secret").hide()
    first, secret = read(path)
    assert first.merged == ((0, 0, 1, 0), (0, 1, 0, 2))
    assert (first.hidden_rows, first.hidden_columns) == ((3,), (2,))
    assert (secret.sheet, secret.hidden, secret.height) == ("secret", True, 0)


def test_the_way_a_column_shows_its_numbers_is_told(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        share, money = book.add_format({"num_format": "0.0%"}), book.add_format({"num_format": 4})
        sheet.write_row(0, 0, ["id", "share", "amount", "n"])
        for row in (1, 2, 3):
            sheet.write_string(row, 0, "7")
            sheet.write_number(row, 1, 0.125, share)
            sheet.write_formula(row, 2, "=1+1", money, 2)
            sheet.write_number(row, 3, 1)
    (grid,) = read(path)
    assert grid.formats == ((1, "0.0%"), (2, "#,##0.00"))
    assert cells(grid)[2, 1] == ("0.125", Kind.NUMBER)


@pytest.mark.parametrize(
    "formula",
    [b"<f>A1</f>", b"<f>A1</f><v></v>", b"<f>A1</f>\n<v />", b'<f t="shared" si="0"/>', b'<f t="shared" si="0"/><v/>'],
)
def test_a_formula_without_a_value_is_never_an_empty_cell(tmp_path: Path, formula: bytes) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_number("A1", 1)
        sheet.write_formula("B1", "=A1", None, 1)
    edited(path, "xl/worksheets/sheet1.xml", lambda xml: re.sub(rb"<f>A1</f><v>1</v>", lambda _: formula, xml))
    (grid,) = excel.read(path, HINTS)
    assert cells(grid)[1, 1][1] is Kind.ERROR


def test_a_stray_cell_at_the_far_end_is_named(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write("A1", "x")
        sheet.write("XFD1048576", "y")
    with pytest.raises(Rejected, match="A1 to XFD1048576") as caught:
        read(path)
    assert "Ctrl+End" in str(caught.value.next)


def test_a_stray_cell_that_the_sheet_does_not_admit_costs_only_the_limit(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write("A1", "x")
        sheet.write("XFD1048576", "y")
    edited(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b"A1:XFD1048576", b"A1:B2"))
    with pytest.raises(Rejected, match="broke its reader|needs more memory") as caught:
        read(path, Limits(memory_bytes=512 << 20))
    assert caught.value.findings[0].kind == "unreadable_file"


@pytest.mark.parametrize("place", [b"A2000000000", b"AAAAAA1"])
def test_an_error_cell_beyond_any_sheet_is_refused(tmp_path: Path, read: Any, place: bytes) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_formula("B1", "=NA()", None, "#N/A")
    edited(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b'r="B1"', b'r="' + place + b'"'))
    with pytest.raises(Rejected) as caught:
        read(path, Limits(memory_bytes=512 << 20, wall_seconds=60))
    assert caught.value.findings[0].kind == "unreadable_file"


def record(kind: int, body: bytes) -> bytes:
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, out = len(body), b""
    while True:
        out += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return head + out + body


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def binary_workbook(path: Path, sheet: bytes) -> None:
    relation = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Type="worksheet" Target="worksheets/sheet1.bin"/></Relationships>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.bin", record(156, bytes(8) + wide("rId1") + wide("Sheet 1")))
        archive.writestr("xl/_rels/workbook.bin.rels", relation)
        archive.writestr("xl/worksheets/sheet1.bin", sheet)


def row(number: int, flags: int = 0) -> bytes:
    return record(0, struct.pack("<IIHBB", number, 0, 300, 0, flags) + bytes(5))


def test_errors_merges_and_hidden_cells_of_a_binary_workbook_are_found(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsb"
    sheet = (
        record(60, struct.pack("<IIIIH", 1, 2, 0, 0, 1))
        + record(145, b"")
        + row(0) + record(3, struct.pack("<II", 4, 0) + b"\x2a")
        + row(200, 0x10) + record(11, struct.pack("<II", 300, 0) + b"\x07" + bytes(200))
        + record(146, b"")
        + record(176, struct.pack("<4I", 0, 1, 2, 3))
    )  # fmt: skip
    binary_workbook(path, sheet)
    found = marks_xlsb.find(path, ["Sheet 1"])[0]
    assert found.errors == {(0, 4): "#N/A", (200, 300): "#DIV/0!"}
    assert found.merged == [(0, 2, 1, 3)]
    assert (found.hidden_rows, found.hidden_columns) == ({200}, {1, 2})


@pytest.mark.skipif(not TORTURE.is_dir(), reason=f"the torture files are not at {TORTURE}")
def test_every_error_of_a_real_binary_workbook_is_an_error(read: Any) -> None:
    (grid,) = read(TORTURE / "sheetjs/ErrorTypes.xlsb")
    found = cells(grid)
    assert [found[number, 0] for number in (2, 3, 4)] == [
        ("#NULL!", Kind.ERROR), ("#DIV/0!", Kind.ERROR), ("#VALUE!", Kind.ERROR),
    ]  # fmt: skip


@pytest.mark.skipif(not TORTURE.is_dir(), reason=f"the torture files are not at {TORTURE}")
@pytest.mark.parametrize("name", ["1904/1904.xlsb", "1904/1904.ods"])
def test_dates_that_count_from_1904_are_the_dates_that_people_see(read: Any, name: str) -> None:
    (grid,) = read(TORTURE / "sheetjs" / name)
    assert [cells(grid)[number, 1][0] for number in (1, 2)] == ["1904-01-02", "1904-01-12"]


@pytest.mark.skipif(not TORTURE.is_dir(), reason=f"the torture files are not at {TORTURE}")
def test_another_library_finds_the_same_cells_filled() -> None:
    """Nothing of 50 workbooks is lost: openpyxl, slow and thorough, is the oracle."""
    compared = 0
    for path in sorted(TORTURE.rglob("*.xls[xm]")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(path)
            grids = excel.read(path, HINTS)
        except Exception:  # noqa: BLE001 - what either refuses cannot be compared
            continue
        for grid in grids:
            if grid.sheet in book.sheetnames:
                agree(grid, book[grid.sheet], f"{path.name}: {grid.sheet}")
                compared += 1
    assert compared > 60


def agree(grid: Grid, sheet: Any, where: str) -> None:
    theirs = {
        (one.row, one.column - 1)
        for line in sheet.iter_rows()
        for one in line
        # A formula may have given an empty text.
        if one.value not in (None, "") and one.data_type != "f"
    }
    assert theirs <= cells(grid).keys(), where
    blocks = {(r.min_row - 1, r.min_col - 1, r.max_row - 1, r.max_col - 1) for r in sheet.merged_cells.ranges}
    assert blocks == set(grid.merged), where
    hidden = {number for number, one in sheet.row_dimensions.items() if one.hidden and number <= grid.height}
    assert hidden == set(grid.hidden_rows), where
