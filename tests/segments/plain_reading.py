"""A second reading of delivered files, by the standard library alone: the oracle of the gate's properties.

It shares no code with the gate. It is strict: where it has any doubt it gives None, "not to be approved".
"""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from assay.zones.contract import Contract, Field

BLANKS = " \t\u00a0"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
Row = tuple[Any, ...]


class Unfit(ValueError):
    """A text that is no value of its field."""


def read_csv(
    data: bytes, contract: Contract, encoding: str, delimiter: str, quote: str = '"'
) -> list[tuple[int, Row]] | None:
    """Record number and typed values of every row; None where the bytes are no such table."""
    records = _records(data, encoding, delimiter, quote)
    return None if records is None else read_records(records, contract)


def read_records(records: Sequence[Sequence[str]], contract: Contract) -> list[tuple[int, Row]] | None:
    """The same from texts that somebody else has cut into cells."""
    head, columns = _header(records, contract)
    if columns is None:
        return None
    width = len(records[head])
    rows = []
    for number, record in enumerate(records[head + 1 :], start=head + 2):
        if not any(cell.strip(BLANKS) for cell in record):
            continue
        if len(record) < width or any(cell.strip(BLANKS) for cell in record[width:]):
            return None
        try:
            rows.append((number, tuple(_value(field, record[columns[field.name]]) for field in contract.fields)))
        except Unfit:
            return None
    return rows


def read_sheet(path: Path) -> list[list[str]] | None:
    """The texts of the cells of a workbook's first sheet, straight from its XML; None where that is in any doubt.

    It knows texts, plain numbers and booleans in cells with a place, one after the other, and nothing else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
            relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
            shared = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
            first = next(book.iter(f"{{{_MAIN}}}sheet")).attrib[f"{{{_RELATION}}}id"]
            target = next(one.attrib["Target"] for one in relations if one.attrib["Id"] == first)
            sheet = ElementTree.fromstring(archive.read(f"xl/{target}"))
        texts = ["".join(t.text or "" for t in one.iter(f"{{{_MAIN}}}t")) for one in shared]
        cells: dict[tuple[int, int], str] = {}
        for cell in sheet.iterfind(f"./{{{_MAIN}}}sheetData/{{{_MAIN}}}row/{{{_MAIN}}}c"):
            letter, number = re.fullmatch("([A-Z])([0-9]+)", cell.attrib["r"]).groups()  # type: ignore[union-attr]
            place = int(number) - 1, ord(letter) - 65
            if place in cells or cell.attrib.get("s", "0") != "0":
                return None
            cells[place] = _cell(cell, texts)
    except (ElementTree.ParseError, zipfile.BadZipFile, LookupError, StopIteration, AttributeError, ValueError, OSError,
            zlib.error, NotImplementedError, EOFError):  # fmt: skip
        return None
    height, width = (max((place[at] for place in cells), default=-1) + 1 for at in (0, 1))
    return [[cells.get((row, column), "") for column in range(width)] for row in range(height)]


def _cell(cell: ElementTree.Element, texts: list[str]) -> str:
    value, kind = cell.findtext(f"{{{_MAIN}}}v") or "", cell.attrib.get("t", "n")
    if kind == "inlineStr":
        return "".join(t.text or "" for t in cell.iter(f"{{{_MAIN}}}t"))
    if kind == "str" or not value:
        return value
    if kind == "s":
        if not re.fullmatch("[0-9]+", value):
            raise Unfit(value)
        return texts[int(value)]
    if kind == "b" and value in ("0", "1"):
        return "true" if value == "1" else "false"
    if kind == "n":
        return format(Decimal(f"{float(value):.15g}"), "f")
    raise Unfit(value)


def _records(data: bytes, encoding: str, delimiter: str, quote: str) -> list[list[str]] | None:
    csv.field_size_limit(1 << 24)
    try:
        text = data.decode(encoding)
    except UnicodeError:
        return None
    text = text.removeprefix("\ufeff") if encoding.startswith("utf") else text
    if "\0" in text:
        return None
    options: dict[str, Any] = {"quotechar": quote} if quote else {"quotechar": None, "quoting": csv.QUOTE_NONE}
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **options))
    except csv.Error:
        return None


def _header(records: Sequence[Sequence[str]], contract: Contract) -> tuple[int, dict[str, int] | None]:
    """The first record that names every field once and nothing else."""
    wanted = {_plain(field.headers[0]): field.name for field in contract.fields}
    for index, record in enumerate(records[:100]):
        names = [_plain(cell) for cell in record]
        if not set(wanted) <= set(names):
            continue
        below = records[index + 1 :]
        columns: dict[str, int] = {}
        for at, name in enumerate(names):
            cells = [row[at] if at < len(row) else "" for row in below]
            if name not in wanted:
                if name or any(cell.strip() for cell in cells):
                    return index, None
            elif wanted[name] not in columns:
                columns[wanted[name]] = at
            elif cells != [row[columns[wanted[name]]] if columns[wanted[name]] < len(row) else "" for row in below]:
                return index, None
        return index, columns
    return 0, None


def _plain(header: str) -> str:
    return " ".join(header.split()).casefold()


def _value(field: Field, text: str) -> Any:
    value = _typed(field, text)
    if value is None and field.required:
        raise Unfit(text)
    if field.required and not text.strip(BLANKS):
        raise Unfit(text)
    return value


def _typed(field: Field, text: str) -> Any:
    bare = text.strip(BLANKS)
    words = {word.strip(BLANKS) for word in field.null_words}
    if field.type.kind == "string":
        return None if text == "" or (bare and bare in words) else text
    if not bare or bare in words:
        return None
    if field.type.kind in ("integer", "decimal", "double"):
        return _number(field, bare)
    if field.type.kind == "boolean":
        if bare.lower() in {word.lower() for word in field.true_words}:
            return True
        if bare.lower() in {word.lower() for word in field.false_words}:
            return False
        raise Unfit(text)
    return _moment(field, bare)


def _number(field: Field, text: str) -> Any:
    negative = text[0] == "-"
    digits = text[1:] if text[0] in "+-" else text
    whole, point, fraction = digits.partition(field.decimal_sign)
    mantissa, letter, exponent = (fraction if point else whole).replace("E", "e").partition("e")
    if letter:
        if field.type.kind != "double" or not re.fullmatch("[+-]?[0-9]{1,3}", exponent):
            raise Unfit(text)
        whole, fraction = (whole, mantissa) if point else (mantissa, "")
    if field.thousands_sign and field.thousands_sign in whole:
        groups = whole.split(field.thousands_sign)
        if not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]):
            raise Unfit(text)
        whole = "".join(groups)
    if not re.fullmatch("[0-9]*", whole + fraction) or not whole + fraction or (not whole and not fraction):
        raise Unfit(text)
    if field.type.kind == "integer":
        if not whole or (point and (not fraction or fraction.strip("0"))):
            raise Unfit(text)
        number = -int(whole) if negative else int(whole)
        if not -(2**63) <= number < 2**63:
            raise Unfit(text)
        return number
    if field.type.kind == "double":
        value = float(f"{'-' if negative else ''}{whole or '0'}.{fraction or '0'}e{exponent or '0'}")
        if math.isinf(value):
            raise Unfit(text)
        return value
    assert field.type.precision is not None and field.type.scale is not None
    if fraction[field.type.scale :].strip("0"):
        raise Unfit(text)
    whole = whole.lstrip("0")
    if len(whole) > field.type.precision - field.type.scale:
        raise Unfit(text)
    exact = Decimal(f"{whole or '0'}.{fraction[: field.type.scale] or '0'}")
    return exact.copy_negate() if negative else exact


_PARTS = {
    "%Y": "(?P<Y>[0-9]{4})", "%m": "(?P<m>[0-9]{2})", "%-m": "(?P<m>[0-9]{1,2})", "%d": "(?P<d>[0-9]{2})",
    "%-d": "(?P<d>[0-9]{1,2})", "%H": "(?P<H>[0-9]{2})", "%M": "(?P<M>[0-9]{2})", "%S": "(?P<S>[0-9]{2})",
    "%f": "(?P<f>[0-9]{1,6})",
}  # fmt: skip
_DEFAULTS = {
    "date": ("%Y-%m-%d",),
    "time": ("%H:%M:%S",),
    "timestamp": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"),
}


def _moment(field: Field, text: str) -> Any:
    found = set()
    for pattern in field.formats or _DEFAULTS[field.type.kind]:
        pieces = re.split("(%-?[A-Za-z])", pattern)
        match = re.fullmatch("".join(_PARTS.get(piece, re.escape(piece)) for piece in pieces), text)
        if match:
            part = {"Y": "1900", "m": "1", "d": "1", "H": "0", "M": "0", "S": "0", "f": "0"} | match.groupdict()
            numbers = [int(part[name]) for name in "YmdHMS"]
            try:
                found.add(datetime(*numbers, int(part["f"].ljust(6, "0"))))  # type: ignore[arg-type]
            except ValueError:
                continue
    if len(found) != 1:
        raise Unfit(text)
    moment = found.pop()
    return {"date": moment.date(), "time": moment.time(), "timestamp": moment}[field.type.kind]


def same(one: Any, other: Any) -> bool:
    """Equality that tells 0.0 from -0.0 and a number from its text."""
    return type(one) is type(other) and one == other and (not isinstance(one, float) or repr(one) == repr(other))
