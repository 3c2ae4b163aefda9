"""Error cells of workbooks, which the fast parser gives back as empty ones.

An `#N/A` read as an empty cell would pass a nullable column unseen, so the raw file is scanned for error
cells and for formulas that were never calculated. Rows and columns are zero-based here.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO
from xml.parsers import expat

from assay.readers.compound import Malformed, stream, stream_names

#: Sheet index → (row, column) → text of the error.
Errors = dict[int, dict[tuple[int, int], str]]

UNCALCULATED = "formula without a stored value"
CHUNK_BYTES = 1 << 18
_BIFF_ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
_WORTH_PARSING = re.compile(rb"""\bt\s*=\s*["']e["']|<(?:\w+:)?f[\s>/]|^(?:\xff\xfe|\xfe\xff)""")
_ERROR_TEXT = re.compile(r"#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A)|Err:\d+")
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_REPEAT_LIMIT = 1 << 20


def form_of(path: Path) -> str:
    """What a file is by its content: xlsx, xls, ods, xlsb, or words that say what else."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_OLE_MAGIC):
        names = {name.casefold() for name in stream_names(path)}
        if "encryptedpackage" in names:
            return "a workbook protected by a password"
        return "xls" if names & {"workbook", "book"} else "another Office document"
    if not start.startswith(b"PK"):
        return "empty" if not start else "something else"
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return "a damaged archive"
    if "xl/workbook.bin" in names:
        return "xlsb"
    if "content.xml" in names:
        return "ods"
    return "xlsx" if any(name.startswith("xl/") for name in names) else "an archive"


def find(path: Path, form: str, sheets: Sequence[str]) -> Errors:
    """The error cells of a workbook, by the index of the sheet in `sheets`."""
    try:
        if form == "xlsx":
            return _find_xlsx(path, sheets)
        if form == "ods":
            return _find_ods(path, sheets)
        return _find_xls(path, sheets)
    except (zipfile.BadZipFile, expat.ExpatError, struct.error, KeyError, IndexError, NotImplementedError) as error:
        raise Malformed(f"damaged content ({error})") from error


def _parse(
    file: IO[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = _refuse_doctype
    if end is not None:
        parser.EndElementHandler = end
    if text is not None:
        parser.CharacterDataHandler = text
    for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


def _refuse_doctype(*_: object) -> None:
    # Workbooks have none; entities declared in one can grow without end.
    raise Malformed("its XML declares a document type")


def _local(name: str) -> str:
    return name.rpartition(":")[2]


# --- xlsx ---------------------------------------------------------------------------------------------------


def _find_xlsx(path: Path, sheets: Sequence[str]) -> Errors:
    found: Errors = {}
    with zipfile.ZipFile(path) as archive:
        parts = _sheet_parts(archive)
        for index, name in enumerate(sheets):
            part = parts.get(name)
            if part is None or not _worth_parsing(archive, part):
                continue
            scan = _SheetScan()
            with archive.open(part) as file:
                _parse(file, scan.start, scan.end, scan.text)
            if scan.errors:
                found[index] = scan.errors
    return found


def _sheet_parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """Sheet name → name of its part in the archive, through the workbook's relationships."""
    # Some writers use other cases or back slashes than the relationships do.
    actual = {name.replace("\\", "/").casefold(): name for name in archive.namelist()}
    targets: dict[str, str] = {}
    parts: dict[str, str] = {}

    def relation(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "Relationship":
            target = attributes.get("Target", "").replace("\\", "/")
            full = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            targets[attributes.get("Id", "")] = full

    def sheet(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "sheet":
            key = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            part = actual.get(targets.get(key, "").casefold())
            if part is not None:
                parts[attributes.get("name", "")] = part

    with archive.open(actual["xl/_rels/workbook.xml.rels"]) as file:
        _parse(file, relation)
    with archive.open(actual["xl/workbook.xml"]) as file:
        _parse(file, sheet)
    return parts


def _worth_parsing(archive: zipfile.ZipFile, part: str) -> bool:
    """A quick look for the marks of an error or a formula: most delivered sheets have neither."""
    tail = b""
    with archive.open(part) as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            if _WORTH_PARSING.search(tail + chunk):
                return True
            tail = chunk[-32:]
    return False


class _SheetScan:
    """Walks a sheet's XML and keeps the cells that hold an error or a formula without a value."""

    def __init__(self) -> None:
        self.errors: dict[tuple[int, int], str] = {}
        self._row = self._column = -1
        self._type = ""
        self._formula = self._in_value = self._has_value = False
        self._value: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = _local(name)
        if tag == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
        elif tag == "c":
            place = attributes.get("r")
            if place:
                self._row, self._column = _position(place)
            else:
                self._column += 1
            self._type = attributes.get("t", "n")
            self._formula = self._has_value = False
            self._value = []
        elif tag == "f":
            self._formula = True
        elif tag == "v":
            self._in_value = self._has_value = True

    def text(self, data: str) -> None:
        if self._in_value:
            self._value.append(data)

    def end(self, name: str) -> None:
        tag = _local(name)
        if tag == "v":
            self._in_value = False
        elif tag == "c":
            value = "".join(self._value)
            if self._type == "e":
                self.errors[self._row, self._column] = value or "#ERROR"
            # A calculated empty text is written as type "str" with an empty value: that one is no error.
            elif self._formula and not value and not (self._type == "str" and self._has_value):
                self.errors[self._row, self._column] = UNCALCULATED


def _position(place: str) -> tuple[int, int]:
    column, digits = 0, 0
    for digits, letter in enumerate(place):  # noqa: B007 - counts the letters, used below
        if not letter.isalpha():
            break
        column = column * 26 + ord(letter.upper()) - 64
    return int(place[digits:]) - 1, column - 1


# --- ods ----------------------------------------------------------------------------------------------------


def _find_ods(path: Path, sheets: Sequence[str]) -> Errors:
    scan = _OdsScan()
    with zipfile.ZipFile(path) as archive, archive.open("content.xml") as file:
        _parse(file, scan.start, scan.end, scan.text)
    return {index: scan.errors[name] for index, name in enumerate(sheets) if scan.errors.get(name)}


class _OdsScan:
    """Walks content.xml; a cell is an error when marked so, or when a formula's text is one of the known words."""

    def __init__(self) -> None:
        self.errors: dict[str, dict[tuple[int, int], str]] = {}
        self._sheet = ""
        self._row = self._column = self._rows = self._columns = 0
        self._cell: dict[str, str] | None = None
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table:table":
            self._sheet = attributes.get("table:name", "")
            self._row = 0
        elif name == "table:table-row":
            self._column = 0
            self._rows = int(attributes.get("table:number-rows-repeated", "1"))
        elif name in ("table:table-cell", "table:covered-table-cell"):
            self._columns = int(attributes.get("table:number-columns-repeated", "1"))
            self._cell, self._text = attributes, []

    def text(self, data: str) -> None:
        if self._cell is not None:
            self._text.append(data)

    def end(self, name: str) -> None:
        if name == "table:table-row":
            self._row += self._rows
        elif name in ("table:table-cell", "table:covered-table-cell"):
            error = self._error()
            if error is not None:
                self._keep(error)
            self._column += self._columns
            self._cell = None

    def _error(self) -> str | None:
        cell = self._cell or {}
        text = "".join(self._text).strip()
        if cell.get("calcext:value-type") == "error":
            return text or "#ERROR"
        if "table:formula" not in cell:
            return None
        shown = text or cell.get("office:string-value", "")
        if _ERROR_TEXT.fullmatch(shown):
            return shown
        return UNCALCULATED if "office:value-type" not in cell and not text else None

    def _keep(self, error: str) -> None:
        if self._rows * self._columns > _REPEAT_LIMIT:
            raise Malformed("an error cell is repeated over too many cells")
        kept = self.errors.setdefault(self._sheet, {})
        for row in range(self._row, self._row + self._rows):
            for column in range(self._column, self._column + self._columns):
                kept[row, column] = error


# --- xls ----------------------------------------------------------------------------------------------------

_EOF, _BOUNDSHEET, _BOF = 0x000A, 0x0085, 0x0809
_FORMULA, _BOOLERR = (0x0006, 0x0206, 0x0406), (0x0005, 0x0205)


def _find_xls(path: Path, sheets: Sequence[str]) -> Errors:
    data = stream(path, ("workbook", "book"))
    offsets = _sheet_offsets(data)
    if len(offsets) != len(sheets):
        raise Malformed(f"it lists {len(offsets)} sheets, but {len(sheets)} could be read")
    found = {index: _sheet_errors(data, offset) for index, offset in enumerate(offsets)}
    return {index: errors for index, errors in found.items() if errors}


def _sheet_offsets(data: bytes) -> list[int]:
    offsets: list[int] = []
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if kind == _EOF:
            break
        if kind == _BOUNDSHEET:
            offsets.append(struct.unpack_from("<I", data, at + 4)[0])
        at += 4 + size
    return offsets


def _sheet_errors(data: bytes, at: int) -> dict[tuple[int, int], str]:
    errors: dict[tuple[int, int], str] = {}
    depth = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        body = at + 4
        if kind == _BOF:
            depth += 1
        elif kind == _EOF:
            # A chart inside the sheet has its own begin and end.
            depth -= 1
            if depth <= 0:
                break
        elif depth == 1 and kind in _BOOLERR and size >= 8:
            row, column, _, value, is_error = struct.unpack_from("<HHHBB", data, body)
            if is_error:
                errors[row, column] = _BIFF_ERRORS.get(value, "#ERROR")
        elif depth == 1 and kind in _FORMULA and size >= 14:
            row, column = struct.unpack_from("<HH", data, body)
            result = data[body + 6 : body + 14]
            if result[6:8] == b"\xff\xff" and result[0] == 2:
                errors[row, column] = _BIFF_ERRORS.get(result[2], "#ERROR")
        at = body + size
    return errors
