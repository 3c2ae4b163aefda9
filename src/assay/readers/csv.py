"""Delimited text: which encoding and delimiter, and the exact record-by-record reader."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import Misconfigured, Rejected
from assay.findings import Cell, Finding
from assay.readers.grid import Grid, GridBuilder, Kind

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
FIELD_LIMIT = 1 << 24
DELIMITERS = (",", ";", "\t", "|")

#: Longest first, because the mark of UTF-32 begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written; an empty `quote` means that nothing is quoted."""

    encoding: str
    delimiter: str
    quote: str
    bom: bool
    header_row: int | None = None


def detect(path: Path, hints: ReaderHints, *, whole: bool = True) -> Dialect:
    """The dialect of a file, declared or found; every byte is decoded, and none is ever replaced.

    Without `whole` only the beginning is looked at, and a `UnicodeError` says that it does not decode.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    marked = next((name for mark, name in _MARKS if sample.startswith(mark)), None)
    encoding = _encoding(sample, marked, hints)
    if whole:
        _check_decodes(path, encoding, marked, declared=hints.encoding is not None)
    text = codecs.getincrementaldecoder(_reading(encoding, marked))("strict").decode(sample)
    quote = '"' if hints.quote is None else hints.quote
    delimiter = hints.delimiter or _delimiter(text, quote, whole=len(sample) < SAMPLE_BYTES)
    return Dialect(encoding, delimiter, quote, marked is not None, hints.header_row)


def to_utf8(path: Path, dialect: Dialect, into: Path) -> Path:
    """The file as UTF-8 without a mark: the same path when it already is, otherwise a copy at `into`."""
    if dialect.encoding == "utf-8" and not dialect.bom:
        with path.open("rb") as file:
            _refuse_nul(path, iter(lambda: file.read(CHUNK_BYTES), b""))
        return path
    decoder = codecs.getincrementaldecoder(_reading(dialect.encoding, dialect.encoding if dialect.bom else None))(
        "strict"
    )
    target = into / f"{path.name}.utf8" if into.is_dir() else into
    with path.open("rb") as file, target.open("wb") as out:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            out.write(decoder.decode(chunk).encode("utf-8"))
        out.write(decoder.decode(b"", final=True).encode("utf-8"))
    with target.open("rb") as file:
        _refuse_nul(path, iter(lambda: file.read(CHUNK_BYTES), b""))
    return target


def head(path_utf8: Path, dialect: Dialect, rows: int = 200) -> Grid:
    """The first records, enough to find the header."""
    return _gather(path_utf8, dialect, rows)


def read(path_utf8: Path, dialect: Dialect) -> Grid:
    """Every record, read strictly: a quote out of place is an error, not a guess."""
    return _gather(path_utf8, dialect, None)


def _encoding(sample: bytes, marked: str | None, hints: ReaderHints) -> str:
    if hints.encoding is not None:
        try:
            declared = codecs.lookup(hints.encoding).name
        except LookupError as error:
            raise Misconfigured(
                f'unknown encoding "{hints.encoding}" in the reader hints',
                expected="a name such as utf-8, cp1252 or latin-1",
            ) from error
        return "utf-8" if declared == "utf-8-sig" else declared
    if marked is not None:
        return marked
    # UTF-16 without a mark is valid UTF-8 full of NULs, and is recognised by where they stand.
    half = len(sample) // 2
    if half >= 4:
        even, odd = sample[0 : half * 2 : 2].count(0), sample[1 : half * 2 : 2].count(0)
        if odd > 0.4 * half and even < 0.1 * half:
            return "utf-16-le"
        if even > 0.4 * half and odd < 0.1 * half:
            return "utf-16-be"
    return "utf-8"


def _reading(encoding: str, marked: str | None) -> str:
    """The codec that also swallows the mark."""
    return "utf-8-sig" if marked == "utf-8" and encoding == "utf-8" else encoding


def _check_decodes(path: Path, encoding: str, marked: str | None, *, declared: bool) -> None:
    decoder = codecs.getincrementaldecoder(_reading(encoding, marked))("strict")
    done, lines = 0, 1
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            held = len(decoder.getstate()[0])
            try:
                lines += decoder.decode(chunk).count("\n")
            except UnicodeError as error:
                raise _undecodable(path, encoding, error, done - held, lines, declared) from error
            done += len(chunk)
    held = len(decoder.getstate()[0])
    try:
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise _undecodable(path, encoding, error, done - held, lines, declared) from error


def _undecodable(
    path: Path, encoding: str, error: UnicodeError, base: int, lines: int, declared: bool
) -> Rejected:
    start, found = 0, ""
    if isinstance(error, UnicodeDecodeError):
        start = error.start
        found = error.object[start : start + 4].hex(" ")
        lines += error.object[:start].count(b"\n")
    what = f"the text is not {encoding}: byte {base + start} (line {lines}) does not decode"
    finding = Finding(
        "wrong_encoding", what, expected=encoding, cells=(Cell(row=lines, found=f"bytes {found}" if found else None),)
    )
    step = "correct `reader.encoding`" if declared else "declare `reader.encoding` (often cp1252)"
    return Rejected(what, [finding], where=path.name, expected=encoding, next=f"{step} or deliver the file as UTF-8")


def _refuse_nul(path: Path, chunks: Iterator[bytes]) -> None:
    done, lines = 0, 1
    for chunk in chunks:
        at = chunk.find(0)
        if at >= 0:
            line = lines + chunk[:at].count(b"\n")
            what = f"a NUL character stands at byte {done + at} (line {line}): this is not plain text"
            raise Rejected(what, [Finding("nul_character", what, cells=(Cell(row=line),))], where=path.name)
        done += len(chunk)
        lines += chunk.count(b"\n")


def _delimiter(text: str, quote: str, *, whole: bool) -> str:
    """The candidate that gives the most records of one width above one; a comma when none does."""
    lines = text.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines.pop()
    best, best_score = ",", (0, 0)
    for candidate in DELIMITERS:
        widths: Counter[int] = Counter()
        try:
            for record in islice(csv.reader(lines, **_format(candidate, quote, strict=False)), 200):
                widths[len(record)] += len(record) > 1
        except csv.Error:
            continue
        width, records = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if records and (records, width) > best_score:
            best, best_score = candidate, (records, width)
    return best


def _format(delimiter: str, quote: str, *, strict: bool) -> dict[str, Any]:
    if quote:
        return {"delimiter": delimiter, "quotechar": quote, "strict": strict}
    return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE, "quotechar": None, "strict": strict}


def _gather(path: Path, dialect: Dialect, rows: int | None) -> Grid:
    csv.field_size_limit(FIELD_LIMIT)
    builder = GridBuilder()
    number = 0
    with path.open(encoding="utf-8", newline="") as file:
        records = csv.reader(file, **_format(dialect.delimiter, dialect.quote, strict=True))
        try:
            for number, record in enumerate(islice(records, rows), start=1):
                builder.add(number, record, [Kind.TEXT if cell else Kind.EMPTY for cell in record])
        except csv.Error as error:
            what = f"record {number + 1} (near line {records.line_num}) cannot be read: {error}"
            finding = Finding("malformed_record", what, cells=(Cell(row=number + 1),))
            raise Rejected(what, [finding], where=path.name) from error
    return builder.build()
