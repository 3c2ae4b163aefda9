"""Workbooks (xlsx, xlsm, xls, ods): every sheet as text cells, with error cells kept apart from empty ones."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import python_calamine

from assay.errors import Rejected
from assay.findings import Finding
from assay.readers import excel_errors
from assay.readers.compound import Malformed
from assay.readers.grid import Grid, GridBuilder, Kind

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

SIGNIFICANT_DIGITS = 15


def read(path: Path, hints: ReaderHints) -> tuple[Grid, ...]:
    """All sheets of a workbook, hidden ones too; choosing among them is `locate`'s work."""
    form = excel_errors.form_of(path)
    if form not in ("xlsx", "xls", "ods"):
        raise unreadable(path, f"the content is {form}, not an xlsx, xlsm, xls or ods workbook")
    try:
        # By content, not by suffix: an xlsx that was renamed to .xls is common.
        with path.open("rb") as file, python_calamine.CalamineWorkbook.from_filelike(file) as book:
            sheets = [sheet for sheet in book.sheets_metadata]
            errors = excel_errors.find(path, form, [sheet.name for sheet in sheets])
            return tuple(
                _grid(book, sheet, errors.get(index, {}))
                for index, sheet in enumerate(sheets)
                if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
            )
    except python_calamine.PasswordError as error:
        raise unreadable(path, "the workbook is protected by a password") from error
    except (python_calamine.CalamineError, Malformed, OSError, ValueError) as error:
        raise unreadable(path, f"the workbook cannot be read: {error}") from error


def number_text(value: float) -> str:
    """A number as people see it in a cell: at most 15 significant digits, never an exponent."""
    text = repr(value)
    if not math.isfinite(value):
        return text
    if len(Decimal(text).as_tuple().digits) > SIGNIFICANT_DIGITS:
        text = f"{value:.{SIGNIFICANT_DIGITS}g}"
    plain = format(Decimal(text), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


def cell(value: Any) -> tuple[str | None, Kind]:
    """The text and kind of one value of the parser."""
    if isinstance(value, str):
        return (value, Kind.TEXT) if value else (None, Kind.EMPTY)
    if isinstance(value, bool):
        return ("true" if value else "false"), Kind.BOOLEAN
    if isinstance(value, (int, float)):
        return (str(value) if isinstance(value, int) else number_text(value)), Kind.NUMBER
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return (value.date().isoformat() if midnight else value.isoformat(sep=" ")), Kind.DATE
    if isinstance(value, datetime.date):
        return value.isoformat(), Kind.DATE
    if isinstance(value, datetime.time):
        return value.isoformat(), Kind.TIME
    if isinstance(value, datetime.timedelta):
        return _duration(value), Kind.DURATION
    return None, Kind.EMPTY


def unreadable(path: Path, what: str) -> Rejected:
    """The error for a file that cannot be read at all."""
    return Rejected(what, [Finding("unreadable_file", what)], where=path.name)


def _duration(value: datetime.timedelta) -> str:
    sign = "-" if value < datetime.timedelta() else ""
    whole = abs(value)
    seconds = whole.days * 86_400 + whole.seconds
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{whole.microseconds:06d}" if whole.microseconds else text


def _grid(
    book: python_calamine.CalamineWorkbook,
    sheet: python_calamine.SheetMetadata,
    errors: dict[tuple[int, int], str],
) -> Grid:
    hidden = sheet.visible != python_calamine.SheetVisibleEnum.Visible
    rows = book.get_sheet_by_name(sheet.name).to_python(skip_empty_area=False)
    by_row: dict[int, dict[int, str]] = {}
    for (row, column), text in errors.items():
        by_row.setdefault(row, {})[column] = text
    # An error cell beyond the parser's last cell still counts: the parser took it for empty.
    height = max(len(rows), max(by_row, default=-1) + 1)
    builder = GridBuilder(sheet.name, hidden)
    blanks: list[int] = []
    for index in range(height):
        texts, kinds = _row(rows[index] if index < len(rows) else [], by_row.get(index, {}))
        if not texts:
            blanks.append(index + 1)
            continue
        for blank in blanks:
            builder.add(blank, [], [])
        blanks = []
        builder.add(index + 1, texts, kinds)
    return builder.build()


def _row(values: list[Any], errors: dict[int, str]) -> tuple[list[str | None], list[int]]:
    texts: list[str | None] = []
    kinds: list[int] = []
    for value in values:
        text, kind = cell(value)
        texts.append(text)
        kinds.append(kind)
    for column, text in errors.items():
        missing = column + 1 - len(texts)
        texts.extend([None] * missing)
        kinds.extend([Kind.EMPTY] * missing)
        texts[column], kinds[column] = text, Kind.ERROR
    while kinds and kinds[-1] == Kind.EMPTY:
        texts.pop()
        kinds.pop()
    return texts, kinds
