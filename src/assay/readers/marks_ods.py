"""The marks of an OpenDocument spreadsheet."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from assay.readers.compound import Malformed
from assay.readers.marks import UNCALCULATED, DamagedCell, Marks
from assay.readers.xml import walk

_ERROR_TEXT = re.compile(r"#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A)|Err:\d+")
_REPEAT_LIMIT = 1 << 20
_NUMBER = re.compile(r"-?[0-9.]+(?:[eE][+-]?[0-9]+)?")
#: The type of a cell → the attribute that holds its value, and how that is written.
_VALUES = {
    **dict.fromkeys(("float", "percentage", "currency"), ("office:value", _NUMBER)),
    "date": ("office:date-value", re.compile(r"-?[0-9]+-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+Z?)?")),
    "time": ("office:time-value", re.compile(r"-?P[0-9YMDTHS.,]+")),
    "boolean": ("office:boolean-value", re.compile("true|false|TRUE|FALSE")),
}
_VALUE_NAMES = frozenset({"office:string-value", *(name for name, _ in _VALUES.values())})
_TYPES = frozenset({"string", "void", *_VALUES})
_CELLS = ("table:table-cell", "table:covered-table-cell")


def find(path: Path, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of each work sheet, by its index in `sheets`, which has None for sheets of other kinds."""
    scan = _OdsScan()
    with zipfile.ZipFile(path) as archive, archive.open("content.xml") as file:
        walk(file, scan.start, scan.end, scan.text, cdata=scan.cdata)
    return {index: scan.marks[name] for index, name in enumerate(sheets) if name in scan.marks}


class _OdsScan:
    """Walks content.xml; a cell is an error when marked so, or when a formula's text is one of the known words."""

    def __init__(self) -> None:
        self.marks: dict[str, Marks] = {}
        self._sheet = Marks()
        self._name = ""
        self._row = self._column = self._rows = self._columns = 0
        self._cell: dict[str, str] | None = None
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in _CELLS:
            self._columns = int(attributes.get("table:number-columns-repeated", "1"))
            self._cell, self._text = attributes, []
            self._check(attributes)
        elif name == "table:table-row":
            self._column = 0
            self._rows = int(attributes.get("table:number-rows-repeated", "1"))
            if _is_hidden(attributes) and self._rows <= _REPEAT_LIMIT:
                self._sheet.hidden_rows.update(range(self._row, self._row + self._rows))
        elif name == "table:table-column":
            count = int(attributes.get("table:number-columns-repeated", "1"))
            if _is_hidden(attributes) and count <= _REPEAT_LIMIT:
                self._sheet.hidden_columns.update(range(self._column, self._column + count))
            self._column += count
        elif name == "table:table":
            self._name = attributes.get("table:name", "")
            if self._name in self.marks:
                raise Malformed(f'it has two sheets named "{self._name}"')
            self._sheet = self.marks[self._name] = Marks()
            self._row = self._column = 0

    def cdata(self) -> None:
        """Text in this form is left out by the fast parser."""
        if self._cell is not None:
            raise self._damaged("the cell has a text in a form of its own (CDATA)")

    def _check(self, attributes: dict[str, str]) -> None:
        """Refuses a cell of whose type the fast parser finds no value, and would take for an empty one."""
        kind = attributes.get("office:value-type")
        if kind is None:
            return
        if kind not in _TYPES:
            raise self._damaged(f'the cell has the unknown type "{kind[:20]}"')
        name, form = _VALUES.get(kind, ("office:string-value", None))
        if form is not None and form.fullmatch(attributes.get(name, "")) is None:
            raise self._damaged(f"the cell should be of type {kind}")
        if any(other in attributes for other in _VALUE_NAMES - {name}):
            raise self._damaged("the cell has values of several types")

    def _damaged(self, what: str) -> DamagedCell:
        return DamagedCell(what, self._row, self._column, self._name)

    def text(self, data: str) -> None:
        if self._cell is not None:
            self._text.append(data)

    def end(self, name: str) -> None:
        if name == "table:table-row":
            self._row += self._rows
        elif name in _CELLS:
            error = self._error()
            if error is not None:
                self._keep(error)
            self._merge()
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
        for row in range(self._row, self._row + self._rows):
            for column in range(self._column, self._column + self._columns):
                self._sheet.errors[row, column] = error

    def _merge(self) -> None:
        cell = self._cell or {}
        down = int(cell.get("table:number-rows-spanned", "1"))
        right = int(cell.get("table:number-columns-spanned", "1"))
        if down > 1 or right > 1:
            self._sheet.merged.append((self._row, self._column, self._row + down - 1, self._column + right - 1))


def _is_hidden(attributes: dict[str, str]) -> bool:
    return attributes.get("table:visibility") in ("collapse", "filter")
