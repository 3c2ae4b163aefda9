"""The marks of a workbook, found in its raw parts by the scanner of its form."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.readers.compound import Malformed
from assay.readers.marks import Marks
from assay.readers.xml import XmlError


def find(path: Path, form: str, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of a workbook's work sheets by their index in `sheets`, which has None for sheets of other kinds.

    Raises `Malformed` for damaged content.
    """
    try:
        return _finder(form)(path, sheets)
    except (
        zipfile.BadZipFile, XmlError, struct.error, KeyError, IndexError, NotImplementedError, UnicodeError, EOFError,
    ) as error:  # fmt: skip
        raise Malformed(f"damaged content ({error})") from error


def _finder(form: str) -> Callable[[Path, Sequence[str | None]], dict[int, Marks]]:
    if form == "xlsx":
        from assay.readers import marks_xlsx

        return marks_xlsx.find
    if form == "xlsb":
        from assay.readers import marks_xlsb

        return marks_xlsb.find
    if form == "ods":
        from assay.readers import marks_ods

        return marks_ods.find
    from assay.readers import marks_xls

    return marks_xls.find
