"""What the fast parser of workbooks does not tell: error cells, formulas never calculated, merged and hidden cells,
and how numbers are shown.

An `#N/A` read as an empty cell would pass a nullable column unseen, so the raw file is scanned for it.
Rows and columns are zero-based in `Marks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.findings import Cell, column_letter
from assay.readers.cells import COLUMNS, ROWS, Block
from assay.readers.compound import Malformed

UNCALCULATED = "formula without a stored value"

#: The error codes of both binary formats.
BIFF_ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip


@dataclass
class Marks:
    """The marks of one sheet. `merged` is left empty where the fast parser itself tells merged cells."""

    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: list[Block] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    formats: dict[int, str] = field(default_factory=dict)


class DamagedCell(Malformed):
    """A cell that the fast parser would not read as it is written; `column` is None for a whole row."""

    def __init__(self, what: str, row: int, column: int | None = None, sheet: str | None = None) -> None:
        super().__init__(what)
        self.row, self.column, self.sheet = row, column, sheet

    @property
    def cell(self) -> Cell:
        """Its place as people name it."""
        letter = None if self.column is None or self.column < 0 else column_letter(self.column)
        return Cell(self.row + 1, letter, sheet=self.sheet)


class CellOrder:
    """Holds cells to the order that the fast parser takes for granted: it loses or misplaces others."""

    def __init__(self) -> None:
        self._row = self._column = -1

    def check(self, row: int, column: int) -> None:
        """Raises `DamagedCell` for a cell that does not stand behind all cells before it, or beyond any sheet."""
        if (row, column) <= (self._row, self._column):
            raise DamagedCell("the cell is not in the order of rows and columns", row, column)
        if row >= ROWS or column >= COLUMNS:
            raise DamagedCell("the cell lies beyond any sheet", row, column)
        self._row, self._column = row, column
