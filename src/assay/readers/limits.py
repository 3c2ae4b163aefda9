"""Reading in a child process with limits, so that a hostile file costs its own rejection and nothing more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import assay
from assay.errors import Rejected, Unavailable
from assay.findings import Finding
from assay.readers.excel import unreadable
from assay.readers.grid import Grid

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

ANSWER = "answer.json"
EXCEL_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".xlsb", ".xltx", ".xltm", ".xlt"})
_HINTS = ("format", "sheet", "header_row", "encoding", "delimiter", "quote")
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Limits:
    """What reading one delivery may cost."""

    memory_bytes: int = 3 << 30
    wall_seconds: int = 300
    uncompressed_bytes: int = 1 << 30
    ratio: float = 200.0


def format_of(path: Path, hints: ReaderHints) -> str:
    """`excel` or `csv`: declared, or by the suffix."""
    if hints.format != "auto":
        return str(hints.format)
    return "excel" if path.suffix.casefold() in EXCEL_SUFFIXES else "csv"


def read_limited(
    path: Path, hints: ReaderHints, scratch: Path, limits: Limits | None = None
) -> tuple[Grid, ...]:
    """The sheets of a file, read in a child process; a file that breaks the reader is `Rejected`.

    The result is mapped from Arrow files in a new folder under `scratch`, which must outlive the grids' use.
    """
    limits = limits or Limits()
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="read-", dir=scratch))
    request = {
        "path": str(path.resolve()),
        "scratch": str(folder.resolve()),
        "format": format_of(path, hints),
        "hints": {name: getattr(hints, name) for name in _HINTS},
        "memory_bytes": limits.memory_bytes,
        "wall_seconds": limits.wall_seconds,
        "uncompressed_bytes": limits.uncompressed_bytes,
        "ratio": limits.ratio,
    }
    _run(path, request, limits)
    return _result(path, folder)


def _run(path: Path, request: dict[str, Any], limits: Limits) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "assay.readers.child"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=limits.wall_seconds,
            env=_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise unreadable(path, f"reading took longer than {limits.wall_seconds} seconds") from error
    except OSError as error:
        raise Unavailable(f"the reading process cannot be started: {error}", where=path.name) from error
    if done.returncode != 0:
        raise unreadable(path, _died(done.returncode, done.stderr, limits))


def _environment() -> dict[str, str]:
    # The child needs no secrets of ours, and the file it reads may be hostile.
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    source = str(Path(assay.__file__).resolve().parent.parent)
    before = os.environ.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": os.pathsep.join([source, before] if before else [source])}


def _died(code: int, stderr: bytes, limits: Limits) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        if name in ("SIGXCPU", "SIGKILL"):
            return f"reading was stopped: too much time or memory ({name})"
        return f"the file broke its reader ({name}), most likely by asking for more than {limits.memory_bytes} bytes"
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return f"the file broke its reader: {lines[-1][:300] if lines else f'exit {code}'}"


def _result(path: Path, folder: Path) -> tuple[Grid, ...]:
    try:
        answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, "the reader ended without an answer") from error
    if "failed" in answer:
        raise unreadable(path, answer["failed"])
    if "rejected" in answer:
        told = answer["rejected"]
        raise Rejected(
            told["what"],
            [Finding.from_dict(finding) for finding in told["findings"]],
            where=told["where"],
            expected=told["expected"],
            next=told["next"],
        )
    return tuple(_grid(folder, kept) for kept in answer["grids"])


def _grid(folder: Path, kept: dict[str, Any]) -> Grid:
    with pa.memory_map(str(folder / kept["file"])) as source:
        return Grid(kept["sheet"], kept["hidden"], pa.ipc.open_file(source).read_all())
