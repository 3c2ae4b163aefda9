"""Which types the texts of a column could have, judged on some of them; whether all fit is asked of the engine.

Two readings that both hold for every cell are two candidates, and none of them is taken (`typing`).
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from assay.readers.grid import Kind
from assay.zones.contract import Field
from assay.zones.contract_draft import date_pattern
from assay.zones.types import FieldType

#: Texts, in small letters, that offices write for "no value"; they count only in a column that is otherwise typed.
NULL_WORDS = frozenset({
    "n/a", "na", "n.a.", "n.a", "n/k", "#n/a", "-", "--", "---", "–", "—", "null", "(null)", "none", "nil", "nan",
    "not applicable", "not available", "unknown", "tbc", "tbd", "\\n", "",
})  # fmt: skip
BOOLEANS = (
    ("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("ja", "nein"), ("oui", "non"), ("si", "no"),
    ("sí", "no"), ("sim", "não"), ("wahr", "falsch"), ("vrai", "faux"),
)  # fmt: skip
CURRENCY_WORDS = frozenset({
    "R$", "US$", "A$", "C$", "NZ$", "EUR", "GBP", "USD", "CHF", "BRL", "NZD", "AUD", "CAD", "JPY", "kr", "Kr", "zł",
})  # fmt: skip
THOUSANDS = (",", ".", " ", "\u00a0", "\u202f", "'", "’")
#: A whole number of more digits is an identifier, and spreadsheets round it.
LONGEST_NUMBER = 15
#: How many differently written kinds of date one column may mix.
DATE_FAMILIES = 3

_NUMBER = re.compile(
    r"(?P<open>\()?[+-]?(?P<currency>[^\d\s.,()+\-'’%]{1,3})?[+-]?"
    r"(?P<body>\d[\d.,'’ \u00a0\u202f]*|[.,]\d+)(?P<close>\))?"
)
_EXPONENT = re.compile(r"[+-]?\d+(?:\.\d+)?[eE](?P<sign>[+-]?)\d{1,3}")
_PERCENT = re.compile(r"[+-]?\d[\d.,]*\s?%")
_ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?P<second>:\d{2})?(?P<fraction>\.\d{1,6})?(?P<half> ?[AaPp][Mm])?"
_DATE = re.compile(
    r"(?P<a>\d{4}|\d{1,2}|[A-Za-z]{3,9})(?P<sep>[-/. ])(?P<b>\d{1,2}|[A-Za-z]{3,9})(?P=sep)(?P<c>\d{4}|\d{1,2})"
    rf"(?:(?P<join>[ T]){_CLOCK}{_ZONE})?"
)
_TIME = re.compile(_CLOCK)
_COMPACT = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")

Sample = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Option:
    """A type that a column may have.

    `digits_open` says that precision and scale are still to be counted; `digits` are the most that were found
    before and after the decimal sign.
    """

    field: Field
    reading: str
    digits_open: bool = False
    digits: tuple[int, int] = (0, 0)


def options(name: str, sample: Sample, null_words: tuple[str, ...]) -> tuple[Option, ...]:
    """Every type beside text that all texts of a sample could have, the likeliest first."""
    if not sample:
        return ()
    for make in (_booleans, _numbers, _dates, _times):
        found = make(name, sample, null_words)
        if found:
            return found
    return ()


def compact_dates(sample: Sample) -> bool:
    """Whether every text could be a day written without separators, such as 20170131."""
    return bool(sample) and all(_COMPACT.fullmatch(text.strip()) for text, _ in sample)


def percentages(sample: Sample) -> bool:
    """Whether every text is a percentage."""
    return bool(sample) and all(_PERCENT.fullmatch(text.strip()) for text, _ in sample)


def _booleans(name: str, sample: Sample, null_words: tuple[str, ...]) -> tuple[Option, ...]:
    found = {text.strip().casefold() for text, _ in sample}
    if len(found) > 2:
        return ()
    return tuple(
        Option(
            Field(name, FieldType("boolean"), (), null_words=null_words, true_words=(true,), false_words=(false,)),
            f"{true} or {false}",
        )
        for true, false in BOOLEANS
        if found <= {true, false}
    )


def _numbers(name: str, sample: Sample, null_words: tuple[str, ...]) -> tuple[Option, ...]:
    texts = [text.strip(" \t\u00a0") for text, _ in sample]
    exponents = [match for text in texts if (match := _EXPONENT.fullmatch(text))]
    if exponents:
        return _floats(name, texts, exponents, null_words)
    matches = [_NUMBER.fullmatch(text) for text in texts]
    found = [match for match in matches if match is not None]
    if len(found) < len(texts) or any(bool(match["open"]) != bool(match["close"]) for match in found):
        return ()
    currencies = tuple(sorted({match["currency"] for match in found if match["currency"]}, key=lambda s: (-len(s), s)))
    if not all(_is_currency(sign) for sign in currencies):
        return ()
    bodies = [match["body"] for match in found]
    fractions = any(kind == Kind.NUMBER and "." in text for text, kind in sample)
    return tuple(
        Option(
            Field(
                name, FieldType("decimal", 38, 0), (), null_words=null_words, decimal_sign=decimal,
                thousands_sign=thousands, currency_signs=currencies,
                parentheses=any(match["open"] for match in found),
            ),
            _number_reading(decimal, thousands),
            digits_open=True,
        )
        for decimal, thousands in _separators(bodies)
        if decimal == "." or not fractions
    )  # fmt: skip


def _floats(
    name: str, texts: Sequence[str], exponents: Sequence[re.Match[str]], null_words: tuple[str, ...]
) -> tuple[Option, ...]:
    """Numbers with exponents; `1E5` alone may as well be a code, so a point or a sign must show that it is none."""
    plain = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
    if not all(plain.fullmatch(text) or _EXPONENT.fullmatch(text) for text in texts):
        return ()
    if not all("." in match.group() or match["sign"] for match in exponents):
        return ()
    return (Option(Field(name, FieldType("double"), (), null_words=null_words), "numbers with exponents"),)


def _separators(bodies: Iterable[str]) -> list[tuple[str, str | None]]:
    """The pairs of decimal and thousands sign under which every number is well written."""
    bodies = list(bodies)
    present = {character for body in bodies for character in body if not character.isdigit()}
    if not present:
        return [(".", None)]
    pairs: list[tuple[str, str | None]] = []
    for decimal in (".", ","):
        for thousands in (None, *THOUSANDS):
            if thousands == decimal or (thousands is not None and thousands not in present):
                continue
            if present <= {decimal, thousands} and all(_well_written(body, decimal, thousands) for body in bodies):
                pairs.append((decimal, thousands))
    if len(pairs) > 1 and not present & {".", ","}:
        return pairs[:1]  # No decimal sign stands anywhere: the two readings differ in nothing.
    return pairs


def _well_written(body: str, decimal: str, thousands: str | None) -> bool:
    point = re.escape(decimal)
    grouped = rf"[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|" if thousands else ""
    return re.fullmatch(rf"(?:{grouped}\d+)?(?:{point}\d*)?", body) is not None


def _number_reading(decimal: str, thousands: str | None) -> str:
    words = {",": "comma", ".": "point", " ": "blank"}
    sign = f"decimal {words.get(decimal, decimal)}"
    return f"{sign}, thousands {words.get(thousands, thousands)}" if thousands else sign


def _is_currency(sign: str) -> bool:
    return sign in CURRENCY_WORDS or all(unicodedata.category(character) == "Sc" for character in sign)


def _dates(name: str, sample: Sample, null_words: tuple[str, ...]) -> tuple[Option, ...]:
    families: dict[tuple[str, ...], list[re.Match[str]]] = {}
    of_sheet = [text for text, kind in sample if kind == Kind.DATE]
    for text, kind in sample:
        if kind == Kind.DATE:
            continue
        match = _DATE.fullmatch(text.strip(" \t\u00a0"))
        if match is None:
            return ()
        families.setdefault(_family(match), []).append(match)
    if len(families) > DATE_FAMILIES:
        return ()
    choices = [_formats(family, matches) for family, matches in families.items()]
    clock = any(family[3] for family in families) or any(len(text) > 10 for text in of_sheet)
    zoned = {bool(family[-1]) for family in families}
    if len(zoned) > 1 or (True in zoned and of_sheet):
        return ()
    made = FieldType("timestamp", timezone=True in zoned) if clock else FieldType("date")
    return tuple(
        Option(Field(name, made, (), null_words=null_words, formats=formats), _date_reading(formats))
        for formats in product(*choices)
    )


def _date_reading(formats: Iterable[str]) -> str:
    return " or ".join(date_pattern(one) for one in formats)


def _family(match: re.Match[str]) -> tuple[str, ...]:
    """What dates that are written alike share: which parts are letters or years, and how they are joined."""
    a, c = match["a"], match["c"]
    style = "ymd" if len(a) == 4 and a.isdigit() else "bdy" if a.isalpha() else "dby" if match["b"].isalpha() else "?"
    year = "4" if style == "ymd" or len(c) == 4 else "2"
    parts = (match["join"] or "", "s" if match["second"] else "", "f" if match["fraction"] else "", match["half"] or "")
    half = "" if not parts[3] else " " if parts[3].startswith(" ") else "p"
    return (style, match["sep"], year, *parts[:3], half, "z" if match["zone"] else "")


def _formats(family: tuple[str, ...], matches: Sequence[re.Match[str]]) -> tuple[str, ...]:
    style, sep, year, join, second, fraction, half, zone = family
    orders = _orders(style, year)
    short = any(len(match[part]) == 1 for match in matches for part in "abc" if match[part].isdigit())
    long_month = any(len(match[part]) > 3 for match in matches for part in "ab" if match[part].isalpha())
    parts = {
        "Y": "%Y", "y": "%y", "m": "%-m" if short else "%m", "d": "%-d" if short else "%d",
        "b": "%B" if long_month else "%b",
    }  # fmt: skip
    found = []
    for order in orders:
        if all(_is_day(order, match) for match in matches):
            found.append(sep.join(parts[part] for part in order))
    if not join:
        return tuple(found)
    early = any(len(match["hour"]) == 1 for match in matches)
    hour = "%I" if half else "%-H" if early else "%H"
    if half and early:
        return ()
    clock = f"{hour}:%M{':%S' if second else ''}{'.%f' if fraction else ''}"
    ending = {"": "", " ": " %p", "p": "%p"}[half] + ("%z" if zone else "")
    return tuple(f"{day}{join}{clock}{ending}" for day in found)


def _orders(style: str, year: str) -> tuple[str, ...]:
    if style == "ymd":
        return ("Ymd",)
    last = "Y" if year == "4" else "y"
    if style == "bdy":
        return (f"bd{last}",)
    if style == "dby":
        return (f"db{last}",)
    return (f"dm{last}", f"md{last}") if last == "Y" else ("dmy", "mdy", "ymd")


def _is_day(order: str, match: re.Match[str]) -> bool:
    """Whether the parts read in this order are a day of the calendar; months in letters are left to the engine."""
    values = dict(zip(order, (match["a"], match["b"], match["c"]), strict=True))
    if "b" in values:
        return True
    year = values.get("Y") or "20" + values["y"].zfill(2)
    if ("Y" in values and len(year) != 4) or ("y" in values and len(values["y"]) != 2):
        return False
    try:
        datetime.date(int(year), int(values["m"]), int(values["d"]))
    except ValueError:
        return False
    return True


def _times(name: str, sample: Sample, null_words: tuple[str, ...]) -> tuple[Option, ...]:
    formats: set[str] = set()
    for text, _ in sample:
        match = _TIME.fullmatch(text.strip(" \t\u00a0"))
        if match is None or match["half"] or len(match["hour"]) == 1 or int(match["hour"]) > 23:
            return ()
        formats.add(f"%H:%M{':%S' if match['second'] else ''}{'.%f' if match['fraction'] else ''}")
    field = Field(name, FieldType("time"), (), null_words=null_words, formats=tuple(sorted(formats)))
    return (Option(field, _date_reading(sorted(formats))),)
