"""The marks of an old binary workbook (BIFF5 and BIFF8): record by record through each sheet's part of the stream.

The records are described in [MS-XLS], https://learn.microsoft.com/openspecs/office_file_formats/ms-xls.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from assay.readers.compound import Malformed, stream
from assay.readers.marks import BIFF_ERRORS, Marks

_EOF, _BOUNDSHEET, _BOF, _ROW, _COLINFO = 0x000A, 0x0085, 0x0809, 0x0208, 0x007D
_FORMULA, _BOOLERR = (0x0006, 0x0206, 0x0406), (0x0005, 0x0205)
_TELLING = frozenset({_EOF, _BOF, _ROW, _COLINFO, *_FORMULA, *_BOOLERR})


def find(path: Path, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of each work sheet, by its index in `sheets`, which has None for sheets of other kinds."""
    data = stream(path, ("workbook", "book"))
    offsets = _sheet_offsets(data)
    if len(offsets) != len(sheets):
        raise Malformed(f"it lists {len(offsets)} sheets, but {len(sheets)} could be read")
    return {index: _sheet_marks(data, offset) for index, offset in enumerate(offsets)}


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


def _sheet_marks(data: bytes, at: int) -> Marks:
    marks = Marks()
    depth = 0
    head = struct.Struct("<HH").unpack_from
    while at + 4 <= len(data):
        kind, size = head(data, at)
        body = at + 4
        at = body + size
        if kind not in _TELLING:
            continue
        if kind == _BOF:
            depth += 1
        elif kind == _EOF:
            # A chart inside the sheet has its own begin and end.
            depth -= 1
            if depth <= 0:
                break
        elif depth == 1:
            _note(marks, data, kind, size, body)
    return marks


def _note(marks: Marks, data: bytes, kind: int, size: int, body: int) -> None:
    if kind in _BOOLERR and size >= 8:
        row, column, _, value, is_error = struct.unpack_from("<HHHBB", data, body)
        if is_error:
            marks.errors[row, column] = BIFF_ERRORS.get(value, "#ERROR")
    elif kind in _FORMULA and size >= 14:
        row, column = struct.unpack_from("<HH", data, body)
        result = data[body + 6 : body + 14]
        if result[6:8] == b"\xff\xff" and result[0] == 2:
            marks.errors[row, column] = BIFF_ERRORS.get(result[2], "#ERROR")
    elif kind == _ROW and size >= 14:
        if struct.unpack_from("<H", data, body + 12)[0] & 0x20:
            marks.hidden_rows.add(struct.unpack_from("<H", data, body)[0])
    elif kind == _COLINFO and size >= 10:
        first, last, _, _, flags = struct.unpack_from("<5H", data, body)
        if flags & 1:
            marks.hidden_columns.update(range(first, min(last, 255) + 1))
