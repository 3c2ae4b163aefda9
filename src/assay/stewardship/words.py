"""What a column's cells must look like, in words for people who never saw a contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.zones.contract import Field

_PARTS = {
    "%Y": ("YYYY", "2025"), "%y": ("YY", "25"), "%m": ("MM", "12"), "%-m": ("M", "12"), "%d": ("DD", "31"),
    "%-d": ("D", "31"), "%H": ("hh", "23"), "%-H": ("h", "23"), "%I": ("hh", "11"), "%M": ("mm", "59"),
    "%S": ("ss", "00"), "%f": ("ffffff", "000000"), "%p": ("AM/PM", "PM"), "%b": ("Mon", "Dec"),
    "%B": ("Month", "December"), "%z": ("zone", "+00:00"),
}  # fmt: skip
_ISO = {"date": "%Y-%m-%d", "time": "%H:%M:%S", "timestamp": "%Y-%m-%d %H:%M:%S"}
_TIMES = {"date": "a date", "time": "a time of day", "timestamp": "a date and time"}


def plain(field: Field) -> str:
    """What a cell of the field must be, to stand after "must be": `a date written as DD/MM/YYYY, ...`."""
    kind = field.type.kind
    if kind in _TIMES:
        words = _TIMES[kind] + _written(field)
    elif kind in ("integer", "decimal", "double"):
        words = _number(field)
    elif kind == "boolean":
        words = f"{_either(field.true_words)} for yes, or {_either(field.false_words)} for no"
    elif kind == "object":
        words = "a text in JSON"
    else:
        words = "a text"
    return ", ".join([words, *_limits(field)])


def named(headers: Sequence[str]) -> str:
    """The names that a column may have: `"Amount" or "Total"`."""
    return " or ".join(f'"{header}"' if header.strip() else "a blank name" for header in headers)


def _either(words: Sequence[str]) -> str:
    return " or ".join(f'"{word}"' for word in words)


def _written(field: Field) -> str:
    formats = [one for one in field.formats or (_ISO[field.type.kind],) if not one.startswith("excel")]
    if not formats:
        return " as the spreadsheet program writes it"
    forms = " or ".join(_replaced(one, 0) for one in formats)
    return f" written as {forms}, such as {_replaced(formats[0], 1)}"


def _replaced(pattern: str, which: int) -> str:
    # The longer signs first, because "%-d" holds a "d" too.
    for sign in sorted(_PARTS, key=len, reverse=True):
        pattern = pattern.replace(sign, _PARTS[sign][which])
    return pattern


def _number(field: Field) -> str:
    kind, sign = field.type, field.decimal_sign
    scale = kind.scale or 0
    whole = f"1{field.thousands_sign or ''}234"
    if field.percent:
        fraction = f"{sign}5" if kind.kind == "double" or scale > 2 else ""
        return f"a percentage, such as 12{fraction}%"
    if kind.kind == "integer":
        return f"a whole number, such as {whole}"
    if kind.kind == "double":
        return f"a number, such as {whole}{sign}5"
    digits = (kind.precision or 0) - scale
    if not scale:
        return f"a whole number of at most {digits} digits, such as {whole}"
    places = "digit" if scale == 1 else "digits"
    example = f"{whole}{sign}{'50'.ljust(scale, '0')[:scale]}"
    return f'a number with at most {scale} {places} after the "{sign}" and {digits} before it, such as {example}'


def _limits(field: Field) -> list[str]:
    limits = []
    if field.min_length is not None and field.min_length == field.max_length:
        limits.append(f"exactly {field.min_length} characters long")
    else:
        if field.min_length is not None:
            limits.append(f"at least {field.min_length} characters long")
        if field.max_length is not None:
            limits.append(f"at most {field.max_length} characters long")
    for value, text in (
        (field.minimum, "not below {}"),
        (field.maximum, "not above {}"),
        (field.exclusive_minimum, "above {}"),
        (field.exclusive_maximum, "below {}"),
    ):
        if value is not None:
            limits.append(text.format(value))
    if field.pattern:
        about = f" ({field.description.rstrip('.')})" if field.description else ""
        limits.append(f"of the agreed form{about}: {field.pattern}")
    return limits
