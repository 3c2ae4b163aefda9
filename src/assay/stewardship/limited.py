"""Work on a hostile file in a child process with limits, so that it costs no more than that piece of work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import assay

if TYPE_CHECKING:
    from assay.readers.limits import Limits

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")


def run_limited(module: str, request: dict[str, Any], limits: Limits) -> str | None:
    """Runs a module of assay with a request; None where it succeeded, else why it did not, in words."""
    told = {**request, "memory_bytes": limits.memory_bytes, "wall_seconds": limits.wall_seconds}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module],
            input=json.dumps(told).encode(),
            capture_output=True,
            timeout=limits.wall_seconds,
            env=clean_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {limits.wall_seconds} seconds"
    except OSError as error:
        return f"the process for it cannot be started: {error}"
    if done.returncode == 0:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines and done.returncode > 0 else "it asked for too much time or memory"


def request_under_limits() -> dict[str, Any]:
    """In the child: takes the request from standard input and the limits upon itself."""
    import resource

    request: dict[str, Any] = json.load(sys.stdin)
    memory, seconds = int(request["memory_bytes"]), int(request["wall_seconds"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    return request


def clean_environment() -> dict[str, str]:
    """What a child process is told: nothing of our secrets, as what it works on may be hostile."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    source = str(Path(assay.__file__).resolve().parent.parent)
    before = os.environ.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": os.pathsep.join([source, before] if before else [source])}
