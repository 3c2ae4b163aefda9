"""What a change of a contract means for who delivers files and for who queries the dataset: one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engines import forms
from assay.engines.duckdb import Engine, connect
from assay.zones.contract import Contract, Field, load_contract
from assay.zones.contract_diff import compared, differences
from assay.zones.contract_diff_fields import DEFAULT_FORMATS, field_changes
from assay.zones.types import FieldType

BASE = """\
version: {version}
apiVersion: v3.1.0
kind: DataContract
id: card
status: active
schema:
  - name: card
{schema}    properties:
      - name: id
        logicalType: string
        required: true
{more}"""


def contract(folder: Path, more: str = "", *, schema: str = "", version: str = "1.0.0", name: str = "old") -> Contract:
    path = folder / f"{name}.odcs.yaml"
    path.write_text(BASE.format(version=version, schema=schema, more=more))
    return load_contract(path)


def prop(name: str, *lines: str) -> str:
    return "".join([f"      - name: {name}\n", *(f"        {line}\n" for line in lines)])


def extras(*values: str) -> str:
    return "customProperties: [" + ", ".join(values) + "]"


AMOUNT = ("logicalType: number", "physicalType: decimal(12,2)")
DAY = "logicalType: date"

#: What changes in one field: its lines before and after, the kind of the difference, and who it breaks.
FIELD_TABLE = [
    # the type
    (AMOUNT, ("logicalType: number", "physicalType: decimal(14,2)"), "type_widened", ""),
    (AMOUNT, ("logicalType: number", "physicalType: decimal(16,4)"), "type_widened", ""),
    (AMOUNT, ("logicalType: number", "physicalType: decimal(12,4)"), "type_narrowed", "deliverer consumer"),
    (AMOUNT, ("logicalType: number", "physicalType: decimal(10,2)"), "type_narrowed", "deliverer consumer"),
    (AMOUNT, ("logicalType: number",), "type_changed", "consumer"),
    (AMOUNT, ("logicalType: string",), "type_changed", "consumer"),
    (("logicalType: string",), AMOUNT, "type_narrowed", "deliverer consumer"),
    (("logicalType: integer",), AMOUNT, "type_narrowed", "deliverer consumer"),
    (("logicalType: integer",), ("logicalType: number", "physicalType: decimal(21,2)"), "type_changed", "consumer"),
    # empty values
    (AMOUNT, (*AMOUNT, "required: true"), "required", "deliverer"),
    ((*AMOUNT, "required: true"), AMOUNT, "required", "consumer"),
    (AMOUNT, (*AMOUNT, extras("{property: mayBeAbsent, value: true}")), "may_be_absent", ""),
    ((*AMOUNT, extras("{property: mayBeAbsent, value: true}")), AMOUNT, "may_be_absent", "deliverer"),
    (AMOUNT, (*AMOUNT, extras("{property: nullWords, value: [n/a]}")), "null_words_added", ""),
    ((*AMOUNT, extras("{property: nullWords, value: [n/a]}")), AMOUNT, "null_words_removed", "deliverer"),
    (("logicalType: string",), ("logicalType: string", extras("{property: nullWords, value: [n/a]}")),
     "null_words_added", "consumer"),
    # headers
    (AMOUNT, (*AMOUNT, extras("{property: aliases, value: [Betrag]}")), "header_added", ""),
    ((*AMOUNT, extras("{property: aliases, value: [Betrag]}")), AMOUNT, "header_removed", "deliverer"),
    # the form of a cell
    ((DAY, "logicalTypeOptions: {format: dd/MM/yyyy}"), (DAY, "logicalTypeOptions: {format: MM/dd/yyyy}"),
     "format_reread", "deliverer consumer"),
    ((DAY, "logicalTypeOptions: {format: dd/MM/yyyy}"),
     (DAY, "logicalTypeOptions: {format: dd/MM/yyyy}", extras("{property: formats, value: [yyyy-MM-dd]}")),
     "format_added", ""),
    ((DAY, "logicalTypeOptions: {format: dd/MM/yyyy}"), (DAY,), "format_removed", "deliverer"),
    ((DAY, "logicalTypeOptions: {format: dd/MM/yyyy}"),
     (DAY, "logicalTypeOptions: {format: MM/dd/yyyy}", extras("{property: formats, value: [dd/MM/yyyy]}")),
     "format_reread", "deliverer consumer"),
    (AMOUNT, (*AMOUNT, extras("{property: decimalSign, value: ','}")), "decimal_sign", "deliverer consumer"),
    (AMOUNT, (*AMOUNT, extras("{property: thousandsSign, value: ','}")), "thousands_sign", ""),
    ((*AMOUNT, extras("{property: thousandsSign, value: ','}")), AMOUNT, "thousands_sign", "deliverer"),
    ((*AMOUNT, extras("{property: currencySigns, value: [$]}")), AMOUNT, "currency_signs_removed", "deliverer"),
    (AMOUNT, (*AMOUNT, extras("{property: parentheses, value: true}")), "parentheses", ""),
    (("logicalType: boolean", extras("{property: trueWords, value: [x]}", "{property: falseWords, value: [y]}")),
     ("logicalType: boolean", extras("{property: trueWords, value: [y]}", "{property: falseWords, value: [x]}")),
     "boolean_words", "deliverer consumer"),
    (("logicalType: boolean", extras("{property: trueWords, value: [Straße]}")),
     ("logicalType: boolean", extras("{property: trueWords, value: [STRASSE]}")), "boolean_words_removed", "deliverer"),
    # limits
    (AMOUNT, (*AMOUNT, "logicalTypeOptions: {minimum: 0}"), "minimum", "deliverer"),
    ((*AMOUNT, "logicalTypeOptions: {minimum: 0}"), AMOUNT, "minimum", "consumer"),
    ((*AMOUNT, "logicalTypeOptions: {maximum: 5}"), (*AMOUNT, "logicalTypeOptions: {maximum: 9}"),
     "maximum", "consumer"),
    ((*AMOUNT, "logicalTypeOptions: {maximum: 9}"), (*AMOUNT, "logicalTypeOptions: {maximum: 5}"),
     "maximum", "deliverer"),
    (("logicalType: string",), ("logicalType: string", "logicalTypeOptions: {maxLength: 5}"),
     "max_length", "deliverer"),
    (("logicalType: string",), ("logicalType: string", "logicalTypeOptions: {pattern: '^A'}"), "pattern", "deliverer"),
    (("logicalType: string", "logicalTypeOptions: {pattern: '^A'}"),
     ("logicalType: string", "logicalTypeOptions: {pattern: '^B'}"), "pattern", "deliverer consumer"),
    # keys and people
    (AMOUNT, (*AMOUNT, "unique: true"), "unique", "deliverer"),
    ((*AMOUNT, "unique: true"), AMOUNT, "unique", "consumer"),
    ((*AMOUNT, "classification: public"), (*AMOUNT, "classification: restricted"),
     "classification_tightened", "consumer"),
    ((*AMOUNT, "classification: restricted"), (*AMOUNT, "classification: internal"), "classification_loosened", ""),
    ((*AMOUNT, "classification: restricted"), (*AMOUNT, "classification: purple"),
     "classification_changed", "consumer"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "kind", "broken"), FIELD_TABLE)
def test_a_change_of_a_field(
    tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...], kind: str, broken: str
) -> None:
    old = contract(tmp_path, prop("value", *before))
    new = contract(tmp_path, prop("value", *after), version="2.0.0", name="new")
    found = {one.kind: one for one in differences(old, new)}
    assert kind in found
    one = found[kind]
    assert (one.deliverer == "breaking", one.consumer == "breaking") == ("deliverer" in broken, "consumer" in broken)
    assert one.why and one.subject == "field value"
    if not broken:
        assert [other.kind for other in found.values() if other.breaking] == []


def test_the_same_contract_has_no_differences(tmp_path: Path) -> None:
    one = contract(tmp_path, prop("value", *AMOUNT))
    assert differences(one, one) == ()


def kinds(old: Contract, new: Contract) -> dict[str, str]:
    """Each difference's kind and whom it breaks."""
    return {
        one.kind: " ".join(who for who in ("deliverer", "consumer") if getattr(one, who) == "breaking")
        for one in differences(old, new)
    }


def test_a_field_added_removed_or_renamed(tmp_path: Path) -> None:
    value = prop("value", *AMOUNT, "physicalName: Value")
    bare, full = contract(tmp_path), contract(tmp_path, value, version="2.0.0", name="full")
    assert kinds(bare, full) == {"field_added": "deliverer"}
    assert kinds(full, replace(bare, version="3.0.0")) == {"field_removed": "deliverer consumer"}
    absent = contract(tmp_path, prop("value", *AMOUNT, extras("{property: mayBeAbsent, value: true}")), name="absent")
    assert kinds(bare, replace(absent, version="1.1.0")) == {"field_added": ""}
    renamed = contract(tmp_path, prop("amount", *AMOUNT, "physicalName: VALUE"), version="3.0.0", name="renamed")
    assert kinds(full, renamed) == {"field_renamed": "consumer"}


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        ((), ("id",), "deliverer"),
        (("id",), (), "consumer"),
        (("id",), ("id", "value"), "consumer"),
        (("id", "value"), ("id",), "deliverer"),
        (("id",), ("value",), "deliverer consumer"),
    ],
)
def test_a_key_that_tells_more_rows_apart_asks_less_and_promises_less(
    tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...], broken: str
) -> None:
    one = contract(tmp_path, prop("value", *AMOUNT))
    assert kinds(replace(one, primary_key=before), replace(one, primary_key=after, version="2.0.0")) == {
        "primary_key": broken
    }


def rule(*lines: str) -> str:
    return "    quality:\n      - name: known\n" + "".join(f"        {line}\n" for line in lines)


def values(words: str, action: str = "quarantine") -> str:
    return rule(
        "metric: invalidValues",
        f"arguments: {{properties: [id], validValues: [{words}]}}",
        "mustBe: 0",
        extras(f"{{property: action, value: {action}}}"),
    )


def rows(count: int) -> str:
    return rule("metric: rowCount", f"mustBeGreaterThan: {count}")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", values("a, b"), {"rule_added": "deliverer"}),
        ("", values("a, b", "warn"), {"rule_added": ""}),
        (values("a, b"), "", {"rule_removed": "consumer"}),
        (values("a, b", "warn"), "", {"rule_removed": ""}),
        (values("a, b", "warn"), values("a, b", "halt"), {"rule_action": "deliverer"}),
        (values("a, b", "halt"), values("a, b", "quarantine"), {"rule_action": "consumer"}),
        (values("a, b"), values("a, b, c"), {"rule_changed": "consumer"}),
        (values("a, b"), values("a"), {"rule_changed": "deliverer"}),
        (values("a, b"), values("a, c"), {"rule_changed": "deliverer consumer"}),
        (values("a, b", "warn"), values("a, c", "warn"), {"rule_changed": ""}),
        (rows(0), rows(10), {"rule_changed": "deliverer"}),
        (rows(10), rows(0), {"rule_changed": "consumer"}),
    ],
)
def test_a_stricter_rule_breaks_deliveries_and_a_milder_one_queries(
    tmp_path: Path, before: str, after: str, expected: dict[str, str]
) -> None:
    old = contract(tmp_path, schema=before)
    new = contract(tmp_path, schema=after, version="2.0.0", name="new")
    assert kinds(old, new) == expected


def test_a_relationship_added_breaks_deliveries_and_one_removed_queries(tmp_path: Path) -> None:
    bare = contract(tmp_path)
    related = "    relationships:\n      - {type: foreignKey, from: card.id, to: person.id}\n"
    bound = contract(tmp_path, schema=related, version="2.0.0", name="bound")
    assert kinds(bare, bound) == {"relationship_added": "deliverer"}
    assert kinds(bound, replace(bare, version="3.0.0")) == {"relationship_removed": "consumer"}


@pytest.mark.parametrize(
    ("old", "new", "breaking_change", "flagged"),
    [
        ("1.0.0", "2.0.0", True, False),
        ("1.0.0", "1.1.0", True, True),
        ("1.0.0", "1.0.0", True, True),
        ("0.3.1", "0.4.0", True, False),
        ("0.3.1", "0.3.2", True, True),
        ("1.0.0", "1.1.0", False, False),
        ("1.0.0", "1.0.0", False, True),
        ("2.0.0", "1.9.0", False, True),
    ],
)
def test_a_breaking_change_needs_a_major_version(
    tmp_path: Path, old: str, new: str, breaking_change: bool, flagged: bool
) -> None:
    before = contract(tmp_path, prop("value", *AMOUNT), version=old)
    required = "required: true" if breaking_change else extras("{property: thousandsSign, value: ','}")
    after = contract(tmp_path, prop("value", *AMOUNT, required), version=new, name="new")
    assert ("version" in kinds(before, after)) is flagged


def test_a_file_of_several_datasets_is_compared_dataset_by_dataset(tmp_path: Path) -> None:
    card = contract(tmp_path, prop("value", *AMOUNT))
    trip = replace(card, dataset="trip")
    wider = replace(contract(tmp_path, prop("value", "logicalType: string"), name="new"), version="2.0.0")
    found = compared((card, trip), (wider, replace(card, dataset="hotel")))
    assert {(one.subject, one.kind, one.breaking) for one in found} == {
        ("card: field value", "type_changed", True),
        ("dataset trip", "dataset_removed", True),
        ("dataset hotel", "dataset_added", False),
    }


def test_the_default_formats_are_those_of_the_gate() -> None:
    for kind, formats in DEFAULT_FORMATS.items():
        assert forms._formats(Field("day", FieldType(kind), ())) == formats  # type: ignore[arg-type]


DECIMALS = st.builds(
    lambda whole, scale: FieldType("decimal", whole + scale, scale), st.integers(1, 20), st.integers(0, 10)
)
KINDS = ("string", "integer", "double", "boolean", "date", "timestamp", "time")
TYPES = st.sampled_from(KINDS).map(FieldType) | DECIMALS
WORDS = st.lists(st.sampled_from(["a", "0", "yes", "-"]), unique=True, max_size=2).map(tuple)
FORMATS = st.lists(st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d/%m/%y", "%-d/%-m/%Y"]), max_size=2)
FIELDS = st.builds(
    Field,
    st.just("value"),
    TYPES,
    st.just(("value",)),
    required=st.booleans(),
    null_words=WORDS,
    formats=FORMATS.map(tuple),
    true_words=st.sampled_from([("yes",), ("yes", "y"), ("no",)]),
    false_words=st.sampled_from([("no",), ("no", "n"), ("yes",)]),
    decimal_sign=st.sampled_from([".", ","]),
    thousands_sign=st.sampled_from([None, ",", " "]),
    parentheses=st.booleans(),
    currency_signs=st.sampled_from([(), ("$",), ("$", "£")]),
    min_length=st.none() | st.integers(0, 3),
    maximum=st.none() | st.integers(0, 3),
    pattern=st.sampled_from([None, "[0-9]+", ".*a"]),
)
CHANGED = (
    "type", "type", "required", "null_words", "formats", "formats", "true_words", "false_words", "decimal_sign",
    "thousands_sign", "parentheses", "currency_signs", "min_length", "maximum", "pattern",
)  # fmt: skip
CELLS = (
    "", "-", "a", "b", "yes", "no", "y", "n", "0", "7", "12", "-3", "12.5", "12,5", "1,234", "1 234.50", "(12.50)",
    "$5", "£7.25", "1e3", "99999999999", "123456789012345678", "0.123456789", "2025-01-31", "31/01/2025", "01/02/2025",
    "2/1/2025", "01/02/25", "12:30:00", "2025-01-31 12:30:00", "007", " 7 ",
)  # fmt: skip


def sensible(one: Field) -> Field:
    """A field without the attributes that its type does not have, and without signs and words of two meanings."""
    text, number = one.type.kind == "string", one.type.kind in ("integer", "decimal", "double")
    return replace(
        one,
        min_length=one.min_length if text else None,
        pattern=one.pattern if text else None,
        maximum=one.maximum if number else None,
        formats=one.formats if one.type.kind in ("date", "timestamp") else (),
        thousands_sign=None if one.thousands_sign == one.decimal_sign else one.thousands_sign,
        false_words=("false",) if set(one.true_words) & set(one.false_words) else one.false_words,
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as opened:
        opened.run("CREATE TABLE cells AS SELECT unnest(?) AS cell", [list(CELLS)])
        yield opened


def accepted(engine: Engine, field: Field) -> dict[str, object]:
    """The cells that the gate accepts under a field, and what it reads in them."""
    null = forms.is_null(field, "cell")
    accepts = f"CASE WHEN {null} THEN {not field.required} ELSE coalesce({forms.fits(field, 'cell')}, false) END"
    return dict(engine.rows(f"SELECT cell, {forms.typed(field, 'cell')} FROM cells WHERE {accepts}"))


@settings(max_examples=80, deadline=None)
@given(FIELDS.map(sensible), FIELDS, st.sets(st.sampled_from(CHANGED), min_size=1, max_size=3))
def test_what_is_called_compatible_is_so_for_the_gate(
    engine: Engine, one: Field, two: Field, changed: set[str]
) -> None:
    """Compatible for the deliverer: no accepted cell is refused. For the consumer: what is read in it stays."""
    two = sensible(replace(one, **{name: getattr(two, name) for name in changed}))
    changes = list(field_changes(one, two))
    before, after = accepted(engine, one), accepted(engine, two)
    if all(change.deliverer == "compatible" for change in changes):
        assert before.keys() - after.keys() == set()
    if all(change.consumer == "compatible" for change in changes):
        assert {cell: before[cell] for cell in before.keys() & after.keys()} == {
            cell: after[cell] for cell in before.keys() & after.keys()
        }


@pytest.mark.parametrize("name", [one.name for one in fields(Field) if one.name not in ("description", "line")])
def test_every_attribute_of_a_field_is_compared(name: str) -> None:
    """A new attribute that nothing knows counts as breaking, so none is overlooked."""
    if name == "primary_key":
        return  # compared as the key of the dataset
    dated = name == "formats"
    spoken = name in ("true_words", "false_words")
    kind = FieldType("date" if dated else "boolean" if spoken else "integer")
    one = Field("value", kind, ("value",))
    other: dict[str, object] = {
        "name": "other", "type": FieldType("string"), "headers": ("other",), "min_length": 1, "max_length": 1,
        "minimum": 1, "maximum": 1, "exclusive_minimum": 1, "exclusive_maximum": 1, "pattern": "a",
        "classification": "public", "decimal_sign": ",", "thousands_sign": ",", "formats": ("%d/%m/%Y",),
        "numbers_as_text": "reject", "text_as_numbers": "reject",
    }  # fmt: skip
    value = other.get(name)
    if value is None:
        now = getattr(one, name)
        value = not now if isinstance(now, bool) else (*now, "x")
    assert list(field_changes(one, replace(one, **{name: value})))  # type: ignore[arg-type]
