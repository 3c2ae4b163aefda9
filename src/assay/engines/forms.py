"""The form of a cell: which texts a field accepts, and the SQL that types them.

A cast is not a check: DuckDB's casts round, read `1e3` as an integer and `yes` as true. So each text is
matched against the form of its type first and cast only then. The quick decision over a whole file and the
exact search for bad cells are built from the same expressions, so they cannot disagree about a cell.

Where a file carries types of its own (a workbook, JSON, Parquet), `kind` names the column that holds them: a
number there has a decimal point and a date the ISO form, whatever the contract declares for texts.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from assay.engines.duckdb import literal

if TYPE_CHECKING:
    from assay.zones.contract import Field

#: What `readers.grid.Kind` calls the cells that a file itself typed.
KIND_TEXT, KIND_NUMBER, KIND_DATE, KIND_BOOLEAN, KIND_ERROR, KIND_TIME, KIND_ROUNDED = 1, 2, 3, 4, 5, 6, 8
BLANKS = " \t\u00a0"
#: What may stand for a blank between thousands.
_SPACES = " \u00a0\u202f"
#: Names of date formats that read the day numbers of spreadsheets.
SERIALS = {"excel": "1899-12-30", "excel1904": "1904-01-01"}


def is_null(field: Field, column: str) -> str:
    """SQL: the cell stands for "no value": nothing, or one of the field's null words.

    A text of blanks is a text; in a column of another type it is nothing.
    """
    words = _null_words(field)
    bare = _bare(column)
    if field.type.kind == "string":
        declared = f" OR {bare} IN ({_list(words)})" if words else ""
        return f"({column} IS NULL OR {column} = ''{declared})"
    return f"({column} IS NULL OR {bare} IN ({_list(['', *words])}))"


def _null_words(field: Field) -> list[str]:
    return sorted({word.strip(BLANKS) for word in field.null_words} - {""})


def is_missing(field: Field, column: str) -> str:
    """SQL: the cell has nothing that a required field could take."""
    missing = f"({is_null(field, column)} OR {_bare(column)} = '')"
    return missing if field.null_words else f"(CASE WHEN {_begins(column)} THEN false ELSE {missing} END)"


def unfit(field: Field, column: str, kind: str | None = None) -> str:
    """SQL, never NULL: the cell neither stands for "no value" nor fits."""
    full = f"(NOT {is_null(field, column)} AND NOT coalesce({_fits(field, column, kind)}, false))"
    short = _shortcut(field, column) if kind is None else None
    return full if short is None else f"(CASE WHEN {short[0]} THEN false ELSE {full} END)"


def fits(field: Field, column: str, kind: str | None = None) -> str:
    """SQL: the text has the form of the field's type and lies within the type's range."""
    full = _fits(field, column, kind)
    short = _shortcut(field, column) if kind is None else None
    return full if short is None else f"(CASE WHEN {short[0]} THEN true ELSE {full} END)"


def _fits(field: Field, column: str, kind: str | None) -> str:
    value = _typed(field, column, kind)
    conditions = [_form(field, column, kind), f"({value}) IS NOT NULL"]
    limits = _within(field, value)
    if limits:
        conditions.append(limits)
    return "(" + " AND ".join(conditions) + ")"


def typed(field: Field, column: str, kind: str | None = None) -> str:
    """SQL: the typed value of a cell that fits; null for a null word; NULL where it does not fit."""
    short = _shortcut(field, column) if kind is None else None
    first = "" if short is None else f"WHEN {short[0]} THEN {short[1]} "
    return (
        f"CASE {first}WHEN {is_null(field, column)} THEN NULL "
        f"WHEN {_form(field, column, kind)} THEN {_typed(field, column, kind)} END"
    )


def typed_or_fail(field: Field, column: str) -> str:
    """SQL: the typed value, or an error that stops the whole statement at the first cell that does not fit."""
    careful = _typed_or_fail(field, column)
    common = _common(field, column)
    return careful if common is None else f"CASE {common} ELSE {careful} END"


def _typed_or_fail(field: Field, column: str) -> str:
    accepted = _form(field, column, None)
    limits = _within(field, _typed(field, column, None))
    if limits:
        accepted += f" AND {limits}"
    null = f"WHEN {is_null(field, column)} THEN NULL "
    if field.required:
        null = f"WHEN {is_missing(field, column)} THEN error('assay: required') "
    value = f"coalesce({_typed(field, column, None)}, error('assay: range'))"
    short = _shortcut(field, column)
    first = "" if short is None else f"WHEN {short[0]} THEN {short[1]} "
    return f"CASE {first}{null}WHEN {accepted} THEN {value} ELSE error('assay: form') END"


def _shortcut(field: Field, column: str) -> tuple[str, str] | None:
    """SQL: a condition that proves a text to fit at little cost, and its value then; None where there is none.

    Most cells of most files are written as the engine itself writes their values. Such a text has the form, and
    the value is exactly it; all others take the longer way. It saves four fifths of the time.
    """
    condition, value = _same_text(field, column) or (None, column)
    if condition is None:
        return None
    tests = [condition]
    if _null_words(field):
        tests.append(f"{column} NOT IN ({_list(_null_words(field))})")
    limits = _within(field, value)
    if limits:
        tests.append(limits)
    return f"({' AND '.join(tests)})", value


def _same_text(field: Field, column: str) -> tuple[str, str] | None:
    kind = field.type.kind
    value = f"TRY_CAST({column} AS {field.type.duckdb})"
    same = f"CAST({value} AS VARCHAR) = {column}"
    if kind == "string":
        return None if field.null_words else (_begins(column), column)
    if kind == "integer" or (kind == "decimal" and field.decimal_sign == "." and not field.percent):
        return same, value
    if kind == "boolean":
        words = [word for word in (*field.true_words, *field.false_words) if word.isascii()]
        if not words:
            return None
        return f"{column} IN ({_list(words)})", f"({column} IN ({_list(list(field.true_words))}))"
    if kind not in ("date", "timestamp") or field.type.timezone or _clashes(field, column):
        return None
    own, length = ("%Y-%m-%d", 10) if kind == "date" else ("%Y-%m-%d %H:%M:%S", 19)
    if own in _formats(field):
        return f"length({column}) = {length} AND {same}", value
    only = _formats(field)[0]
    if len(_formats(field)) > 1 or only in SERIALS:
        return None
    value = _read_date(field, only, column)
    return f"regexp_full_match({column}, {literal(_date_form(only))}) AND {value} IS NOT NULL", value


def _begins(column: str) -> str:
    """SQL: the text begins with a visible character of ASCII, so that it is neither nothing nor blank."""
    return f"({column} >= '!' AND {column} < '\u0080')"


class _Bare(str):
    """A column whose text is known to have no blanks around it."""


def _common(field: Field, column: str) -> str | None:
    """SQL: `WHEN ... THEN ...` for the texts that most cells hold; None where there is no such shortcut.

    Trimming a text costs more than all the rest. A text that matches the form as it stands has no blanks around
    it, so it is typed untrimmed; whatever does not match goes the careful way.
    """
    bare = _Bare(column)
    if field.type.kind == "string":
        if not field.required or field.null_words:
            return None
        # Begins with none of the blanks: not missing. (Texts compare by their bytes.)
        filled = f"{column} >= '!' AND ({column} < '\u00a0' OR {column} >= '\u00a1')"
        limits = _within(field, bare)
        return f"WHEN {filled}{f' AND {limits}' if limits else ''} THEN {column}"
    pieces = (*field.true_words, *field.false_words, *field.currency_signs, *_formats(field), field.decimal_sign)
    if any(piece != piece.strip(BLANKS) for piece in pieces):
        return None
    value = _typed(field, bare, None)
    limits = _within(field, value)
    words = f"{column} NOT IN ({_list(_null_words(field))}) AND " if _null_words(field) else ""
    accepted = f"{words}{_form(field, bare, None)}{f' AND {limits}' if limits else ''}"
    return f"WHEN {accepted} THEN coalesce({value}, error('assay: range'))"


def ambiguous(field: Field, column: str) -> str | None:
    """SQL: two declared formats read the text as different dates; None where that cannot happen."""
    clashes = _clashes(field, _bare(column))
    return f"({' OR '.join(clashes)})" if clashes else None


def number_in_text(field: Field, column: str, kind: str) -> str | None:
    """SQL: a cell that the file holds as text, for a column of numbers; None for other columns."""
    if field.type.kind not in ("integer", "decimal", "double"):
        return None
    return f"({kind} = {KIND_TEXT} AND NOT {is_null(field, column)})"


def text_in_number(field: Field, column: str, kind: str) -> str | None:
    """SQL: a cell that the file holds as number, date or boolean, for a column of texts; None for others."""
    return f"({kind} > {KIND_TEXT})" if field.type.kind == "string" else None


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
    """SQL: the text matches the form."""
    name = field.type.kind
    if name == "string":
        if kind is None:
            return "true"
        if field.text_as_numbers == "reject":
            return f"({kind} <= {KIND_TEXT})"
        return f"({kind} NOT IN ({KIND_ERROR}, {KIND_ROUNDED}))"
    text = _bare(column)
    if name in ("integer", "decimal", "double"):
        declared = f"regexp_full_match({text}, {literal(_number_form(field))})"
        if kind is None:
            return declared
        plain = f"regexp_full_match({text}, {literal(_plain_form(field))})"
        exact = f"{kind} = {KIND_NUMBER}" if name != "double" else f"{kind} IN ({KIND_NUMBER}, {KIND_ROUNDED})"
        as_text = "false" if field.numbers_as_text == "reject" else f"{kind} = {KIND_TEXT} AND {declared}"
        return f"(CASE WHEN {exact} THEN {plain} ELSE {as_text} END)"
    if name == "boolean":
        words = [word.casefold() for word in (*field.true_words, *field.false_words)]
        declared = f"(lower({text}) IN ({_list(words)}))"
        if kind is None:
            return declared
        return f"(CASE {kind} WHEN {KIND_BOOLEAN} THEN true WHEN {KIND_ERROR} THEN false ELSE {declared} END)"
    declared = " OR ".join(
        f"regexp_full_match({text}, {literal(_date_form(pattern))})" for pattern in _formats(field)
    )
    clashes = _clashes(field, text)
    if clashes:
        declared = f"({declared}) AND NOT ({' OR '.join(clashes)})"
    if kind is None:
        return f"({declared})"
    own = KIND_TIME if name == "time" else KIND_DATE
    # A number is a date only where the contract declares one that is written in digits alone: `20260105`, or the
    # day numbers of spreadsheets.
    texts = (KIND_TEXT, KIND_NUMBER) if any(_in_digits(pattern) for pattern in field.formats) else (KIND_TEXT,)
    return (
        f"(CASE WHEN {kind} = {own} THEN true "
        f"WHEN {kind} IN ({', '.join(str(int(one)) for one in texts)}) THEN ({declared}) ELSE false END)"
    )


def _typed(field: Field, column: str, kind: str | None) -> str:
    """SQL: the value of a text that has the form; NULL where it is out of range."""
    name, target = field.type.kind, field.type.duckdb
    if name == "string":
        return column
    text = _bare(column)
    if name in ("integer", "decimal", "double"):
        declared = _number(field, text)
        if kind is None:
            return declared
        whole = f"regexp_replace({text}, '\\.0+$', '')" if name == "integer" else text
        return f"CASE WHEN {kind} = {KIND_TEXT} THEN {declared} ELSE TRY_CAST({whole} AS {target}) END"
    if name == "boolean":
        words = _list([word.casefold() for word in field.true_words])
        declared = f"(lower({text}) IN ({words}))"
        return declared if kind is None else f"CASE {kind} WHEN {KIND_BOOLEAN} THEN {text} = 'true' ELSE {declared} END"
    choices = [
        f"WHEN regexp_full_match({text}, {literal(_date_form(pattern))}) "
        f"THEN {_read_date(field, pattern, text)}"
        for pattern in _formats(field)
    ]
    if kind is not None:
        # A date column takes a spreadsheet's date and time only at midnight: the rest of it would be lost.
        iso = f"TRY_CAST({text} AS {target})"
        if name == "date":
            iso = f"CASE WHEN length({text}) = 10 THEN {iso} END"
        own = KIND_TIME if name == "time" else KIND_DATE
        choices.insert(0, f"WHEN {kind} = {own} THEN {iso}")
    return f"CASE {' '.join(choices)} END"


def _bare(column: str) -> str:
    if isinstance(column, _Bare):
        return column
    return f"trim({column}, {literal(BLANKS)})"


def _list(words: list[str]) -> str:
    return ", ".join(literal(word) for word in words)


# --- numbers ---------------------------------------------------------------------------------------------------


def _places(field: Field) -> int:
    """How many digits may follow the decimal sign."""
    scale = field.type.scale or 0
    return max(scale - 2, 0) if field.percent else scale


def _plain_form(field: Field) -> str:
    """The form of a number that the file itself typed."""
    if field.type.kind == "double":
        return r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
    if field.type.kind == "integer":
        return r"-?[0-9]+(?:\.0+)?"
    return rf"-?[0-9]+(?:\.[0-9]{{0,{field.type.scale or 0}}}0*)?"


def _number_form(field: Field) -> str:
    thousands = _thousands(field)
    digits = rf"(?:[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+)" if thousands else "[0-9]+"
    point = re.escape(field.decimal_sign)
    if field.type.kind == "integer":
        # A whole number written with a fraction of zeros ("12.0") is the same number.
        number = rf"{digits}(?:{point}0+)?"
    elif field.type.kind == "decimal":
        scale = _places(field)
        number = rf"(?:{digits}(?:{point}[0-9]{{0,{scale}}}0*)?|{point}[0-9]{{1,{max(scale, 1)}}}0*)"
    else:
        number = rf"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?"
    gap = f"[{_SPACES}]?"
    if field.percent:
        number += f"{gap}%"
    if field.footnote_marks:
        # Who adds a mark by hand also sets a blank after the minus: "(C) - 84".
        bare = _signed_form(field, number, gap, minus=f"[+-]{gap}")
        mark = _either(field.footnote_marks)
        return f"(?:{bare}|{mark}{gap}{bare}|{bare}{gap}{mark})"
    return _signed_form(field, number, gap, minus="[+-]")


def _signed_form(field: Field, number: str, gap: str, *, minus: str) -> str:
    """A number with its sign and, where declared, its currency."""
    if not field.currency_signs:
        plain = rf"(?:{minus})?{number}"
        return rf"(?:{plain}|\({number}\))" if field.parentheses else plain
    sign = _either(field.currency_signs)
    plain = rf"(?:{minus})?(?:{sign}{gap})?{number}|{sign}{gap}{minus}{number}|(?:{minus})?{number}{gap}{sign}"
    if field.parentheses:
        plain += rf"|\((?:{sign}{gap})?{number}(?:{gap}{sign})?\)|{sign}{gap}\({number}\)"
    return f"(?:{plain})"


def _either(words: tuple[str, ...]) -> str:
    return "(?:" + "|".join(re.escape(word) for word in words) + ")"


def _thousands(field: Field) -> str | None:
    if not field.thousands_sign:
        return None
    # Offices type an ordinary blank, programs a no-break one: a declared blank means any of them.
    return f"[{_SPACES}]" if field.thousands_sign in tuple(_SPACES) else re.escape(field.thousands_sign)


def _number(field: Field, text: str) -> str:
    """SQL: the number that a text of the declared form stands for."""
    plain = text
    if field.footnote_marks:
        mark = _either(field.footnote_marks)
        plain = f"regexp_replace({plain}, {literal(f'^{mark}|{mark}$')}, '')"
    for sign in field.currency_signs:
        plain = f"replace({plain}, {literal(sign)}, '')"
    thousands = _thousands(field)
    blanks = bool(field.currency_signs or field.footnote_marks or field.percent) or thousands == f"[{_SPACES}]"
    if thousands and field.thousands_sign not in tuple(_SPACES):
        plain = f"replace({plain}, {literal(field.thousands_sign)}, '')"
    if field.percent:
        plain = f"replace({plain}, '%', '')"
    if blanks:
        plain = f"translate({plain}, {literal(_SPACES)}, '')"
    if field.decimal_sign != ".":
        plain = f"replace({plain}, {literal(field.decimal_sign)}, '.')"
    if field.parentheses:
        plain = f"replace(replace({plain}, '(', '-'), ')', '')"
    if field.type.kind == "integer":
        plain = f"regexp_replace({plain}, '\\.0+$', '')"
    if field.percent and field.type.kind == "decimal":
        # A product of decimals is exact; a quotient would be a float.
        hundredth = f"TRY_CAST({plain} AS DECIMAL(30,{_places(field)})) * CAST('0.01' AS DECIMAL(3,2))"
        return f"TRY_CAST({hundredth} AS {field.type.duckdb})"
    value = f"TRY_CAST({plain} AS {field.type.duckdb})"
    return f"({value} / 100)" if field.percent and field.type.kind == "double" else value


# --- dates -----------------------------------------------------------------------------------------------------


def _formats(field: Field) -> tuple[str, ...]:
    if field.formats:
        return field.formats
    if field.type.kind == "date":
        return ("%Y-%m-%d",)
    if field.type.kind == "time":
        return ("%H:%M:%S",)
    return ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f")


def _read_date(field: Field, pattern: str, text: str) -> str:
    """SQL: the value of a text that has the form of the pattern."""
    if pattern in SERIALS:
        return _serial(field, pattern, text)
    return f"CAST(try_strptime({text}, {literal(pattern)}) AS {field.type.duckdb})"


def _serial(field: Field, system: str, text: str) -> str:
    """SQL: the date of a spreadsheet's day number.

    In the system of 1900 day 60 is the 29th of February 1900, which never was: days before it count from one day
    later, and it is itself no date (ECMA-376 part 1, 18.17.4.1).
    """
    number = f"TRY_CAST({text} AS DOUBLE)"
    start = f"TIMESTAMP {literal(SERIALS[system] + ' 00:00:00')}"
    moment = f"({start} + to_milliseconds(CAST(round({number} * 86400000) AS BIGINT)))"
    if system == "excel":
        early = f"({moment} + INTERVAL 1 DAY)"
        moment = f"CASE WHEN {number} >= 61 THEN {moment} WHEN {number} >= 1 AND {number} < 60 THEN {early} END"
    if field.type.kind == "date":  # the time of the day would be lost
        moment = f"CASE WHEN {number} = floor({number}) THEN {moment} END"
    return f"CAST({moment} AS {field.type.duckdb})"


def _clashes(field: Field, text: str) -> list[str]:
    """SQL conditions: two formats read the text as different dates."""
    if field.type.kind not in ("date", "timestamp"):
        return []
    found = []
    for one, other in combinations(_formats(field), 2):
        if not _alike(one, other):
            continue
        a, b = (_read_date(field, pattern, text) for pattern in (one, other))
        both = " AND ".join(f"regexp_full_match({text}, {literal(_date_form(f))})" for f in (one, other))
        found.append(f"({both} AND coalesce({a} <> {b}, false))")
    return found


def _alike(one: str, other: str) -> bool:
    """Whether one text can have both forms."""
    if one in SERIALS or other in SERIALS:
        return _in_digits(one) and _in_digits(other)

    def shape(pattern: str) -> str:
        plain = re.sub(r"%-?[dmyHMSI]", "2", pattern.replace("%Y", "4"))
        return re.sub(r"%-?[bB]", "m", plain)

    return shape(one) == shape(other)


def _in_digits(pattern: str) -> bool:
    """Whether a format writes digits and nothing else."""
    return pattern in SERIALS or re.fullmatch(r"(?:%-?[YymdHMS])+", pattern) is not None


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
    """The regular expression of a format; strptime alone accepts more than the format says."""
    if pattern in SERIALS:
        return r"[0-9]{1,7}(?:\.[0-9]+)?"
    parts = re.split(r"(%-?[A-Za-z%])", pattern)
    return "".join(_DATE_PARTS.get(part, re.escape(part)) for part in parts)
