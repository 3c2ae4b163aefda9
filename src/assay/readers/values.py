"""The values that a parser gives back, as texts and kinds, one by one."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assay.readers.cells import Kind

#: What a spreadsheet program keeps of a number; more digits of a stored double are noise of binary fractions.
SIGNIFICANT_DIGITS = 15
#: A number from here on has more digits before its point than that.
ROUNDED_FROM = 10.0**SIGNIFICANT_DIGITS


@dataclass(frozen=True, slots=True)
class ErrorCell:
    """A cell that holds an error, such as `#N/A`."""

    text: str


def cell(value: Any) -> tuple[str | None, Kind]:
    """The text and kind of one value."""
    return _CELLS.get(type(value), _nothing)(value)


def number_text(value: float) -> str:
    """A number as people see it in a cell: at most 15 significant digits, never an exponent."""
    text = repr(value)
    if len(text) <= SIGNIFICANT_DIGITS and text.replace(".", "", 1).isdigit():
        return text.removesuffix(".0")
    if not math.isfinite(value):
        return text
    if len(Decimal(text).as_tuple().digits) > SIGNIFICANT_DIGITS:
        text = f"{value:.{SIGNIFICANT_DIGITS}g}"
    plain = format(Decimal(text), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


def is_rounded(value: float) -> bool:
    """Whether a number has so many digits before the point that a workbook has not kept them all."""
    return abs(value) >= ROUNDED_FROM and math.isfinite(value)


def _text(value: str) -> tuple[str | None, Kind]:
    return (value, Kind.TEXT) if value else (None, Kind.EMPTY)


def _moment(value: datetime.datetime) -> tuple[str | None, Kind]:
    midnight = value.time() == datetime.time()
    return (value.date().isoformat() if midnight else value.isoformat(sep=" ")), Kind.DATE


def _duration(value: datetime.timedelta) -> tuple[str | None, Kind]:
    sign = "-" if value < datetime.timedelta() else ""
    whole = abs(value)
    seconds = whole.days * 86_400 + whole.seconds
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return (f"{text}.{whole.microseconds:06d}" if whole.microseconds else text), Kind.DURATION


def _nothing(_: Any) -> tuple[str | None, Kind]:
    return None, Kind.EMPTY


_CELLS: dict[type, Callable[[Any], tuple[str | None, Kind]]] = {
    str: _text,
    ErrorCell: lambda value: (value.text, Kind.ERROR),
    bool: lambda value: ("true" if value else "false", Kind.BOOLEAN),
    int: lambda value: (str(value), Kind.NUMBER),
    float: lambda value: (number_text(value), Kind.ROUNDED if is_rounded(value) else Kind.NUMBER),
    datetime.datetime: _moment,
    datetime.date: lambda value: (value.isoformat(), Kind.DATE),
    datetime.time: lambda value: (value.isoformat(), Kind.TIME),
    datetime.timedelta: _duration,
}
