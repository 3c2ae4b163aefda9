"""Contracts of the standard load; what is wrong is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.errors import Misconfigured
from assay.zones.contract import load_contract, load_contracts
from assay.zones.yaml import read

EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "conformance" / "odcs" / "examples"

SMALL = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: small
status: active
schema:
  - name: small
    properties:
      - name: amount
        logicalType: number
        physicalType: decimal(12,2)
        required: true
"""


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the shared data folder is missing")
def test_the_examples_of_the_standard_load() -> None:
    files = sorted(EXAMPLES.rglob("*.yaml"))
    assert len(files) == 18
    for path in files:
        assert isinstance(load_contracts(path), tuple)


def test_a_decimal_keeps_precision_and_scale(tmp_path: Path) -> None:
    path = tmp_path / "small.odcs.yaml"
    path.write_text(SMALL)
    field = load_contract(path).field("amount")
    assert (str(field.type), field.required, field.line) == ("decimal(12,2)", True, 9)


def test_an_unknown_key_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "small.odcs.yaml"
    path.write_text(SMALL.replace("required:", "requried:"))
    with pytest.raises(Misconfigured) as caught:
        load_contract(path)
    assert (caught.value.line, caught.value.expected) == (12, "required?")


def test_an_unknown_kind_of_personal_data_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "small.odcs.yaml"
    declared = "        customProperties:\n          - {property: personalData, value: [email, fone]}\n"
    path.write_text(SMALL + declared)
    with pytest.raises(Misconfigured, match="personalData: fone is not known") as caught:
        load_contract(path)
    assert (caught.value.line, caught.value.expected) == (14, "phone")
    path.write_text(SMALL + declared.replace("fone", "national_id"))
    assert load_contract(path).field("amount").personal_data == ("email", "national_id")


@pytest.mark.parametrize(("text", "value"), [("NO", "NO"), ("010", "010"), ("true", True), ("1.5", 1.5), ("7", 7)])
def test_only_words_of_yaml_1_2_mean_something(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {text}\n")
    assert read(path).value == {"key": value}


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: 2\na: 3\n")
    with pytest.raises(Misconfigured) as caught:
        read(path)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("{property: thousandsSign, value: '.'}", 'the "." of'),
        ("{property: decimalSign, value: ','}, {property: thousandsSign, value: ','}", 'the "," of'),
        ("{property: trueWords, value: [Yes, X]}, {property: falseWords, value: [no, ' x']}", '"x" of'),
    ],
)
def test_signs_and_words_that_could_mean_two_things_are_refused(tmp_path: Path, properties: str, words: str) -> None:
    path = tmp_path / "small.odcs.yaml"
    path.write_text(f"{SMALL}        customProperties: [{properties}]\n")
    with pytest.raises(Misconfigured, match="could ") as caught:
        load_contract(path)
    assert caught.value.what.startswith(words) and caught.value.line == 13


@pytest.mark.parametrize("mark", ["1", "5)", "-", "a.", ""])
def test_a_footnote_mark_that_could_be_a_part_of_the_number_is_refused(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "small.odcs.yaml"
    path.write_text(f"{SMALL}        customProperties:\n          - {{property: footnoteMarks, value: ['{mark}']}}\n")
    with pytest.raises(Misconfigured, match="cannot be told") as caught:
        load_contract(path)
    assert caught.value.line == 14
