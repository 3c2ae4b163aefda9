"""A workbook with its bad cells marked, and a first sheet that lists them. openpyxl is met only here.

Run by `returned` as `python -m assay.stewardship.marking`, under limits, with the request as JSON on standard input.
"""

from __future__ import annotations

import datetime
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, MergedCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import column_index_from_string
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.properties import PageSetupProperties

from assay.readers.grid import Kind
from assay.stewardship.formulas import neutralised
from assay.stewardship.limited import request_under_limits

LISTING = "assay"
FACE = "Calibri"
_FILLS = {"error": "FFC7CE", "warning": "FFEB9C", "info": "DDEBF7"}
_WIDTHS = (6, 36, 26, 36, 70)


def main() -> int:
    """Makes the workbook that the request describes."""
    request = request_under_limits()
    book = _book(request)
    _mark(book, request["cells"])
    _list(book, request)
    book.save(request["out"])
    return 0


def _book(request: dict[str, Any]) -> Any:
    if request["form"] == "workbook":
        path = Path(request["path"])
        with zipfile.ZipFile(path) as archive:
            macros = "xl/vbaProject.bin" in archive.namelist()
        with path.open("rb") as file:
            return load_workbook(file, keep_vba=macros)
    book = Workbook()
    book.remove(book.active)
    for grid in request["grids"]:
        _copy(book, grid)
    return book


# --- a copy of what was read --------------------------------------------------------------------------------------


def _copy(book: Any, grid: dict[str, Any]) -> None:
    """One sheet with the values as they were read; what it looked like, and its formulas, are gone."""
    import pyarrow as pa

    sheet = book.create_sheet(grid["sheet"])
    sheet.sheet_state = "hidden" if grid["hidden"] else "visible"
    with pa.memory_map(grid["file"]) as source:
        table = pa.ipc.open_file(source).read_all()
    width = (table.num_columns - 2) // 2
    for batch in table.to_batches():
        columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        for at, row in enumerate(columns["row"]):
            for index in range(width):
                text = columns[f"c{index}"][at]
                if text is not None:
                    _put(sheet.cell(row, index + 1), text, columns[f"k{index}"][at])


def _put(cell: Any, text: str, kind: int) -> None:
    value = _value(text, kind)
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"  # or a text that begins with "=" would become a formula


def _value(text: str, kind: int) -> Any:
    try:
        if kind == Kind.NUMBER:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        if kind == Kind.BOOLEAN:
            return text == "true"
        if kind == Kind.DATE:
            return datetime.datetime.fromisoformat(text) if " " in text else datetime.date.fromisoformat(text)
    except ValueError:
        pass  # Then its text tells more than an error would.
    return ILLEGAL_CHARACTERS_RE.sub("\ufffd", text)[:32_767]


# --- marks --------------------------------------------------------------------------------------------------------


def _mark(book: Any, cells: Iterable[dict[str, Any]]) -> None:
    places: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for cell in cells:
        if cell["marked"] and cell["sheet"] in book.sheetnames and cell["row"]:
            places.setdefault((cell["sheet"], cell["row"], cell["column"] or "A"), []).append(cell)
    for (sheet, row, column), told in places.items():
        cell = _anchor(book[sheet], row, column_index_from_string(column))
        severity = next(one for one in _FILLS if any(cell["severity"] == one for cell in told))
        cell.fill = PatternFill("solid", start_color=_FILLS[severity], end_color=_FILLS[severity])
        words = "\n".join(dict.fromkeys(one["comment"] for one in told))
        before = f"{cell.comment.text}\n\n" if cell.comment else ""
        cell.comment = Comment(f"{before}{words}", "assay", width=320, height=40 + 20 * (len(before + words) // 45 + 1))


def _anchor(sheet: Any, row: int, column: int) -> Any:
    """The cell, or the one that holds the text of the merged block that it lies in."""
    cell = sheet.cell(row, column)
    if isinstance(cell, MergedCell):
        block = next(block for block in sheet.merged_cells.ranges if cell.coordinate in block)
        return sheet.cell(block.min_row, block.min_col)
    return cell


# --- the first sheet ------------------------------------------------------------------------------------------------


def _list(book: Any, request: dict[str, Any]) -> None:
    sheets = list(book.sheetnames)
    sheet = book.create_sheet(_free_name(sheets), 0)
    for number, width in enumerate(_WIDTHS, start=1):
        sheet.column_dimensions["ABCDE"[number - 1]].width = width
    row = _head(sheet, request)
    row = _titles(sheet, row, ("No", "What is wrong", "Column", "How many", "What to do"))
    for problem in request["problems"]:
        values = (problem["number"], problem["says"], problem["column"], problem["count"], problem["next"])
        _row(sheet, row, values, problem["severity"])
        row += 1
    if request["cells"]:
        row = _titles(sheet, row + 1, ("No", "Cell", "Found", "Expected", "About it"))
        for cell in request["cells"]:
            values = (cell["number"], cell["place"], cell["found"], cell["expected"], cell["comment"])
            _row(sheet, row, values, cell["severity"])
            if cell["sheet"] in sheets and cell["row"]:
                _link(sheet, row, cell)
            row += 1
    if request["more"]:
        _write(sheet.cell(row, 2), f"… and {request['more']:,} more cells")
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    # Only this sheet stays selected: with several selected, typing would change them all.
    book.active = 0
    for other in book.worksheets:
        other.sheet_view.tabSelected = other is sheet
    for view in book.views:
        view.firstSheet = 0


def _free_name(taken: Iterable[str]) -> str:
    names = {name.casefold() for name in taken}
    return next(name for number in range(1, 10_000) if (name := _numbered(number)).casefold() not in names)


def _numbered(number: int) -> str:
    return LISTING if number == 1 else f"{LISTING} {number}"


def _head(sheet: Any, request: dict[str, Any]) -> int:
    """The sentences on top; returns the row after them."""
    for row, (words, font) in enumerate(
        [
            (request["summary"], Font(FACE, bold=True, size=14)),
            (request["next"], Font(FACE)),
            *((note, Font(FACE, italic=True, color="666666")) for note in request["notes"]),
        ],
        start=1,
    ):
        sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=len(_WIDTHS))
        _write(sheet.cell(row, 1), words)
        sheet.cell(row, 1).font = font
        sheet.row_dimensions[row].height = (20 if row == 1 else 15) * (len(words) // (110 if row == 1 else 150) + 1)
    return len(request["notes"]) + 4


def _titles(sheet: Any, row: int, titles: Iterable[str]) -> int:
    for column, title in enumerate(titles, start=1):
        cell = sheet.cell(row, column, title)
        cell.font = Font(FACE, bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", start_color="44546A", end_color="44546A")
    return row + 1


def _row(sheet: Any, row: int, values: Iterable[Any], severity: str) -> None:
    lines = 1
    for column, value in enumerate(values, start=1):
        cell = sheet.cell(row, column)
        _write(cell, value)
        cell.font = Font(FACE)
        cell.border = Border(bottom=Side("hair", color="A6A6A6"))
        cell.alignment = Alignment(wrap_text=True, vertical="top", horizontal="left")
        lines = max(lines, -(-len(str(value)) // _WIDTHS[column - 1]))
    # Said outright: not every program measures wrapped texts when it opens a file.
    sheet.row_dimensions[row].height = 15 * lines + 1
    sheet.cell(row, 1).fill = PatternFill("solid", start_color=_FILLS[severity], end_color=_FILLS[severity])


def _write(cell: Any, value: Any) -> None:
    if isinstance(value, str):
        cell.value = neutralised(ILLEGAL_CHARACTERS_RE.sub("\ufffd", value))
        cell.data_type = "s"
    else:
        cell.value = value


def _link(sheet: Any, row: int, cell: dict[str, Any]) -> None:
    shown = sheet.cell(row, 2)
    name = cell["sheet"].replace("'", "''")
    shown.hyperlink = Hyperlink(ref=shown.coordinate, location=f"'{name}'!{cell['column'] or 'A'}{cell['row']}")
    shown.font = Font(FACE, color="0563C1", underline="single")


if __name__ == "__main__":
    sys.exit(main())
