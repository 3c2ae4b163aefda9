"""The values that a spreadsheet parser gives back, as texts and kinds: one by one, and by whole columns.

Both ways give the same; the one by columns exists because a workbook has millions of cells.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assay.readers.grid import Kind

#: What a spreadsheet program keeps of a number; more digits of a stored double are noise of binary fractions.
SIGNIFICANT_DIGITS = 15


class ErrorCell(str):
    """The text of a cell that holds an error, so that it is not taken for a text."""


def column(values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    """A column of values as (texts, kinds); an empty cell has a null text."""
    types = set(map(type, values))
    if types == {str}:
        return _texts(values)
    if str in types and len(types) == 2 and not any(value for value in values if type(value) is str):
        # One type with empty cells between: the parser gives an empty cell as an empty text.
        values = [None if value == "" and type(value) is str else value for value in values]
        types.discard(str)
    types.discard(type(None))
    if types == {float}:
        return _numbers(values)
    if types == {bool}:
        flags = pa.array(values, pa.bool_())
        return pc.if_else(flags, "true", "false").cast(pa.string()), _kinds(flags, Kind.BOOLEAN)
    if types == {datetime.date}:
        texts = pa.array([None if value is None else value.isoformat() for value in values], pa.string())
        return texts, _kinds(texts, Kind.DATE)
    return _mixed(values)


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


def _texts(values: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    texts = pa.array(values, pa.string())
    filled = pc.greater(pc.binary_length(texts), 0)
    if pc.all(filled, min_count=0).as_py():
        return texts, pa.repeat(pa.scalar(int(Kind.TEXT), pa.int8()), len(texts))
    return pc.if_else(filled, texts, pa.scalar(None, pa.string())), pc.cast(filled, pa.int8())


def _numbers(values: Sequence[float | None]) -> tuple[pa.Array, pa.Array]:
    numbers = pa.array(values, pa.float64())
    texts = pc.cast(numbers, pa.string())
    # Arrow's shortest text is the one wanted, unless it has an exponent, may have too many digits or is "-0".
    doubtful = pc.or_(
        pc.match_substring_regex(texts, "[einf]|^-0$"), pc.greater(pc.binary_length(texts), SIGNIFICANT_DIGITS)
    )
    at = pc.indices_nonzero(pc.fill_null(doubtful, False))
    if len(at):
        mended = pa.array([number_text(value) for value in numbers.take(at).to_pylist()], pa.string())
        texts = pc.replace_with_mask(texts, pc.fill_null(doubtful, False), mended)
    return texts, _kinds(texts, Kind.NUMBER)


def _mixed(values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    texts, kinds = zip(*map(cell, values), strict=True)
    return pa.array(texts, pa.string()), pa.array(kinds, pa.int8())


def _kinds(present: pa.Array, kind: Kind) -> pa.Array:
    if not present.null_count:
        return pa.repeat(pa.scalar(int(kind), pa.int8()), len(present))
    return pc.if_else(pc.is_valid(present), pa.scalar(int(kind), pa.int8()), pa.scalar(0, pa.int8()))


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
    ErrorCell: lambda value: (str(value), Kind.ERROR),
    bool: lambda value: ("true" if value else "false", Kind.BOOLEAN),
    int: lambda value: (str(value), Kind.NUMBER),
    float: lambda value: (number_text(value), Kind.NUMBER),
    datetime.datetime: _moment,
    datetime.date: lambda value: (value.isoformat(), Kind.DATE),
    datetime.time: lambda value: (value.isoformat(), Kind.TIME),
    datetime.timedelta: _duration,
}
