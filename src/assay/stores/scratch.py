"""Private folders for intermediate files: gone when their process is done with them, or with anything.

A process that is killed cannot tidy up; what it spilled may be as large as what it was working on. So each
folder has a lock beside it that its process holds, and whoever comes next removes the folders whose lock is free.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"


@contextmanager
def private_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root` for this process, removed afterwards; also removes what dead ones left."""
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    held, lock = _locked(root)
    folder = lock.with_suffix("")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder, lock)
        os.close(held)


def sweep(root: Path) -> None:
    """Removes the folders whose processes are gone."""
    for lock in root.glob(f"*{_LOCK}"):
        try:
            held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its process lives
        else:
            _remove(lock.with_suffix(""), lock)
        finally:
            os.close(held)


def _locked(root: Path) -> tuple[int, Path]:
    """A new lock file, held; another process may have swept it away before it was, then there is a next one."""
    while True:
        lock = root / f"{secrets.token_hex(8)}{_LOCK}"
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        if os.fstat(held).st_nlink:
            return held, lock
        os.close(held)


def _remove(folder: Path, lock: Path) -> None:
    """The lock goes last: a removal that is cut short is taken up again."""
    shutil.rmtree(folder, ignore_errors=True)
    lock.unlink(missing_ok=True)
