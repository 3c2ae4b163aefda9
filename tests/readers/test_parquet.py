"""Parquet: every value as the exact text of its type."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.errors import Rejected
from assay.readers import parquet
from assay.readers.grid import Kind

MOMENT = datetime.datetime(2024, 2, 29, 13, 5, 1, 250_000)


def written(folder: Path, **columns: pa.Array) -> Path:
    path = folder / "file.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("value", "kind", "text", "cell"),
    [
        (2**63 - 1, pa.int64(), "9223372036854775807", Kind.NUMBER),
        (2**64 - 1, pa.uint64(), "18446744073709551615", Kind.NUMBER),
        (Decimal("-12345678901234567890.10"), pa.decimal128(30, 2), "-12345678901234567890.10", Kind.NUMBER),
        (Decimal("0.000000000001"), pa.decimal128(20, 12), "0.000000000001", Kind.NUMBER),
        (0.1, pa.float64(), "0.1", Kind.NUMBER),
        (0.1 + 0.2, pa.float64(), "0.30000000000000004", Kind.NUMBER),
        (1e22, pa.float64(), "10000000000000000000000", Kind.NUMBER),
        (1.5e-9, pa.float64(), "0.0000000015", Kind.NUMBER),
        (True, pa.bool_(), "true", Kind.BOOLEAN),
        ("007", pa.string(), "007", Kind.TEXT),
        ("", pa.large_string(), "", Kind.TEXT),
        ("é".encode(), pa.binary(), "é", Kind.TEXT),
        (datetime.date(2024, 2, 29), pa.date32(), "2024-02-29", Kind.DATE),
        (MOMENT, pa.timestamp("us"), "2024-02-29 13:05:01.25", Kind.DATE),
        (MOMENT, pa.timestamp("ms"), "2024-02-29 13:05:01.25", Kind.DATE),
        (MOMENT.replace(microsecond=0), pa.timestamp("s"), "2024-02-29 13:05:01", Kind.DATE),
        (datetime.datetime(2024, 2, 29), pa.timestamp("us"), "2024-02-29", Kind.DATE),
        (MOMENT, pa.timestamp("us", "UTC"), "2024-02-29 13:05:01.25+00:00", Kind.TEXT),
        (datetime.time(13, 5), pa.time32("ms"), "13:05:00", Kind.TIME),
        ([1, None], pa.list_(pa.int64()), "[1, null]", Kind.TEXT),
        ({"a": Decimal("1.50")}, pa.struct([("a", pa.decimal128(9, 2))]), '{"a": 1.50}', Kind.TEXT),
    ],
)
def test_a_value_has_its_exact_text(
    tmp_path: Path, rows: Any, kinds: Any, value: Any, kind: pa.DataType, text: str, cell: Kind
) -> None:
    grid = parquet.read(written(tmp_path, c=pa.array([value, None], kind)))
    assert rows(grid) == [["c"], [text], [None]]
    assert kinds(grid)[1:] == [[cell], [Kind.EMPTY]]


def test_nanoseconds_are_not_taken_for_a_timestamp(tmp_path: Path, rows: Any, kinds: Any) -> None:
    column = pa.array([1_709_211_901_000_000_001, 1_709_211_901_000_001_000], pa.timestamp("ns"))
    grid = parquet.read(written(tmp_path, c=column))
    assert rows(grid)[1:] == [["2024-02-29 13:05:01.000000001"], ["2024-02-29 13:05:01.000001"]]
    assert kinds(grid)[1:] == [[Kind.TEXT], [Kind.DATE]]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        parquet.read(written(tmp_path, c=pa.array([b"\xff\xfe"], pa.binary())))


def test_many_rows_keep_their_numbers(tmp_path: Path, read: Any) -> None:
    count = 45_000
    (grid,) = read(written(tmp_path, id=pa.array(range(count)), word=pa.array(["x"] * count).dictionary_encode()))
    assert grid.table["row"].to_pylist() == list(range(count + 1))
    assert grid.table["c0"].to_pylist() == ["id", *map(str, range(count))]
    assert set(grid.table["c1"].to_pylist()) == {"word", "x"}


@pytest.mark.parametrize("cut", [20, 200, -5])
def test_a_cut_file_is_refused(tmp_path: Path, read: Any, cut: int) -> None:
    path = written(tmp_path, id=pa.array(range(100)))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Rejected, match="Parquet"):
        read(path)
