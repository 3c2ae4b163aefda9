"""Contracts: Open Data Contract Standard v3 files as frozen values.

Source of the format: Bitol's Open Data Contract Standard, versions 3.0 and 3.1. What it lacks stands in
`customProperties`, under the names of `FIELD_EXTRAS` and `SCHEMA_EXTRAS`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from assay.errors import Misconfigured, nearest
from assay.zones import personal
from assay.zones.freshness import KEYS as SLA_KEYS
from assay.zones.freshness import Freshness, freshness_of
from assay.zones.model import ReaderHints, checked_part
from assay.zones.types import FieldType
from assay.zones.yaml import Document, read

Action = Literal["warn", "quarantine", "halt"]
RuleKind = Literal["null", "missing", "invalid", "duplicate", "row_count", "sql", "condition"]

_ELEMENT = {
    "id", "name", "physicalType", "description", "businessName", "authoritativeDefinitions", "tags",
    "customProperties",
}  # fmt: skip
TOP_KEYS = {
    "version", "kind", "apiVersion", "id", "name", "tenant", "tags", "status", "servers", "dataProduct",
    "description", "domain", "schema", "support", "price", "team", "roles", "slaDefaultElement", "slaProperties",
    "authoritativeDefinitions", "customProperties", "contractCreatedTs",
}  # fmt: skip
SCHEMA_KEYS = _ELEMENT | {
    "logicalType", "physicalName", "dataGranularityDescription", "properties", "relationships", "quality",
}  # fmt: skip
PROPERTY_KEYS = _ELEMENT | {
    "primaryKey", "primaryKeyPosition", "logicalType", "logicalTypeOptions", "physicalName", "required", "unique",
    "partitioned", "partitionKeyPosition", "classification", "encryptedName", "transformSourceObjects",
    "transformLogic", "transformDescription", "examples", "criticalDataElement", "relationships", "quality",
    "items", "properties",
}  # fmt: skip
OPERATORS = {
    "mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan",
    "mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween",
}  # fmt: skip
QUALITY_KEYS = OPERATORS | {
    "id", "authoritativeDefinitions", "businessImpact", "customProperties", "description", "dimension", "method",
    "name", "schedule", "scheduler", "severity", "tags", "type", "unit", "metric", "rule", "arguments", "query",
    "engine", "implementation",
}  # fmt: skip
OPTION_KEYS = {
    "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "format", "timezone", "defaultTimezone", "minItems", "maxItems", "uniqueItems", "required", "minProperties",
    "maxProperties",
}  # fmt: skip

#: Names that earlier versions of the standard had, and what stands in their place.
RENAMED = {
    "isNullable": "required, which is true where isNullable is false",
    "isPrimary": "primaryKey",
    "isPrimaryKey": "primaryKey",
    "isUnique": "unique",
}
#: Formats of JSON Schema, which some contracts have: ISO 8601, as where no format is declared.
ISO_FORMATS = ("date", "date-time", "time")

#: Names of customProperties that assay reads at a property, with the type that each takes.
FIELD_EXTRAS: dict[str, type | tuple[type, ...]] = {
    "aliases": list,
    "mayBeAbsent": bool,
    "nullWords": list,
    "formats": list,
    "decimalSign": str,
    "thousandsSign": str,
    "currencySigns": list,
    "footnoteMarks": list,
    "trueWords": list,
    "falseWords": list,
    "parentheses": bool,
    "percent": bool,
    "numbersAsText": str,
    "textAsNumbers": str,
    "personalData": list,
}
#: The same at the schema object.
SCHEMA_EXTRAS: dict[str, type | tuple[type, ...]] = {
    "refresh": (str, dict),
    "drift": dict,
    "reader": dict,
    "numbersAsText": str,
    "textAsNumbers": str,
}

#: Of more words than this an error names the nearest one instead of all.
FEW_WORDS = 4

Answer = Literal["reject", "hold", "tolerate"]
ANSWERS = ("reject", "hold", "tolerate")

#: Classifications (in small letters) whose values no report shows.
SENSITIVE = frozenset({"restricted", "confidential", "sensitive", "secret", "personal", "pii", "private"})


@dataclass(frozen=True)
class Drift:
    """What happens when a file differs from its contract, by kind of difference.

    `hold` and `tolerate` let the rest of the file pass, the former only past a steward: an unknown column is left
    out, a missing one is empty, a renamed one is taken, rows with a cell of the wrong type are set aside, rows that
    fill no required column are left out, a file without rows is a batch of none.
    """

    new_column: Answer = "reject"
    missing_column: Answer = "reject"
    renamed: Answer = "reject"
    type_mismatch: Answer = "reject"
    empty_file: Answer = "reject"
    extra_rows: Answer = "reject"


@dataclass(frozen=True)
class Comparison:
    """A threshold: what the measured value must be. `unit` is rows or percent."""

    operator: str
    values: tuple[float, ...]
    unit: Literal["rows", "percent"] = "rows"

    def holds(self, value: float) -> bool:
        """Whether a measured value keeps the threshold."""
        first = self.values[0]
        return {
            "mustBe": lambda: value == first,
            "mustNotBe": lambda: value != first,
            "mustBeGreaterThan": lambda: value > first,
            "mustBeGreaterOrEqualTo": lambda: value >= first,
            "mustBeLessThan": lambda: value < first,
            "mustBeLessOrEqualTo": lambda: value <= first,
            "mustBeBetween": lambda: first <= value <= self.values[1],
            "mustNotBeBetween": lambda: not first <= value <= self.values[1],
        }[self.operator]()

    def __str__(self) -> str:
        words = re.sub(r"(?<!^)([A-Z])", lambda match: " " + match.group(1).lower(), self.operator)
        return f"{words} {' and '.join(f'{value:g}' for value in self.values)} {self.unit}"


@dataclass(frozen=True)
class Rule:
    """A quality rule: of single rows (`condition`, `null`, ...) or of the dataset (`row_count`, thresholds)."""

    name: str
    action: Action
    kind: RuleKind
    fields: tuple[str, ...] = ()
    condition: str | None = None
    query: str | None = None
    valid_values: tuple[Any, ...] | None = None
    pattern: str | None = None
    missing_values: tuple[Any, ...] | None = None
    comparison: Comparison | None = None
    description: str | None = None
    line: int = 0


@dataclass(frozen=True)
class ForeignKey:
    """Columns whose values must exist as a key of another table of the zone."""

    columns: tuple[str, ...]
    table: str
    to_columns: tuple[str, ...]
    line: int | None = dataclasses.field(default=None, compare=False)


@dataclass(frozen=True)
class Field:
    """One column: its type, the header names that it goes by in files, and the limits of its values."""

    name: str
    type: FieldType
    headers: tuple[str, ...]
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    description: str | None = None
    may_be_absent: bool = False
    null_words: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    true_words: tuple[str, ...] = ("true",)
    false_words: tuple[str, ...] = ("false",)
    decimal_sign: str = "."
    thousands_sign: str | None = None
    currency_signs: tuple[str, ...] = ()
    footnote_marks: tuple[str, ...] = ()
    parentheses: bool = False
    percent: bool = False
    numbers_as_text: Literal["accept", "reject"] = "accept"
    text_as_numbers: Literal["accept", "reject"] = "accept"
    personal_data: tuple[str, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    minimum: Any = None
    maximum: Any = None
    exclusive_minimum: Any = None
    exclusive_maximum: Any = None
    classification: str | None = None
    line: int = 0

    @property
    def sensitive(self) -> bool:
        """Whether reports must not show the field's values."""
        return (self.classification or "").casefold() in SENSITIVE


@dataclass(frozen=True)
class Contract:
    """What one dataset must look like."""

    path: Path
    id: str
    version: str
    status: str
    dataset: str
    fields: tuple[Field, ...]
    description: str | None = None
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    rules: tuple[Rule, ...] = ()
    refresh_by: tuple[str, ...] | None = None
    drift: Drift = Drift()
    reader: ReaderHints = ReaderHints()
    fingerprint: str = ""
    freshness: Freshness | None = None
    #: Words of the service level that nobody watches.
    unwatched: tuple[str, ...] = ()

    def field(self, name: str) -> Field:
        """The field of that name.

        Raises `Misconfigured` naming the nearest when there is none.
        """
        for field in self.fields:
            if field.name == name:
                return field
        near = nearest(name, (field.name for field in self.fields))
        raise Misconfigured(
            f"{self.dataset} has no field {name}",
            file=self.path,
            expected=near or ", ".join(field.name for field in self.fields),
        )


def load_contract(path: Path) -> Contract:
    """The contract of a file that describes exactly one dataset."""
    found = load_contracts(path)
    if len(found) != 1:
        raise Misconfigured(
            f"the contract describes {len(found)} datasets", file=path, expected="exactly one entry under schema"
        )
    return found[0]


def load_contracts(path: Path) -> tuple[Contract, ...]:
    """The contracts of a file, one for each schema object.

    Raises `Misconfigured` with file and line for what is not ODCS v3.
    """
    document = read(path)
    top = _mapping(document, document.value, ())
    _refuse_others(document, top)
    _only(document, top, TOP_KEYS, ())
    for key in ("version", "apiVersion", "kind", "id", "status"):
        if key not in top:
            raise Misconfigured(f"the key {key} is missing", file=path, line=1, expected=key)
    if not str(top["apiVersion"]).startswith("v3."):
        raise Misconfigured(
            f"apiVersion {top['apiVersion']} is not known", file=path, line=document.line("apiVersion"),
            expected="v3.1.0",
        )  # fmt: skip
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return tuple(
        _contract(document, top, number, fingerprint) for number, _ in enumerate(_list(document, top, "schema", ()))
    )


def _refuse_others(document: Document, top: dict[str, Any]) -> None:
    """Says of a contract in another format what it is, rather than which of its keys is unknown."""
    if "dataContractSpecification" in top:
        raise Misconfigured(
            f"this is a Data Contract Specification file (version {top['dataContractSpecification']}), another format",
            file=document.path, line=document.line("dataContractSpecification"),
            expected="an Open Data Contract Standard file: apiVersion v3.1.0, kind DataContract",
            next="convert it, for instance by `datacontract export --format odcs` of the Data Contract CLI",
        )  # fmt: skip


def _contract(document: Document, top: dict[str, Any], number: int, fingerprint: str) -> Contract:
    place: tuple[str | int, ...] = ("schema", number)
    entry = _mapping(document, top["schema"][number], place)
    _only(document, entry, SCHEMA_KEYS, place)
    if not isinstance(entry.get("name"), str):
        raise Misconfigured("a schema entry has no name", file=document.path, line=document.line(*place))
    extras = _extras(document, entry, SCHEMA_EXTRAS, place)
    fields: list[Field] = []
    rules = _rules(document, entry, (), place)
    foreign: list[ForeignKey] = _schema_keys(document, entry, place)
    positions: list[tuple[int, str]] = []
    for index, item in enumerate(_list(document, entry, "properties", place)):
        at = (*place, "properties", index)
        raw = _mapping(document, item, at)
        _only(document, raw, PROPERTY_KEYS, at)
        field = _field(document, raw, at, extras)
        if any(field.name == other.name for other in fields):
            raise Misconfigured(f"the field {field.name} stands twice", file=document.path, line=field.line)
        fields.append(field)
        if field.primary_key:
            positions.append((int(raw.get("primaryKeyPosition", index + 1) or 0), field.name))
        rules += _rules(document, raw, (field.name,), at)
        foreign += _field_keys(document, raw, field.name, at)
    refresh = extras.get("refresh", "full")
    refresh_by = None
    if isinstance(refresh, dict):
        if set(refresh) != {"by"} or not isinstance(refresh["by"], list) or not refresh["by"]:
            raise Misconfigured(
                "refresh cannot be read", file=document.path, line=document.line(*place), expected="full or {by: [...]}"
            )
        refresh_by = tuple(str(name) for name in refresh["by"])
    elif refresh != "full":
        raise Misconfigured(
            f"refresh: {refresh} is not known", file=document.path, line=document.line(*place),
            expected="full or {by: [column]}",
        )  # fmt: skip
    freshness, unwatched = _freshness(document, top, entry["name"], fields)
    contract = Contract(
        path=document.path,
        id=str(top["id"]),
        version=str(top["version"]),
        status=str(top["status"]),
        dataset=entry["name"],
        description=entry.get("description"),
        fields=tuple(fields),
        primary_key=tuple(name for _, name in sorted(positions)),
        unique_keys=tuple((field.name,) for field in fields if field.unique and not field.primary_key),
        foreign_keys=tuple(foreign),
        rules=tuple(rules),
        refresh_by=refresh_by,
        drift=_drift(document, extras.get("drift", {}), place),
        reader=_reader(document, extras.get("reader", {}), place),
        fingerprint=fingerprint,
        freshness=freshness,
        unwatched=unwatched,
    )
    for name in refresh_by or ():
        contract.field(name)
    return contract


def _freshness(
    document: Document, top: dict[str, Any], dataset: str, fields: Iterable[Field]
) -> tuple[Freshness | None, tuple[str, ...]]:
    entries = []
    for number, item in enumerate(_list(document, top, "slaProperties", ())):
        at = ("slaProperties", number)
        entry = _mapping(document, item, at)
        _only(document, entry, SLA_KEYS, at)
        entries.append((at, entry))
    return freshness_of(document, entries, dataset, (field.name for field in fields))


def _drift(document: Document, value: dict[str, Any], place: tuple[str | int, ...]) -> Drift:
    line = _extra_line(document, "drift", place)
    known = Drift.__dataclass_fields__
    for key, answer in value.items():
        if key not in known:
            raise Misconfigured(
                f"unknown kind of drift {key}", file=document.path, line=line,
                expected=nearest(str(key), known) or ", ".join(known),
            )  # fmt: skip
        if answer not in ANSWERS:
            raise Misconfigured(
                f"drift.{key}: {answer} is not known", file=document.path, line=line, expected=", ".join(ANSWERS)
            )
    return Drift(**value)


def _reader(document: Document, value: dict[str, Any], place: tuple[str | int, ...]) -> ReaderHints:
    return checked_part(ReaderHints, value, document.path, _extra_line(document, "reader", place), "reader")


def _extra_line(document: Document, name: str, place: tuple[str | int, ...]) -> int | None:
    """The line of a customProperty."""
    at = document.value
    for part in place:
        at = at[part]
    for number, item in enumerate(at.get("customProperties") or ()):
        if isinstance(item, dict) and item.get("property") == name:
            return document.line(*place, "customProperties", number)
    return document.line(*place)


def _one_of(
    document: Document, name: str, value: Any, allowed: tuple[str, ...], place: tuple[str | int, ...]
) -> Any:
    if value not in allowed:
        near = nearest(str(value), allowed) if len(allowed) > FEW_WORDS else None
        raise Misconfigured(
            f"{name}: {value} is not known", file=document.path, line=_extra_line(document, name, place),
            expected=near or " or ".join(allowed),
        )  # fmt: skip
    return value


def _field(
    document: Document, raw: dict[str, Any], place: tuple[str | int, ...], defaults: dict[str, Any]
) -> Field:
    line = document.line(*place) or 0
    name = raw.get("name")
    if not isinstance(name, str):
        raise Misconfigured("a property has no name", file=document.path, line=line, expected="name")
    options = raw.get("logicalTypeOptions") or {}
    _only(document, _mapping(document, options, (*place, "logicalTypeOptions")), OPTION_KEYS,
          (*place, "logicalTypeOptions"))  # fmt: skip
    extras = _extras(document, raw, FIELD_EXTRAS, place)
    kind = _type(document, raw, options, place)
    if kind.kind in ("date", "timestamp", "time"):
        declared = [options["format"]] if options.get("format") not in (None, "", *ISO_FORMATS) else []
        formats = tuple(_strptime(document, str(p), place) for p in [*declared, *extras.get("formats", ())])
    else:
        formats = ()
    pattern = options.get("pattern")
    if pattern is not None:
        try:
            re.compile(str(pattern))
        except re.error as error:
            raise Misconfigured(f"the pattern of {name} is broken: {error}", file=document.path, line=line) from error

    def _rule_of(name: str) -> Any:
        here, where = (extras, place) if name in extras else (defaults, place[:2])
        return _one_of(document, name, here.get(name, "accept"), ("accept", "reject"), where)

    _tell_apart(document, extras, name, place)
    header = raw.get("physicalName") or name
    names = [header, *([raw["businessName"]] if raw.get("businessName") else []), *extras.get("aliases", ())]
    return Field(
        name=name,
        type=kind,
        headers=tuple(dict.fromkeys(str(word) for word in names)),
        required=bool(raw.get("required", False)),
        unique=bool(raw.get("unique", False)),
        primary_key=bool(raw.get("primaryKey", False)),
        description=raw.get("description"),
        may_be_absent=extras.get("mayBeAbsent", False),
        null_words=tuple(str(word) for word in extras.get("nullWords", ())),
        formats=formats,
        true_words=tuple(str(word) for word in extras.get("trueWords", ("true",))),
        false_words=tuple(str(word) for word in extras.get("falseWords", ("false",))),
        decimal_sign=extras.get("decimalSign", "."),
        thousands_sign=extras.get("thousandsSign"),
        currency_signs=tuple(str(word) for word in extras.get("currencySigns", ())),
        footnote_marks=_marks(document, extras.get("footnoteMarks", ()), place),
        parentheses=extras.get("parentheses", False),
        percent=extras.get("percent", False),
        numbers_as_text=_rule_of("numbersAsText"),
        text_as_numbers=_rule_of("textAsNumbers"),
        personal_data=tuple(
            _one_of(document, "personalData", kind, personal.WORDS, place) for kind in extras.get("personalData", ())
        ),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        pattern=None if pattern is None else str(pattern),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        exclusive_minimum=options.get("exclusiveMinimum"),
        exclusive_maximum=options.get("exclusiveMaximum"),
        classification=raw.get("classification"),
        line=line,
    )


def _tell_apart(document: Document, extras: dict[str, Any], name: str, place: tuple[str | int, ...]) -> None:
    """Refuses signs and words of a field that could mean two things."""
    decimal, thousands = extras.get("decimalSign", "."), extras.get("thousandsSign")
    if decimal == thousands:
        raise Misconfigured(
            f'the "{thousands}" of {name} could separate decimals or thousands', file=document.path,
            line=_extra_line(document, "thousandsSign", place), expected="two different signs",
        )  # fmt: skip
    words = [{str(word).strip().casefold() for word in extras.get(key, ())} for key in ("trueWords", "falseWords")]
    for word in sorted(words[0] & words[1]):
        raise Misconfigured(
            f'"{word}" of {name} could mean true or false', file=document.path,
            line=_extra_line(document, "falseWords", place), expected="words of which each means one of the two",
        )  # fmt: skip


def _marks(document: Document, value: Iterable[Any], place: tuple[str | int, ...]) -> tuple[str, ...]:
    """Footnote marks; one that could be taken for a part of the number is refused."""
    marks = tuple(str(mark) for mark in value)
    for mark in marks:
        if not mark or {mark[0], mark[-1]} & set("0123456789+-., "):
            raise Misconfigured(
                f'"{mark}" cannot be told from the number beside it', file=document.path,
                line=_extra_line(document, "footnoteMarks", place), expected="a mark such as (A), (1) or *",
            )  # fmt: skip
    return marks


def _type(
    document: Document, raw: dict[str, Any], options: dict[str, Any], place: tuple[str | int, ...]
) -> FieldType:
    logical = raw.get("logicalType", "string")
    physical = str(raw.get("physicalType", "")).lower().replace(" ", "")
    if logical == "number":
        match = re.fullmatch(r"(?:decimal|numeric)\((\d+)(?:,(\d+))?\)", physical)
        if match is None:
            return FieldType("double")
        precision, scale = int(match.group(1)), int(match.group(2) or 0)
        if not 1 <= precision <= 38 or scale > precision:
            raise Misconfigured(
                f"{physical} is not a decimal", file=document.path, line=document.line(*place, "physicalType"),
                expected="decimal(p,s) with p up to 38 and s up to p",
            )  # fmt: skip
        return FieldType("decimal", precision, scale)
    if logical == "timestamp":
        return FieldType("timestamp", timezone=bool(options.get("timezone", False)))
    if logical in ("string", "integer", "date", "time", "boolean"):
        return FieldType(logical)
    if logical in ("object", "array"):
        return FieldType("object")
    known = ("string", "integer", "number", "date", "timestamp", "time", "boolean", "object", "array")
    raise Misconfigured(
        f"logicalType {logical} is not known", file=document.path, line=document.line(*place, "logicalType"),
        expected=nearest(str(logical), known) or ", ".join(known),
    )  # fmt: skip


_DATE_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "mm": "%M", "ss": "%S", "SSSSSS": "%f", "SSS": "%f", "a": "%p",
    "Z": "%z", "XXX": "%z",
}  # fmt: skip


def _strptime(document: Document, pattern: str, place: tuple[str | int, ...]) -> str:
    """A date pattern of ODCS (letters as in Java's SimpleDateFormat) as strptime writes it."""
    if "%" in pattern or pattern in ("excel", "excel1904"):  # the day numbers of spreadsheets
        return pattern
    result = ""
    for part in re.finditer(r"'([^']*)'|(([A-Za-z])\3*)|([^A-Za-z'])", pattern):
        if part.group(2):
            letters = part.group(2)
            if letters not in _DATE_LETTERS:
                raise Misconfigured(
                    f"the date format {pattern} has {letters}, which is not known", file=document.path,
                    line=document.line(*place), expected=", ".join(_DATE_LETTERS),
                )  # fmt: skip
            result += _DATE_LETTERS[letters]
        else:
            result += part.group(1) if part.group(1) is not None else part.group(4)
    return result


def as_declared(pattern: str) -> str:
    """A format as contracts write it, `dd/MM/yyyy` for `%d/%m/%Y`; the inverse of what reading one does."""
    letters = {sign: letters for letters, sign in reversed(_DATE_LETTERS.items())}
    return re.sub(r"%-?[A-Za-z]", lambda match: letters.get(match.group(), match.group()), pattern)


def _rules(
    document: Document, raw: dict[str, Any], fields: tuple[str, ...], place: tuple[str | int, ...]
) -> list[Rule]:
    rules = []
    for number, item in enumerate(_list(document, raw, "quality", place)):
        at = (*place, "quality", number)
        entry = _mapping(document, item, at)
        _only(document, entry, QUALITY_KEYS, at)
        rule = _rule(document, entry, fields, at)
        if rule is not None:
            rules.append(rule)
    return rules


_METRICS: dict[str, RuleKind] = {
    "nullValues": "null",
    "missingValues": "missing",
    "invalidValues": "invalid",
    "duplicateValues": "duplicate",
    "rowCount": "row_count",
}


def _rule(
    document: Document, entry: dict[str, Any], fields: tuple[str, ...], place: tuple[str | int, ...]
) -> Rule | None:
    line = document.line(*place) or 0
    arguments = entry.get("arguments") or {}
    comparison = _comparison(entry)
    condition = query = None
    metric = entry.get("metric") or entry.get("rule")
    kind: RuleKind
    declared = entry.get("type", "library" if metric else "text")
    if declared == "sql":
        kind, query = "sql", entry.get("query")
    elif declared == "custom":
        if entry.get("engine") != "assay":
            return None
        kind, condition = "condition", entry.get("implementation")
        if not isinstance(condition, str):
            raise Misconfigured("a rule of engine assay has no condition", file=document.path, line=line,
                                expected="implementation: <SQL condition that each row must satisfy>")  # fmt: skip
    elif declared == "library":
        if metric not in _METRICS:
            if metric in ("uniqueness", "rowCount", "freshness", None) or "apiVersion" in entry:
                return None
            near = nearest(str(metric), _METRICS)
            if near is None:
                return None
            raise Misconfigured(f"the metric {metric} is not known", file=document.path, line=line, expected=near)
        kind = _METRICS[metric]
    else:
        return None
    if kind in ("null", "missing", "invalid") and comparison is not None:
        row_level = comparison.operator == "mustBe" and comparison.values == (0,)
    else:
        row_level = kind in ("null", "missing", "invalid", "condition")
    if row_level:
        comparison = None
    columns = tuple(str(name) for name in arguments.get("properties", ())) or fields
    name = entry.get("name") or "_".join([*columns, str(metric or declared)])
    valid, missing = arguments.get("validValues"), arguments.get("missingValues")
    return Rule(
        name=str(name),
        action=_action(document, entry, place, row_level=row_level),
        kind=kind,
        fields=columns,
        condition=condition,
        query=query,
        valid_values=None if valid is None else tuple(valid),
        pattern=arguments.get("pattern"),
        missing_values=None if missing is None else tuple(missing),
        comparison=comparison,
        description=entry.get("description"),
        line=line,
    )


def _comparison(entry: dict[str, Any]) -> Comparison | None:
    for operator in sorted(OPERATORS & entry.keys()):
        value = entry[operator]
        values = tuple(value) if isinstance(value, list) else (value,)
        return Comparison(operator, values, "percent" if entry.get("unit") in ("percent", "%") else "rows")
    return None


def _action(document: Document, entry: dict[str, Any], place: tuple[str | int, ...], *, row_level: bool) -> Action:
    action = _extras(document, entry, {"action": str}, place).get("action")
    if action is None:
        if entry.get("severity") in ("warning", "info"):
            return "warn"
        return "quarantine" if row_level else "halt"
    if action not in ("warn", "quarantine", "halt") or (action == "quarantine" and not row_level):
        raise Misconfigured(
            f"the action {action} does not fit", file=document.path, line=document.line(*place),
            expected="warn, quarantine or halt; quarantine only where the rule speaks of single rows",
        )  # fmt: skip
    return cast(Action, action)


def _schema_keys(document: Document, entry: dict[str, Any], place: tuple[str | int, ...]) -> list[ForeignKey]:
    keys = []
    for number, item in enumerate(_list(document, entry, "relationships", place)):
        relation = _mapping(document, item, (*place, "relationships", number))
        if relation.get("type", "foreignKey") != "foreignKey":
            continue
        from_ = relation.get("from")
        to = relation.get("to")
        columns = [str(one).rsplit(".", 1)[-1] for one in (from_ if isinstance(from_, list) else [from_])]
        targets = [str(one) for one in (to if isinstance(to, list) else [to])]
        keys.append(_key(document, columns, targets, (*place, "relationships", number)))
    return keys


def _field_keys(
    document: Document, raw: dict[str, Any], name: str, place: tuple[str | int, ...]
) -> list[ForeignKey]:
    keys = []
    for number, item in enumerate(_list(document, raw, "relationships", place)):
        relation = _mapping(document, item, (*place, "relationships", number))
        if relation.get("type", "foreignKey") == "foreignKey":
            keys.append(_key(document, [name], [str(relation.get("to"))], (*place, "relationships", number)))
    return keys


def _key(document: Document, columns: list[str], targets: list[str], place: tuple[str | int, ...]) -> ForeignKey:
    split = [re.split(r"[./]", target)[-2:] for target in targets]
    if any(len(part) != 2 for part in split) or len({part[0] for part in split}) != 1 or len(split) != len(columns):
        raise Misconfigured(
            "the relationship cannot be read", file=document.path, line=document.line(*place),
            expected="to: table.column, as many as from",
        )  # fmt: skip
    return ForeignKey(tuple(columns), split[0][0], tuple(part[1] for part in split), document.line(*place))


def _extras(
    document: Document,
    raw: dict[str, Any],
    known: dict[str, Any],
    place: tuple[str | int, ...],
) -> dict[str, Any]:
    """assay's own customProperties; those of others are let pass, near misses of ours are not."""
    found: dict[str, Any] = {}
    for number, item in enumerate(_list(document, raw, "customProperties", place)):
        at = (*place, "customProperties", number)
        entry = _mapping(document, item, at)
        name = entry.get("property")
        if name in known:
            if not isinstance(entry.get("value"), known[name]):
                raise Misconfigured(
                    f"{name} has the wrong type", file=document.path, line=document.line(*at), expected=str(known[name])
                )
            found[str(name)] = entry.get("value")
        elif isinstance(name, str) and any(name.casefold() == word.casefold() for word in known):
            raise Misconfigured(
                f"the customProperty {name} is not known", file=document.path, line=document.line(*at),
                expected=nearest(name, known) or "",
            )  # fmt: skip
    return found


def _mapping(document: Document, value: Any, place: tuple[str | int, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misconfigured(
            f"{'.'.join(map(str, place)) or 'the file'} must have keys", file=document.path, line=document.line(*place)
        )
    return value


def _list(document: Document, raw: dict[str, Any], key: str, place: tuple[str | int, ...]) -> list[Any]:
    value = raw.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misconfigured(f"{key} must be a list", file=document.path, line=document.line(*place, key))
    return value


def _only(document: Document, raw: dict[str, Any], known: Iterable[str], place: tuple[str | int, ...]) -> None:
    known = set(known)
    for key in raw:
        if key not in known:
            near = nearest(str(key), known)
            renamed = RENAMED.get(str(key))
            raise Misconfigured(
                f"unknown key {key}",
                file=document.path,
                line=document.line(*place, key),
                expected=renamed or f"{near}?" if renamed or near else "one of: " + ", ".join(sorted(known)),
            )
