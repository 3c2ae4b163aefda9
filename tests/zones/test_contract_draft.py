"""A proposed contract is written so that it reads back as it was, whatever the texts in it are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from assay.zones.contract import Field, load_contract
from assay.zones.contract_draft import Draft, DraftFile, FieldDraft, Guess, date_pattern, scalar, to_yaml
from assay.zones.types import FieldType
from assay.zones.yaml import read

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "yes",
        "NO",
        "null",
        "~",
        "1",
        "1e3",
        "0x1F",
        "a: b",
        "a #b",
        "- a",
        "[a]",
        "{a}",
        "a,b",
        "'",
        '"',
        "\\",
        "&a",
        "*a",
    ]
)


@given(TEXTS)
def test_any_text_reads_back_as_itself_in_a_list_and_in_a_mapping(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    path.write_text(f"one: {scalar(text)}\nmany: {scalar([text, text])}\npairs: {scalar({'key': text})}\n", "utf-8")
    expected = {"one": text, "many": [text, text], "pairs": {"key": text}}
    assert read(path).value == expected
    assert pyyaml.safe_load(path.read_bytes()) == expected  # by the rules of YAML 1.1 too, which others read


@given(TEXTS, TEXTS)
def test_no_text_of_a_file_can_leave_its_comment(
    tmp_path_factory: pytest.TempPathFactory, header: str, cell: str
) -> None:
    field = Field("value", FieldType("string"), ("Value",))
    guess = Guess("logicalType", "text", f'cells such as "{cell}"', (cell,))
    draft = Draft("card", (DraftFile(header, header, 1, 1, 1),), (FieldDraft(field, (guess,)),), remarks=(cell,))
    path = tmp_path_factory.mktemp("draft") / "card.odcs.yaml"
    path.write_text(to_yaml(draft), "utf-8")
    (found,) = load_contract(path).fields
    assert (found.name, found.headers, str(found.type)) == ("value", ("Value",), "text")


@pytest.mark.parametrize(
    ("strptime", "letters"),
    [
        ("%Y-%m-%d", "yyyy-MM-dd"),
        ("%-d/%-m/%Y", "d/M/yyyy"),
        ("%d.%m.%y", "dd.MM.yy"),
        ("%d-%b-%Y", "dd-MMM-yyyy"),
        ("%d %B %Y", "dd MMMM yyyy"),
        ("%Y-%m-%dT%H:%M:%S.%f", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"),
        ("%Y-%m-%d %I:%M %p", "yyyy-MM-dd hh:mm a"),
        ("%Y-%m-%d %-H:%M%z", "yyyy-MM-dd H:mmXXX"),
    ],
)
def test_a_date_format_is_written_in_the_letters_of_the_standard_and_reads_back(
    tmp_path: Path, strptime: str, letters: str
) -> None:
    assert date_pattern(strptime) == letters
    field = Field("value", FieldType("timestamp"), ("value",), formats=(strptime, "%Y"))
    path = tmp_path / "card.odcs.yaml"
    path.write_text(to_yaml(Draft("card", (), (FieldDraft(field, ()),))))
    assert load_contract(path).fields[0].formats == (strptime, "%Y")


def test_every_line_of_a_field_reads_back(tmp_path: Path) -> None:
    drawn = (
        Field("day", FieldType("date"), ("Day", "Tag", ""), formats=("%d/%m/%Y", "%Y-%m-%d"), may_be_absent=True),
        Field(
            "amount", FieldType("decimal", 12, 2), ("Amount",), required=True, null_words=(" - ", "n/a"),
            decimal_sign=",", thousands_sign=".", currency_signs=("€",), parentheses=True, classification="restricted",
        ),
        Field("paid", FieldType("boolean"), ("paid",), true_words=("ja",), false_words=("nein",)),
        Field("number", FieldType("string"), ("No: 1",), primary_key=True, required=True),
    )  # fmt: skip
    path = tmp_path / "card.odcs.yaml"
    path.write_text(to_yaml(Draft("card", (), tuple(FieldDraft(one, ()) for one in drawn))), "utf-8")
    contract = load_contract(path)
    assert tuple(one.__class__(**{**vars(one), "line": 0}) for one in contract.fields) == drawn
    assert contract.primary_key == ("number",)
