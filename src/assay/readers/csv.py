"""Delimited text: which encoding and delimiter, and the exact record-by-record reader."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from assay.errors import Misconfigured, Rejected
from assay.findings import Cell, Finding
from assay.readers.dialect import CHUNK_BYTES, Dialect, format_of, records
from assay.readers.grid import CELLS_PER_CHUNK, ROWS_PER_CHUNK, Grid, GridBuilder, Kind

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

SAMPLE_BYTES = 1 << 16
FIELD_LIMIT = 1 << 24
DELIMITERS = (",", ";", "\t", "|")
#: The mark that begins a Unicode text; it belongs to no cell.
BOM = "\ufeff"
#: A smaller file is read before the faster way is even prepared.
BLOCKS_FROM_BYTES = 1 << 20
_HEAD_ROWS = 100

#: Longest first, because the mark of UTF-32 begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def detect(path: Path, hints: ReaderHints, *, whole: bool = True) -> Dialect:
    """The dialect of a file, declared or found; every byte is decoded, and none is ever replaced.

    Without `whole` only the beginning is looked at, and a `UnicodeError` says that it does not decode.
    """
    encoding, bom = encoding_of(path, hints, whole=whole)
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    text = codecs.getincrementaldecoder(encoding)("strict").decode(sample).removeprefix(BOM)
    quote = '"' if hints.quote is None else hints.quote
    delimiter = hints.delimiter or delimiter_of(text, quote, whole=len(sample) < SAMPLE_BYTES)
    return Dialect(encoding, delimiter, quote, bom, hints.header_row)


def encoding_of(path: Path, hints: ReaderHints, *, whole: bool = True) -> tuple[str, bool]:
    """The encoding of a text, declared or found, and whether a mark begins it; `Rejected` where a byte does not fit.

    Without `whole` no byte beyond the beginning is looked at.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    marked = next((name for mark, name in _MARKS if sample.startswith(mark)), None)
    encoding = _encoding(sample, marked, hints)
    if marked is not None and not encoding.startswith(marked):
        what = f"the text begins with the mark of {marked}, but {encoding} is declared"
        raise Rejected(
            what, [Finding("wrong_encoding", what, expected=encoding)], where=path.name, expected=encoding,
            next=f"deliver the file as {encoding}, or declare `reader.encoding: {marked}`",
        )  # fmt: skip
    if whole:
        _check_decodes(path, encoding, declared=hints.encoding is not None)
    return encoding, marked is not None


def to_utf8(path: Path, dialect: Dialect, into: Path) -> Path:
    """The file as UTF-8 without a mark: the same path when it already is, otherwise a copy at `into`."""
    if dialect.encoding == "utf-8" and not dialect.bom:
        with path.open("rb") as file:
            _refuse_nul(path, iter(lambda: file.read(CHUNK_BYTES), b""))
        return path
    decoder = codecs.getincrementaldecoder(dialect.encoding)("strict")
    target = into / f"{path.name}.utf8" if into.is_dir() else into
    begun = False
    with path.open("rb") as file, target.open("wb") as out:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            text = decoder.decode(chunk)
            out.write((text if begun else text.removeprefix(BOM)).encode("utf-8"))
            begun = begun or bool(text)
        out.write(decoder.decode(b"", final=True).encode("utf-8"))
    with target.open("rb") as file:
        _refuse_nul(path, iter(lambda: file.read(CHUNK_BYTES), b""))
    return target


def head(path_utf8: Path, dialect: Dialect, rows: int = 200) -> Grid:
    """The first records, enough to find the header."""
    return by_records(path_utf8, dialect, rows=rows)


def read(path_utf8: Path, dialect: Dialect, folder: Path | None = None) -> Grid:
    """Every record, read strictly: a quote out of place is an error, not a guess.

    `row` is the number of the record, which is the row that a spreadsheet program shows; a quoted cell with line
    breaks makes later lines of the file have higher numbers. With a `folder` the cells go to Arrow files there.
    """
    if path_utf8.stat().st_size >= BLOCKS_FROM_BYTES:
        from assay.readers import csv_blocks

        grid = csv_blocks.read(path_utf8, dialect, folder)
        if grid is not None:
            return grid
    return by_records(path_utf8, dialect, folder)


def by_records(path_utf8: Path, dialect: Dialect, folder: Path | None = None, rows: int | None = None) -> Grid:
    """`read` for any file, record by record; `rows` stops it early."""
    csv.field_size_limit(FIELD_LIMIT)
    builder = GridBuilder(folder=folder)
    done, taken = 0, []
    with path_utf8.open(encoding="utf-8", newline="") as file:
        reader = records(file, dialect)
        first = islice(reader, rows)
        step = _HEAD_ROWS
        try:
            while taken := _counted(first, step):
                _add(builder, taken, done + 1)
                done += len(taken)
                step = _step(taken)
        except _Broken as error:
            raise _malformed(path_utf8, dialect, done + error.record, reader.line_num, str(error)) from error
    return builder.build()


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


def _check_decodes(path: Path, encoding: str, *, declared: bool) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    done, lines = 0, 1
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeError as error:
                raise _undecodable(path, encoding, error, done - held, lines, declared) from error
            done += len(chunk)
            lines += chunk.count(b"\n")
    held = len(decoder.getstate()[0])
    try:
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise _undecodable(path, encoding, error, done - held, lines, declared) from error


def _undecodable(
    path: Path, encoding: str, error: UnicodeError, base: int, lines: int, declared: bool
) -> Rejected:
    start, around = 0, b""
    if isinstance(error, UnicodeDecodeError):
        start = error.start
        around = bytes(error.object)
        lines += around[:start].count(b"\n")
    found = around[start : start + 4].hex(" ")
    what = f"the text is not {encoding}: byte {base + start} (line {lines}) does not decode"
    finding = Finding(
        "wrong_encoding", what, expected=encoding, cells=(Cell(row=lines, found=f"bytes {found}" if found else None),)
    )
    proposal = _looks_like(around, start)
    step = "correct `reader.encoding`" if declared else "declare `reader.encoding`"
    return Rejected(
        what, [finding], where=path.name, expected=encoding,
        next=f"{proposal or step}, or deliver the file as UTF-8",
    )  # fmt: skip


def _looks_like(text: bytes, at: int) -> str | None:
    """A proposal, never taken by itself: what the place reads like in the commonest encoding of office programs."""
    if at >= len(text):
        return None
    first = max(text.rfind(b"\n", 0, at) + 1, at - 10)
    try:
        letter, around = text[at : at + 1].decode("cp1252"), text[first : at + 10].decode("cp1252")
    except UnicodeDecodeError:
        return None
    words = " ".join(around.split())
    return f'it looks like cp1252 ("{letter}" in "{words}"): if that is right declare `reader.encoding: cp1252`'


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


def delimiter_of(text: str, quote: str, *, whole: bool) -> str:
    """The candidate that gives the most records of one width above one; a comma when none does."""
    lines = text.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines.pop()
    best, best_score = ",", (0, 0)
    for candidate in DELIMITERS:
        widths: Counter[int] = Counter()
        try:
            for record in islice(csv.reader(lines, **format_of(candidate, quote, strict=False)), 200):
                widths[len(record)] += len(record) > 1
        except csv.Error:
            continue
        width, records = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if records and (records, width) > best_score:
            best, best_score = candidate, (records, width)
    return best


class _Broken(Exception):
    """A record cannot be read; `record` counts from 1 in its chunk."""

    def __init__(self, record: int, what: str) -> None:
        super().__init__(what)
        self.record = record


def _counted(records: Iterator[list[str]], most: int) -> list[list[str]]:
    taken: list[list[str]] = []
    try:
        taken.extend(islice(records, most))
    except csv.Error as error:
        # `extend` keeps what came before the error.
        raise _Broken(len(taken) + 1, str(error)) from error
    return taken


def _step(taken: list[list[str]]) -> int:
    """How many records to take next, so that a chunk of a wide file has no more cells than one of a narrow file."""
    widest = max(map(len, taken))
    return max(1, min(ROWS_PER_CHUNK, CELLS_PER_CHUNK // max(1, widest)))


def _add(builder: GridBuilder, records: list[list[str]], first: int) -> None:
    if len(records) <= _HEAD_ROWS:
        for number, record in enumerate(records, start=first):
            builder.add(number, record, [Kind.TEXT if cell else Kind.EMPTY for cell in record])
        return
    from assay.readers import columns

    pairs = [columns.delimited(column) for column in zip_longest(*records)]
    builder.add_columns(
        range(first, first + len(records)),
        pa.array(map(len, records), pa.int32()),
        [texts for texts, _ in pairs],
        [kinds for _, kinds in pairs],
    )


def _malformed(path: Path, dialect: Dialect, record: int, line: int, told: str) -> Rejected:
    what = f"record {record} (near line {line}) cannot be read: {told}"
    step = "correct the file and deliver it again"
    if dialect.quote and ("expected after" in told or "end of data" in told or "field limit" in told):
        step += f'; where {dialect.quote} is an ordinary character in this source, declare `reader.quote: ""`'
    return Rejected(what, [Finding("malformed_record", what, cells=(Cell(row=record),))], where=path.name, next=step)
