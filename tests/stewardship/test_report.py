"""The report: everything at once, grouped, bounded, and without a secret."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.findings import Cell, Finding
from assay.stewardship.kinds import KINDS
from assay.stewardship.report import PROBLEMS_MOST, Report, report
from assay.stewardship.words import plain
from assay.zones.contract import Contract, Field
from assay.zones.types import FieldType

MONEY, DAY, TEXT = FieldType("decimal", 12, 2), FieldType("date"), FieldType("string")


def contract(*fields: Field) -> Contract:
    return Contract(Path("c.yaml"), "c", "1.2.0", "active", "card", fields)


CARD = contract(
    Field("day", DAY, ("Date", "Posting date"), formats=("%d/%m/%Y",)),
    Field("card_no", TEXT, ("Card",), classification="restricted"),
    Field("amount", MONEY, ("Amount",)),
)


def made(*findings: Finding, **more: Any) -> Report:
    return report(findings, file="card.xlsx", outcome=more.pop("outcome", "rejected"), contract=CARD, **more)


def test_problems_stand_by_severity_and_then_in_the_order_of_the_columns() -> None:
    found = made(
        Finding("number_as_text", "m", severity="info", field="amount"),
        Finding("type_mismatch", "m", field="amount", cells=(Cell(5, "C", "n/a"),)),
        Finding("missing_value", "m", severity="warning", field="day"),
        Finding("type_mismatch", "m", field="day", cells=(Cell(9, "A", "never"),)),
    )
    assert [(group.severity, [one.column for one in group.problems]) for group in found.groups] == [
        ("error", ["Date", "Amount"]), ("warning", ["Date"]), ("info", ["Amount"]),
    ]  # fmt: skip


def test_the_same_problem_on_two_sheets_is_one_problem() -> None:
    found = made(
        Finding("type_mismatch", "m", field="amount", count=2, cells=(Cell(5, "C", "x", "Jan"),)),
        Finding("type_mismatch", "m", field="amount", count=3, cells=(Cell(7, "D", "y", "Feb"),)),
    )
    ((problem,),) = [group.problems for group in found.groups]
    assert (problem.count, problem.rows, problem.letters, problem.more_cells) == (5, 5, ("C", "D"), 3)
    assert [str(cell) for cell in problem.cells] == ["Jan!C5", "Feb!D7"]


def test_what_to_do_is_said_in_the_words_of_the_sender() -> None:
    found = made(Finding("type_mismatch", "m", field="day", header="Posting date", cells=(Cell(2, "A", "x"),)))
    problem = found.groups[0].problems[0]
    assert problem.column == "Posting date"
    assert problem.says == "1 cell does not fit"
    assert problem.next == "Correct what stands there: it must be a date written as DD/MM/YYYY, such as 31/12/2025."


def test_the_summary_counts_kinds_and_rows() -> None:
    found = made(Finding("type_mismatch", "m", field="day"), rows_total=5012, rows_affected=23)
    assert found.summary == (
        "card.xlsx was not accepted, and nothing of it was taken in: 1 kind of problem, 23 of 5,012 rows affected."
    )


def test_a_value_of_a_field_that_became_sensitive_is_masked_however_it_was_recorded() -> None:
    found = made(Finding("type_mismatch", "m", field="card_no", cells=(Cell(2, "B", "4929 AB"),)))
    assert found.groups[0].problems[0].cells[0].found == "9999 XX"


def test_control_and_direction_signs_of_a_file_are_spelled_out() -> None:
    evil = Finding("unknown_column", "column \x1b[31m is unknown", cells=(Cell(1, "A", "\x1b]0;x\x07\u202eabc"),))
    problem = made(evil).groups[0].problems[0]
    assert problem.says == "column \\x1b[31m is unknown"
    assert problem.cells[0].found == "\\x1b]0;x\\x07\\u202eabc"


CELLS = st.builds(Cell, st.integers(1, 9), st.sampled_from(["A", "ZZ"]), st.text(max_size=900))
FINDINGS = st.builds(
    Finding,
    st.sampled_from([kind.name for kind in KINDS] + ["of_another_version"]),
    st.text(max_size=900),
    severity=st.sampled_from(["error", "warning", "info"]),
    field=st.none() | st.sampled_from(["day", "card_no", "amount"]) | st.text(max_size=400),
    expected=st.none() | st.text(max_size=900),
    count=st.integers(1, 10**7),
    cells=st.lists(CELLS, max_size=8).map(tuple),
    header=st.none() | st.text(max_size=900),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINDINGS, max_size=6), st.integers(1, 200))
def test_any_findings_make_a_report_of_bounded_size(findings: list[Finding], times: int) -> None:
    many = [Finding(f.kind, f"{n} {f.message}", f.severity, None, f.expected, f.count, f.cells)
            for n in range(times) for f in findings[:2]]  # fmt: skip
    found = report([*findings, *many], file="x" * 999, outcome="rejected", contract=CARD)
    text = json.dumps(found.to_dict())
    assert len(text) < 3 * PROBLEMS_MOST * 16_000
    shown = sum(len(group.problems) + group.more for group in found.groups)
    assert shown >= len({f.message for f in many})
    assert all(len(group.problems) <= PROBLEMS_MOST for group in found.groups)


def test_what_is_left_out_is_counted() -> None:
    found = made(*[Finding("unknown_column", f"column {number}") for number in range(PROBLEMS_MOST + 12)])
    assert found.groups[0].more == 12


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (Field("a", TEXT, ("a",), max_length=4), "a text, at most 4 characters long"),
        (Field("a", FieldType("integer"), ("a",), minimum=1), "a whole number, such as 1234, not below 1"),
        (
            Field("a", MONEY, ("a",), decimal_sign=",", thousands_sign="."),
            'a number with at most 2 digits after the "," and 10 before it, such as 1.234,50',
        ),
        (Field("a", FieldType("decimal", 9, 0), ("a",)), "a whole number of at most 9 digits, such as 1234"),
        (Field("a", FieldType("double"), ("a",), percent=True), "a percentage, such as 12.5%"),
        (Field("a", DAY, ("a",)), "a date written as YYYY-MM-DD, such as 2025-12-31"),
        (
            Field("a", DAY, ("a",), formats=("%-d %B %Y", "%d.%m.%y")),
            "a date written as D Month YYYY or DD.MM.YY, such as 31 December 2025",
        ),
        (Field("a", DAY, ("a",), formats=("excel",)), "a date as the spreadsheet program writes it"),
        (
            Field("a", FieldType("boolean"), ("a",), true_words=("ja", "j"), false_words=("nein",)),
            '"ja" or "j" for yes, or "nein" for no',
        ),
        (
            Field("a", TEXT, ("a",), pattern="E[0-9]{4}", description="The staff number."),
            "a text, of the agreed form (The staff number): E[0-9]{4}",
        ),
    ],
)
def test_a_field_is_described_to_people_who_never_saw_a_contract(field: Field, words: str) -> None:
    assert plain(field) == words


def test_the_reference_page_has_every_name_of_the_structure_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "report.md").read_text(encoding="utf-8")
    sections = [set(re.findall(r"^\| `(\w+)` \|", part, re.M)) for part in page.split("\n## ")[1:]]
    told = made(Finding("type_mismatch", "m", field="amount", cells=(Cell(5, "C", "x"),))).to_dict()
    group = told["groups"][0]
    problem = group["problems"][0]
    assert sections == [set(told), set(group), set(problem), set(problem["cells"][0])]
