"""Rows as a workbook for people: every text stays a text, so that no cell can run as a formula."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from assay.errors import Unavailable

#: A spreadsheet keeps 15 digits of a number; what has more is written as text.
DIGITS_MOST = 15


def write_rows(
    into: Path, sheet: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, marked: int | None = None
) -> None:
    """Writes one sheet with a header; columns from `marked` on are set off as remarks of ours.

    Raises `Unavailable` where the file cannot be written; a file that was there then stays as it was.
    """
    import xlsxwriter

    part = into.with_name(f".{into.name}.part")
    try:
        with xlsxwriter.Workbook(str(part), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
            formats = {
                date: book.add_format({"num_format": "yyyy-mm-dd"}),
                datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
                time: book.add_format({"num_format": "hh:mm:ss"}),
            }
            head, remark = book.add_format({"bold": True, "bottom": 1}), book.add_format({"bg_color": "#FFE9C7"})
            page = book.add_worksheet(sheet)
            page.freeze_panes(1, 0)
            widths = [len(name) for name in columns]
            for column, name in enumerate(columns):
                page.write_string(0, column, name, head)
            for number, row in enumerate(rows, start=1):
                for column, value in enumerate(row):
                    ours = marked is not None and column >= marked
                    _write(page, number, column, value, remark if ours else formats.get(type(value)))
                    widths[column] = max(widths[column], min(len(str(value)), 60))
            for column, width in enumerate(widths):
                page.set_column(column, column, width + 2)
        os.replace(part, into)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Unavailable(f"the workbook cannot be written: {error.strerror}", where=str(into)) from error


def _write(page: Any, row: int, column: int, value: Any, form: Any) -> None:
    if value is None:
        page.write_blank(row, column, None, form)
    elif isinstance(value, bool):
        page.write_boolean(row, column, value, form)
    elif isinstance(value, datetime | date | time):
        page.write_datetime(row, column, value, form)
    elif isinstance(value, int | float | Decimal) and len(str(value).replace("-", "").replace(".", "")) <= DIGITS_MOST:
        page.write_number(row, column, value, form)
    else:
        page.write_string(row, column, str(value), form)
