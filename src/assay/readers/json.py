"""JSON and JSON Lines: objects become rows, and a number stays as it is written.

Every key is a column, in the order in which keys first appear. A key that a record does not have gives no cell;
`null` gives an empty one. A value that is itself an object or a list becomes its JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from assay.errors import Rejected
from assay.findings import Cell, Finding
from assay.readers.grid import COLUMNS, Grid, GridBuilder, Kind
from assay.readers.refusal import unreadable

#: The row number of the column names, which stand in every record and in no row of their own.
DECLARED = 0
_BLANKS = " \t\r\n"


class Number(str):
    """A number as it is written."""


def read(path_utf8: Path, records: str | None = None, folder: Path | None = None) -> Grid:
    """The records of a document: a list of objects (or of lists of cells), at the top or at the path `records`.

    Raises `Rejected` for a document that is no such list, for a key given twice in one object, and for `NaN`.
    """
    text = path_utf8.read_text(encoding="utf-8")
    try:
        return _grid(path_utf8, enumerate(_records(path_utf8, text, records), start=1), folder)
    except (json.JSONDecodeError, _Refused, RecursionError) as error:
        raise _malformed(path_utf8, error, None) from error


def read_lines(path_utf8: Path, folder: Path | None = None) -> Grid:
    """One record on each line; the row number is the line's. Raises `Rejected` like `read`."""
    return _grid(path_utf8, _lines(path_utf8), folder)


def dump(value: Any) -> str:
    """JSON text of a value, numbers as they were written."""
    if isinstance(value, (Number, Decimal)):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {dump(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class _Refused(ValueError):
    """Valid for the parser, but not for us."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f'the key "{twice}" is given twice in one object')
    return made


def _constant(word: str) -> Any:
    raise _Refused(f"{word} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_constant
)


def _records(path: Path, text: str, place: str | None) -> Iterator[Any]:
    start = _skip(text, 0)
    if start == len(text):
        raise unreadable(path, "the file is empty")
    if place is None and text[start] == "[":
        # Record by record, so that only one is held as objects at a time.
        return _elements(text, start)
    return iter(_list_at(path, _DECODER.decode(text), place))


def _elements(text: str, start: int) -> Iterator[Any]:
    at = _skip(text, start + 1)
    if text[at : at + 1] == "]":
        _end(text, at + 1)
        return
    while True:
        value, at = _DECODER.raw_decode(text, at)
        yield value
        at = _skip(text, at)
        mark = text[at : at + 1]
        at = _skip(text, at + 1)
        if mark == "]":
            _end(text, at)
            return
        if mark != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at - 1 if mark else at)


def _end(text: str, at: int) -> None:
    at = _skip(text, at)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _list_at(path: Path, document: Any, place: str | None) -> list[Any]:
    lists = _lists(document)
    if place is None:
        raise unreadable(
            path,
            "the document is not a list of records",
            expected="`reader.records`: " + (" or ".join(lists) or "the path of a list of objects"),
            next="name the list in `reader.records`, or deliver a list of objects",
        )
    here = document
    for part in place.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    if not isinstance(here, list):
        raise unreadable(
            path, f"there is no list at {place}", expected=" or ".join(lists) or "a list of objects", next=None
        )
    return here


def _lists(document: Any, prefix: str = "", depth: int = 3) -> list[str]:
    """The paths of the lists of objects in a document, the first few."""
    if not isinstance(document, dict) or depth == 0:
        return []
    found = []
    for key, value in document.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            found.append(prefix + key)
        else:
            found += _lists(value, f"{prefix}{key}.", depth - 1)
    return found[:5]


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(_BLANKS):
                try:
                    yield number, _DECODER.decode(line)
                except (json.JSONDecodeError, _Refused, RecursionError) as error:
                    raise _malformed(path, error, number) from error


def _malformed(path: Path, error: Exception, line: int | None) -> Rejected:
    if isinstance(error, json.JSONDecodeError):
        line = line or error.lineno
        what = f"line {line}, character {error.colno}: {error.msg}"
    else:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        what = f"line {line}: {told}" if line else told
    what = f"this is not valid JSON: {what}"
    return Rejected(what, [Finding("malformed_record", what, cells=(Cell(row=line),))], where=path.name)


def _grid(path: Path, records: Iterator[tuple[int, Any]], folder: Path | None) -> Grid:
    """The header must come first, and is known only at the end: so the body is built first, then put below it."""
    columns: dict[str, int] = {}
    body = GridBuilder(folder=folder, typed=True)
    shape: type | None = None
    for number, record in records:
        shape = shape or type(record)
        if type(record) is not shape or not isinstance(record, (dict, list)):
            raise _not_records(path, number, record)
        row = list(map(_cell, record)) if isinstance(record, list) else _row(path, record, columns)
        body.add(number, [text for text, _ in row], [kind for _, kind in row])
    return body.build(header=None if shape is list else (DECLARED, list(columns)))


def _row(path: Path, record: dict[str, Any], columns: dict[str, int]) -> list[tuple[str | None, Kind]]:
    """The cells of a record, each in the column of its key; a key not met before opens a column."""
    for key in record:
        columns.setdefault(key, len(columns))
    if len(columns) > COLUMNS:
        raise unreadable(path, f"the records have more than {COLUMNS} different keys")
    row = [_ABSENT] * len(columns)
    for key, value in record.items():
        row[columns[key]] = _cell(value)
    return row


_ABSENT: tuple[str | None, Kind] = (None, Kind.EMPTY)


def _cell(value: Any) -> tuple[str | None, Kind]:
    kind = type(value)
    if kind is str:
        return value, Kind.TEXT
    if kind is Number:
        return str(value), Kind.NUMBER
    if value is None:
        return "", Kind.EMPTY
    if kind is bool:
        return ("true" if value else "false"), Kind.BOOLEAN
    return dump(value), Kind.TEXT


def _not_records(path: Path, number: int, record: Any) -> Rejected:
    words = {dict: "an object", list: "a list", str: "a text", Number: "a number", bool: "a boolean"}
    what = f"record {number} is {words.get(type(record), 'null')}, not an object like the others"
    if type(record) not in (dict, list):
        what = f"record {number} is {words.get(type(record), 'null')}, not an object"
    return Rejected(
        what,
        [Finding("malformed_record", what, expected="a list of objects", cells=(Cell(row=number),))],
        where=path.name,
        expected="a list of objects",
    )
