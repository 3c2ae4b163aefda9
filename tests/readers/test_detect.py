"""What a file is, by its content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from assay.errors import Rejected
from assay.readers import detect
from assay.zones.model import ReaderHints


def workbook() -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["a", 1])
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"", "empty"), (b"a,b\n", "text"), (b"[1]", "text"), (b"%PDF-1.7", "a PDF document"),
        (b"\x1f\x8b\x08", "gzip"), (b"PAR1", "parquet"), (b"PK\3\4 cut", "a damaged archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut", "a damaged Office document"),
        (b"\n <HTML><table>", "a web page (HTML)"), (b"\xef\xbb\xbf<!DOCTYPE html>", "a web page (HTML)"),
        ('<?xml version="1.0"?><html/>'.encode("utf-16-le"), "an XML document"),
        (b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
         "an Excel 2003 XML workbook"),
        (b"MIME-Version: 1.0\n", "a web archive (MHTML)"), (b"ID;Price\n1;2\n", "text"),
        (b"ORCID,Name\n", "text"), (b"PAR1,PAR2\n", "text"), (b"PAR1\x15\x04", "parquet"), (b"BZhours\n", "text"),
        (b"BZh91AY&SY", "compressed with bzip2"), (b"PAR1\n1\n", "text"),
    ],
)  # fmt: skip
def test_the_first_bytes_tell_the_form(tmp_path: Path, content: bytes, form: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert detect.form_of(path) == form


@pytest.mark.parametrize(
    ("name", "declared", "reader"),
    [
        ("a.csv", "auto", "csv"), ("a.txt", "auto", "csv"), ("a.json", "auto", "json"), ("a.ndjson", "auto", "jsonl"),
        ("a.xls", "auto", "csv"), ("a.json", "csv", "csv"), ("a.dat", "json", "json"), ("a.csv", "excel", "text"),
    ],
)  # fmt: skip
def test_for_text_the_declaration_and_then_the_suffix_decide(
    tmp_path: Path, name: str, declared: Any, reader: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"[1]")
    assert detect.reader_of(path, ReaderHints(format=declared)) == reader


def test_a_workbook_renamed_to_csv_is_read_as_the_workbook_it_is(tmp_path: Path, read: Any, rows: Any) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(workbook())
    assert rows(read(path)[0]) == [["a", "1"]]


def test_text_renamed_to_xls_is_read_as_the_text_it_is(tmp_path: Path, read: Any, rows: Any) -> None:
    path = tmp_path / "file.xls"
    path.write_bytes(b"a\tb\n1\t2\n")
    assert rows(read(path)[0]) == [["a", "b"], ["1", "2"]]


def test_a_web_page_renamed_to_xls_is_refused_by_its_true_name(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.xls"
    path.write_bytes(b"<html><table><tr><td>1</td></tr></table></html>")
    with pytest.raises(Rejected, match="web page") as caught:
        read(path)
    assert "save it" in str(caught.value.next)


def test_a_format_that_was_declared_otherwise_is_refused(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(workbook())
    with pytest.raises(Rejected, match="`reader.format` says csv"):
        read(path, format="csv")
    path.write_bytes(b"a,b\n")
    with pytest.raises(Rejected, match="text, not what `reader.format` declares"):
        read(path, format="excel")


def test_an_empty_file_has_no_rows(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file.csv"
    path.touch()
    (grid,) = read(path)
    assert (grid.height, grid.width) == (0, 0)
