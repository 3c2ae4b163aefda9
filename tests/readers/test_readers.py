"""Files as they arrive: delimited text, workbooks, hostile archives, and where their columns stand."""

from __future__ import annotations

import codecs
import datetime
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
import xlwt

from assay.errors import Rejected
from assay.readers import csv, excel
from assay.readers.grid import Grid, Kind
from assay.readers.limits import Limits, read_limited
from assay.zones.model import ReaderHints, ReadingLimits

BIRMINGHAM = Path(__file__).parents[3] / "shared/data/expense/birmingham_pcard"
real_files = pytest.mark.skipif(not BIRMINGHAM.is_dir(), reason=f"the real files are not at {BIRMINGHAM}")

MANIFEST = """<?xml version="1.0"?><manifest:manifest
 xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">
<manifest:file-entry manifest:full-path="/"
 manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>"""


def hints(**given: Any) -> ReaderHints:
    return ReaderHints(**given)


def texts(grid: Grid) -> list[list[str | None]]:
    return [[row[f"c{i}"] for i in range(grid.width)] for row in grid.table.to_pylist()]


def read_csv(path: Path, **given: Any) -> Grid:
    dialect = csv.detect(path, hints(**given))
    return csv.read(csv.to_utf8(path, dialect, path.parent / "utf8"), dialect)


def cell(grid: Grid, row: int, column: int) -> tuple[str | None, Kind]:
    return grid.table[f"c{column}"][row].as_py(), Kind(grid.table[f"k{column}"][row].as_py())


@pytest.mark.parametrize(
    ("content", "given"),
    [
        ("a;b\né;1\n".encode(), {}),
        (codecs.BOM_UTF8 + "a;b\né;1\n".encode(), {}),
        ("a;b\né;1\n".encode("utf-16"), {}),
        ("a;b\né;1\n".encode("utf-16-le"), {}),
        ("a;b\né;1\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("a\tb\r\né\t1\r\n".encode(), {}),
    ],
)
def test_the_same_text_in_any_encoding_gives_the_same_cells(
    tmp_path: Path, content: bytes, given: dict[str, Any]
) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    assert texts(read_csv(path, **given)) == [["a", "b"], ["é", "1"]]


def test_bytes_that_do_not_decode_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n1,caf\xe9\n")
    with pytest.raises(Rejected, match=r"byte 9 \(line 2\)"):
        csv.detect(path, hints())


def test_a_nul_character_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b,c,d,e\n1,2\x00,3,4,5\n")
    with pytest.raises(Rejected, match="NUL"):
        read_csv(path)


def test_blank_and_ragged_records_keep_their_number_and_width(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b'a,b\n\n1\n"x\ny",,3\n')
    table = read_csv(path).table
    assert table["row"].to_pylist() == [1, 2, 3, 4]
    assert table["cells"].to_pylist() == [2, 0, 1, 3]
    assert table["c1"].to_pylist() == ["b", None, None, ""]


def test_a_quote_out_of_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b'a,b\n"x"y,2\n')
    with pytest.raises(Rejected, match="record 2"):
        read_csv(path)


def test_workbook_cells_keep_their_kind_and_exact_text(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["007", 12, 0.1 + 0.2, 1e20, True, datetime.date(2024, 2, 29), "#N/A", None, 1e-7])
    book.active["K1"] = "=1+1"
    book.save(path)
    (grid,) = excel.read(path, hints())
    assert [cell(grid, 0, i) for i in range(7)] == [
        ("007", Kind.TEXT), ("12", Kind.NUMBER), ("0.3", Kind.NUMBER), ("100000000000000000000", Kind.ROUNDED),
        ("true", Kind.BOOLEAN), ("2024-02-29", Kind.DATE), ("#N/A", Kind.ERROR),
    ]  # fmt: skip
    assert cell(grid, 0, 7) == (None, Kind.EMPTY)
    assert cell(grid, 0, 8) == ("0.0000001", Kind.NUMBER)
    assert cell(grid, 0, 10)[1] is Kind.ERROR, "a formula never calculated is not an empty cell"


def test_an_empty_text_that_a_formula_gave_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_formula("A1", '=""', None, "")
        sheet.write_formula("B1", "=1/0", None, "#DIV/0!")
    (grid,) = excel.read(path, hints())
    assert cell(grid, 0, 1) == ("#DIV/0!", Kind.ERROR)


def test_error_cells_of_an_old_workbook_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "file.xls"
    book = xlwt.Workbook()
    book.add_sheet("first").write(0, 0, "x")
    sheet = book.add_sheet("second")
    sheet.write(0, 0, "head")
    sheet.row(1).set_cell_error(2, 0x2A)
    book.save(str(path))
    first, second = excel.read(path, hints())
    assert cell(first, 0, 0) == ("x", Kind.TEXT)
    assert cell(second, 1, 2) == ("#N/A", Kind.ERROR)


def test_error_cells_of_an_open_document_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "file.ods"
    content = """<?xml version="1.0"?><office:document-content
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">
<office:body><office:spreadsheet><table:table table:name="S"><table:table-row>
<table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>
<table:table-cell table:number-columns-repeated="2"/>
<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value=""
 calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>
</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", content.replace("\n<", "<"))
    (grid,) = excel.read(path, hints())
    assert cell(grid, 0, 0) == ("a", Kind.TEXT)
    assert cell(grid, 0, 3) == ("#DIV/0!", Kind.ERROR)


def test_a_child_process_gives_the_same_grids(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["a", 1, "#REF!"])
    book.create_sheet("other").sheet_state = "hidden"
    book.save(path)
    direct, limited = excel.read(path, hints()), read_limited(path, hints(), tmp_path / "scratch")
    assert [(one.sheet, one.hidden) for one in limited] == [("Sheet", False), ("other", True)]
    assert all(one.table.equals(other.table) for one, other in zip(direct, limited, strict=True))


def test_a_rejection_in_the_child_keeps_its_findings(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n1,\xe9\n")
    with pytest.raises(Rejected) as caught:
        read_limited(path, hints(), tmp_path / "scratch")
    assert [finding.kind for finding in caught.value.findings] == ["wrong_encoding"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut", b"<html>"])
def test_what_is_no_workbook_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.xlsx"
    path.write_bytes(content)
    with pytest.raises(Rejected) as caught:
        read_limited(path, hints(), tmp_path / "scratch")
    assert caught.value.findings[0].kind == "unreadable_file"


BROKEN_BY = [Limits(memory_bytes=400 << 20, ratio=1e9), Limits(wall_seconds=1, ratio=1e9), Limits(ratio=50)]


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bomb")
    row = b'<row><c t="inlineStr"><is><t>' + b"x" * 1000 + b"</t></is></c></row>"
    full = b"<sheetData>" + row * 300_000 + b"</sheetData>"
    openpyxl.Workbook().save(folder / "seed.xlsx")
    with zipfile.ZipFile(folder / "seed.xlsx") as seed:
        parts = {name: seed.read(name) for name in seed.namelist()}
    with zipfile.ZipFile(folder / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in parts.items():
            if name.endswith("sheet1.xml"):
                data = re.sub(rb"<sheetData ?/>|<sheetData></sheetData>", lambda _: full, data)
            made.writestr(name, data)
    return folder / "bomb.xlsx"


@pytest.mark.parametrize("limits", BROKEN_BY)
def test_a_workbook_that_asks_for_too_much_is_unreadable(tmp_path: Path, bomb: Path, limits: Limits) -> None:
    with pytest.raises(Rejected) as caught:
        read_limited(bomb, hints(), tmp_path / "scratch", limits)
    assert caught.value.findings[0].kind == "unreadable_file"


def test_limits_are_those_of_the_source_unless_others_are_given(tmp_path: Path, bomb: Path) -> None:
    with pytest.raises(Rejected, match="unpacks to more than 1000 bytes"):
        read_limited(bomb, hints(limits=ReadingLimits(unpacked="1KB")), tmp_path / "scratch")


def test_a_rejection_names_the_file_as_it_was_delivered(tmp_path: Path) -> None:
    path = tmp_path / "0a1b2c"
    path.write_bytes(b"%PDF-1.7")
    with pytest.raises(Rejected) as caught:
        read_limited(path, hints(), tmp_path / "scratch", name="march.xlsx")
    assert caught.value.where == "march.xlsx"
