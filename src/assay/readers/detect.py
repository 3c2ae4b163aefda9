"""What a file is, by its content: its first bytes win over its name, and nothing is guessed silently."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import Misconfigured
from assay.readers.compound import stream_names

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

WORKBOOKS = frozenset({"xlsx", "xlsb", "xls", "ods"})
EXCEL_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".xlsb", ".xltx", ".xltm", ".xlt"})

_HEAD_BYTES = 1 << 12
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_PRINTED = b"\t\r\n" + bytes(range(0x20, 0x7F)) + bytes(range(0xC2, 0xF5))
#: After its mark a Parquet file goes on in binary: a table whose first header is PAR1 does not.
_PARQUET = frozenset({b"PAR1", *(b"PAR1" + bytes([byte]) for byte in range(256) if byte not in _PRINTED)})

#: First bytes → words for a person, for what people deliver by mistake.
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF87a", "an image"),
    (b"GIF89a", "an image"),
    (b"{\\rtf", "a rich-text document"),
    (b"\x01\0\0\0\x6c\0\0\0", "a drawing"),
    (b"\x09\x00\x04\x00", "a workbook of Excel 2"),
    (b"\x09\x02\x06\x00", "a workbook of Excel 3"),
    (b"\x09\x04\x06\x00", "a workbook of Excel 4"),
    (b"\0\0\x02\0\x04\x04", "a Lotus 1-2-3 worksheet"),
    (b"\0\0\x02\0\x06\x04", "a Lotus 1-2-3 worksheet"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
)


def form_of(path: Path) -> str:
    """What a file is: a format that a reader knows (`xlsx`, `xlsb`, `xls`, `ods`, `parquet`, `gzip`, `zip`, `text`,
    `empty`), or words that say what else."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "empty"
    if head.startswith(_OLE):
        return _compound(path)
    if head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08")):
        return _archive(path)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head[:5] in _PARQUET:
        return "parquet"
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "compressed with bzip2"
    for mark, words in _FOREIGN:
        if head.startswith(mark):
            return words
    return _markup(head) or "text"


def reader_of(path: Path, hints: ReaderHints, name: str | None = None) -> str:
    """Which reader takes a file: `csv`, `excel`, `json`, `jsonl`, `parquet`, `fixed`, `gzip`, `zip`; or else words.

    `name` is the name it was delivered under, when the file stands under another one. Content decides; the
    name only tells the text formats apart. Raises `Misconfigured` for fixed-width text without its columns.
    """
    form = form_of(path)
    declared = str(hints.format)
    if form in WORKBOOKS:
        return "excel"
    if form not in ("text", "empty"):
        return form
    suffix = Path(name or path.name).suffix.casefold()
    if form == "empty" and (declared in ("excel", "parquet") or declared == "auto" and _binary(suffix)):
        return "empty"
    if declared == "fixed" and not hints.columns:
        raise Misconfigured(
            "fixed-width text needs its columns", expected="`reader.columns`: a list of name, start and width"
        )
    if declared in ("csv", "json", "jsonl", "fixed"):
        return declared
    if declared in ("excel", "parquet"):
        return "text"
    if hints.columns:
        return "fixed"
    return {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(suffix, "csv")


def _binary(suffix: str) -> bool:
    return suffix in EXCEL_SUFFIXES or suffix in (".parquet", ".gz", ".zip")


def _compound(path: Path) -> str:
    names = {name.casefold() for name in stream_names(path)}
    if "encryptedpackage" in names:
        return "a workbook protected by a password"
    if names & {"workbook", "book"}:
        return "xls"
    return "another Office document" if names else "a damaged Office document"


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.replace("\\", "/") for name in archive.namelist()}
            kind = _start_of(archive, "mimetype") if "mimetype" in names else ""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return "a damaged archive"
    if "xl/workbook.bin" in names:
        return "xlsb"
    if "content.xml" in names:
        return "ods" if "spreadsheet" in kind or not kind else "an OpenDocument file, but no spreadsheet"
    if any(name.casefold().startswith("xl/") for name in names):
        return "xlsx"
    if "[Content_Types].xml" in names:
        return "an Office document, but no workbook"
    return "zip"


def _start_of(archive: zipfile.ZipFile, member: str) -> str:
    with archive.open(member) as file:
        return file.read(80).decode("ascii", "replace")


def _markup(head: bytes) -> str | None:
    """Text that is markup: saved by web pages as `.xls`, and opened by spreadsheet programs all the same."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().replace(b"\0", b"").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<table", b"<head", b"<meta")):
        return "a web page (HTML)"
    if text.startswith(b"<?xml") or text.startswith(b"<!doctype"):
        return "an Excel 2003 XML workbook" if b"office:spreadsheet" in text else "an XML document"
    return "a web archive (MHTML)" if text.startswith(b"mime-version:") else None
