"""Workbooks whose parts are damaged and packed again with right checksums: what the fast parser would misread."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import Rejected
from assay.readers import excel, sheet_xlsx, skim, strings_xlsx
from assay.readers.compound import Malformed, stream
from assay.readers.grid import Kind
from assay.readers.marks import DamagedCell
from assay.readers.skim import below
from assay.zones.model import ReaderHints

TORTURE = Path(__file__).parents[3] / "shared/data/torture"
HINTS = ReaderHints()
SHEET, TEXTS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

Change = Callable[[bytes], bytes]


def replaced(old: bytes, new: bytes) -> Change:
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return change


def packed_again(path: Path, part: str, change: Change) -> Path:
    with zipfile.ZipFile(path) as before:
        parts = {name: before.read(name) for name in before.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for name, content in parts.items():
            after.writestr(name, content)
    return path


@pytest.fixture(params=[0, 3000], ids=["small", "large"])
def book(request: Any, tmp_path: Path) -> Path:
    """A workbook with rows enough to be skimmed, or only a few."""
    path = tmp_path / "lines.xlsx"
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet("Lines")
        sheet.write_row(0, 0, ["id", "name", "paid"])
        for row in range(1, request.param):
            sheet.write_row(row, 0, [row, f"line {row}", row % 2 == 0])
        sheet.write_row(9000, 0, [70001, "Ann & Bob", True])
        sheet.write_row(9001, 0, [70002, "last", False])
    return path


#: The damaged bytes, what stands there instead, where it is found, and what is said.
DAMAGES = [
    (b'<c r="B9001" t="s"><v>', b'<c r="B9001" t="s"><v>-', "B9001", "refers to the text number"),
    (b'<c r="B9001" t="s"><v>', b'<c r="B9001" t="s"><v>9', "B9001", "refers to the text number"),
    (b'<c r="B9001" t="s"><v>', b'<c r="B9001" t="s"><v> ', "B9001", "refers to the text number"),
    (b'<c r="B9001" t="s">', b'<c r="B9001" t="q">', "B9001", "unknown type"),
    (b'<c r="A9001"><v>70001', b'<c r="A9001"><v>7o001', "A9001", "should be a number"),
    (b'<c r="A9001"><v>70001', b'<c r="A9001"><v>1e999', "A9001", "should be a number"),
    (b'<c r="A9001"><v>70001', b'<c r="A9001"><v>7<!-- -->0', "A9001", "interrupted"),
    (b'<c r="A9001"><v>70001', b'<c r="A9001"><v><![CDATA[7]]>', "A9001", "interrupted"),
    (b'<c r="A9001"><v>70001', b'<c r="A9001"><v>7&#48;', "A9001", "references"),
    (b'<c r="A9001"><v>70001</v>', b'<c r="A9001"><v>70001</v><v>2</v>', "A9001", "out of order"),
    (b'<c r="A9001"><v>70001</v>', b'<c r="A9001"><v>70001</v><f>1</f>', "A9001", "out of order"),
    (b'<c r="A9001"><v>70001</v>', b'<c r="A9001"><v>70001</v>2', "A9001", "outside of any value"),
    (b'<c r="A9001"><v>', b'<c r="A9001" s="7"><v>', "A9001", "style"),
    (b'<c r="A9001"><v>', b'<c r="A9001" s="&#48;"><v>', None, "references"),
    (b'<c r="C9001" t="b"><v>1', b'<c r="C9001" t="b"><v>2', "C9001", "neither true nor false"),
    (b'<c r="B9001"', b'<c r="A9001"', "A9001", "order of the columns"),
    (b'<c r="B9001"', b'<c r="B9002"', "row 9001", "stands in row 9001"),
    (b'<c r="B9001"', b'<c r="B"', "row 9001", "no place"),
    (b'<row r="9001"', b'<row r="9002"', "row 9002", "stands in row 9002"),
    (b'<row r="9002"', b'<row r="1"', "row 1", "stands below row 9001"),
    (b'<row r="9002"', b'<row r="0"', "row 9002", "no number of a row"),
    (b'<row r="9002"', b'<x/><row r="9002"', "row 9001", "where none belongs"),
    (b"</sheetData>", b"</sheetData><sheetData></sheetData>", None, "several tables"),
    (b"</sheetData>", b"</sheetDat>", None, "mismatched tag"),
    (b"</row></sheetData>", b"</sheetData>", None, "mismatched tag"),
    (b'<row r="9002" ', b'<row r="9002" spans="1:2" ', None, "duplicate attribute"),
    (b'<c r="A9002">', b'<c r="A9002" r="A9002">', None, "duplicate attribute"),
    (b"70002", b"70002\0", None, "not well-formed"),
    (b'<c r="B9001" t="s"', b'<c r="B9001" t="d"', "B9001", "should be a date"),
    (b"/spreadsheetml/2006/main", b"/spreadsheetml/2046/main", None, "2046"),
    (b"</worksheet>", b"", None, "no element found"),
    (b'encoding="UTF-8"', b'encoding="ISO-8859-1"', None, "ISO-8859-1"),
]


@pytest.mark.parametrize(("old", "new", "place", "said"), DAMAGES)
def test_a_damaged_sheet_is_refused_with_its_place(
    book: Path, read: Any, old: bytes, new: bytes, place: str | None, said: str
) -> None:
    packed_again(book, SHEET, replaced(old, new))
    with pytest.raises(Rejected) as caught:
        read(book)
    (finding,) = caught.value.findings
    assert finding.kind == "unreadable_file"
    assert said in finding.message
    assert [str(cell) for cell in finding.cells] == ([] if place is None else [f"Lines!{place}"])


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        (TEXTS, b"<si><t>last</t></si>", b"<si><t>last</si>"),
        (TEXTS, b"<si><t>last</t></si>", b"<si><u>last</u></si>"),
        (TEXTS, b"<si><t>last</t></si>", b"<si>la<t>st</t></si>"),
        (TEXTS, b"<si><t>last</t></si>", b"<si><t>la<b>st</b></t></si>"),
        (TEXTS, b"<si><t>last</t></si>", b""),
        (TEXTS, b"last", b"la\x07st"),
        (TEXTS, b"last", b"la\xffst"),
        (TEXTS, b'encoding="UTF-8"', b'encoding="ISO-8859-1"'),
        (TEXTS, b"</sst>", b""),
        (TEXTS, b"/2006/main", b"/2046/main"),
        ("xl/workbook.xml", b"/2006/main", b"/2046/main"),
        ("xl/workbook.xml", b"/2006/relationships", b"/2046/relationships"),
        ("xl/workbook.xml", b"</sheets>", b""),
        ("xl/workbook.xml", b"</sheets>", b'<sheet name="Lines" sheetId="2" r:id="rId1"/></sheets>'),
        ("xl/styles.xml", b"</cellXfs>", b""),
        ("xl/styles.xml", b"</cellXfs>", b'<xf numFmtId="x"/></cellXfs>'),
        ("xl/_rels/workbook.xml.rels", b"</Relationships>", b""),
    ],
)
def test_a_damaged_part_beside_the_sheet_is_refused(book: Path, read: Any, part: str, old: bytes, new: bytes) -> None:
    packed_again(book, part, replaced(old, new))
    with pytest.raises(Rejected) as caught:
        read(book)
    assert [finding.kind for finding in caught.value.findings] == ["unreadable_file"]


def test_two_parts_of_one_name_are_refused(book: Path, read: Any) -> None:
    with zipfile.ZipFile(book, "a") as archive:
        archive.writestr("XL/sharedstrings.xml", "<sst/>")
    with pytest.raises(Rejected, match="two parts of one name"):
        read(book)


def test_what_is_odd_but_well_formed_is_read(book: Path, read: Any) -> None:
    packed_again(
        book, SHEET, replaced(
            b'<row r="9001" spans="1:3">',
            b'<!-- <row r="8"><c r="A8"><v>1</v></c></row> -->\n<row r="8999" hidden="1"/><row r="9001" ht="15">',
        ),
    )  # fmt: skip
    (grid,) = read(book)
    last = grid.table.to_pylist()[9000]
    assert [last[f"c{at}"] for at in range(3)] == ["70001", "Ann & Bob", "true"]
    assert grid.hidden_rows == (8999,)


# --- rows that need no parsing -------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["<v>1</v>", "<v>-2.50</v>", "<v>1E5</v>", "<v>3.</v>", "<v/>", "", "<v>1</v><v>2</v>", "<f>A1</f><v>1</v>",
     "<is><t>x</t></is>", "<v>&#49;</v>", "<v>x&amp;y</v>", "<v>\u00e9</v>", "<f/>", "<v>4", "<v>]]></v>"]
)  # fmt: skip
CELLS = st.tuples(
    st.sampled_from(["A", "B", "C", "a", "AB", ""]), st.sampled_from(["", "1", "x"]),
    st.sampled_from(["", ' s="0"', ' s="1"', ' s="9"']),
    st.sampled_from(["", ' t="s"', ' t="n"', ' t="b"', ' t="str"', ' t="inlineStr"', ' t="e"', ' t="z"']), PIECES,
)  # fmt: skip
HEADS = st.sampled_from(["", ' spans="1:3"', ' hidden="1"', ' hidden="0" ht="15.5"', ' ht="1" ht="2"', ' a="b/c"'])
ROWS = st.lists(st.tuples(st.integers(0, 3), HEADS, st.lists(CELLS, max_size=3)), max_size=6)


def sheet_of(rows: Any) -> bytes:
    number, out = 0, []
    for step, head, cells in rows:
        number += step
        inside = "".join(
            f'<c r="{letters}{number}{more}"{style}{kind}>{content}</c>'
            for letters, more, style, kind, content in cells
        )
        out.append(f'<row r="{number}"{head}>{inside}</row>')
    return f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(out)}</sheetData></worksheet>'.encode()


def outcome(path: Path, content: bytes) -> tuple[Any, ...]:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sheet.xml", content)
    with zipfile.ZipFile(path) as archive:
        try:
            marks = sheet_xlsx.read(archive, "sheet.xml", sheet_xlsx.Workbook(texts=2, styles=2))
        except DamagedCell as error:
            return "damaged", error.row
        except Malformed:
            return ("malformed",)
    return "read", marks.errors, marks.hidden_rows


@settings(deadline=None, max_examples=150)
@given(rows=ROWS, chunk=st.sampled_from([1, 7, 64, 1 << 20]))
def test_skimming_a_sheet_finds_what_parsing_it_finds(tmp_path_factory: Any, rows: Any, chunk: int) -> None:
    """With a pattern made at once, every row that it can pass over is passed over; the outcome is the same."""
    path, content = tmp_path_factory.getbasetemp() / "skimmed.zip", sheet_of(rows)
    parsed = outcome(path, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet_xlsx, "_ROWS_TO_LEARN", 0)
        patch.setattr(sheet_xlsx, "_BYTES_A_COLUMN", 0)
        patch.setattr(skim, "CHUNK_BYTES", chunk)
        assert outcome(path, content)[:1] == parsed[:1]
        if parsed[0] == "read":
            assert outcome(path, content) == parsed


@given(content=st.lists(st.sampled_from(
    ["<si><t>a</t></si>", "<si><t/></si>", "<si>", "</si>", "<t>", "</t>", "<si><t>&amp;b</t></si>", "\u00e9", " ",
     "<!-- <si><t>c</t></si> -->", "<si><r><t>d</t></r></si>", "</sst>", "<si><t>e]]></t></si>"]), max_size=8),
    chunk=st.sampled_from([1, 5, 1 << 20]),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_shared_texts_are_counted_as_another_parser_counts_them(
    tmp_path_factory: Any, content: list[str], chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.zip"
    document = f'<sst xmlns="{MAIN}">{"".join(content)}</sst>'.encode()
    try:
        expected = sum(1 for one in ElementTree.fromstring(document) if one.tag.endswith("}si"))
    except ElementTree.ParseError:
        expected = -1
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("texts.xml", document)
    with zipfile.ZipFile(path) as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr(skim, "CHUNK_BYTES", chunk)
        try:
            found = strings_xlsx.count(archive, "texts.xml")
        except Malformed:
            return  # stricter than well formed
    assert found == expected


@given(count=st.integers(0, 20_000), number=st.integers(0, 25_000))
def test_the_pattern_of_numbers_below_a_count_fits_exactly_those(count: int, number: int) -> None:
    pattern = re.compile(rb"(?>" + below(count) + rb")<")
    assert bool(pattern.fullmatch(b"%d<" % number)) is (number < count)
    assert not pattern.fullmatch(b"0%d<" % number)


# --- the other formats ---------------------------------------------------------------------------------------------


def record(kind: int, body: bytes) -> bytes:
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    assert len(body) < 0x80
    return head + bytes([len(body)]) + body


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def binary_row(number: int) -> bytes:
    return record(0, struct.pack("<IIHBB", number, 0, 300, 0, 0) + bytes(5))


def text_cell(column: int, index: int, style: int = 0) -> bytes:
    return record(7, struct.pack("<III", column, style, index))


@pytest.mark.parametrize(
    ("cells", "place", "said"),
    [
        (binary_row(0) + text_cell(0, 2), "S!A1", "text number 2 of 2"),
        (binary_row(0) + text_cell(1, 0) + text_cell(0, 1), "S!A1", "order"),
        (binary_row(4) + text_cell(0, 0) + binary_row(2), "S!row 3", "stands below row 5"),
        (binary_row(1 << 21) + text_cell(0, 0), "S!A2097153", "beyond any sheet"),
        (binary_row(0) + text_cell(0, 0, style=1), "S!A1", "style"),
        (binary_row(0) + record(4, struct.pack("<IIB", 0, 0, 7)), "S!A1", "neither true nor false"),
        (binary_row(0) + record(5, struct.pack("<II", 0, 0)), "S!A1", "cut short"),
    ],
)
def test_a_damaged_binary_workbook_is_refused(tmp_path: Path, cells: bytes, place: str, said: str) -> None:
    from assay.readers import marks_xlsb

    path = tmp_path / "file.xlsb"
    relation = '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.bin"/></Relationships>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.bin", record(156, bytes(8) + wide("rId1") + wide("S")))
        archive.writestr("xl/_rels/workbook.bin.rels", relation)
        shared = record(159, struct.pack("<II", 2, 2)) + record(19, b"\0" + wide("a")) + record(19, b"\0" + wide("b"))
        archive.writestr("xl/sharedStrings.bin", shared)
        archive.writestr("xl/styles.bin", record(617, b"") + record(47, bytes(16)) + record(618, b""))
        archive.writestr("xl/worksheets/sheet1.bin", record(145, b"") + cells + record(146, b""))
    with pytest.raises(DamagedCell, match=said) as caught:
        marks_xlsb.find(path, ["S"])
    assert str(caught.value.cell) == place


@pytest.mark.skipif(not TORTURE.is_dir(), reason=f"the torture files are not at {TORTURE}")
def test_a_damaged_reference_in_an_old_workbook_is_refused(tmp_path: Path, read: Any) -> None:
    """The fast parser takes the cell for an empty one."""
    path = tmp_path / "file.xls"
    data = bytearray((TORTURE / "calamine/issue219.xls").read_bytes())
    book = stream(TORTURE / "calamine/issue219.xls", ("workbook", "book"))
    at = next(m.start() for m in re.finditer(rb"\xfd\x00\x0a\x00", book) if _is_record(book, m.start()))
    cell = book[at : at + 14]
    assert data.count(cell) == 1
    data[data.find(cell) + 10 : data.find(cell) + 14] = struct.pack("<I", 60_000)
    path.write_bytes(data)
    with pytest.raises(Rejected, match="refers to the text number 60000") as caught:
        read(path)
    row, column = struct.unpack_from("<HH", cell, 4)
    (place,) = caught.value.findings[0].cells
    assert (place.row, place.column) == (row + 1, chr(65 + column))


def _is_record(data: bytes, wanted: int) -> bool:
    at = 0
    while at < wanted:
        at += 4 + struct.unpack_from("<H", data, at + 2)[0]
    return at == wanted


OPEN_DOCUMENT = (
    '<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:body><office:spreadsheet>'
    '<table:table table:name="S"><table:table-row>{}</table:table-row></table:table>'
    "</office:spreadsheet></office:body></office:document-content>"
)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('<table:table-cell office:value-type="float" office:value="x"/>', "float"),
        ('<table:table-cell office:value-type="float"><text:p>7</text:p></table:table-cell>', "of type float"),
        ('<table:table-cell office:value-type="boolean" office:boolean-value="yes"/>', "of type boolean"),
        ('<table:table-cell office:value-type="date" office:date-value="5.1.2026"/>', "of type date"),
        ('<table:table-cell office:value-type="strinG"><text:p>x</text:p></table:table-cell>', "unknown type"),
        ('<table:table-cell office:value-type="string" office:value="7"/>', "several types"),
        (
            '<table:table-cell office:value-type="string"><text:p><![CDATA[x]]></text:p></table:table-cell>',
            "CDATA",
        ),
        ("<table:table-cell></table:table-row>", "mismatched tag"),
    ],
)
def test_a_damaged_open_document_is_refused(tmp_path: Path, read: Any, cell: str, said: str) -> None:
    path = tmp_path / "file.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", OPEN_DOCUMENT.format(cell))
    with pytest.raises(Rejected) as caught:
        read(path)
    assert [finding.kind for finding in caught.value.findings] == ["unreadable_file"]
    fine = '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", OPEN_DOCUMENT.format(fine))
    (grid,) = excel.read(path, HINTS)
    assert grid.table["c0"].to_pylist() == ["x"] and grid.table["k0"].to_pylist() == [Kind.TEXT]
    if said != "mismatched tag":
        assert said in caught.value.findings[0].message
