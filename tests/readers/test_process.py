"""The process that reads a file is a new one each time, begun ahead where that is asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import Rejected
from assay.readers import process
from assay.readers.limits import Limits, read_limited
from assay.zones.model import ReaderHints


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(process, "_keeps", False)
    monkeypatch.setattr(process, "_next", None)
    process.keep_ready()
    yield
    if process._next is not None:
        process._next.kill()
        process._next.communicate()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    return path


def heights(file: Path, limits: Limits | None = None) -> list[int]:
    return [grid.height for grid in read_limited(file, ReaderHints(), file.parent / "scratch", limits)]


def waiting() -> int:
    assert process._next is not None
    return process._next.pid


def test_nothing_is_begun_ahead_unless_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_keeps", False)
    assert heights(file) == [2] and process._next is None


@pytest.mark.usefixtures("ready")
def test_each_file_is_read_by_a_process_of_its_own(file: Path) -> None:
    assert process._next is None, "before the first file there is none"
    seen = []
    for _ in range(3):
        assert heights(file) == [2]
        seen.append(waiting())
    assert len(set(seen)) == 3
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


@pytest.mark.usefixtures("ready")
def test_one_that_ended_while_it_waited_is_not_asked(file: Path) -> None:
    heights(file)
    os.kill(waiting(), signal.SIGKILL)
    assert process._next is not None
    process._next.wait()
    assert heights(file) == [2]


@pytest.mark.usefixtures("ready")
def test_the_limits_of_a_file_hold_for_the_process_begun_ahead(file: Path) -> None:
    heights(file)
    with pytest.raises(Rejected):
        heights(file, Limits(memory_bytes=1 << 20, wall_seconds=10))
    assert heights(file) == [2]


def test_it_ends_with_the_process_that_began_it(file: Path) -> None:
    program = (
        "import json, sys\nfrom pathlib import Path\nfrom assay.readers import process\n"
        "from assay.readers.limits import read_limited\nfrom assay.zones.model import ReaderHints\n"
        "process.keep_ready()\nread_limited(Path(sys.argv[1]), ReaderHints(), Path(sys.argv[1] + '.read'))\n"
        "print(json.dumps(process._next.pid), flush=True)\nsys.stdin.read()\n"
    )
    begun = subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert begun.stdout is not None
    pid = json.loads(begun.stdout.readline())
    assert running(pid)
    begun.kill()
    begun.communicate()
    deadline = time.monotonic() + 30
    while running(pid):
        assert time.monotonic() < deadline, "it outlives who began it"
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Whether a process is there and has not ended, though nobody may have asked for its end yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
