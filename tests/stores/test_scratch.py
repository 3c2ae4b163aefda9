"""Intermediate files do not outlive the process that made them by long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import assay
from assay.stores.scratch import private_folder, sweep

SOURCES = str(Path(assay.__file__).parents[1])
WORKER = """
import sys
from pathlib import Path
from assay.stores.scratch import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "spill").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.read()
"""


def worker(root: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with private_folder(tmp_path) as one, private_folder(tmp_path) as other:
        assert one != other and one.stat().st_mode & 0o077 == 0
        (one / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_the_living_keep_theirs(tmp_path: Path) -> None:
    killed, left = worker(tmp_path)
    living, kept = worker(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "spill").exists()
        with private_folder(tmp_path):
            assert not left.exists()
            assert (kept / "spill").exists()
    finally:
        living.communicate(timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_cut_short_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "0123.lock").touch()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
