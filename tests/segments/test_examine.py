"""A file under its contract: what passes, what is set aside, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engines.duckdb import Engine, connect
from assay.errors import Rejected
from assay.findings import Finding
from assay.segments.exact import Examination
from assay.segments.examine import examine
from assay.zones.contract import Contract, Drift, Field
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

TEXT, WHOLE, MONEY, DAY = FieldType("string"), FieldType("integer"), FieldType("decimal", 12, 2), FieldType("date")


def field(name: str, kind: FieldType = TEXT, **more: Any) -> Field:
    return Field(name, kind, (name,), **more)


def contract(*fields: Field, **drift: Any) -> Contract:
    return Contract(Path("c.yaml"), "c", "1", "active", "c", fields, drift=Drift(**drift))


LINES = (field("day", DAY, required=True), field("who", required=True), field("amount", MONEY))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture
def look(engine: Engine, tmp_path: Path) -> Any:
    """Examines the text of a CSV file, or the rows of a workbook."""

    def examined(content: str | list[list[Any]], wanted: Contract, **more: Any) -> Examination:
        hints = ReaderHints(**{key: more.pop(key) for key in list(more) if key in ReaderHints.model_fields})
        if isinstance(content, str):
            path = tmp_path / "file.csv"
            path.write_bytes(content.encode())
        else:
            path = tmp_path / "file.xlsx"
            with xlsxwriter.Workbook(str(path)) as book:
                sheet = book.add_worksheet("Lines")
                for number, row in enumerate(content):
                    sheet.write_row(number, 0, row)
        return examine(path, wanted, hints, engine, tmp_path, **more)

    return examined


def rows(engine: Engine, found: Examination) -> list[tuple[Any, ...]]:
    return engine.rows(f"SELECT * FROM {found.rows} ORDER BY _row")


def said(found: Examination) -> dict[str, Finding]:
    return {one.kind: one for one in found.findings}


def test_json_may_write_a_number_with_an_exponent(engine: Engine, tmp_path: Path) -> None:
    """It is the same number where the type can hold it; as a text it stays what was sent."""
    path = tmp_path / "file.json"
    path.write_text('[{"amount": 1.5E7, "whole": 2e3, "who": 1E5}, {"amount": 1e-2, "whole": 7, "who": "x"}]')
    wanted = contract(field("amount", MONEY), field("whole", WHOLE), field("who"))
    found = examine(path, wanted, ReaderHints(), engine, tmp_path)
    assert not found.refused
    assert rows(engine, found) == [
        (Decimal("15000000.00"), 2000, "1E5", None, 1), (Decimal("0.01"), 7, "x", None, 2),
    ]  # fmt: skip
    path.write_text('[{"amount": 1.2345e1, "whole": 1.5e0, "who": "x"}]')
    refused = examine(path, wanted, ReaderHints(), engine, tmp_path)
    assert {(one.field, one.kind) for one in refused.findings} == {
        ("amount", "type_mismatch"), ("whole", "type_mismatch"),
    }  # fmt: skip


def test_a_good_file_is_typed_with_the_numbers_of_its_rows(engine: Engine, look: Any) -> None:
    found = look("day,who,amount\n2026-01-05,E1,12.50\n2026-01-06,E2,\n", contract(*LINES))
    assert found.way == "quick" and not found.findings
    assert [(str(day), who, str(amount), sheet, row) for day, who, amount, sheet, row in rows(engine, found)] == [
        ("2026-01-05", "E1", "12.50", None, 2),
        ("2026-01-06", "E2", "None", None, 3),
    ]


def test_everything_wrong_is_told_at_once_by_cell(look: Any) -> None:
    found = look("amount,day,who\n12.505,2026-02-30,E1\nx,2026-01-01,\n1,2026-01-01,E3\n", contract(*LINES))
    assert found.refused
    by_field = {(one.kind, one.field): [str(cell) for cell in one.cells] for one in found.findings}
    assert by_field == {
        ("type_mismatch", "day"): ["B2"],
        ("missing_value", "who"): ["C3"],
        ("type_mismatch", "amount"): ["A2", "A3"],
    }


def test_values_of_a_sensitive_field_are_masked_in_findings(look: Any) -> None:
    secret = contract(field("card", WHOLE, classification="restricted"))
    (finding,) = look("card\n4929-AB-7\n", secret).findings
    assert finding.cells[0].found == "9999-XX-9"


def test_bad_rows_are_set_aside_where_the_contract_tolerates_them(engine: Engine, look: Any) -> None:
    found = look("day,who,amount\n2026-01-05,E1,1\nnever,E2,n/a\n", contract(*LINES, type_mismatch="hold"))
    assert not found.refused and all(one.holds for one in found.findings)
    assert [row[-1] for row in rows(engine, found)] == [2]
    ((reason, raw, row),) = engine.rows(f"SELECT _reason, _raw, _row FROM {found.aside}")
    assert (reason, row) == ("day: does not fit; amount: does not fit", 3)
    assert raw == '{"day":"never","who":"E2","amount":"n/a"}'


def test_undeclared_totals_are_told_and_left_out_only_where_tolerated(engine: Engine, look: Any) -> None:
    text = "day,who,amount\n2026-01-05,E1,1\n,,1\n"
    assert said(look(text, contract(*LINES)))["extra_rows"].severity == "error"
    found = look(text, contract(*LINES, extra_rows="tolerate"))
    assert said(found)["extra_rows"].severity == "info" and len(rows(engine, found)) == 1


def test_groups_subtotals_and_remarks_are_read_as_declared(engine: Engine, look: Any) -> None:
    sheet = [
        ["Party", "Member", "Amount"],
        ["Green", "A", 1],
        ["", "B", 2],
        ["Green Total", "", 3],
        ["Blue", "C", 4],
        ["Blue Total", "", 4],
        ["Grand Total", "", 7],
        ["1) a remark", "", ""],
    ]
    wanted = contract(
        Field("party", TEXT, ("Party",), required=True), Field("member", TEXT, ("Member",), required=True),
        Field("amount", MONEY, ("Amount",)),
    )  # fmt: skip
    found = look(sheet, wanted, skip=("Total$",), footer=("^Grand",), fill_down=("party",))
    assert [(row[0], row[1], int(row[2]), row[3], row[4]) for row in rows(engine, found)] == [
        ("Green", "A", 1, "Lines", 2), ("Green", "B", 2, "Lines", 3), ("Blue", "C", 4, "Lines", 5),
    ]  # fmt: skip
    assert sorted(one.count for one in found.findings) == [2, 2]


def test_a_row_that_fills_what_only_data_fills_is_not_left_out(engine: Engine, look: Any) -> None:
    sheet = [["Party", "Member", "Amount"], ["Green Total", "A", 1], ["Green Total", "", 1]]
    wanted = contract(Field("party", TEXT, ("Party",)), Field("member", TEXT, ("Member",)),
                      Field("amount", MONEY, ("Amount",)))  # fmt: skip
    found = look(sheet, wanted, skip=("Total$",), kept_when_filled=("member",))
    assert [(row[1], row[-1]) for row in rows(engine, found)] == [("A", 2)]
    assert said(found)["left_out_rows"].count == 1


def test_remarks_about_cells_set_no_row_aside(look: Any) -> None:
    assert look([["amount"], ["12.50"]], contract(field("amount", MONEY))).aside is None


def test_a_row_that_names_a_group_gives_its_name_to_the_rows_below(engine: Engine, look: Any) -> None:
    sheet = [["Member", "Amount"], ["Green", ""], ["A", 1], ["B", 2], ["Blue", ""], ["C", 4]]
    wanted = contract(
        Field("party", TEXT, ("Party",), required=True), Field("member", TEXT, ("Member",)),
        Field("amount", MONEY, ("Amount",)),
    )  # fmt: skip
    found = look(sheet, wanted, group_rows="party")
    assert [(row[0], row[1]) for row in rows(engine, found)] == [("Green", "A"), ("Green", "B"), ("Blue", "C")]


def test_numbers_held_as_text_and_texts_held_as_numbers_are_said(look: Any) -> None:
    found = look([["code", "amount"], [7, "12.50"], ["007", 12.5]], contract(field("code"), field("amount", MONEY)))
    assert not found.refused
    assert {one.kind: [str(cell) for cell in one.cells] for one in found.findings} == {
        "text_as_number": ["Lines!A2"], "number_as_text": ["Lines!B2"],
    }  # fmt: skip


def test_a_number_that_the_workbook_rounded_is_refused(look: Any) -> None:
    """Excel keeps 15 digits: of a card number entered as a number the last ones are zeros by now."""
    (finding,) = look([["card"], ["4929000000006777"], [4929000000006777]], contract(field("card"))).findings
    assert (finding.kind, [str(cell) for cell in finding.cells]) == ("rounded_number", ["Lines!A3"])


@pytest.mark.parametrize("text", ["", "\n\n", "day,who,amount\n"])
def test_an_empty_file_is_an_error_unless_the_contract_tolerates_it(engine: Engine, look: Any, text: str) -> None:
    assert look(text, contract(*LINES)).refused
    found = look(text, contract(*LINES, empty_file="tolerate"))
    assert not found.refused and rows(engine, found) == []
    assert said(found)["empty_file"].severity == "info"


def test_a_row_of_another_length_is_refused_rather_than_shifted(look: Any) -> None:
    found = look("day,who,amount\n2026-01-05,E1\n", contract(*LINES))
    assert "row_shape" in said(found)


WORDS = st.text(st.sampled_from("ab01.,-; \t\n\"'é€\u00a0"), max_size=6)
FIELDS = (field("a", TEXT), field("b", WHOLE), field("c", MONEY), field("d", DAY), field("e", required=True))


@settings(max_examples=120, deadline=None)
@given(
    table=st.lists(
        st.tuples(
            WORDS,
            st.integers(-99, 99).map(str) | WORDS,
            st.decimals(-99, 99, places=2).map(str) | WORDS,
            st.dates().map(str) | WORDS,
            WORDS,
        ),
        max_size=5,
    ),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_the_quick_and_the_exact_pass_never_disagree(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]], delimiter: str, end: str
) -> None:
    """What the quick pass lets through, the exact pass lets through as the same rows."""
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows([["a", "b", "c", "d", "e"], *table])
    folder = tmp_path_factory.mktemp("pair")
    path = folder / "file.csv"
    path.write_bytes(out.getvalue().encode())
    wanted, hints = contract(*FIELDS), ReaderHints(delimiter=delimiter)
    try:
        quick = examine(path, wanted, hints, engine, folder, ways=("quick",))
        passed = rows(engine, quick)
    except Rejected:
        return
    exact = examine(path, wanted, hints, engine, folder, ways=("exact",))
    assert not exact.refused and rows(engine, exact) == passed
