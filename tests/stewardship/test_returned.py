"""The sender's file returned: marked where it is wrong, and otherwise as it was delivered."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
import xlwt
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import Usage
from assay.pipelines.check import check, return_file
from assay.readers.limits import Limits
from assay.stewardship.formulas import neutralised
from assay.stewardship.returned import Returned
from assay.stewardship.returned import return_file as write
from assay.zones.contract import Comparison, Contract, Drift, Field, Rule
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

DATA = Path(__file__).parents[2].parent / "shared" / "data"
DAY, MONEY, TEXT = FieldType("date"), FieldType("decimal", 12, 2), FieldType("string")
FIELDS = (
    Field("day", DAY, ("Day",), required=True),
    Field("who", TEXT, ("Who",), required=True, classification="confidential"),
    Field("amount", MONEY, ("Amount",)),
)


def contract(*fields: Field, rules: tuple[Rule, ...] = (), **drift: Any) -> Contract:
    return Contract(Path("c.yaml"), "c", "1", "active", "c", fields or FIELDS, rules=rules, drift=Drift(**drift))


def workbook(path: Path, rows: list[list[Any]], *, sheet: str = "Lines", prepare: Any = None) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet(sheet)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                page.write_string(number, column, value) if isinstance(value, str) else page.write(
                    number, column, value
                )
        if prepare:
            prepare(book, page)
    return path


def returned(path: Path, tmp_path: Path, wanted: Contract | None = None, **hints: Any) -> Returned:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return return_file(path, wanted or contract(), ReaderHints(**hints), scratch, tmp_path / f"back-{path.name}")


BAD = [["Day", "Who", "Amount"], ["2026-01-05", "E1", 12.5], ["never", "E2", "n/a"], ["2026-01-07", "", 3]]


def test_a_workbook_comes_back_with_its_bad_cells_marked_and_commented(tmp_path: Path) -> None:
    made = returned(workbook(tmp_path / "card.xlsx", BAD), tmp_path)
    assert (made.form, made.cells, made.more_cells) == ("workbook", 3, 0)
    sheet = openpyxl.load_workbook(made.path)["Lines"]
    marked = {cell.coordinate: cell.comment.text for row in sheet for cell in row if cell.comment}
    assert marked == {
        "A3": "Must be a date written as YYYY-MM-DD, such as 2025-12-31.",
        "B4": "Must be filled: a text.",
        "C3": "Must be a number with at most 2 digits after the \".\" and 10 before it, such as 1234.50.",
    }
    assert {cell.coordinate for row in sheet for cell in row if cell.fill.fill_type == "solid"} == marked.keys()


def test_its_first_sheet_lists_the_problems_with_links_to_the_cells(tmp_path: Path) -> None:
    made = returned(workbook(tmp_path / "card.xlsx", BAD, sheet="It's mine"), tmp_path)
    book = openpyxl.load_workbook(made.path)
    assert book.sheetnames == ["assay", "It's mine"] and book.active.title == "assay"
    links = {cell.value: cell.hyperlink.location for row in book["assay"] for cell in row if cell.hyperlink}
    assert links == {f"It's mine!{place}": f"'It''s mine'!{place}" for place in ("A3", "B4", "C3")}
    assert [sheet.sheet_view.tabSelected for sheet in book] == [True, False]


def test_everything_else_of_the_workbook_stays_as_it_was(tmp_path: Path) -> None:
    def prepare(book: Any, page: Any) -> None:
        page.write_comment("A3", "our own remark")
        page.write_formula("E2", "=C2*2", None, 25)
        page.merge_range("E5:F6", "merged")
        page.data_validation("H1", {"validate": "list", "source": ["a", "b"]})
        book.add_worksheet("assay").write("A1", "the sender's own")

    path = workbook(tmp_path / "card.xlsx", [row[:3] for row in BAD], prepare=prepare)
    book = openpyxl.load_workbook(returned(path, tmp_path, contract(*FIELDS, new_column="tolerate")).path)
    assert book.sheetnames == ["assay 2", "Lines", "assay"]
    sheet = book["Lines"]
    assert "our own remark" in sheet["A3"].comment.text and "Must be a date" in sheet["A3"].comment.text
    assert (sheet["E2"].value, book["assay"]["A1"].value) == ("=C2*2", "the sender's own")
    assert [str(block) for block in sheet.merged_cells.ranges] == ["E5:F6"]
    assert len(sheet.data_validations.dataValidation) == 1


def test_the_corrected_workbook_passes_as_it_is(tmp_path: Path) -> None:
    made = returned(workbook(tmp_path / "card.xlsx", BAD), tmp_path)
    book = openpyxl.load_workbook(made.path)
    sheet = book["Lines"]
    sheet["A3"], sheet["B4"], sheet["C3"] = "2026-01-06", "E3", 7
    book.save(tmp_path / "again.xlsx")
    checked = check(tmp_path / "again.xlsx", contract(), ReaderHints(), tmp_path)
    assert checked.rows_total == 3 and not [one for one in checked.findings if one.severity != "info"]


def test_macros_stay_and_the_suffix_says_so(tmp_path: Path) -> None:
    (tmp_path / "vbaProject.bin").write_bytes(b"\xd0\xcf\x11\xe0 a macro")
    path = workbook(
        tmp_path / "card.xlsm", BAD, prepare=lambda book, _: book.add_vba_project(str(tmp_path / "vbaProject.bin"))
    )
    made = returned(path, tmp_path)
    assert made.path.suffix == ".xlsm"
    assert zipfile.ZipFile(made.path).read("xl/vbaProject.bin") == b"\xd0\xcf\x11\xe0 a macro"


def test_an_older_workbook_comes_back_as_an_xlsx_copy_of_what_was_read(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    page = book.add_sheet("Lines")
    for number, row in enumerate([*BAD, ["2026-01-08", "=1+1", 4]]):
        for column, value in enumerate(row):
            page.write(number, column, value)
    book.save(str(tmp_path / "card.xls"))
    made = returned(tmp_path / "card.xls", tmp_path)
    assert (made.form, made.path.name) == ("copy", "back-card.xlsx")
    sheet = openpyxl.load_workbook(made.path)["Lines"]
    assert [[cell.value for cell in row] for row in sheet] == [
        ["Day", "Who", "Amount"], ["2026-01-05", "E1", 12.5], ["never", "E2", "n/a"], ["2026-01-07", None, 3],
        ["2026-01-08", "=1+1", 4],
    ]  # fmt: skip
    assert sheet["B5"].data_type == "s", "a text stays a text, and does not become a formula"
    assert sheet["A3"].comment and sheet["C3"].comment and not sheet["A2"].comment


def test_a_delimited_file_comes_back_as_its_bad_rows_as_delivered(tmp_path: Path) -> None:
    lines = ["Report of", "", "Day;Who;Amount"]
    lines += ['2026-01-05;"Ann ""A""";1,50', 'never;"two\nlines";x', "2026-01-06;Zoë;", ";E;2"]
    text = "\r\n".join(lines)
    path = tmp_path / "card.csv"
    path.write_bytes(text.encode("cp1252"))
    wanted = contract(FIELDS[0], FIELDS[1], Field("amount", MONEY, ("Amount",), decimal_sign=","))
    made = returned(path, tmp_path, wanted, encoding="cp1252", delimiter=";")
    assert made.form == "rows"
    found = made.path.read_bytes().decode("cp1252")
    day = "Must be a date written as YYYY-MM-DD, such as 2025-12-31"
    assert found.split("\r\n") == [
        '"row";"problem";Day;Who;Amount',
        f'"5";"Day: {day}; Amount: Must be a number with at most 2 digits after the "","" and 10 before it, '
        'such as 1234,50";never;"two\nlines";x',
        '"7";"Day: Must be filled: a date written as YYYY-MM-DD, such as 2025-12-31";;E;2',
        "",
    ]


CELL = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=6)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["1", "2.5", "x", "-"]), CELL), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_each_returned_row_is_the_delivered_row_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str, end: str, encoding: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows([("amount", "note"), *rows])
    path = folder / "file.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    delivered = out.getvalue().split(end)
    wanted = contract(Field("amount", FieldType("integer"), ("amount",)), Field("note", TEXT, ("note",)))
    bad = [number for number, (amount, _) in enumerate(rows, start=1) if amount != "1"]
    if not bad:
        with pytest.raises(Usage):
            returned(path, folder, wanted, delimiter=delimiter)
        return
    found = returned(path, folder, wanted, delimiter=delimiter).path.read_bytes().decode(encoding).split(end)
    assert len(found) == len(bad) + 2
    for line, number in zip(found[1:-1], bad, strict=True):
        assert line.startswith(f'"{number + 1}"{delimiter}"') and line.endswith(f'"{delimiter}{delivered[number]}')


def test_a_file_that_cannot_be_opened_comes_back_as_the_list_alone(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "card.xlsx", BAD).read_bytes()
    path = tmp_path / "broken.xlsx"
    path.write_bytes(whole[: len(whole) // 2])
    made = returned(path, tmp_path)
    assert made.form == "listing"
    values = [cell.value for row in openpyxl.load_workbook(made.path)["assay"] for cell in row if cell.value]
    assert any("cannot be read" in str(value) or "damaged" in str(value) for value in values)


def test_a_workbook_that_cannot_be_marked_comes_back_as_the_list_alone(tmp_path: Path) -> None:
    """Its cells can be read, yet its styles are broken, so that it cannot be written again."""
    path = workbook(tmp_path / "card.xlsx", BAD)
    broken = tmp_path / "strange.xlsx"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(broken, "w") as out:
        for name in archive.namelist():
            out.writestr(name, b"<styleSheet>" if name == "xl/styles.xml" else archive.read(name))
    made = check(path, contract(), ReaderHints(), tmp_path).report("strange.xlsx", contract())
    alone = write(broken, made, ReaderHints(), tmp_path, tmp_path / "back.xlsx", header_row=1)
    assert alone.form == "listing" and "could not be marked" in alone.note
    assert openpyxl.load_workbook(alone.path).sheetnames == ["assay"]


def test_marking_a_workbook_costs_no_more_than_its_limits(tmp_path: Path) -> None:
    path = workbook(tmp_path / "card.xlsx", BAD)
    made = check(path, contract(), ReaderHints(), tmp_path).report("card.xlsx", contract())
    with pytest.raises(Usage, match="could not be written"):
        write(path, made, ReaderHints(), tmp_path, tmp_path / "back.xlsx", header_row=1,
              limits=Limits(memory_bytes=64 << 20, wall_seconds=30))  # fmt: skip
    assert not (tmp_path / "back.xlsx").exists()


def test_texts_of_a_file_run_nowhere(tmp_path: Path) -> None:
    evil = "=HYPERLINK(\"http://x\")"
    rows = [["Day", "Who", "Amount", evil], ["@SUM(1)", "E1", "+1+1", ""], ["2026-01-05", "E1", "1", "x"]]
    made = returned(workbook(tmp_path / "card.xlsx", rows), tmp_path)
    listing = openpyxl.load_workbook(made.path)["assay"]
    texts = [cell for row in listing for cell in row if isinstance(cell.value, str)]
    assert all(cell.data_type == "s" and not cell.value.startswith(("=", "+", "-", "@")) for cell in texts)
    assert any("@SUM(1)" in cell.value for cell in texts)
    (tmp_path / "card.csv").write_text("Day,Who,Amount,=A1\n@SUM(1),E1,1,\n")
    wanted = contract(FIELDS[0], FIELDS[1], Field("amount", MONEY, ("=A1",)), new_column="tolerate")
    rows_back = returned(tmp_path / "card.csv", tmp_path, wanted).path.read_text().splitlines()
    assert all(next(csv.reader([line]))[1][:1] not in "=+-@" for line in rows_back)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert neutralised(text) == f"'{text}" and neutralised(f"a{text}") == f"a{text}"


def test_values_of_sensitive_fields_are_in_no_list(tmp_path: Path) -> None:
    wanted = contract(Field("who", FieldType("integer"), ("Who",), classification="pii"))
    made = returned(workbook(tmp_path / "card.xlsx", [["Who"], ["Smith-7"]]), tmp_path, wanted)
    book = openpyxl.load_workbook(made.path)
    listed = " ".join(str(cell.value) for row in book["assay"] for cell in row)
    assert "Smith" not in listed and "Xxxxx-9" in listed
    assert book["Lines"]["A2"].value == "Smith-7", "the sender's own cell stays"


def test_rows_that_break_a_rule_are_marked_in_the_column_of_the_rule(tmp_path: Path) -> None:
    rules = (
        Rule("known", "quarantine", "invalid", ("who",), valid_values=("E1",), description="one of our staff"),
        Rule("enough", "warn", "row_count", comparison=Comparison("mustBeGreaterThan", (5.0,))),
    )
    rows = [["Day", "Amount", "Who"], ["2026-01-05", 1, "E1"], ["2026-01-06", 2, "E7"]]
    made = returned(workbook(tmp_path / "card.xlsx", rows), tmp_path, contract(*FIELDS, rules=rules))
    sheet = openpyxl.load_workbook(made.path)["Lines"]
    assert [cell.coordinate for row in sheet for cell in row if cell.comment] == ["C3"]
    assert "one of our staff" in sheet["C3"].comment.text


def test_a_file_without_a_problem_is_not_returned_and_no_file_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="nothing is wrong"):
        returned(workbook(tmp_path / "good.xlsx", BAD[:2]), tmp_path)
    path = workbook(tmp_path / "card.xlsx", BAD)
    first = returned(path, tmp_path).path
    first.write_bytes(b"corrected by hand")
    with pytest.raises(Usage, match="is there already"):
        returned(path, tmp_path)
    assert first.read_bytes() == b"corrected by hand"


def test_no_more_cells_are_shown_than_agreed_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.stewardship.returned.CELLS_MOST", 3)
    path = tmp_path / "card.csv"
    path.write_text("Day,Who,Amount\n" + "x,E,1\n" * 10)
    made = returned(path, tmp_path)
    assert (made.cells, made.more_cells) == (3, 7)
    assert made.path.read_text().splitlines()[-1].startswith('"","... and 7 more"')


def test_the_unrelated_file_of_a_real_folder_comes_back_with_what_was_looked_for(tmp_path: Path) -> None:
    path = DATA / "expense" / "birmingham_pcard" / "open_data_planning_weekly_list.csv"
    if not path.exists():
        pytest.skip("the shared data is not there")
    wanted = contract(Field("day", DAY, ("TRANS DATE",)), Field("merchant", TEXT, ("MERCHANT NAME",)))
    checked = check(path, wanted, ReaderHints(), tmp_path)
    assert [one.kind for one in checked.findings] == ["missing_header", "missing_column", "missing_column"]
    made = returned(path, tmp_path, wanted)
    assert made.form == "listing" and made.path.suffix == ".xlsx"


def test_a_real_workbook_with_two_bad_cells_comes_back_whole(tmp_path: Path) -> None:
    """A quarterly return of an office, its own formats and merged titles, with two cells spoilt."""
    path = DATA / "expense" / "nz_members" / "2019-Q3.xlsx"
    if not path.exists():
        pytest.skip("the shared data is not there")
    book = openpyxl.load_workbook(path)
    before = {sheet.title: (sheet.dimensions, len(sheet.merged_cells.ranges)) for sheet in book}
    page = next(sheet for sheet in book if sheet.sheet_state == "visible")
    header = next(row for row in page.iter_rows() if sum(bool(cell.value) for cell in row) >= 3)
    names = [str(cell.value) for cell in header if cell.value][:2]
    column = next(cell.column for cell in header if str(cell.value) == names[0])
    fields = (Field("first", TEXT, (names[0],), max_length=60), Field("second", TEXT, (names[1],)))
    row = header[0].row + 3
    page.cell(row, column).value = "x" * 61
    book.save(tmp_path / "spoilt.xlsx")
    lenient = contract(*fields, new_column="tolerate", extra_rows="tolerate")
    made = returned(tmp_path / "spoilt.xlsx", tmp_path, lenient, sheet=page.title)
    back = openpyxl.load_workbook(made.path)
    assert back[page.title].cell(row, column).comment is not None
    after = {sheet.title: (sheet.dimensions, len(sheet.merged_cells.ranges)) for sheet in back.worksheets[1:]}
    assert after == before
