"""Files inside gz and zip, and archives that are made to hurt."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from assay.errors import Rejected
from assay.readers import archive, excel
from assay.readers.limits import Limits
from assay.zones.project import ReaderHints

TABLE = b"id,amount\n007,12.50\n"
ROWS = [["id", "amount"], ["007", "12.50"]]


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def workbook() -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet("Sheet")
        sheet.write_row(0, 0, ["id", "amount"])
        sheet.write_row(1, 0, ["007", 12.5])
    return out.getvalue()


def refused(read: Any, path: Path, *args: Any, **hints: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(path, *args, **hints)
    assert caught.value.findings
    return caught.value


def test_a_gz_is_read_like_the_file_inside(tmp_path: Path, read: Any, rows: Any) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(TABLE))
    (grid,) = read(path)
    assert (rows(grid), grid.sheet, grid.typed) == (ROWS, None, False)


def test_a_gz_of_two_streams_is_read_to_its_end(tmp_path: Path, read: Any, rows: Any) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(TABLE) + gzip.compress(b"008,1\n"))
    assert rows(read(path)[0]) == [*ROWS, ["008", "1"]]


def test_the_name_inside_a_gz_tells_json_from_other_text(tmp_path: Path, read: Any, rows: Any) -> None:
    path = tmp_path / "object"
    path.write_bytes(gzip.compress(b'[{"id": 1.10}]'))
    assert rows(read(path, name="table.json.gz")[0]) == [["id"], ["1.10"]]


@pytest.mark.parametrize("cut", [5, 20, -3])
def test_a_gz_that_is_cut_short_is_refused(tmp_path: Path, read: Any, cut: int) -> None:
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(TABLE)[:cut])
    refused(read, path)


def test_a_zip_with_one_file_is_read_like_the_file(tmp_path: Path, read: Any, rows: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"folder/": b"", "folder/table.csv": TABLE, "__MACOSX/._table.csv": b"\0"})
    (grid,) = read(path)
    assert (rows(grid), grid.sheet, grid.member) == (ROWS, None, None)


def test_files_of_a_zip_are_like_the_sheets_of_a_workbook(tmp_path: Path, read: Any, rows: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"one.csv": TABLE, "two.xlsx": workbook()})
    one, two = read(path)
    assert [(grid.sheet, grid.member, grid.typed) for grid in (one, two)] == [
        ("one.csv", "one.csv", False),
        ("two.xlsx!Sheet", "two.xlsx", True),
    ]
    assert rows(one) == ROWS
    assert archive.parts((one, two), None) == ((one, two),)


def test_the_files_that_a_pattern_names_are_parts_of_one_table(tmp_path: Path, read: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"d/jan.csv": TABLE, "d/feb.csv": TABLE, "read me.pdf": b"%PDF-1.4"})
    grids = read(path, member="*.csv")
    assert [grid.sheet for grid in grids] == ["d/jan.csv", "d/feb.csv"]
    assert archive.parts(grids, "*.csv") == ((grids[0],), (grids[1],))


def test_a_pattern_that_names_no_file_says_which_there_are(tmp_path: Path, read: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"jan.csv": TABLE})
    error = refused(read, path, member="*.xlsx")
    assert error.findings[0].kind == "missing_member"
    assert "jan.csv" in error.what


def test_a_file_of_another_kind_asks_for_a_pattern(tmp_path: Path, read: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"jan.csv": TABLE, "notes.pdf": b"%PDF-1.4"})
    error = refused(read, path)
    assert "notes.pdf" in error.what and "a PDF document" in error.what
    assert "reader.member" in str(error.next)


def test_an_archive_in_an_archive_is_refused(tmp_path: Path, read: Any) -> None:
    inner = zipped(tmp_path / "inner.zip", {"table.csv": TABLE}).read_bytes()
    assert "inside the archive" in refused(read, zipped(tmp_path / "a.zip", {"inner.zip": inner})).what
    assert "inside the archive" in refused(read, zipped(tmp_path / "b.zip", {"t.gz": gzip.compress(TABLE)})).what


def test_an_empty_archive_is_refused(tmp_path: Path, read: Any) -> None:
    assert "no data file" in refused(read, zipped(tmp_path / "a.zip", {"__MACOSX/._a": b""})).what


def test_an_encrypted_file_is_refused_by_name(tmp_path: Path, read: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"table.csv": TABLE})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    error = refused(read, path)
    assert "table.csv in the archive is encrypted" in error.what
    assert "password" in str(error.next)


@pytest.mark.parametrize("limits", [Limits(ratio=50), Limits(uncompressed_bytes=16 << 20, ratio=1e9)])
@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path, read: Any, limits: Limits, kind: str) -> None:
    content = b"a,b\n" * (10 << 20)
    path = tmp_path / f"bomb.csv.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(content))
    else:
        zipped(path, {"bomb.csv": content})
    assert "unpacks to more than" in refused(read, path, limits).what
    assert not [left for left in (tmp_path / "scratch").rglob("*") if left.is_file()], "nothing is left behind"


def test_a_header_that_lies_about_a_size_does_not_help(tmp_path: Path, read: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"bomb.csv": b"a,b\n" * (10 << 20)})
    data = bytearray(path.read_bytes())
    size = struct.pack("<I", 40 << 20)
    small = struct.pack("<I", 100)
    assert data.count(size) == 2
    path.write_bytes(bytes(data).replace(size, small))
    assert "damaged" in refused(read, path, Limits(ratio=50)).what


def test_a_changed_byte_in_an_archive_is_noticed(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        made.writestr("table.csv", TABLE)
    path.write_bytes(path.read_bytes().replace(b"12.50", b"12.90"))
    assert "damaged" in refused(read, path).what


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_workbook_with_a_changed_bit_is_refused_or_reads_the_same(tmp_path: Path, packing: int) -> None:
    with zipfile.ZipFile(io.BytesIO(workbook())) as good, zipfile.ZipFile(tmp_path / "good.xlsx", "w", packing) as made:
        for name in good.namelist():
            made.writestr(name, good.read(name))
    content, path = (tmp_path / "good.xlsx").read_bytes(), tmp_path / "bad.xlsx"
    expected = [grid.table for grid in excel.read(tmp_path / "good.xlsx", ReaderHints())]
    chance, refusals = random.Random(3), 0
    for _ in range(150):
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            archive.check_workbook(path, Limits())
            assert [grid.table for grid in excel.read(path, ReaderHints())] == expected
        except BaseException as error:
            # The parser's own panic is no Exception; the child process turns it into a rejection.
            if not isinstance(error, Rejected) and type(error).__name__ != "PanicException":
                raise
            refusals += 1
    assert refusals > 50


def test_two_files_of_one_name_are_refused(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("table.csv", TABLE)
        made.writestr("table.csv", TABLE)
    assert "two files of one name" in refused(read, path).what


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("part", ["xl/sharedStrings.xml", "xl/worksheets/sheet1.xml", "xl/styles.xml"])
def test_a_workbook_that_declares_entities_is_refused(
    tmp_path: Path, read: Any, part: str, encoding: str
) -> None:
    path = tmp_path / "bomb.xlsx"
    bomb = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
    with zipfile.ZipFile(io.BytesIO(workbook())) as good, zipfile.ZipFile(path, "w") as bad:
        assert part in good.namelist()
        for name in good.namelist():
            bad.writestr(name, bomb.encode(encoding) if name == part else good.read(name))
    assert "document type" in refused(read, path).what


def test_a_workbook_of_too_many_parts_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.xlsx", {f"xl/part{number}": b"" for number in range(archive.MEMBERS + 1)})
    with pytest.raises(Rejected, match="parts"):
        archive.check_workbook(path, Limits())


def test_a_cut_workbook_is_refused(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "cut.xlsx"
    content = workbook()
    for length in (100, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:length])
        refused(read, path)
