"""The marks of a binary workbook of the newer kind (BIFF12, `.xlsb`).

A part is a run of records: a type of one or two bytes, a size of one to four, seven bits each, then the body.
The records are described in [MS-XLSB], https://learn.microsoft.com/openspecs/office_file_formats/ms-xlsb.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.readers.cells import COLUMNS
from assay.readers.compound import Malformed
from assay.readers.marks import BIFF_ERRORS, CellOrder, DamagedCell, Marks
from assay.readers.marks_xlsx import parts_by_name, relationships

_ROW, _CELL_ERROR, _CELL_BOOLEAN, _CELL_TEXT, _FORMULA_BOOLEAN, _FORMULA_ERROR = 0, 3, 4, 7, 10, 11
_COLUMN, _SHEET, _MERGED, _DATA, _DATA_END = 60, 156, 176, 145, 146
_SHARED_TEXT, _SHARED_TEXTS, _STYLE, _STYLES, _STYLES_END = 19, 159, 47, 617, 618
#: The records of cells, by the least size of their bodies; the first are blank cells.
_CELLS = {1: 8, 2: 12, _CELL_ERROR: 9, _CELL_BOOLEAN: 9, 5: 16, 6: 12, _CELL_TEXT: 12,
          8: 12, 9: 16, _FORMULA_BOOLEAN: 9, _FORMULA_ERROR: 9}  # fmt: skip
_BOOLEANS, _ERRORS = (_CELL_BOOLEAN, _FORMULA_BOOLEAN), (_CELL_ERROR, _FORMULA_ERROR)


def find(path: Path, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of each work sheet, by its index in `sheets`, which has None for sheets of other kinds."""
    with zipfile.ZipFile(path) as archive:
        actual = parts_by_name(archive)
        targets = relationships(archive, actual, "xl/workbook.bin")
        parts = {
            name: actual.get(targets.get(key, "").casefold())
            for key, name in _sheets(archive.read(actual["xl/workbook.bin"]))
        }
        texts = _shared_texts(archive, actual.get("xl/sharedstrings.bin"))
        styles = _styles(archive, actual.get("xl/styles.bin"))
        found = {}
        for index, name in enumerate(sheets):
            part = parts.get(name or "")
            if name is not None and part is None:
                raise Malformed(f"the sheet {name} has no part of its own")
            if name is None or part is None:
                continue
            try:
                found[index] = _SheetScan(archive.read(part), texts, styles).marks
            except DamagedCell as error:
                error.sheet = name
                raise
        return found


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each record as (type, where its body begins, the body's size). Raises `Malformed` where one is cut short."""
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        at += 1
        if kind & 0x80:
            kind = (kind & 0x7F) | (data[at] & 0x7F) << 7
            at += 1
        size = shift = 0
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80 or shift == 28:
                break
        if at + size > end:
            raise Malformed("a record is cut short")
        yield kind, at, size
        at += size


def _sheets(data: bytes) -> Iterator[tuple[str, str]]:
    """(relationship, name) of every sheet that the workbook lists."""
    for kind, body, size in _records(data):
        if kind == _SHEET:
            relation, after = _wide_text(data, body + 8)
            name, after = _wide_text(data, after)
            if after > body + size:
                raise Malformed("a sheet's entry is cut short")
            yield relation, name


def _wide_text(data: bytes, at: int) -> tuple[str, int]:
    length = struct.unpack_from("<I", data, at)[0]
    if length == 0xFFFFFFFF:
        return "", at + 4
    end = at + 4 + 2 * length
    if end > len(data):
        raise Malformed("a text is cut short")
    return data[at + 4 : end].decode("utf-16-le"), end


def _shared_texts(archive: zipfile.ZipFile, part: str | None) -> int:
    """How many texts the cells share."""
    if part is None:
        return 0
    said, count, data = 0, 0, archive.read(part)
    for kind, body, _ in _records(data):
        if kind == _SHARED_TEXTS:
            said = struct.unpack_from("<I", data, body + 4)[0]
        count += kind == _SHARED_TEXT
    if said != count:
        raise Malformed(f"it should share {said} texts, but holds {count}")
    return count


def _styles(archive: zipfile.ZipFile, part: str | None) -> int | None:
    """How many styles the cells share; None where the workbook defines none."""
    if part is None:
        return None
    count, within = 0, False
    for kind, _, _ in _records(archive.read(part)):
        within = kind == _STYLES or (within and kind != _STYLES_END)
        count += within and kind == _STYLE
    return count


class _SheetScan:
    """One sheet, record by record: its marks, and that its cells are what the fast parser makes of them."""

    def __init__(self, data: bytes, texts: int, styles: int | None) -> None:
        self.marks = Marks()
        self._data, self._texts, self._styles = data, texts, styles
        self._order = CellOrder()
        self._row = -1
        within = ended = False
        for kind, body, size in _records(data):
            if kind == _DATA:
                within = True
            elif kind == _DATA_END:
                within, ended = False, True
            elif within and kind == _ROW:
                self._start_row(body, size)
            elif within and kind in _CELLS:
                self._cell(kind, body, size)
            elif kind == _MERGED:
                top, bottom, left, right = struct.unpack_from("<4I", data, body)
                self.marks.merged.append((top, left, bottom, right))
            elif kind == _COLUMN and struct.unpack_from("<H", data, body + 16)[0] & 1:
                first, last = struct.unpack_from("<2I", data, body)
                self.marks.hidden_columns.update(range(first, min(last + 1, COLUMNS)))
        if not ended:
            raise Malformed("the cells of a sheet have no end")

    def _start_row(self, body: int, size: int) -> None:
        row = struct.unpack_from("<I", self._data, body)[0]
        if row <= self._row:
            raise DamagedCell(f"row {row + 1} stands below row {self._row + 1}", row)
        self._row = row
        if size >= 12 and self._data[body + 11] & 0x10:
            self.marks.hidden_rows.add(row)

    def _cell(self, kind: int, body: int, size: int) -> None:
        column, style = struct.unpack_from("<II", self._data, body)
        self._order.check(self._row, column)
        if size < _CELLS[kind]:
            raise DamagedCell("the cell is cut short", self._row, column)
        if self._styles is not None and style & 0xFFFFFF >= self._styles:
            raise DamagedCell(
                f"the cell has the style {style & 0xFFFFFF}, but the workbook defines {self._styles}", self._row, column
            )
        if kind in _ERRORS:
            self.marks.errors[self._row, column] = BIFF_ERRORS.get(self._data[body + 8], "#ERROR")
        elif kind in _BOOLEANS and self._data[body + 8] > 1:
            raise DamagedCell("the cell is neither true nor false", self._row, column)
        elif kind == _CELL_TEXT:
            index = struct.unpack_from("<I", self._data, body + 8)[0]
            if index >= self._texts:
                raise DamagedCell(f"the cell refers to the text number {index} of {self._texts}", self._row, column)
