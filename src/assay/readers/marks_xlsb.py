"""The marks of a binary workbook of the newer kind (BIFF12, `.xlsb`).

A part is a run of records: a type of one or two bytes, a size of one to four, seven bits each, then the body.
The records are described in [MS-XLSB], https://learn.microsoft.com/openspecs/office_file_formats/ms-xlsb.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.readers.compound import Malformed
from assay.readers.marks import BIFF_ERRORS, Marks
from assay.readers.marks_xlsx import parts_by_name, relationships

_ROW, _CELL_ERROR, _FORMULA_ERROR, _COLUMN, _SHEET, _MERGED = 0, 3, 11, 60, 156, 176
_TELLING = frozenset({_ROW, _CELL_ERROR, _FORMULA_ERROR, _COLUMN, _MERGED})
_COLUMNS = 16_384


def find(path: Path, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of each work sheet, by its index in `sheets`, which has None for sheets of other kinds."""
    with zipfile.ZipFile(path) as archive:
        actual = parts_by_name(archive)
        targets = relationships(archive, actual, "xl/workbook.bin")
        parts = {
            name: actual.get(targets.get(key, "").casefold())
            for key, name in _sheets(archive.read(actual["xl/workbook.bin"]))
        }
        missing = [name for name in sheets if name not in parts]
        if missing:
            raise Malformed(f"the sheet {missing[0]} is not in its list of sheets")
        return {
            index: _sheet_marks(archive.read(part))
            for index, name in enumerate(sheets)
            if (part := parts[name]) is not None
        }


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each record as (type, where its body begins, the body's size)."""
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


def _sheet_marks(data: bytes) -> Marks:
    marks = Marks()
    row = -1
    for kind, body, size in _records(data):
        if kind not in _TELLING:
            continue
        if kind == _ROW:
            row = struct.unpack_from("<I", data, body)[0]
            if size >= 12 and data[body + 11] & 0x10:
                marks.hidden_rows.add(row)
        elif kind in (_CELL_ERROR, _FORMULA_ERROR):
            column = struct.unpack_from("<I", data, body)[0]
            marks.errors[row, column] = BIFF_ERRORS.get(data[body + 8], "#ERROR")
        elif kind == _MERGED:
            top, bottom, left, right = struct.unpack_from("<4I", data, body)
            marks.merged.append((top, left, bottom, right))
        elif kind == _COLUMN and struct.unpack_from("<H", data, body + 16)[0] & 1:
            first, last = struct.unpack_from("<2I", data, body)
            marks.hidden_columns.update(range(first, min(last + 1, _COLUMNS)))
    return marks
