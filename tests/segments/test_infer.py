"""What infer proposes from files made for one question each, and from the real ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from assay.errors import Rejected
from assay.segments.infer.propose import dataset_name, file_pattern, propose
from assay.zones.contract import load_contract
from assay.zones.contract_draft import Draft, FieldDraft, to_yaml
from assay.zones.yaml import read

SHARED = Path(__file__).parents[3] / "shared" / "data"
EXPENSE = SHARED / "expense"
SCHEMA = SHARED / "conformance" / "odcs" / "schema" / "odcs-json-schema-v3.1.0.json"
needs_files = pytest.mark.skipif(not EXPENSE.is_dir(), reason="the shared data folder is missing")


def write(path: Path, rows: Sequence[Sequence[object]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def infer(tmp_path: Path, *files: Path) -> Draft:
    return propose(files, tmp_path / "scratch")


def column(tmp_path: Path, *cells: object, header: str = "Value") -> FieldDraft:
    """The proposal for one column, beside a second one that numbers the rows."""
    path = write(tmp_path / "column.csv", [[header, "Line"], *([cell, f"l{n}"] for n, cell in enumerate(cells))])
    return infer(tmp_path, path).fields[0]


def told(field: FieldDraft) -> tuple[str, tuple[str, ...]]:
    return str(field.field.type), field.guesses[0].candidates


# Types


def test_days_and_months_that_could_change_places_stay_text_and_both_readings_are_named(tmp_path: Path) -> None:
    field = column(tmp_path, "01/02/2025", "11/12/2025", "03/03/2025")
    assert told(field) == ("text", ("dd/MM/yyyy", "MM/dd/yyyy"))


def test_one_day_above_twelve_decides_however_far_down_it_stands(tmp_path: Path) -> None:
    field = column(tmp_path, *["01/02/2025"] * 7000, "02/25/2025")
    assert (str(field.field.type), field.field.formats) == ("date", ("%m/%d/%Y",))


def test_dates_of_two_spellings_need_both_formats(tmp_path: Path) -> None:
    field = column(tmp_path, "2025-01-31", "31.01.2025", "1.2.2025")
    assert str(field.field.type) == "date"
    assert sorted(field.field.formats) == ["%-d.%-m.%Y", "%Y-%m-%d"]


def test_a_leading_zero_far_down_makes_a_code_of_a_number(tmp_path: Path) -> None:
    field = column(tmp_path, *[str(number) for number in range(1, 7000)], "0042")
    assert str(field.field.type) == "text"
    assert "begin with a zero" in field.guesses[0].evidence


def test_one_word_far_down_keeps_a_column_of_numbers_text_and_is_shown(tmp_path: Path) -> None:
    field = column(tmp_path, *["12.50"] * 7000, "see note")
    assert str(field.field.type) == "text"
    assert '"see note"' in field.guesses[0].evidence


def test_numbers_longer_than_a_spreadsheet_keeps_are_text(tmp_path: Path) -> None:
    assert str(column(tmp_path, "1234567890123456", "2234567890123456").field.type) == "text"


def test_a_number_that_names_something_is_text_and_the_other_reading_is_named(tmp_path: Path) -> None:
    assert told(column(tmp_path, "1001", "1002", header="Invoice number")) == ("text", ("whole number",))


def test_a_code_such_as_1E5_is_not_a_number(tmp_path: Path) -> None:
    assert str(column(tmp_path, "1E5", "2E7").field.type) == "text"


def test_a_thousand_that_could_be_a_decimal_stays_text_until_another_column_decides(tmp_path: Path) -> None:
    alone = column(tmp_path, "1,234", "5,678")
    assert told(alone) == ("text", ("decimal point, thousands comma", "decimal comma"))
    rows = [["Gross", "Net"], ["1,234", "1,000.50"], ["5,678", "2.25"]]
    gross, net = infer(tmp_path, write(tmp_path / "two.csv", rows)).fields
    assert (str(gross.field.type), gross.field.thousands_sign) == ("whole number", ",")
    assert (str(net.field.type), net.field.decimal_sign) == ("decimal(12,2)", ".")


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands", "currency", "parentheses"),
    [
        (("-£2,910.70", "£12.00"), ".", ",", ("£",), False),
        (("1.234,56", "7,10"), ",", ".", (), False),
        (("(12.50)", "3.00"), ".", None, (), True),
        (("1 234,56", "2 000 000,00"), ",", " ", (), False),
        (("R$1.234,56", "R$2,00"), ",", ".", ("R$",), False),
    ],
)
def test_the_signs_of_a_number_are_found(
    tmp_path: Path,
    cells: tuple[str, ...],
    decimal: str,
    thousands: str | None,
    currency: tuple[str, ...],
    parentheses: bool,
) -> None:
    field = column(tmp_path, *cells).field
    assert (field.decimal_sign, field.thousands_sign, field.currency_signs, field.parentheses) == (
        decimal, thousands, currency, parentheses,
    )  # fmt: skip
    assert str(field.type) == "decimal(12,2)"


def test_precision_has_room_and_scale_is_what_was_found(tmp_path: Path) -> None:
    assert str(column(tmp_path, "123456789012.345", "1.5").field.type) == "decimal(17,3)"


def test_percentages_are_reported_and_kept_as_text(tmp_path: Path) -> None:
    field = column(tmp_path, "5 %", "12.5%")
    assert str(field.field.type) == "text"
    assert "percentages" in field.guesses[0].evidence


def test_words_for_no_value_count_only_in_a_typed_column(tmp_path: Path) -> None:
    typed = column(tmp_path, "12", "n/a", " - ", "7").field
    assert (str(typed.type), typed.null_words, typed.required) == ("whole number", (" - ", "n/a"), False)
    text = column(tmp_path, "red", "n/a", "-", "blue").field
    assert (str(text.type), text.null_words, text.required) == ("text", (), True)


def test_yes_and_no_are_a_boolean_and_one_of_them_alone_is_not(tmp_path: Path) -> None:
    both = column(tmp_path, "Yes", "no", "YES").field
    assert (str(both.type), both.true_words, both.false_words) == ("boolean", ("yes",), ("no",))
    assert str(column(tmp_path, "Yes", "Yes").field.type) == "text"


# Several files


def test_a_column_that_changed_its_name_is_an_alias_and_a_missing_one_may_be_absent(tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv", [["Directotate", "Amount"], ["Health", "1.50"], ["Roads", "2.00"]])
    new = write(
        tmp_path / "new.csv", [["Directorate", "Amount", "Note"], ["Health", "3.50", "x"], ["Parks", "1.00", "y"]]
    )
    fields = {one.field.name: one.field for one in infer(tmp_path, old, new).fields}
    assert fields["directorate"].headers == ("Directorate", "Directotate")
    assert (fields["note"].may_be_absent, fields["amount"].may_be_absent) == (True, False)


def test_two_amounts_that_stand_in_one_place_are_not_taken_for_one(tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv", [["Who", "Air travel", "Meals"], ["a", "1.50", "2.10"]])
    new = write(tmp_path / "new.csv", [["Who", "Surface travel", "Hotels"], ["a", "3.50", "1.10"]])
    assert [one.field.headers for one in infer(tmp_path, old, new).fields if len(one.field.headers) > 1] == []


def test_the_same_bytes_twice_are_read_once(tmp_path: Path) -> None:
    rows = [["No", "Amount"], *([str(n), f"{n}.50"] for n in range(30))]
    draft = infer(tmp_path, write(tmp_path / "a.csv", rows), write(tmp_path / "b.csv", rows))
    assert [file.name for file in draft.files] == ["a.csv"]
    assert "same bytes" in draft.remarks[0]


def test_the_encoding_is_a_guess_with_its_unusual_words(tmp_path: Path) -> None:
    draft = infer(tmp_path, write(tmp_path / "a.csv", [["Ort", "Betrag"], ["Köln", "1,50"]], "cp1252", ";"))
    assert (draft.reader["encoding"], draft.reader["delimiter"]) == ("cp1252", ";")
    assert '"Köln"' in draft.reader_guesses[0].evidence


# Keys, values, personal data


def test_a_column_that_tells_all_rows_apart_and_says_so_is_the_primary_key(tmp_path: Path) -> None:
    rows = [["Text", "Invoice no", "Day"], *([f"t{n % 3}", f"A{n}", "2025-01-31"] for n in range(25))]
    draft = infer(tmp_path, write(tmp_path / "a.csv", rows))
    assert [one.field.name for one in draft.fields if one.field.primary_key] == ["invoice_no"]


def test_a_pair_is_a_candidate_key_where_no_column_is(tmp_path: Path) -> None:
    rows = [["Page", "Line"], *([f"p{n // 6}", f"l{n % 6}"] for n in range(36))]
    draft = infer(tmp_path, write(tmp_path / "a.csv", rows))
    assert [key.value for key in draft.keys] == [["page", "line"]]
    assert not any(one.field.primary_key for one in draft.fields)


def test_few_rows_have_no_key(tmp_path: Path) -> None:
    rows = [["Invoice no", "Day"], *([f"A{n}", "2025-01-31"] for n in range(5))]
    assert infer(tmp_path, write(tmp_path / "a.csv", rows)).keys == ()


def test_a_column_of_few_texts_gets_a_rule_that_warns_of_a_new_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [["Kind", "Line"], *([("meal", "trip")[n % 2], f"l{n}"] for n in range(40))])
    draft = infer(tmp_path, path)
    out = tmp_path / "a.odcs.yaml"
    out.write_text(to_yaml(draft))
    rule = load_contract(out).rules[0]
    assert (rule.kind, rule.valid_values, rule.action, rule.fields) == ("invalid", ("meal", "trip"), "warn", ("kind",))


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Contact", ("ann@example.org", "bob@example.org")),
        ("Paid with", ("************1234", "************5678")),
        ("To", ("DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432")),
        ("Employee name", ("Ann Example", "Bob Example")),
        ("Card holder", ("E0001", "E0002")),
    ],
)
def test_personal_data_is_classified_and_its_cells_are_never_shown(
    tmp_path: Path, header: str, cells: tuple[str, ...]
) -> None:
    path = write(tmp_path / "a.csv", [[header, "Line"], *([cells[n % 2], f"l{n}"] for n in range(40))])
    draft = infer(tmp_path, path)
    assert draft.fields[0].field.classification == "restricted"
    shown = to_yaml(draft) + json.dumps(draft.to_dict())
    assert [cell for cell in cells if cell in shown] == []


@pytest.mark.parametrize("header", ["Merchant name", "Supplier", "Staff travel", "Product name", "Amount"])
def test_a_header_that_names_no_person_is_not_classified(tmp_path: Path, header: str) -> None:
    assert column(tmp_path, "alpha", "beta", header=header).field.classification is None


# Workbooks


def workbook(path: Path, rows: Sequence[Sequence[Any]], before: int = 0) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("Sheet")
        for number, row in enumerate(rows, start=before):
            for at, cell in enumerate(row):
                if cell is not None:
                    sheet.write(number, at, cell)
    return path


def test_a_header_is_found_below_a_title_and_totals_and_notes_are_not_data(tmp_path: Path) -> None:
    rows = [
        ["Spending of the office", None, None, None],
        [None, None, None, None],
        ["Team", "Person", "Air", "Road"],
        *([f"T{n}", f"P{n}", n + 0.5, n] for n in range(8)),
        ["Total", None, 32.0, 28],
        ["(1) Figures are not audited.", None, None, None],
    ]
    draft = infer(tmp_path, workbook(tmp_path / "a.xlsx", rows, before=7))
    assert draft.files[0].header_row == 10
    assert [str(one.field.type) for one in draft.fields] == ["text", "text", "decimal(11,1)", "whole number"]
    assert all(one.field.required for one in draft.fields)
    assert draft.reader["footer"] == [r"^\(1\) Figures are not audi"]
    assert "skip" in draft.reader


def test_titles_between_the_rows_become_a_field_of_their_own(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["Member", "Air", "Road", "Rail"]]
    for party in ("North", "South"):
        rows += [[party, None, None, None], *([f"{party} {n}", n + 0.5, n, n + 0.25] for n in range(3))]
    draft = infer(tmp_path, workbook(tmp_path / "a.xlsx", rows))
    assert draft.reader["group_rows"] == "section"
    assert [one.field.name for one in draft.fields] == ["member", "air", "road", "rail", "section"]
    assert all(one.field.required for one in draft.fields[:4])


def test_a_header_of_two_rows_gives_names_of_both_and_a_group_is_filled_down(tmp_path: Path) -> None:
    rows = [
        ["Party", "Member", "Travel", None],
        [None, None, "Air", "Road"],
        *([("North", "South")[n // 4] if n % 4 == 0 else None, f"M{n}", n + 0.5, n] for n in range(8)),
    ]
    draft = infer(tmp_path, workbook(tmp_path / "a.xlsx", rows))
    assert [one.field.headers[0] for one in draft.fields] == ["Party", "Member", "Travel Air", "Travel Road"]
    assert (draft.reader["header_rows"], draft.reader["fill_down"]) == (2, ["party"])


def test_a_table_without_a_header_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        infer(tmp_path, write(tmp_path / "a.csv", [["1", "2.5"], ["2", "3.5"]]))
    assert caught.value.next == "give its row with --header-row"


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no row below the header"):
        infer(tmp_path, write(tmp_path / "a.csv", [["Team", "Amount"]]))


# Names


@pytest.mark.parametrize(
    ("files", "name", "pattern"),
    [
        (["card-2025-01.xlsx", "card-2025-02.xlsx"], "card", "card-*.xlsx"),
        (["Spend.csv"], "spend", "Spend*.csv"),
        (["jan.csv", "feb.csv"], "incoming", "*.csv"),
        (["a[1]-x.csv", "a[1]-y.csv"], "a_x", "a**.csv"),
    ],
)
def test_the_names_of_files_suggest_a_dataset_and_a_pattern(files: list[str], name: str, pattern: str) -> None:
    paths = [Path("/srv/incoming") / file for file in files]
    assert file_pattern(paths) == pattern
    if name != "a_x":
        assert dataset_name(paths) == name


# Real files

REAL = {
    "birmingham": ("birmingham_pcard/publish*.xls",
                   {"trans_date": "date", "original_gross_amt": "decimal(12,2)", "card_number": "text"}),
    "calderdale": ("calderdale_card/clean/*.csv",
                   {"transaction_date": "date", "net_amount": "decimal(12,2)", "expense_code": "text"}),
    "oxford": ("oxford_pcard/*.csv", {"fin_transaction_date": "date", "fin_transaction_amount": "decimal(12,2)"}),
    "manchester": ("manchester_raw/*.csv", {"invoice_payment_date": "date", "net_amount": "decimal(13,2)"}),
    "senate": ("br_senate_ceaps/*.csv", {"ano": "whole number", "valor_reembolsado": "decimal(12,2)"}),
    "members": ("nz_members/*.xls*", {"party": "text", "travel_air": "decimal(12,2)", "grand_total": "decimal(12,2)"}),
    "ministers": ("nz_ministers/*.xls*", {"party": "text", "wellington_accommodation_ministers_only": "text"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Draft]:
    """The proposal for a real feed, made once."""
    made: dict[str, Draft] = {}

    def proposal(feed: str) -> Draft:
        if feed not in made:
            made[feed] = propose(sorted(EXPENSE.glob(REAL[feed][0])), tmp_path_factory.mktemp(feed))
        return made[feed]

    return proposal


@needs_files
@pytest.mark.parametrize("feed", REAL)
def test_the_proposal_for_a_real_feed_is_a_valid_contract_with_the_types_a_person_sees(
    tmp_path: Path, feed: str, real: Callable[[str], Draft]
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    out = tmp_path / "proposed.odcs.yaml"
    out.write_text(to_yaml(real(feed)), encoding="utf-8")
    contract = load_contract(out)
    types = REAL[feed][1]
    found = {field.name: str(field.type) for field in contract.fields}
    assert {name: found.get(name) for name in types} == types
    jsonschema.validate(read(out).value, json.loads(SCHEMA.read_text()))


@needs_files
def test_every_header_of_a_real_feed_has_a_place_in_its_proposal(real: Callable[[str], Draft]) -> None:
    fields = {one.field.name: one.field for one in real("birmingham").fields}
    assert fields["trans_vat_desc"].headers == ("TRANS VAT DESC", "TRANS TAX DESC")
    assert fields["directorate"].headers == ("Directorate", "")
    assert fields["card_number"].classification == "restricted"
    assert fields["billing_gross_amt"].may_be_absent


@needs_files
def test_the_currency_and_thousands_signs_of_a_real_feed_are_found(real: Callable[[str], Draft]) -> None:
    draft = real("manchester")
    amount = next(one.field for one in draft.fields if one.field.name == "net_amount")
    assert (amount.thousands_sign, amount.currency_signs) == (",", ("£",))
    assert draft.reader["encoding"] == "cp1252"
