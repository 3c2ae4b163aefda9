"""What a cell can be, and how many of them a sheet may have; imports nothing, unlike `grid`, which has both too."""

from __future__ import annotations

from enum import IntEnum

#: Rows and cells gathered as Python objects before they become Arrow: bounds the memory of a reader.
ROWS_PER_CHUNK = 20_000
CELLS_PER_CHUNK = 2_000_000

#: The longest and the widest sheet of a workbook; wider tables of other formats are not read either.
ROWS = 1 << 20
COLUMNS = 16_384

#: A block of cells of a sheet, zero-based and inclusive: first row, first column, last row, last column.
Block = tuple[int, int, int, int]


class Kind(IntEnum):
    """What a cell was in the file; its text alone cannot tell a number from a text of digits."""

    EMPTY = 0
    TEXT = 1
    NUMBER = 2
    DATE = 3
    BOOLEAN = 4
    ERROR = 5
    TIME = 6
    DURATION = 7
    #: A whole number with more digits than a workbook keeps: the last ones are gone.
    ROUNDED = 8


class TooWide(Exception):
    """A row has more cells than any sheet."""
