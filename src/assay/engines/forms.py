"""The form of a cell: which texts a field accepts, and the SQL that types them.

A cast is not a check: DuckDB's casts round, read `1e3` as an integer and `yes` as true. So each text is
matched against the form of its type first and cast only then. The quick decision over a whole file and the
exact search for bad cells are built from the same expressions, so they cannot disagree about a cell.

Where a file carries types of its own (a workbook, JSON, Parquet), `kind` names the column that holds them: a
number there has a decimal point and a date the ISO form, whatever the contract declares for texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

from assay.engines.duckdb import literal

if TYPE_CHECKING:
    from assay.zones.contract import Field

#: What `readers.grid.Kind` calls the cells that a file itself typed.
KIND_TEXT, KIND_NUMBER, KIND_DATE, KIND_BOOLEAN, KIND_ERROR, KIND_TIME, KIND_ROUNDED = 1, 2, 3, 4, 5, 6, 8
BLANKS = " \t\u00a0"
#: Decimals of so many digits fit one machine word.
NARROW = 18
#: What may stand for a blank between thousands.
_SPACES = " \u00a0\u202f"
#: Names of date formats that read the day numbers of spreadsheets.
SERIALS = {"excel": "1899-12-30", "excel1904": "1904-01-01"}


def is_null(field: Field, column: str) -> str:
    """SQL: the cell stands for "no value": nothing, or one of the field's null words.

    A text of blanks is a text; in a column of another type it is nothing.
    """
    words = _words(field.null_words)
    bare = _bare(column)
    if field.type.kind == "string":
        declared = f" OR {bare} IN ({_list(words)})" if words else ""
        return f"({column} IS NULL OR {column} = ''{declared})"
    return f"({column} IS NULL OR {bare} IN ({_list(['', *words])}))"


def is_missing(field: Field, column: str) -> str:
    """SQL: the cell has nothing that a required field could take."""
    careful = f"({is_null(field, column)} OR {_bare(column)} = '')"
    return f"(CASE WHEN {_filled(field, column)} THEN false ELSE {careful} END)"


def unfit(field: Field, column: str, kind: str | None = None) -> str:
    """SQL, never NULL: the cell neither stands for "no value" nor fits."""
    careful = f"(NOT {is_null(field, column)} AND NOT coalesce({_fits(field, column, kind)}, false))"
    return _decided(_at_sight(field, column, kind), "false", careful)


def fits(field: Field, column: str, kind: str | None = None) -> str:
    """SQL: the text has the form of the field's type and lies within the type's range."""
    return _decided(_at_sight(field, column, kind), "true", _fits(field, column, kind))


def typed(field: Field, column: str, kind: str | None = None) -> str:
    """SQL: the typed value of a cell that fits; null for a null word; NULL where it does not fit."""
    text = _text(field, column)
    return (
        f"CASE {_values(_at_sight(field, column, kind))}WHEN {is_null(field, column)} THEN NULL "
        f"WHEN {_form(field, text, kind)} THEN {_typed(field, text, kind)} END"
    )


def typed_or_fail(field: Field, column: str) -> str:
    """SQL: the typed value, or an error that stops the whole statement at the first cell that does not fit."""
    null = f"WHEN {is_null(field, column)} THEN NULL "
    if field.required:
        null = f"WHEN {is_missing(field, column)} THEN error('assay: required') "
    value = _typed(field, _text(field, column), None)
    return (
        f"CASE {_values(_at_sight(field, column, None))}{null}"
        f"WHEN {_fits(field, column, None)} THEN {value} ELSE error('assay: unfit') END"
    )


def _fits(field: Field, column: str, kind: str | None) -> str:
    text = _text(field, column)
    value = _typed(field, text, kind)
    return f"({_all(_form(field, text, kind), f'({value}) IS NOT NULL', _within(field, value))})"


def _text(field: Field, column: str) -> str:
    """SQL: what of a cell is held against the form: blanks around a text belong to it, around other values not."""
    return column if field.type.kind == "string" else _bare(column)


# --- cells that fit at sight -------------------------------------------------------------------------------------
#
# Most cells are written as the engine itself writes their values, and most of the others have no blanks around
# them. What can be said of these before anything is trimmed is asked first, because trimming a text costs more than
# all the rest. It only ever says yes, with the value that the careful way gives; whatever it does not know goes the
# careful way, which alone says no.


def _at_sight(field: Field, column: str, kind: str | None) -> list[tuple[str, str]]:
    """SQL: conditions, the cheapest first, that each prove a text to fit and to be no null word; and its value then.

    Cells that the file itself typed have none.
    """
    if kind is not None:
        return []
    if field.type.kind == "string":
        there = _filled(field, column) if field.required or field.null_words else f"{column} <> ''"
        return [(_all(there, _within(field, column)), column)]
    words = _words(field.null_words)
    no_null_word = f"{column} NOT IN ({_list(words)})" if words else ""
    ways = _own_text(field, column)
    if not _ends_blank(field):
        value = _typed(field, column, None)
        ways.append((f"{_form(field, column, None)} AND ({value}) IS NOT NULL", value))
    return [(_all(test, no_null_word, _within(field, value)), value) for test, value in ways]


def _own_text(field: Field, column: str) -> list[tuple[str, str]]:
    """SQL: conditions that a text is what the engine itself writes for a value that the field takes, and that value.

    Where the value gives back the text, the cast has neither bent nor lost anything. The cast stands first in the
    condition, because the engine then computes it once for the condition and the value.
    """
    kind = field.type.kind
    if kind == "boolean":
        true, false = _words(field.true_words), _words(field.false_words)
        alike = {word.casefold() for word in true}
        ways = ((true, "true"), ([word for word in false if word.casefold() not in alike], "false"))
        return [(f"{column} IN ({_list(words)})", truth) for words, truth in ways if words]
    if field.percent:
        return []
    if kind == "decimal" and field.decimal_sign == "." and field.thousands_sign != ".":
        precision, scale = _decimal(field)
        narrow = f"TRY_CAST({column} AS DECIMAL({min(precision, NARROW)},{min(scale, NARROW)}))"
        value = narrow if precision <= NARROW else f"CAST({narrow} AS {field.type.duckdb})"
        # All places of the scale are written: "12" and "12.5" begin the text "12.50".
        return [(f"starts_with(CAST({narrow} AS VARCHAR), {column})", value)]
    value = f"TRY_CAST({column} AS {field.type.duckdb})"
    same = f"CAST({value} AS VARCHAR) = {column}"
    if kind == "integer":
        return [(same, value)]
    own, length = {"date": ("%Y-%m-%d", 10), "timestamp": ("%Y-%m-%d %H:%M:%S", 19)}.get(kind, ("", 0))
    if own in _formats(field) and not field.type.timezone and not _clashes(field, column):
        return [(f"{same} AND length({column}) = {length}", value)]
    return []


def _filled(field: Field, column: str) -> str:
    """SQL: the text begins with no blank and with none of the null words, so that it is not missing.

    (The engine compares texts by their bytes.)
    """
    no_blank = f"{column} >= '!' AND ({column} < '\u00a0' OR {column} >= '\u00a1')"
    no_word = (f"NOT starts_with({column}, {literal(word)})" for word in _words(field.null_words))
    return f"({_all(no_blank, *no_word)})"


def _ends_blank(field: Field) -> bool:
    """Whether a text with a blank at one of its ends could have the form."""
    pieces = (*field.currency_signs, *field.footnote_marks, *_formats(field), field.decimal_sign)
    return any(piece != piece.strip(BLANKS) for piece in pieces)


def _decided(ways: list[tuple[str, str]], answer: str, careful: str) -> str:
    """SQL: the answer for a cell that fits at sight; the careful way for any other."""
    known = _values([(test, answer) for test, _ in ways])
    return f"(CASE {known}ELSE {careful} END)" if known else careful


def _values(ways: list[tuple[str, str]]) -> str:
    return "".join(f"WHEN {test} THEN {value} " for test, value in ways)


def _all(*conditions: str) -> str:
    return " AND ".join(condition for condition in conditions if condition)


# --- forms and values --------------------------------------------------------------------------------------------


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


def _form(field: Field, text: str, kind: str | None) -> str:
    """SQL: the text matches the form."""
    name = field.type.kind
    if name == "string":
        if kind is None:
            return "true"
        if field.text_as_numbers == "reject":
            return f"({kind} <= {KIND_TEXT})"
        return f"({kind} NOT IN ({KIND_ERROR}, {KIND_ROUNDED}))"
    if name in ("integer", "decimal", "double"):
        declared = f"regexp_full_match({text}, {literal(_number_form(field))})"
        if kind is None:
            return declared
        plain = f"regexp_full_match({_own_number(field, text)}, {literal(_plain_form(field))})"
        exact = f"{kind} = {KIND_NUMBER}" if name != "double" else f"{kind} IN ({KIND_NUMBER}, {KIND_ROUNDED})"
        as_text = "false" if field.numbers_as_text == "reject" else f"{kind} = {KIND_TEXT} AND {declared}"
        return f"(CASE WHEN {exact} THEN {plain} ELSE {as_text} END)"
    if name == "boolean":
        declared = _is_one_of(text, (*field.true_words, *field.false_words))
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


def _typed(field: Field, text: str, kind: str | None) -> str:
    """SQL: the value of a text that has the form; NULL where it is out of range."""
    name, target = field.type.kind, field.type.duckdb
    if name == "string":
        return text
    if name in ("integer", "decimal", "double"):
        declared = _number(field, text)
        if kind is None:
            return declared
        own = _own_number(field, text)
        if name == "decimal":
            own = _as_decimal(own, *_decimal(field))
        else:
            whole = f"regexp_replace({own}, '\\.0*$', '')" if name == "integer" else own
            own = f"TRY_CAST({whole} AS {target})"
        return f"CASE WHEN {kind} = {KIND_TEXT} THEN {declared} ELSE {own} END"
    if name == "boolean":
        declared = _is_one_of(text, field.true_words)
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
        expected = KIND_TIME if name == "time" else KIND_DATE
        choices.insert(0, f"WHEN {kind} = {expected} THEN {iso}")
    return f"CASE {' '.join(choices)} END"


def _bare(column: str) -> str:
    return f"trim({column}, {literal(BLANKS)})"


def _words(declared: Iterable[str]) -> list[str]:
    """Declared words as a trimmed text can be one."""
    return sorted({word.strip(BLANKS) for word in declared} - {""})


def _is_one_of(text: str, declared: Iterable[str]) -> str:
    """SQL: the text is one of the words, in small or capital letters; the engine's own rule says which are the same."""
    words = ", ".join(f"lower({literal(word)})" for word in _words(declared))
    return f"(lower({text}) IN ({words}))" if words else "false"


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
        return r"-?[0-9]+(?:\.0*)?"
    return rf"-?[0-9]+(?:\.[0-9]{{0,{field.type.scale or 0}}}0*)?"


def _own_number(field: Field, text: str) -> str:
    """SQL: a number that the file itself typed, as a field of exact numbers takes it: an exponent is written out.

    Some programs write `1.5E7` into JSON for 15000000. Moving the point loses nothing, as a cast might.
    """
    if field.type.kind == "double":
        return text

    def part(pattern: str) -> str:
        return f"regexp_extract({text}, {literal(pattern)}, 1)"

    whole, fraction = part("^-?([0-9]+)"), part(r"\.([0-9]+)")
    digits = f"({whole} || {fraction})"
    point = f"(length({whole}) + TRY_CAST({part('[eE]([+-]?[0-9]{1,3})$')} AS INTEGER))"
    # A point that falls outside of the digits gets zeros to stand between.
    padded = f"(repeat('0', 1 - {point}) || {digits} || repeat('0', {point} - length({digits})))"
    before = f"greatest({point}, 1)"
    out = f"{part('^(-?)')} || left({padded}, {before}) || '.' || substr({padded}, {before} + 1)"
    return f"(CASE WHEN contains({text}, 'e') OR contains({text}, 'E') THEN {out} ELSE {text} END)"


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
        hundredth = f"{_as_decimal(plain, 30, _places(field))} * CAST('0.01' AS DECIMAL(3,2))"
        return f"TRY_CAST({hundredth} AS {field.type.duckdb})"
    if field.type.kind == "decimal":
        return _as_decimal(plain, *_decimal(field))
    value = f"TRY_CAST({plain} AS {field.type.duckdb})"
    return f"({value} / 100)" if field.percent and field.type.kind == "double" else value


def _decimal(field: Field) -> tuple[int, int]:
    """Precision and scale of a decimal field."""
    assert field.type.precision is not None and field.type.scale is not None
    return field.type.precision, field.type.scale


def _as_decimal(text: str, precision: int, scale: int) -> str:
    """SQL: a plain number as a decimal; the engine reads a wide one a hundred times slower, so only where it has to."""
    wide = f"TRY_CAST({text} AS DECIMAL({precision},{scale}))"
    if precision <= NARROW or scale > NARROW:
        return wide
    return f"coalesce(CAST(TRY_CAST({text} AS DECIMAL({NARROW},{scale})) AS DECIMAL({precision},{scale})), {wide})"


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
