"""The tables in delivered files: read, their headers found, made readable in the engine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.engines.duckdb import Engine, EngineFailed, literal, quoted
from assay.errors import Rejected
from assay.findings import Finding
from assay.readers import csv
from assay.readers.detect import reader_of
from assay.readers.dialect import Dialect
from assay.readers.grid import Grid
from assay.readers.header import Header, find_header
from assay.readers.limits import read_limited
from assay.readers.plain import is_plain
from assay.zones.contract_draft import Guess, counted
from assay.zones.model import ReaderHints

#: Encodings tried for a text that is not UTF-8, and declared as a guess; Windows' own first.
FALLBACK_ENCODINGS = ("cp1252", "latin-1")
UNUSUAL_SHOWN = 3
_UNUSUAL = re.compile(r"[^\W]{0,8}[^\x00-\x7f][^\s,;|\"]{0,8}")


@dataclass(frozen=True)
class Delivered:
    """One table of one file: its place, its header's names, and the engine's relation that holds its rows.

    The relation has `row`, `c0`… and `k0`…; `encoding` and `delimiter` are those of a text file.
    """

    file: str
    sheet: str | None
    header: Header
    relation: str
    rows: int
    encoding: str | None = None
    delimiter: str | None = None
    ascii: bool = True
    evidence: str | None = None
    other_sheets: tuple[str, ...] = ()
    ragged: int = 0

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.header.names)


def read_tables(
    engine: Engine, files: Sequence[Path], hints: ReaderHints, scratch: Path
) -> tuple[tuple[Delivered, ...], tuple[str, ...]]:
    """The tables of the files, and what was remarkable: the same bytes twice are read once.

    Raises `Rejected` for a file that cannot be read or in which no table is found.
    """
    tables: list[Delivered] = []
    remarks: list[str] = []
    seen: dict[str, str] = {}
    for number, path in enumerate(files):
        digest = _digest(path)
        if digest in seen:
            remarks.append(f"{path.name} holds the same bytes as {seen[digest]}, and was left out")
            continue
        seen[digest] = path.name
        tables.append(_table(engine, path, hints, scratch, f"delivered_{number}"))
    return tuple(tables), tuple(remarks)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(engine: Engine, path: Path, hints: ReaderHints, scratch: Path, name: str) -> Delivered:
    if reader_of(path, hints) != "csv":
        return _of_sheets(engine, path, read_limited(path, hints, scratch), hints, name)
    hints, evidence = _with_encoding(path, hints)
    dialect = csv.detect(path, hints)
    found = _quick(engine, path, dialect, hints, scratch, name)
    if found is None:
        found = _of_sheets(engine, path, read_limited(path, hints, scratch), hints, name)
    return replace(
        found,
        encoding=dialect.encoding,
        delimiter=dialect.delimiter,
        ascii=_is_ascii(path) if dialect.encoding == "utf-8" else False,
        evidence=evidence,
    )


def _of_sheets(engine: Engine, path: Path, grids: Sequence[Grid], hints: ReaderHints, name: str) -> Delivered:
    """The visible sheet with a header and the most rows below it."""
    candidates = [grid for grid in grids if (grid.sheet == hints.sheet if hints.sheet else not grid.hidden)]
    found = [(grid, header) for grid in candidates if (header := find_header(grid, hints.header_row)) is not None]
    if not found:
        raise _no_header(path, grids, hints)
    grid, header = max(found, key=lambda one: one[0].height - one[1].position)
    source = f"{name}_grid"
    engine.register(source, grid.table)
    engine.run(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {quoted(source)} WHERE row > {header.row}")
    ragged = 0
    if grid.sheet is None:
        cells = int(grid.table["cells"][header.position].as_py())
        beyond = "".join(f" OR coalesce(trim(c{index}), '') <> ''" for index in range(cells, grid.width))
        ragged = int(
            engine.row(f"SELECT count(*) FROM {quoted(name)} WHERE cells > 1 AND (cells < {cells}{beyond})")[0]
        )
    return Delivered(
        file=path.name,
        sheet=grid.sheet,
        ragged=ragged,
        header=header,
        relation=name,
        rows=int(engine.row(f"SELECT count(*) FROM {quoted(name)}")[0]),
        other_sheets=tuple(str(other.sheet) for other, _ in found if other is not grid),
    )


def _quick(
    engine: Engine, path: Path, dialect: Dialect, hints: ReaderHints, scratch: Path, name: str
) -> Delivered | None:
    """A plain CSV file read by the engine itself, which is many times faster; None where that could differ."""
    text = csv.to_utf8(path, dialect, scratch / f"{name}.utf8")
    if not is_plain(text, dialect):
        return None
    try:
        head = csv.head(text, dialect)
    except Rejected:
        return None
    header = find_header(head, hints.header_row)
    if header is None or header.rows != 1 or header.position > 0:
        return None
    widths = set(head.table["cells"].slice(header.position).to_pylist())
    if widths != {head.width}:
        return None
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(head.width))
    kinds = ", ".join(
        f"CAST(c{index} IS NOT NULL AND c{index} <> '' AS TINYINT) AS k{index}" for index in range(head.width)
    )
    quote = literal(dialect.quote or "")
    try:
        engine.run(
            f"CREATE TEMP TABLE {quoted(name + '_cells')} AS SELECT * FROM read_csv({literal(str(text))}, "
            f"auto_detect=false, header=true, delim={literal(dialect.delimiter)}, quote={quote}, escape={quote}, "
            f"columns={{{columns}}}, strict_mode=true, null_padding=false, max_line_size=16777216)"
        )
    except EngineFailed:
        return None
    engine.run(f"CREATE TEMP VIEW {quoted(name)} AS SELECT rowid + 2 AS row, *, {kinds} FROM {quoted(name + '_cells')}")
    rows = int(engine.row(f"SELECT count(*) FROM {quoted(name)}")[0])
    return Delivered(path.name, None, header, name, rows)


def _with_encoding(path: Path, hints: ReaderHints) -> tuple[ReaderHints, str | None]:
    """The hints with an encoding that decodes the file, and how that is known; UTF-8 needs no hint."""
    try:
        csv.detect(path, hints)
    except Rejected as refused:
        if hints.encoding is not None:
            raise
        for encoding in FALLBACK_ENCODINGS:
            tried = _hinted(hints, encoding=encoding)
            try:
                csv.detect(path, tried)
            except Rejected:
                continue
            return tried, f"not UTF-8; as {encoding} its first unusual words are {_unusual(path, encoding)}"
        raise refused
    return hints, None


def _hinted(hints: ReaderHints, **changes: Any) -> ReaderHints:
    names = ("format", "sheet", "header_row", "encoding", "delimiter", "quote")
    return ReaderHints(**{**{name: getattr(hints, name) for name in names}, **changes})


def _unusual(path: Path, encoding: str) -> str:
    """The first words with letters beyond ASCII, by which a person sees whether an encoding is right."""
    words: list[str] = []
    with path.open(encoding=encoding, newline="") as file:
        for line in file:
            words += [match.group() for match in _UNUSUAL.finditer(line)]
            if len(set(words)) >= UNUSUAL_SHOWN:
                break
    return ", ".join(f'"{word}"' for word in list(dict.fromkeys(words))[:UNUSUAL_SHOWN])


def _is_ascii(path: Path) -> bool:
    with path.open("rb") as file:
        return all(chunk.isascii() for chunk in iter(lambda: file.read(1 << 20), b""))


def _no_header(path: Path, grids: Sequence[Grid], hints: ReaderHints) -> Rejected:
    if hints.sheet and all(grid.sheet != hints.sheet for grid in grids):
        there = ", ".join(f'"{grid.sheet}"' for grid in grids if grid.sheet) or "none"
        what = f'no sheet is named "{hints.sheet}"; there are: {there}'
        step = "name one of them with --sheet"
    elif hints.header_row is not None:
        what, step = f"row {hints.header_row} is not there", "give the row of the header with --header-row"
    else:
        what = "no row looks like a header: different words in a row as wide as the rows below"
        step = "give its row with --header-row"
    return Rejected(what, [Finding("missing_header", what)], where=path.name, next=step)


def guesses_of(tables: Sequence[Delivered]) -> tuple[dict[str, Any], tuple[Guess, ...], tuple[str, ...]]:
    """The reader hints that all files agree on, with their evidence, and remarks where they do not agree."""
    reader: dict[str, Any] = {}
    guesses: list[Guess] = []
    remarks: list[str] = []

    def propose(what: str, value: Any, evidence: str) -> None:
        reader[what] = value
        guesses.append(Guess(what, value, evidence))

    texts = [table for table in tables if table.delimiter is not None]
    _encoding(texts, propose, remarks)
    delimiters = {str(table.delimiter) for table in texts}
    if len(delimiters) == 1 and len(texts) == len(tables):
        propose("delimiter", delimiters.pop(), "gives the most rows of one width in every file")
    elif len(delimiters) > 1:
        remarks.append(f"the files are delimited differently ({' '.join(sorted(delimiters))}): it is found for each")
    deep = sorted({table.header.rows for table in tables} - {1})
    if deep:
        files = [table.file for table in tables if table.header.rows > 1]
        propose("header_rows", deep[-1], f"the names stand in two rows in {_some(files)}")
    for table in tables:
        if table.ragged:
            remarks.append(
                f"{table.file}: {counted(table.ragged, 'row has', 'rows have')} another number of cells "
                "than the header: the gate rejects that"
            )
        if table.other_sheets:
            others = ", ".join(f'"{sheet}"' for sheet in table.other_sheets)
            remarks.append(f'{table.file}: the sheet "{table.sheet}" was taken; {others} have headers too')
    return reader, tuple(guesses), tuple(remarks)


def _encoding(texts: Sequence[Delivered], propose: Callable[[str, Any, str], None], remarks: list[str]) -> None:
    odd = [table for table in texts if table.evidence is not None]
    if not odd:
        return
    encodings = sorted({str(table.encoding) for table in odd})
    others = [table.file for table in texts if table.evidence is None and not table.ascii]
    if len(encodings) > 1 or others:
        remarks.append(
            f"the files have different encodings ({', '.join(encodings)} in {_some([t.file for t in odd])}"
            + (f", UTF-8 in {_some(others)})" if others else ")")
            + ": one source has one; ask for one, or declare two sources"
        )
    propose("encoding", encodings[0], f"{odd[0].file} is {odd[0].evidence}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
