"""Reading in a child process with limits, so that a hostile file costs its own rejection and nothing more."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import Misconfigured, Rejected, Unavailable
from assay.findings import Finding
from assay.readers.answer import ANSWER, EXIT_DISK_FULL
from assay.readers.grid import Grid, joined, mapped
from assay.readers.process import answered
from assay.readers.refusal import unreadable
from assay.zones.limits import Limits

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

__all__ = ["Limits", "read_limited"]

#: The answer tells about sheets, never their cells: a longer one is the work of a hostile file.
ANSWER_BYTES = 64 << 20
#: Signals that no file can cause.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_HINTS = ("format", "encoding", "delimiter", "quote", "header_row", "member", "records")


def read_limited(
    path: Path, hints: ReaderHints, scratch: Path, limits: Limits | None = None, *, name: str | None = None
) -> tuple[Grid, ...]:
    """The sheets of a file of any format, read in a child process; a file that breaks the reader is `Rejected`.

    `name` is the name that the file was delivered under, when it stands under another one. Limits are the
    given ones, or those of the hints. The result is mapped from Arrow files in a new folder under `scratch`,
    which must outlive the grids' use.
    """
    limits = limits or hints.limits.value()
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="read-", dir=scratch))
    request = {
        "path": str(path.resolve()),
        "name": name or path.name,
        "scratch": str(folder.resolve()),
        "hints": {name: getattr(hints, name) for name in _HINTS},
        "columns": [[one.name, one.start, one.width] for one in hints.columns],
        "limits": [limits.memory_bytes, limits.wall_seconds, limits.uncompressed_bytes, limits.ratio],
    }
    shown = path.with_name(name) if name else path
    try:
        _run(shown, request, limits)
        return _result(shown, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run(path: Path, request: dict[str, Any], limits: Limits) -> None:
    try:
        done = answered(json.dumps(request).encode(), limits.wall_seconds)
    except subprocess.TimeoutExpired as error:
        raise unreadable(path, f"reading took longer than {limits.wall_seconds} seconds") from error
    except OSError as error:
        raise Unavailable(f"the reading process cannot be started: {error}", where=path.name) from error
    if done.returncode == EXIT_DISK_FULL:
        raise _disk_full(path)
    if -done.returncode in _FROM_OUTSIDE:
        # The limits of the process end it in other ways: this came from outside, most often for want of memory.
        raise Unavailable(
            "the process that reads the file was killed by the system", where=path.name,
            expected="enough free memory on the machine", next="free some memory and run the same command again",
        )  # fmt: skip
    if done.returncode != 0:
        raise unreadable(path, _died(done.returncode, done.stderr, limits))


def _died(code: int, stderr: bytes, limits: Limits) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        if name == "SIGXCPU":
            return f"reading took longer than {limits.wall_seconds} seconds of the processor"
        return (
            f"the file broke its reader ({name}), most likely by asking for more than the "
            f"{limits.memory_bytes} bytes that `reader.limits` gives it"
        )
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return f"the file broke its reader: {lines[-1][:300] if lines else f'exit {code}'}"


def _disk_full(path: Path) -> Unavailable:
    return Unavailable(
        "the disk is full", where=f"the scratch folder, while {path.name} was read",
        next="free some space and run the same command again",
    )  # fmt: skip


def _result(path: Path, folder: Path) -> tuple[Grid, ...]:
    file = folder / ANSWER
    try:
        if file.stat().st_size > ANSWER_BYTES:
            raise unreadable(path, "the workbook has too many merged or hidden cells")
        answer = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, "the reader ended without an answer") from error
    if "disk" in answer:
        raise _disk_full(path)
    if "failed" in answer:
        raise unreadable(path, answer["failed"])
    told = answer.get("error")
    if told is None:
        return tuple(_grid(folder, kept) for kept in answer["grids"])
    if told["error"] == "Misconfigured":
        raise Misconfigured(told["what"], expected=told["expected"], next=told["next"])
    raise Rejected(
        told["what"],
        [Finding.from_dict(finding) for finding in told["findings"]],
        where=path.name,
        expected=told["expected"],
        next=told["next"],
    )


def _grid(folder: Path, kept: dict[str, Any]) -> Grid:
    table = joined([mapped(folder / file) for file in kept["files"]])
    # JSON knows lists only; a grid's values are tuples.
    plain = {name: _frozen(value) for name, value in kept.items()}
    return Grid(**plain, table=table)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
