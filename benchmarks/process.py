"""One process measured: its wall time, and the most memory that it and its children held together."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Run:
    """What a process cost; `peak_bytes` counts memory shared between its processes more than once."""

    seconds: float
    peak_bytes: int
    output: str


def measure(command: list[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Run:
    """Runs a command to its end; raises `RuntimeError` with what it said when it fails."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=None if environment is None else dict(environment),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            now = [_memory(pid) for pid in _family(process.pid)]
            # The kernel's own high-water mark catches what one process held between two looks.
            peak[0] = max(peak[0], sum(held for held, _ in now), *(most for _, most in now))
            done.wait(SAMPLE_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} ... ended with {process.returncode}:\n{output}{errors}")
    return Run(seconds, peak[0], output)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))
    except OSError:
        return  # It ended while we looked.


def _memory(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, now and at most so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS:", "VmHWM:"))}
    return kilobytes.get("VmRSS:", 0) * 1024, kilobytes.get("VmHWM:", 0) * 1024
