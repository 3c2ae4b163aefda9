"""The form of a cell: which texts a field accepts, and the SQL that types them.

A cast is not a check: DuckDB's casts round, read `1e3` as an integer and `yes` as true. So each text is
matched against the form of its type first and cast only then. The quick decision over a whole file and the
exact search for bad cells are built from the same expressions, so they cannot disagree about a cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assay.engines.duckdb import literal

if TYPE_CHECKING:
    from assay.zones.contract import Field

#: What `readers.grid.Kind` calls cells that a spreadsheet itself typed as dates, times and errors.
KIND_DATE, KIND_ERROR = 3, 5
BLANKS = " \t\u00a0"


def is_null(field: Field, column: str) -> str:
    """SQL: the cell stands for "no value": nothing, or one of the field's null words."""
    words = sorted({"", *field.null_words})
    return f"({column} IS NULL OR {column} IN ({', '.join(literal(word) for word in words)}))"


def fits(field: Field, column: str, kind: str | None = None) -> str:
    """SQL: the text has the form of the field's type and lies within the type's range.

    `kind` is the column that holds the spreadsheet's own cell types, where the file has them.
    """
    value = _typed(field, column, kind, attempt=True)
    form = _form(field, column, kind)
    conditions = [form, f"({value}) IS NOT NULL"]
    limits = _within(field, value)
    if limits:
        conditions.append(limits)
    if kind is not None:
        conditions.append(f"{kind} <> {KIND_ERROR}")
    return "(" + " AND ".join(conditions) + ")"


def typed(field: Field, column: str, kind: str | None = None) -> str:
    """SQL: the typed value of a cell that fits; null for a null word; NULL where it does not fit."""
    return (
        f"CASE WHEN {is_null(field, column)} THEN NULL "
        f"WHEN {_form(field, column, kind)} THEN {_typed(field, column, kind, attempt=True)} END"
    )


def typed_or_fail(field: Field, column: str) -> str:
    """SQL: the typed value, or an error that stops the whole statement at the first cell that does not fit."""
    null = "error('assay: required')" if field.required else "NULL"
    accepted = _form(field, column, None)
    limits = _within(field, _typed(field, column, None, attempt=True))
    if limits:
        accepted += f" AND {limits}"
    return (
        f"CASE WHEN {is_null(field, column)} THEN {null} "
        f"WHEN {accepted} THEN {_typed(field, column, None, attempt=False)} "
        f"ELSE error('assay: form') END"
    )


def _within(field: Field, value: str) -> str:
    """SQL: the typed value keeps the limits that the contract sets to it; empty where it sets none."""
    tests = []
    if field.min_length is not None:
        tests.append(f"length({value}) >= {field.min_length}")
    if field.max_length is not None:
        tests.append(f"length({value}) <= {field.max_length}")
    if field.pattern is not None:
        tests.append(f"regexp_full_match({value}, {literal(field.pattern)})")
    for limit, operator in (
        (field.minimum, ">="),
        (field.maximum, "<="),
        (field.exclusive_minimum, ">"),
        (field.exclusive_maximum, "<"),
    ):
        if limit is not None:
            tests.append(f"({value}) {operator} CAST({literal(str(limit))} AS {field.type.duckdb})")
    return " AND ".join(tests)


def _form(field: Field, column: str, kind: str | None) -> str:
    """SQL: the text matches the form; dates of a spreadsheet have the ISO form whatever the contract declares."""
    name = field.type.kind
    if name == "string":
        return "true" if kind is None else f"({kind} IS NOT NULL)"
    text = _bare(column)
    if name in ("integer", "decimal", "double"):
        return f"regexp_full_match({text}, {literal(_number_form(field))})"
    if name == "boolean":
        words = [word.casefold() for word in (*field.true_words, *field.false_words)]
        return f"(lower({text}) IN ({', '.join(literal(word) for word in words)}))"
    declared = " OR ".join(
        f"regexp_full_match({text}, {literal(_date_form(pattern))})" for pattern in _formats(field)
    )
    if kind is None:
        return f"({declared})"
    return f"(CASE WHEN {kind} = {KIND_DATE} THEN true ELSE ({declared}) END)"


def _typed(field: Field, column: str, kind: str | None, *, attempt: bool) -> str:
    """SQL: the cast of a text that has the form. `attempt` gives NULL where the value is out of range."""
    cast = "TRY_CAST" if attempt else "CAST"
    name, target = field.type.kind, field.type.duckdb
    if name == "string":
        return column
    text = _bare(column)
    if name in ("integer", "decimal", "double"):
        return f"{cast}({_plain_number(field, text)} AS {target})"
    if name == "boolean":
        words = ", ".join(literal(word.casefold()) for word in field.true_words)
        return f"(lower({text}) IN ({words}))"
    parse = "try_strptime" if attempt else "strptime"
    choices = [
        f"WHEN regexp_full_match({text}, {literal(_date_form(pattern))}) "
        f"THEN CAST({parse}({text}, {literal(pattern)}) AS {target})"
        for pattern in _formats(field)
    ]
    if kind is not None:
        # A date column takes a spreadsheet's date and time only at midnight: the rest of it would be lost.
        iso = f"{cast}({text} AS {target})"
        if name == "date":
            iso = f"CASE WHEN length({text}) = 10 THEN {iso} END"
        choices.insert(0, f"WHEN {kind} = {KIND_DATE} THEN {iso}")
    return f"CASE {' '.join(choices)} END"


def _bare(column: str) -> str:
    return f"trim({column}, {literal(BLANKS)})"


def _number_form(field: Field) -> str:
    thousands = re.escape(field.thousands_sign) if field.thousands_sign else None
    digits = rf"(?:[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+)" if thousands else "[0-9]+"
    signs = "|".join(re.escape(sign) for sign in field.currency_signs)
    currency = f"(?:{signs})?" if signs else ""
    point = re.escape(field.decimal_sign)
    if field.type.kind == "integer":
        # A whole number written with a fraction of zeros ("12.0") is the same number.
        number = rf"{digits}(?:{point}0+)?"
    elif field.type.kind == "decimal":
        scale = field.type.scale or 0
        number = rf"(?:{digits}(?:{point}[0-9]{{0,{scale}}}0*)?|{point}[0-9]{{1,{max(scale, 1)}}}0*)"
    else:
        number = rf"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?"
    plain = rf"[+-]?{currency}[+-]?{number}" if currency else rf"[+-]?{number}"
    if currency:
        plain = rf"(?:[+-]?{currency}{number}|{currency}[+-]?{number})"
    return rf"(?:{plain}|\({currency}{number}\))" if field.parentheses else plain


def _plain_number(field: Field, text: str) -> str:
    """SQL: the number without currency, thousands and parentheses, with a point."""
    plain = text
    for sign in field.currency_signs:
        plain = f"replace({plain}, {literal(sign)}, '')"
    if field.thousands_sign:
        plain = f"replace({plain}, {literal(field.thousands_sign)}, '')"
    if field.decimal_sign != ".":
        plain = f"replace({plain}, {literal(field.decimal_sign)}, '.')"
    if field.parentheses:
        plain = f"replace(replace({plain}, '(', '-'), ')', '')"
    if field.type.kind == "integer":
        plain = f"regexp_replace({plain}, '\\.0+$', '')"
    return plain


def _formats(field: Field) -> tuple[str, ...]:
    if field.formats:
        return field.formats
    if field.type.kind == "date":
        return ("%Y-%m-%d",)
    if field.type.kind == "time":
        return ("%H:%M:%S",)
    return ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f")


_DATE_PARTS = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%m": "[0-9]{2}",
    "%-m": "[0-9]{1,2}",
    "%d": "[0-9]{2}",
    "%-d": "[0-9]{1,2}",
    "%H": "[0-9]{2}",
    "%-H": "[0-9]{1,2}",
    "%I": "[0-9]{2}",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}",
    "%f": "[0-9]{1,6}",
    "%p": "[AaPp][Mm]",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
    "%z": "(?:Z|[+-][0-9]{2}:?[0-9]{2})",
}


def _date_form(pattern: str) -> str:
    """The regular expression of a strptime pattern; strptime alone accepts more than the pattern says."""
    parts = re.split(r"(%-?[A-Za-z%])", pattern)
    return "".join(_DATE_PARTS.get(part, re.escape(part)) for part in parts)
