"""The process that reads a file: a new one for each, in a process that works for long begun before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import assay

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
#: Address space counts against the memory limit, so the child's libraries must not reserve what they do not use.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}
#: Told to a process that is begun early: it loads what reads workbooks, which takes longer than a small one.
EARLY = "early"

_lock = threading.Lock()
_keeps = False
_next: subprocess.Popen[bytes] | None = None


def keep_ready() -> None:
    """From now on, once this process has read a file, the process that reads the next one is begun ahead.

    It has met no file, and waits for its request like any other; it ends with this process.
    """
    global _keeps
    _keeps = True


def answered(request: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Hands a request to a process of its own, and waits for its end.

    Raises `subprocess.TimeoutExpired` where that takes longer, and `OSError` where none can be started.
    """
    child = _take() or _begin()
    try:
        said, complaint = child.communicate(request, timeout=seconds)
    except BaseException:
        child.kill()
        child.communicate()
        raise
    finally:
        if _keeps:
            _prepare()
    return subprocess.CompletedProcess(child.args, child.returncode, said, complaint)


def _take() -> subprocess.Popen[bytes] | None:
    """The process that was begun ahead, unless it has ended meanwhile."""
    global _next
    with _lock:
        taken, _next = _next, None
    if taken is not None and taken.poll() is not None:
        taken.communicate()  # its pipes
        return None
    return taken


def _prepare() -> None:
    global _next
    with _lock:
        if _next is None:
            try:
                _next = _begin(EARLY)
            except OSError:
                return  # the next file says so, if it is still so


def _begin(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "assay.readers.child", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=True,  # a terminal's Ctrl-C is for us: it must not look like the file's fault
    )


def _environment() -> dict[str, str]:
    # The child needs no secrets of ours, and the file it reads may be hostile.
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    source = str(Path(assay.__file__).resolve().parent.parent)
    before = os.environ.get("PYTHONPATH")
    return {**kept, **_FRUGAL, "PYTHONPATH": os.pathsep.join([source, before] if before else [source])}
