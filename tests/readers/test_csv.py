"""Delimited text, exactly: quotes, line ends, encodings, and where something goes wrong."""

from __future__ import annotations

import codecs
import csv as standard
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.errors import Rejected
from assay.readers import csv, csv_blocks
from assay.readers.dialect import Dialect
from assay.zones.model import ReaderHints


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(read: Any, path: Path, **hints: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(path, **hints)
    return caught.value


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2\n3,4\r", [["a", "b"], ["1", "2"], ["3", "4"]]),
        ('a,b\n"x\r\ny",2\n', [["a", "b"], ["x\r\ny", "2"]]),
        ('a,b\n"say ""hi""",2\n', [["a", "b"], ['say "hi"', "2"]]),
        ('a,b\n12" pipe,2\n', [["a", "b"], ['12" pipe', "2"]]),
        ("a,b,\n1,2,\n", [["a", "b", ""], ["1", "2", ""]]),
        ("a,b\n 1 ,\t2\n", [["a", "b"], [" 1 ", "\t2"]]),
        ("\n\n\n", [[], [], []]),
        ("a", [["a"]]),
    ],
)
def test_cells_are_what_stands_between_the_delimiters(
    tmp_path: Path, read: Any, rows: Any, content: str, expected: list[list[str]]
) -> None:
    (grid,) = read(written(tmp_path, content), delimiter=",")
    width = max(map(len, expected))
    assert rows(grid) == [row + [None] * (width - len(row)) for row in expected]
    assert grid.table["row"].to_pylist() == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("content", ['a,b\n"x,2\n3,4\n', 'a,b\n"x"y,2\n'])
def test_a_stray_quote_is_refused_with_the_way_to_declare_it(tmp_path: Path, read: Any, content: str) -> None:
    error = refused(read, written(tmp_path, content))
    assert error.findings[0].kind == "malformed_record"
    assert error.findings[0].cells[0].row == 2
    assert '`reader.quote: ""`' in str(error.next)


def test_without_quotes_a_quote_is_a_character_like_any_other(tmp_path: Path, read: Any, rows: Any) -> None:
    (grid,) = read(written(tmp_path, 'a,b\n"x"y,2\n"z,3\n'), quote="")
    assert rows(grid)[1:] == [['"x"y', "2"], ['"z', "3"]]


@pytest.mark.parametrize("before", [1, 100, 101, 20_000])
def test_the_broken_record_is_counted_right_in_any_chunk(tmp_path: Path, before: int) -> None:
    path = written(tmp_path, "a,b\n" * before + '"x"y,2\n' + "a,b\n" * 5)
    with pytest.raises(Rejected, match=rf"record {before + 1} \(near line {before + 1}\)"):
        csv.read(path, Dialect("utf-8", ",", '"', False))


def test_a_quoted_line_break_sets_record_and_line_apart(tmp_path: Path, read: Any) -> None:
    error = refused(read, written(tmp_path, 'a,b\n"x\n\n",2\n"y"z,3\n'))
    assert "record 3 (near line 5)" in error.what


def test_an_endless_cell_is_refused(tmp_path: Path, read: Any) -> None:
    path = written(tmp_path, b'a,b\n"' + b"x" * (csv.FIELD_LIMIT + 1) + b'",2\n')
    assert "field larger than field limit" in refused(read, path).what


def test_a_row_wider_than_any_sheet_is_refused(tmp_path: Path, read: Any) -> None:
    assert "at most 16384" in refused(read, written(tmp_path, "," * 20_000)).what


def test_a_later_wider_row_widens_the_rows_before(tmp_path: Path, read: Any) -> None:
    (grid,) = read(written(tmp_path, "a,b\n" * 25_000 + "a,b,c\n" + "a\n" * 25_000))
    assert grid.table["cells"].to_pylist() == [2] * 25_000 + [3] + [1] * 25_000
    assert grid.table["c2"].to_pylist() == [None] * 25_000 + ["c"] + [None] * 25_000
    assert grid.table["c1"].to_pylist() == ["b"] * 25_001 + [None] * 25_000
    assert grid.table["k1"].to_pylist() == [1] * 25_001 + [0] * 25_000


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16")],
)
def test_the_mark_belongs_to_no_cell_even_where_the_encoding_is_declared(
    tmp_path: Path, read: Any, rows: Any, mark: bytes, encoding: str
) -> None:
    body = "a,b\né,2\n".encode("utf-16-be" if mark == codecs.BOM_UTF16_BE else encoding)
    assert rows(read(written(tmp_path, mark + body), encoding=encoding)[0]) == [["a", "b"], ["é", "2"]]


def test_a_mark_that_contradicts_the_declared_encoding_is_refused(tmp_path: Path, read: Any) -> None:
    error = refused(read, written(tmp_path, codecs.BOM_UTF8 + "a,b\né,2\n".encode()), encoding="cp1252")
    assert error.findings[0].kind == "wrong_encoding"
    assert "`reader.encoding: utf-8`" in str(error.next)


def test_an_encoding_is_proposed_and_not_taken(tmp_path: Path, read: Any, rows: Any) -> None:
    path = written(tmp_path, "name,x\ncafé,1\n".encode("cp1252"))
    error = refused(read, path)
    assert 'looks like cp1252 ("é" in "café,1")' in str(error.next)
    assert rows(read(path, encoding="cp1252")[0])[1] == ["café", "1"]


def test_bytes_that_are_no_cp1252_either_are_not_proposed(tmp_path: Path, read: Any) -> None:
    error = refused(read, written(tmp_path, b"a,b\n\x81\x8d,1\n"))
    assert "cp1252" not in str(error.next)


def test_a_character_cut_at_the_end_is_refused(tmp_path: Path, read: Any) -> None:
    assert "does not decode" in refused(read, written(tmp_path, b"a,b\n1,\xc3")).what


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_that_gives_rows_of_one_width_is_found(tmp_path: Path, delimiter: str) -> None:
    lines = [["name", "note"], ["a, b; c", "x|y"], ["d", "e"]]
    text = io.StringIO()
    standard.writer(text, delimiter=delimiter).writerows(lines)
    assert csv.detect(written(tmp_path, text.getvalue()), ReaderHints()).delimiter == delimiter


#: Without the mark: at the very start of a file it belongs to no cell.
CELLS = st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]), max_size=6)


@settings(deadline=None)
@given(
    table=st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    every=st.booleans(),
    ends=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_comes_back(
    tmp_path_factory: Any, table: Any, delimiter: str, every: bool, ends: str, encoding: str
) -> None:
    def quoted(cell: str) -> str:
        # Not the standard library's writer: it leaves a lone carriage return unquoted.
        needed = every or any(mark in cell for mark in (delimiter, '"', "\r", "\n"))
        return '"' + cell.replace('"', '""') + '"' if needed else cell

    text = "".join(delimiter.join(map(quoted, row)) + ends for row in table)
    folder = tmp_path_factory.mktemp("csv")
    path = written(folder, text.encode(encoding))
    dialect = csv.detect(path, ReaderHints(delimiter=delimiter))
    grid = csv.read(csv.to_utf8(path, dialect, folder / "utf8"), dialect)
    found = [[row[f"c{i}"] for i in range(row["cells"])] for row in grid.table.to_pylist()]
    assert found == table


@settings(deadline=None)
@example(text="a\n\n\n", quote='"', ends="\r", chunk=2)
@given(
    text=st.text(st.sampled_from('ab,"\n'), max_size=40),
    quote=st.sampled_from(['"', "", "'"]),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    chunk=st.sampled_from([1, 2, 3, 1 << 20]),
)
def test_reading_by_blocks_gives_what_reading_by_records_gives(
    tmp_path_factory: Any, text: str, quote: str, ends: str, chunk: int
) -> None:
    path = written(tmp_path_factory.mktemp("csv"), text.replace("\n", ends))
    dialect = Dialect("utf-8", ",", quote, False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "CHUNK_BYTES", chunk)
        by_blocks = csv_blocks.read(path, dialect)
    if by_blocks is not None:
        assert by_blocks.table.to_pylist() == csv.by_records(path, dialect).table.to_pylist()


@pytest.mark.parametrize("content", ["a,b\n1,2\n", '"a","b"\r\n"1","x""y"\r\n\r\n', 'a,"b\nc"\n', "é,b\n,"])
def test_a_file_in_order_is_read_by_blocks(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, content)
    dialect = Dialect("utf-8", ",", '"', False)
    found = csv_blocks.read(path, dialect, tmp_path)
    assert found is not None
    assert found.table.to_pylist() == csv.by_records(path, dialect).table.to_pylist()


@pytest.mark.parametrize("content", ["a,b\n1\n", '"a"x,b\n1,2\n', 'a,"b', "\n", "", 'a"b,c\n', "a\rb\n"])
def test_any_other_file_is_left_to_the_reader_by_records(tmp_path: Path, content: str) -> None:
    assert csv_blocks.read(written(tmp_path, content), Dialect("utf-8", ",", '"', False), tmp_path) is None
    assert not list(tmp_path.glob("*.arrow"))


@pytest.mark.parametrize("last", ["a,b\n", "a,b,c\n", '"a"x,b\n'])
def test_a_long_file_is_read_the_same_way(tmp_path: Path, last: str) -> None:
    path = written(tmp_path, "007,été\n" * 200_000 + last)
    dialect = Dialect("utf-8", ",", '"', False)
    if '"' in last:
        with pytest.raises(Rejected, match="record 200001"):
            csv.read(path, dialect)
        return
    grid = csv.read(path, dialect)
    assert grid.table["row"].to_pylist() == list(range(1, 200_002))
    assert grid.table["c1"].to_pylist() == ["été"] * 200_000 + ["b"]
