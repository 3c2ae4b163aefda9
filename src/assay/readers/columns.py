"""Values as texts and kinds by whole columns, because a file has millions of cells.

It gives what `values.cell` gives one by one. Importing this costs as much as reading a small file, so it is
imported only for files that are not small.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assay.readers.grid import Kind
from assay.readers.values import ROUNDED_FROM, SIGNIFICANT_DIGITS, cell, number_text


def column(values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    """A column of a spreadsheet's values as (texts, kinds); an empty cell has a null text."""
    if type(values[0]) is str:
        try:
            return _texts(values)  # found out by trying: quicker than asking every value for its type
        except pa.ArrowTypeError:
            pass
    types = set(map(type, values))
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
        texts = pc.cast(pa.array(values, pa.date32()), pa.string())
        return texts, _kinds(texts, Kind.DATE)
    if types == {datetime.datetime}:
        return _moments(values)
    return _mixed(values)


def delimited(values: Sequence[str | None]) -> tuple[pa.Array, pa.Array]:
    """A column of delimited text as (texts, kinds); an empty cell keeps its empty text, an absent one is null."""
    texts = pa.array(values, pa.string())
    return texts, text_kinds(texts)


def text_kinds(texts: pa.Array) -> pa.Array:
    """The kinds of a column of delimited text: empty or text."""
    return pc.cast(pc.fill_null(pc.greater(pc.binary_length(texts), 0), False), pa.int8())


def widths(kinds: Sequence[pa.Array], height: int) -> pa.Array:
    """Each row's own width: up to its last cell that is not empty."""
    found = pa.repeat(pa.scalar(0, pa.int32()), height)
    for index, column in enumerate(kinds):
        found = pc.if_else(pc.greater(column, 0), pa.scalar(index + 1, pa.int32()), found)
    return found


def last_filled(widths: pa.Array) -> tuple[int, int]:
    """(rows up to the last one that is not blank, the largest width); zeros where all are blank."""
    filled = pc.max(pc.indices_nonzero(pc.greater(widths, 0))).as_py()
    return (0, 0) if filled is None else (int(filled) + 1, int(pc.max(widths).as_py()))


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
    kinds = _kinds(texts, Kind.NUMBER)
    large = pc.and_(pc.greater_equal(pc.abs(numbers), ROUNDED_FROM), pc.is_finite(numbers))
    large = pc.fill_null(large, False)
    if pc.any(large, min_count=0).as_py():
        kinds = pc.if_else(large, pa.scalar(int(Kind.ROUNDED), pa.int8()), kinds)
    return texts, kinds


def _moments(values: Sequence[datetime.datetime | None]) -> tuple[pa.Array, pa.Array]:
    moments = pa.array(values, pa.timestamp("us"))
    try:
        whole = pc.cast(moments, pa.timestamp("s"))
    except pa.ArrowInvalid:
        return _mixed(values)  # parts of seconds are written only where there are any
    days = pc.cast(whole, pa.date32())
    at_midnight = pc.equal(pc.cast(days, pa.timestamp("s")), whole)
    texts = pc.if_else(at_midnight, pc.cast(days, pa.string()), pc.cast(whole, pa.string()))
    return texts, _kinds(texts, Kind.DATE)


def _mixed(values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    texts, kinds = zip(*map(cell, values), strict=True)
    return pa.array(texts, pa.string()), pa.array(kinds, pa.int8())


def _kinds(present: pa.Array, kind: Kind) -> pa.Array:
    if not present.null_count:
        return pa.repeat(pa.scalar(int(kind), pa.int8()), len(present))
    return pc.if_else(pc.is_valid(present), pa.scalar(int(kind), pa.int8()), pa.scalar(0, pa.int8()))
