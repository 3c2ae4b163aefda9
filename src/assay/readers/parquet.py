"""Parquet: every value as the exact text of its type."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.readers import values
from assay.readers.grid import CELLS_PER_CHUNK, COLUMNS, ROWS_PER_CHUNK, Grid, GridBuilder, Kind
from assay.readers.json import dump
from assay.readers.refusal import unreadable

#: The row number of the column names, which stand beside the rows and not among them.
DECLARED = 0


def read(path: Path, folder: Path | None = None) -> Grid:
    """All rows, counted from 1, below their column names as row 0. Raises `Rejected` for what has no exact text."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            return _grid(path, file, folder)
    except (pa.ArrowException, OSError, ValueError, NotImplementedError, TypeError) as error:
        raise unreadable(path, f"the Parquet file cannot be read: {_first_line(error)}") from error


def _grid(path: Path, file: pq.ParquetFile, folder: Path | None) -> Grid:
    schema = file.schema_arrow
    if len(schema) > COLUMNS:
        raise unreadable(path, f"the file has {len(schema)} columns; at most {COLUMNS} are read")
    builder = GridBuilder(folder=folder, typed=True)
    builder.add(DECLARED, schema.names, [Kind.TEXT] * len(schema))
    first = 1
    step = max(1, min(ROWS_PER_CHUNK, CELLS_PER_CHUNK // max(1, len(schema))))
    for batch in file.iter_batches(batch_size=step, use_threads=False):
        columns = [_column(name, column) for name, column in zip(schema.names, batch.columns, strict=True)]
        cells = pa.repeat(pa.scalar(len(schema), pa.int32()), batch.num_rows)
        numbers = range(first, first + batch.num_rows)
        builder.add_columns(numbers, cells, [texts for texts, _ in columns], [kinds for _, kinds in columns])
        first += batch.num_rows
    return builder.build()


def _column(name: str, column: pa.Array) -> tuple[pa.Array, pa.Array]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string()), _kinds(column, Kind.EMPTY)
    if _is_text(kind):
        return pc.cast(column, pa.string()), _kinds(column, Kind.TEXT)
    if pa.types.is_integer(kind):
        return pc.cast(column, pa.string()), _kinds(column, Kind.NUMBER)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _plain(pc.cast(column, pa.string())), _kinds(column, Kind.NUMBER)
    if pa.types.is_boolean(kind):
        return pc.cast(column, pa.string()), _kinds(column, Kind.BOOLEAN)
    if pa.types.is_date(kind):
        return pc.cast(pc.cast(column, pa.date32()), pa.string()), _kinds(column, Kind.DATE)
    if pa.types.is_timestamp(kind):
        return _moments(column)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        pairs = [values.cell(_python(value)) for value in column]
        return pa.array([text for text, _ in pairs], pa.string()), pa.array([int(k) for _, k in pairs], pa.int8())
    if pa.types.is_nested(kind):
        texts = [None if value is None else dump(_plain_value(value)) for value in column.to_pylist()]
        return pa.array(texts, pa.string()), _kinds(column, Kind.TEXT)
    raise ValueError(f"column {name} is of type {kind}, which has no exact text")


def _is_text(kind: pa.DataType) -> bool:
    # Some writers leave out that bytes are text; the cast refuses bytes that are not.
    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_binary_view,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _kinds(column: pa.Array, kind: Kind) -> pa.Array:
    return pc.if_else(pc.is_valid(column), pa.scalar(int(kind), pa.int8()), pa.scalar(0, pa.int8()))


def _plain(texts: pa.Array) -> pa.Array:
    """Numbers without an exponent."""
    exponent = pc.fill_null(pc.match_substring_regex(texts, "[0-9][eE]"), False)
    at = pc.indices_nonzero(exponent)
    if not len(at):
        return texts
    mended = pa.array([format(Decimal(text), "f") for text in texts.take(at).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, exponent, mended)


def _moments(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Moments as texts: a date at midnight, as in a workbook; with a zone as UTC, and never taken for local time."""
    zone = column.type.tz
    local = pc.cast(column, pa.timestamp(column.type.unit))
    texts = pc.cast(local, pa.string())
    texts = pc.replace_substring_regex(texts, r"^([^.]*)(\.\d*?)0*$", r"\1\2")
    texts = pc.replace_substring_regex(texts, r"\.$", "")
    if zone is not None:
        return pc.binary_join_element_wise(texts, "+00:00", ""), _kinds(column, Kind.TEXT)
    texts = pc.replace_substring_regex(texts, " 00:00:00$", "")
    # Nanoseconds are more than a timestamp keeps: as plain text they are checked against the declared format.
    finer = pc.fill_null(pc.match_substring_regex(texts, r"\.\d{7,}$"), False)
    kinds = pc.if_else(finer, pa.scalar(int(Kind.TEXT), pa.int8()), _kinds(column, Kind.DATE))
    return texts, kinds


def _python(value: pa.Scalar) -> Any:
    if not value.is_valid:
        return None
    if pa.types.is_duration(value.type) and value.type.unit == "ns" and value.value % 1000:
        raise ValueError("a duration has nanoseconds")
    if pa.types.is_time64(value.type) and value.type.unit == "ns" and value.value % 1000:
        raise ValueError("a time of day has nanoseconds")
    return value.as_py()


def _plain_value(value: Any) -> Any:
    """A nested value in the words of JSON, with every number as its exact text."""
    if isinstance(value, dict):
        return {str(key): _plain_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(inner) for inner in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)):
        return values.cell(value)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
