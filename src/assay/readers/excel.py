"""Workbooks (xlsx, xlsm, xlsb, xls, ods): every sheet as text cells, with error cells kept apart from empty ones."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import python_calamine

from assay.readers import detect, find_marks, values
from assay.readers.cells import CELLS_PER_CHUNK, COLUMNS, ROWS, ROWS_PER_CHUNK, Kind
from assay.readers.compound import Malformed
from assay.readers.marks import DamagedCell, Marks
from assay.readers.refusal import unreadable

if TYPE_CHECKING:
    from assay.readers.grid import Grid, GridBuilder
    from assay.zones.model import ReaderHints

FORMS = ("xlsx", "xlsb", "xls", "ods")
EXPECTED = "an xlsx, xlsm, xlsb, xls or ods file"
UNPROTECT = "remove the password and deliver the file again"

#: The parser lays a sheet out as a full rectangle of 24 bytes a cell, so that one stray cell costs gigabytes.
CELLS_PER_SHEET = 60_000_000

#: Rows taken apart from the rest, because they often mix texts into columns of numbers.
HEAD_ROWS = 100


def read(path: Path, hints: ReaderHints, folder: Path | None = None) -> tuple[Grid, ...]:
    """All work sheets of a workbook, hidden ones too; choosing among them is `locate`'s work.

    With a `folder` the cells go to Arrow files there. Raises `Rejected` for what cannot be read.
    """
    form = detect.form_of(path)
    if form not in FORMS:
        raise unreadable(path, f"the content is {form}, not a workbook", expected=EXPECTED)
    try:
        if form == "xlsx":
            _check_area(path)
        with _suffixed(path, form) as named, python_calamine.CalamineWorkbook.from_path(named) as book:
            return _sheets(path, form, book, folder)
    except python_calamine.PasswordError as error:
        raise unreadable(path, "the workbook is protected by a password", next=UNPROTECT) from error
    except DamagedCell as error:
        raise unreadable(path, f"the workbook is damaged at {error.cell}: {error}", cells=(error.cell,)) from error
    except (python_calamine.CalamineError, Malformed, OSError, ValueError, KeyError) as error:
        raise unreadable(path, f"the workbook cannot be read: {error}") from error


@contextmanager
def _suffixed(path: Path, form: str) -> Iterator[Path]:
    """The file under the suffix of its content, by which the parser chooses: an xlsx renamed to .xls is common."""
    if path.suffix == f".{form}":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="book-") as folder:
        named = Path(folder) / f"book.{form}"
        named.symlink_to(path.resolve())
        yield named


def _check_area(path: Path) -> None:
    from assay.readers import marks_xlsx

    area = marks_xlsx.area(path)
    if area is not None and area[1] > CELLS_PER_SHEET:
        raise unreadable(
            path,
            f"a sheet reaches from {area[0].replace(':', ' to ')}, {area[1]:,} cells; "
            f"at most {CELLS_PER_SHEET:,} are read",
            next="delete the stray cells far from the table (Ctrl+End shows the last one), save, and deliver again",
        )


def _sheets(path: Path, form: str, book: Any, folder: Path | None) -> tuple[Grid, ...]:
    sheets = list(book.sheets_metadata)
    if not sheets:
        raise Malformed("it lists no sheets")
    grids = []
    # The parser leaves the interpreter free: meanwhile the parts are scanned, and the modules for the cells loaded.
    with ThreadPoolExecutor(2) as pool:
        pool.submit(importlib.import_module, "assay.readers.columns")
        names = [sheet.name if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet else None for sheet in sheets]
        scan = pool.submit(find_marks.find, path, form, names)
        for index, sheet in enumerate(sheets):
            if names[index] is not None:
                try:
                    parsed = book.get_sheet_by_index(index)
                except python_calamine.CalamineError:
                    scan.result()  # where the scan fails too, it tells the place
                    raise
                grids.append(_grid(parsed, sheet, scan.result().get(index, Marks()), folder))
    return tuple(grids)


def _grid(parsed: Any, sheet: Any, found: Marks, folder: Path | None) -> Grid:
    from assay.readers.grid import GridBuilder

    builder = GridBuilder(sheet.name, sheet.visible != python_calamine.SheetVisibleEnum.Visible, folder, typed=True)
    errors: dict[int, dict[int, str]] = {}
    for (row, column), text in found.errors.items():
        if row >= ROWS or column >= COLUMNS:
            raise Malformed(f"the sheet {sheet.name} has a cell beyond row {ROWS} or column {COLUMNS}")
        errors.setdefault(row, {})[column] = text
    first = blank = width = 0
    # One chunk becomes Arrow while the parser hands over the next.
    with ThreadPoolExecutor(1) as pool:
        added: Future[int] | None = None
        for chunk in _chunks(parsed, max(errors, default=-1)):
            blank = blank if added is None else added.result()
            added = pool.submit(_add, builder, chunk, first, errors, blank)
            first, width = first + len(chunk), max(width, len(chunk[0]))
        if added is not None:
            added.result()
    merged = [(top, left, bottom, right) for (top, left), (bottom, right) in parsed.merged_cell_ranges or ()]
    return builder.build(
        merged=sorted(set(merged or found.merged)),
        hidden_rows=sorted(row + 1 for row in found.hidden_rows if row < first),
        hidden_columns=sorted(column for column in found.hidden_columns if column < width),
        formats=sorted(found.formats.items()),
    )


def _chunks(parsed: Any, last_error: int) -> Iterator[list[list[Any]]]:
    """The rows of a sheet from its first row and column on, all of one width, some at a time."""
    # `iter_rows` begins at the first row of the sheet, but at the first column that is filled.
    margin = [""] * (parsed.start[1] if parsed.start else 0)
    width = len(margin) + max(1, parsed.width)
    step = max(1, min(ROWS_PER_CHUNK, CELLS_PER_CHUNK // width))
    rows, done = parsed.iter_rows(), 0
    # Titles and headers stand in the first rows: apart from them, most columns are of one type.
    while chunk := list(islice(rows, step if done else min(step, HEAD_ROWS))):
        done += len(chunk)
        yield [margin + cells for cells in chunk] if margin else chunk
    # An error cell below the parser's last cell still counts: the parser took it for empty.
    while done <= last_error:
        height = min(step, last_error + 1 - done)
        done += height
        yield [[""] * width for _ in range(height)]


def _add(
    builder: GridBuilder, chunk: list[list[Any]], first: int, errors: dict[int, dict[int, str]], blank: int
) -> int:
    """Adds rows from zero-based row `first`; blank rows at the end wait, and their number is returned."""
    if errors:
        _put_errors(chunk, {row - first: errors[row] for row in range(first, first + len(chunk)) if row in errors})
    add = _add_rows if len(chunk) <= HEAD_ROWS else _add_columns
    return add(builder, chunk, first, blank)


def _put_errors(chunk: list[list[Any]], errors: dict[int, dict[int, str]]) -> None:
    """Puts the error cells into their rows of a chunk, which stay of one width."""
    width = max([len(chunk[0]), *(1 + max(columns) for columns in errors.values())])
    if width > len(chunk[0]):
        for cells in chunk:
            cells.extend([""] * (width - len(cells)))
    for row, columns in errors.items():
        for column, text in columns.items():
            chunk[row][column] = values.ErrorCell(text)


def _add_rows(builder: GridBuilder, chunk: list[list[Any]], first: int, blank: int) -> int:
    for number, cells in enumerate(chunk, start=first + 1):
        row = list(map(values.cell, cells))
        while row and row[-1][1] == Kind.EMPTY:
            row.pop()
        if not row:
            blank += 1
            continue
        for waiting in range(number - blank, number):
            builder.add(waiting, [], [])
        blank = 0
        builder.add(number, [text for text, _ in row], [kind for _, kind in row])
    return blank


def _add_columns(builder: GridBuilder, chunk: list[list[Any]], first: int, blank: int) -> int:
    from assay.readers import columns

    pairs = [columns.column(column) for column in zip(*chunk, strict=True)]
    widths = columns.widths([kinds for _, kinds in pairs], len(chunk))
    height, used = columns.last_filled(widths)
    if not height:
        return blank + len(chunk)
    for waiting in range(first - blank + 1, first + 1):
        builder.add(waiting, [], [])
    builder.add_columns(
        range(first + 1, first + height + 1),
        widths.slice(0, height),
        [texts.slice(0, height) for texts, _ in pairs[:used]],
        [kinds.slice(0, height) for _, kinds in pairs[:used]],
    )
    return len(chunk) - height
