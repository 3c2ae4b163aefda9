"""The marks of an old binary workbook (BIFF5 and BIFF8): record by record through each sheet's part of the stream.

The records are described in [MS-XLS], https://learn.microsoft.com/openspecs/office_file_formats/ms-xls.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from assay.readers.compound import Malformed, stream
from assay.readers.marks import BIFF_ERRORS, CellOrder, DamagedCell, Marks

_EOF, _BOUNDSHEET, _BOF, _ROW, _COLINFO = 0x000A, 0x0085, 0x0809, 0x0208, 0x007D
_FORMULA, _BOOLERR = (0x0006, 0x0206, 0x0406), (0x0005, 0x0205)
_SHARED_TEXTS, _TEXT_CELL = 0x00FC, 0x00FD
#: The records of cells with a value: numbers (alone, packed, several), texts, calculated values, booleans, errors.
_CELLS = frozenset({0x0203, 0x027E, 0x00BD, 0x0204, _TEXT_CELL, *_FORMULA, *_BOOLERR})
_TELLING = _CELLS | frozenset({_EOF, _BOF, _ROW, _COLINFO})


def find(path: Path, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of each work sheet, by its index in `sheets`, which has None for sheets of other kinds."""
    data = stream(path, ("workbook", "book"))
    offsets, texts = _globals(data)
    if len(offsets) != len(sheets):
        raise Malformed(f"it lists {len(offsets)} sheets, but {len(sheets)} could be read")
    found = {}
    for index, (name, offset) in enumerate(zip(sheets, offsets, strict=True)):
        if name is None:
            continue
        try:
            found[index] = _sheet_marks(data, offset, texts)
        except DamagedCell as error:
            error.sheet = name
            raise
    return found


def _globals(data: bytes) -> tuple[list[int], int]:
    """(where each sheet begins, how many texts the cells share)."""
    offsets: list[int] = []
    texts = 0
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if kind == _EOF:
            break
        if kind == _BOUNDSHEET:
            offsets.append(struct.unpack_from("<I", data, at + 4)[0])
        elif kind == _SHARED_TEXTS:
            texts = struct.unpack_from("<I", data, at + 8)[0]
        at += 4 + size
    return offsets, texts


def _sheet_marks(data: bytes, at: int, texts: int) -> Marks:
    marks, order = Marks(), CellOrder()
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
                return marks
        elif depth == 1:
            if kind in _CELLS:
                _check(order, data, kind, size, body, texts)
            _note(marks, data, kind, size, body)
    raise Malformed("a sheet has no end")


def _check(order: CellOrder, data: bytes, kind: int, size: int, body: int, texts: int) -> None:
    """Refuses a cell that the fast parser would take for an empty one, or put elsewhere."""
    row, column = struct.unpack_from("<HH", data, body)
    order.check(row, column)
    if body + size > len(data):
        raise DamagedCell("the cell is cut short", row, column)
    if kind == _TEXT_CELL:
        index = struct.unpack_from("<I", data, body + 6)[0]
        if index >= texts:
            raise DamagedCell(f"the cell refers to the text number {index} of {texts}", row, column)
    elif kind in _BOOLERR and size >= 8 and not data[body + 7] and data[body + 6] > 1:
        raise DamagedCell("the cell is neither true nor false", row, column)


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
