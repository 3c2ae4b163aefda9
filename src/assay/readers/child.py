"""The process that meets a hostile file: reads it under limits and leaves Arrow files for its parent.

Run for `limits.read_limited` as `python -m assay.readers.child`, with the request as JSON on standard input. It may be
begun before there is a request (`process.EARLY`), and ends where none comes.
"""

from __future__ import annotations

import errno
import gc
import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError, Misconfigured, Rejected
from assay.readers import detect
from assay.readers.answer import ANSWER, EXIT_DISK_FULL
from assay.readers.archive import Member
from assay.readers.cells import TooWide
from assay.readers.dialect import Dialect
from assay.readers.process import EARLY
from assay.readers.refusal import unreadable
from assay.zones.limits import Limits

if TYPE_CHECKING:
    from assay.readers.grid import Grid

#: What a grid may take on disk: a cell of a wide, empty file takes five times as much there as in its file.
DISK_FACTOR = 6
_INSTEAD = {
    "text": "text, not what `reader.format` declares",
    "empty": "empty",
}


#: What the disk says when it is full; a limit of the process (EFBIG) is the file's fault.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def main() -> int:
    """Read the requested file; whatever happens is told in the answer file, if the process lives to write it."""
    gc.disable()  # millions of cells make the collector busy, and what it could free ends with the process
    if EARLY in sys.argv[1:]:
        from assay.readers import archive, excel  # noqa: F401 - what takes longest to load
    asked = sys.stdin.read()
    if not asked:
        return 0
    request = json.loads(asked)
    limits = Limits(*request["limits"])
    _limit(limits)
    scratch = Path(request["scratch"])
    answer = json.dumps(_answer(request, limits, scratch))
    try:
        (scratch / ANSWER).write_text(answer, encoding="utf-8")
    except OSError as error:
        return EXIT_DISK_FULL if error.errno in DISK_FULL else 1
    return 0


def _limit(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.wall_seconds, limits.wall_seconds + 5))
    disk = limits.uncompressed_bytes * DISK_FACTOR
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))


def _answer(request: dict[str, Any], limits: Limits, scratch: Path) -> dict[str, Any]:
    hints = SimpleNamespace(
        **request["hints"],
        columns=[SimpleNamespace(name=name, start=start, width=width) for name, start, width in request["columns"]],
    )
    try:
        grids = list(_read(Path(request["path"]), request["name"], hints, limits, scratch))
        return {"grids": [_told(grid) for grid in grids]}
    except (Rejected, Misconfigured) as error:
        return {"error": error.to_dict()}
    except TooWide as error:
        return {"failed": str(error)}
    except MemoryError:
        return {"failed": f"the file needs more memory to read than the {limits.memory_bytes} bytes it may use"}
    except OSError as error:
        if error.errno in DISK_FULL:  # no fault of the file
            return {"disk": str(error.strerror)}
        return {"failed": f"the file cannot be read: {type(error).__name__}: {str(error)[:300]}"}
    except BaseException as error:  # noqa: BLE001 - the Excel parser's panic is not an Exception
        return {"failed": f"the file cannot be read: {type(error).__name__}: {str(error)[:300]}"}


def _read(path: Path, name: str, hints: Any, limits: Limits, scratch: Path) -> Iterator[Grid]:
    reader = detect.reader_of(path, hints, name)
    if reader == "gzip":
        from assay.readers import archive

        member = archive.unpack_gzip(path, name, scratch, limits)
        yield from _one(member, hints, limits, scratch)
    elif reader == "zip":
        from assay.readers import archive

        members = archive.unpack_zip(path, hints.member, scratch, limits)
        for member in members:
            for grid in _inside(path, member, hints, limits, scratch):
                yield grid if len(members) == 1 and not hints.member else _named(grid, member)
    else:
        yield from _one(Member(name, path), hints, limits, scratch)


def _inside(path: Path, member: Member, hints: Any, limits: Limits, scratch: Path) -> Iterator[Grid]:
    """A member's grids; an error in one says which member, and how to leave it out."""
    try:
        yield from _one(member, hints, limits, scratch)
    except AssayError as error:
        error.what = f"{member.name} in the archive: {error.what}"
        if isinstance(error, Rejected):
            error.findings = tuple(
                replace(finding, message=f"{member.name} in the archive: {finding.message}")
                for finding in error.findings
            )
        if not hints.member:
            error.next = f"{error.next or 'correct it'}; or name the data files in `reader.member`"
        raise
    finally:
        member.path.unlink(missing_ok=True)


def _named(grid: Grid, member: Member) -> Grid:
    sheet = member.name if grid.sheet is None else f"{member.name}!{grid.sheet}"
    return replace(grid, sheet=sheet, member=member.name)


def _one(member: Member, hints: Any, limits: Limits, scratch: Path) -> tuple[Grid, ...]:
    """The grids of a file that is no archive of files."""
    path = member.path
    reader = detect.reader_of(path, hints, member.name)
    if reader == "excel":
        return _excel(path, hints, limits, scratch)
    if reader == "parquet":
        from assay.readers import parquet

        _agree(path, hints, "parquet")
        return (parquet.read(path, scratch),)
    if reader in ("csv", "json", "jsonl", "fixed"):
        return (_text(path, reader, hints, scratch),)
    if reader in ("gzip", "zip"):
        raise unreadable(path, "there is an archive inside the archive", next="deliver the files in one archive")
    raise unreadable(
        path,
        f"the file is {_INSTEAD.get(reader, reader)}",
        expected="a workbook, delimited or fixed-width text, JSON or Parquet",
        next="open it in the program that made it, save it in one of these formats, and deliver it again",
    )


def _excel(path: Path, hints: Any, limits: Limits, scratch: Path) -> tuple[Grid, ...]:
    from assay.readers import archive, excel

    _agree(path, hints, "excel")
    if detect.form_of(path) != "xls":
        archive.check_workbook(path, limits)
    return excel.read(path, hints, scratch)


def _agree(path: Path, hints: Any, reader: str) -> None:
    if hints.format not in ("auto", None, reader):
        words = {"excel": "a workbook", "parquet": "a Parquet file"}[reader]
        raise unreadable(
            path,
            f"the file is {words}, but `reader.format` says {hints.format}",
            expected=hints.format,
            next="deliver the declared format, or change `reader.format`",
        )


def _text(path: Path, reader: str, hints: Any, scratch: Path) -> Grid:
    from assay.readers import csv

    into = scratch / "text.utf8"
    if reader == "csv":
        dialect = csv.detect(path, hints)
        return csv.read(csv.to_utf8(path, dialect, into), dialect, scratch)
    encoding, bom = csv.encoding_of(path, hints)
    text = csv.to_utf8(path, Dialect(encoding, "", "", bom), into)
    if reader == "fixed":
        from assay.readers import fixed

        return fixed.read(text, hints.columns, scratch)
    from assay.readers import json as json_reader

    if reader == "jsonl":
        return json_reader.read_lines(text, scratch)
    return json_reader.read(text, hints.records, scratch)


def _told(grid: Grid) -> dict[str, Any]:
    kept = asdict(replace(grid, table=None))
    del kept["table"]
    return kept


if __name__ == "__main__":
    sys.exit(main())
