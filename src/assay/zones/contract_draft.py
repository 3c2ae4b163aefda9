"""A proposed contract as a value, and its writing as an ODCS file in which every guess stands with its evidence.

The fields are those of `contract`, so what is written loads back as what was proposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from assay.zones.contract import Field

STATUS = "draft"
VERSION = "0.1.0"
API_VERSION = "v3.1.0"
#: How long an evidence in a comment may be; the JSON form is not cut.
COMMENT_LENGTH = 240


@dataclass(frozen=True)
class Guess:
    """One thing proposed: what it decides, its value, the evidence in words, and what else would have been possible."""

    what: str
    value: Any
    evidence: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldDraft:
    """A proposed field; `guesses` has one for each line that was guessed, by the name of that line."""

    field: Field
    guesses: tuple[Guess, ...]
    valid_values: tuple[str, ...] = ()

    def guess(self, what: str) -> Guess | None:
        """The guess behind one line of the field."""
        return next((guess for guess in self.guesses if guess.what == what), None)


@dataclass(frozen=True)
class DraftFile:
    """A file that the proposal rests on."""

    name: str
    sheet: str | None
    header_row: int
    rows: int
    columns: int
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True)
class Draft:
    """A proposed contract.

    `reader` has the hints of pipeline.yaml's `reader` for these files, `keys` the columns that tell rows apart,
    best first, `remarks` what a person should look at before the contract is used.
    """

    name: str
    files: tuple[DraftFile, ...]
    fields: tuple[FieldDraft, ...]
    reader: Mapping[str, Any] = field(default_factory=dict)
    reader_guesses: tuple[Guess, ...] = ()
    keys: tuple[Guess, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The proposal as JSON-ready values, each guess with its evidence."""
        return {
            "name": self.name,
            "files": [asdict(file) for file in self.files],
            "fields": [_field_dict(one) for one in self.fields],
            "reader": dict(self.reader),
            "reader_guesses": [asdict(guess) for guess in self.reader_guesses],
            "keys": [asdict(guess) for guess in self.keys],
            "remarks": list(self.remarks),
        }


def to_yaml(draft: Draft) -> str:
    """The proposal as an ODCS v3.1 file that `contract.load_contract` reads back; guesses are comments."""
    return "\n".join(_lines(draft)) + "\n"


def scalar(value: Any) -> str:
    """One value on one line of YAML: plain where nothing could misread it, else in double quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(scalar(one) for one in value) + "]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS:
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def date_pattern(strptime: str) -> str:
    """A date format in ODCS's letters (those of Java's SimpleDateFormat), from the one of strptime."""
    result = ""
    for part in re.split(r"(%-?[A-Za-z])", strptime):
        if part in _LETTERS:
            result += _LETTERS[part]
        elif part:
            result += re.sub(r"[A-Za-z]+", lambda letters: f"'{letters.group()}'", part)
    return result


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[ ./()&-]+[A-Za-z0-9_()]+)*")
#: Words that some version of YAML reads as something other than text.
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
_LETTERS = {
    "%Y": "yyyy", "%y": "yy", "%m": "MM", "%-m": "M", "%B": "MMMM", "%b": "MMM", "%d": "dd", "%-d": "d",
    "%H": "HH", "%-H": "H", "%I": "hh", "%M": "mm", "%S": "ss", "%f": "SSSSSS", "%p": "a", "%z": "XXX",
}  # fmt: skip
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if character.isprintable() and code < 0x10000:
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _comment(words: str) -> str:
    line = "".join(_escaped(c) if c in _ESCAPES and c not in '"\\' or not c.isprintable() else c for c in words)
    return line if len(line) <= COMMENT_LENGTH else line[: COMMENT_LENGTH - 1] + "…"


def _noted(line: str, guess: Guess | None) -> str:
    if guess is None:
        return line
    possible = f"; possible: {' or '.join(guess.candidates)}" if guess.candidates else ""
    return f"{line}  # guess: {_comment(guess.evidence + possible)}"


def _lines(draft: Draft) -> Iterator[str]:
    yield "# A proposal from these files. What is marked as guess holds for all of their cells, and is yours to judge."
    for file in draft.files:
        sheet = f", sheet {scalar(file.sheet)}" if file.sheet is not None else ""
        rows = counted(file.rows, "row", "rows")
        yield f"#   {_comment(file.name + sheet)}: {rows}, header in row {file.header_row}"
    for remark in draft.remarks:
        yield f"# look at: {_comment(remark)}"
    yield f"version: {VERSION}"
    yield f"apiVersion: {API_VERSION}"
    yield "kind: DataContract"
    yield f"id: {scalar(draft.name)}"
    yield f"status: {STATUS}"
    yield "schema:"
    yield f"  - name: {scalar(draft.name)}"
    yield from _reader_lines(draft)
    for key in draft.keys:
        yield _noted(f"    # candidate key: {_comment(', '.join(key.value))}", key)
    yield "    properties:"
    for one in draft.fields:
        yield from _field_lines(one, draft)


def _reader_lines(draft: Draft) -> Iterator[str]:
    if not draft.reader:
        return
    yield "    customProperties:"
    yield "      - property: reader"
    yield "        value:"
    for key, value in draft.reader.items():
        guess = next((guess for guess in draft.reader_guesses if guess.what == key), None)
        yield _noted(f"          {key}: {scalar(value)}", guess)


def _field_lines(draft: FieldDraft, whole: Draft) -> Iterator[str]:
    one = draft.field
    yield f"      - name: {scalar(one.name)}"
    if one.headers[0] != one.name:
        yield f"        physicalName: {scalar(one.headers[0])}"
    yield from _type_lines(draft)
    if one.primary_key:
        yield _noted("        primaryKey: true", draft.guess("primaryKey"))
        yield f"        primaryKeyPosition: {_position(one, whole)}"
    if one.required:
        yield _noted("        required: true", draft.guess("required"))
    if one.classification is not None:
        yield _noted(f"        classification: {scalar(one.classification)}", draft.guess("classification"))
    extras = list(_extras(one))
    if extras:
        yield "        customProperties:"
        for name, value in extras:
            yield _noted(f"          - {{property: {name}, value: {scalar(value)}}}", draft.guess(name))
    if draft.valid_values:
        yield from _rule_lines(draft)


def _position(one: Field, whole: Draft) -> int:
    return [other.field.name for other in whole.fields if other.field.primary_key].index(one.name) + 1


def _type_lines(draft: FieldDraft) -> Iterator[str]:
    one = draft.field
    kind = one.type.kind
    logical = {"decimal": "number", "double": "number"}.get(kind, kind)
    yield _noted(f"        logicalType: {logical}", draft.guess("logicalType"))
    if kind == "decimal":
        physical = f"decimal({one.type.precision},{one.type.scale})"
        yield _noted(f"        physicalType: {physical}", draft.guess("physicalType"))
    options: dict[str, Any] = {}
    if one.formats:
        options["format"] = date_pattern(one.formats[0])
    if one.type.timezone:
        options["timezone"] = True
    if options:
        yield _noted(f"        logicalTypeOptions: {scalar(options)}", draft.guess("format"))


def _extras(one: Field) -> Iterator[tuple[str, Any]]:
    if len(one.headers) > 1:
        yield "aliases", list(one.headers[1:])
    if one.may_be_absent:
        yield "mayBeAbsent", True
    if one.null_words:
        yield "nullWords", list(one.null_words)
    if len(one.formats) > 1:
        yield "formats", [date_pattern(pattern) for pattern in one.formats[1:]]
    if one.type.kind == "boolean":
        yield "trueWords", list(one.true_words)
        yield "falseWords", list(one.false_words)
    if one.type.kind in ("integer", "decimal", "double"):
        yield from _number_extras(one)


def _number_extras(one: Field) -> Iterator[tuple[str, Any]]:
    if one.decimal_sign != ".":
        yield "decimalSign", one.decimal_sign
    if one.thousands_sign:
        yield "thousandsSign", one.thousands_sign
    if one.currency_signs:
        yield "currencySigns", list(one.currency_signs)
    if one.parentheses:
        yield "parentheses", True


def _rule_lines(draft: FieldDraft) -> Iterator[str]:
    yield "        quality:"
    yield _noted(f"          - name: {scalar(draft.field.name + '_is_known')}", draft.guess("quality"))
    yield "            type: library"
    yield "            metric: invalidValues"
    yield f"            arguments: {{validValues: {scalar(list(draft.valid_values))}}}"
    yield "            mustBe: 0"
    yield "            unit: rows"
    yield "            customProperties:"
    yield "              - {property: action, value: warn}"


def _field_dict(draft: FieldDraft) -> dict[str, Any]:
    one = draft.field
    return {
        "name": one.name,
        "headers": list(one.headers),
        "type": str(one.type),
        "required": one.required,
        "primary_key": one.primary_key,
        "may_be_absent": one.may_be_absent,
        "classification": one.classification,
        "null_words": list(one.null_words),
        "formats": [date_pattern(pattern) for pattern in one.formats],
        "valid_values": list(draft.valid_values),
        "guesses": [asdict(guess) for guess in draft.guesses],
    }


def counted(count: int, one: str, many: str) -> str:
    """A count with its noun, as people write it: 1 cell, 3,002 cells."""
    return f"{count:,} {one if count == 1 else many}"


def quoted_list(values: Iterable[str]) -> str:
    """Texts as people read them in a sentence: quoted, with commas."""
    return ", ".join(f'"{value}"' for value in values)
