"""Where a contract's columns stand in a sheet, whatever stands around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.readers import excel
from assay.readers.grid import Grid, GridBuilder, Kind
from assay.readers.locate import locate
from assay.zones.contract import Contract, Drift, Field
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

BIRMINGHAM = Path(__file__).parents[3] / "shared/data/expense/birmingham_pcard"
real_files = pytest.mark.skipif(not BIRMINGHAM.is_dir(), reason=f"the real files are not at {BIRMINGHAM}")


def field(*headers: str, absent: bool = False, required: bool = False) -> Field:
    name = headers[0].lower().replace(" ", "_")
    return Field(name, FieldType("string"), headers, required=required, may_be_absent=absent)


def contract(*fields: Field, **drift: str) -> Contract:
    return Contract(Path("c.yaml"), "c", "1", "active", "c", fields, drift=Drift(**drift))  # type: ignore[arg-type]


def grid(*rows: list[str], sheet: str | None = None, hidden: bool = False) -> Grid:
    builder = GridBuilder(sheet, hidden)
    for number, row in enumerate(rows, start=1):
        builder.add(number, row, [Kind.TEXT if cell else Kind.EMPTY for cell in row])
    return builder.build()


def test_a_header_below_a_title_is_found_and_odd_columns_are_told() -> None:
    sheet = grid(["Report", "", ""], ["", "", ""], [" date ", "AMOUNT", "Extra"], ["1", "2", "3"])
    (found,) = locate([sheet], contract(field("Date"), field("Amount"), field("Vendor"), field("Note", absent=True)),
                      ReaderHints())  # fmt: skip
    assert (found.header_row, dict(found.columns)) == (3, {"date": 0, "amount": 1})
    assert found.unknown == ((2, "Extra"),)
    assert found.missing == ("vendor",)
    assert [one.kind for one in found.findings] == ["missing_column", "unknown_column"]


def test_a_header_far_down_a_sheet_is_found() -> None:
    sheet = grid(*[["remark", str(number)] for number in range(400)], ["Date", "Amount"], ["1", "2"])
    (found,) = locate([sheet], contract(field("Date"), field("Amount")), ReaderHints())
    assert found.header_row == 401


def test_columns_are_matched_by_name_in_any_order() -> None:
    (found,) = locate([grid(["b", "a"], ["1", "2"])], contract(field("a"), field("b")), ReaderHints())
    assert dict(found.columns) == {"a": 1, "b": 0} and not found.findings


def test_differing_duplicates_are_an_error() -> None:
    (found,) = locate([grid(["a", "b", "A"], ["1", "2", "1"], ["1", "2", "9"])], contract(field("a"), field("b")),
                      ReaderHints())  # fmt: skip
    assert [(one.kind, one.severity) for one in found.findings] == [("duplicate_column", "error")]


def test_an_upper_header_row_names_the_columns_under_it() -> None:
    sheet = grid(
        ["Party", "Member", "Accommodation", "", "Travel", "", "Total"],
        ["", "", "Wellington", "Elsewhere", "Air", "Surface", ""],
        ["x", "y", "1", "2", "3", "4", "10"],
    )
    fields = [field(name) for name in ("Party", "Member", "Accommodation Wellington", "Travel Air", "Total")]
    (found,) = locate(
        [sheet], contract(*fields, new_column="tolerate"), ReaderHints(header_rows=2)
    )
    assert dict(found.columns) == {
        "party": 0, "member": 1, "accommodation_wellington": 2, "travel_air": 4, "total": 6,
    }  # fmt: skip
    assert found.header_row == 2 and [one[1] for one in found.unknown] == ["Accommodation Elsewhere", "Travel Surface"]


def test_a_hidden_sheet_is_never_taken_unless_it_is_asked_for() -> None:
    sheets = [grid(["other"], ["1"], sheet="Front"), grid(["a"], ["1"], sheet="Back", hidden=True)]
    (found,) = locate(sheets, contract(field("a")), ReaderHints())
    assert found.findings[0].kind == "missing_header"
    (found,) = locate(sheets, contract(field("a")), ReaderHints(hidden_sheets=True))
    assert found.grid.sheet == "Back" and not found.findings


def test_two_sheets_that_fit_are_not_chosen_between_and_a_pattern_takes_both() -> None:
    sheets = [grid(["a"], ["1"], sheet="Jan"), grid(["a"], ["2"], sheet="Feb")]
    (found,) = locate(sheets, contract(field("a")), ReaderHints())
    assert found.findings[-1].kind == "ambiguous_sheet"
    assert [one.grid.sheet for one in locate(sheets, contract(field("a")), ReaderHints(sheet="*"))] == ["Jan", "Feb"]


def test_a_sheet_that_is_not_there_is_told_with_those_that_are() -> None:
    (found,) = locate([grid(["a"], sheet="Jan")], contract(field("a")), ReaderHints(sheet="Dec"))
    assert found.findings[0].kind == "missing_sheet" and "Jan" in found.findings[0].message


@pytest.mark.parametrize(("answer", "severity"), [("reject", "error"), ("hold", "warning"), ("tolerate", "info")])
def test_each_kind_of_drift_is_answered_as_the_contract_says(answer: str, severity: str) -> None:
    sheet = grid(["Date", "Amonut", "Extra"], ["1", "2", "3"])
    drift = {"new_column": answer, "missing_column": answer, "renamed": answer}
    (found,) = locate([sheet], contract(field("Date"), field("Amount"), field("Vendor"), **drift), ReaderHints())
    kinds = {one.kind: one for one in found.findings}
    assert {one.severity for one in kinds.values()} == {severity}
    assert {one.holds for one in kinds.values()} == {answer == "hold"}
    if answer == "reject":
        assert kinds.keys() == {"missing_column", "unknown_column"} and "amount" in found.missing
    else:
        assert kinds.keys() == {"missing_column", "unknown_column", "renamed_column"} and found.columns["amount"] == 1


def test_a_required_column_may_not_be_missing_whatever_the_contract_says_of_drift() -> None:
    tolerant = contract(field("a"), field("b", required=True), missing_column="tolerate")
    (found,) = locate([grid(["a"], ["1"])], tolerant, ReaderHints())
    assert found.findings[0].severity == "error"


def test_a_file_without_the_header_names_every_missing_column() -> None:
    (found,) = locate([grid(["x", "y"], ["1", "2"])], contract(field("Date"), field("Amount")), ReaderHints())
    assert [one.kind for one in found.findings] == ["missing_header", "missing_column", "missing_column"]
    assert str(found.findings[0].cells[0]) == "A1" and found.findings[0].cells[0].found == "x"


@real_files
def test_the_blank_header_of_february_2015_is_the_directorate() -> None:
    grids = excel.read(BIRMINGHAM / "publishspendpurchasecardsfebruary.xls", ReaderHints())
    (found,) = locate(
        grids, contract(field("TRANS DATE"), field("Directorate", ""), new_column="tolerate"), ReaderHints()
    )
    assert dict(found.columns) == {"trans_date": 0, "directorate": 10}
    assert found.missing == ()


@real_files
def test_the_currency_given_twice_in_september_2017_is_taken_once_or_told() -> None:
    grids = excel.read(BIRMINGHAM / "cusersfinainmndesktoppublish-spend-sept-2017.xls", ReaderHints())
    fields = (field("TRANS DATE"), field("BILLING CUR CODE"))
    (found,) = locate(grids, contract(*fields, new_column="tolerate"), ReaderHints())
    assert found.columns["billing_cur_code"] == 5
    told = {one.kind: one.severity for one in found.findings if one.kind == "duplicate_column"}
    first, second = grids[0].table["c5"], grids[0].table["c9"]
    assert told == {"duplicate_column": "info" if first.equals(second) else "error"}
