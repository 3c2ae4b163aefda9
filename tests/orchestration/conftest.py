"""A running service, as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import assay
from shop_project import TILL, Shop

SOURCES = str(Path(assay.__file__).parents[1])
#: Far more than anything here takes: a machine that does much else at the same time must not fail a test.
PATIENCE_SECONDS = 90.0


class Service:
    """`assay up` in a process of its own; what it says is gathered."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.said: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "assay.cli", "up", "--json", *options],
            cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": SOURCES},
        )  # fmt: skip
        self._thread = threading.Thread(target=self._gather, daemon=True)
        self._thread.start()

    def _gather(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line) if line.startswith("{") else {"message": line})

    def says(self, words: str) -> dict[str, Any]:
        """Waits until it says something."""
        return soon(lambda: next((line for line in self.said if words in line["message"]), None), self.text)

    def text(self) -> str:
        """All that it said."""
        return "\n".join(line["message"] for line in self.said)

    def crew(self) -> list[int]:
        """The processes that it started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill(self) -> None:
        """Ends it without a warning."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Tells it to end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_SECONDS)
        self._thread.join()
        return code


def soon(ask: Callable[[], Any], explain: Callable[[], str] = str) -> Any:
    """The first answer that is something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"it did not come:\n{explain()}")


@pytest.fixture
def start(shop: Shop) -> Iterator[Callable[..., Service]]:
    """Starts services of the shop; they are ended afterwards."""
    started: list[Service] = []

    def begin(*options: str) -> Service:
        started.append(Service(shop.root, *options))
        return started[-1]

    yield begin
    for service in started:
        for pid in service.crew() if service.process.poll() is None else ():
            os.kill(pid, signal.SIGCONT)
        service.end()


def deliver(shop: Shop, name: str, number: int = 1, folder: str = "ingress/shop/sales") -> Path:
    """Puts a file into an ingress folder: written elsewhere, then moved."""
    place = shop.root / folder
    place.mkdir(parents=True, exist_ok=True)
    part = shop.root / f"{name}.part"
    part.write_text("\n".join([TILL.splitlines()[0], f"{number},2025-01-03,tea,2.50,"]) + "\n")
    return part.rename(place / name)


def states(shop: Shop) -> dict[str, str]:
    """File name → state of its batch."""
    from assay.catalog import records

    with shop.opened() as platform:
        return {batch.file_name: batch.state for batch in records.batches(platform.connection)}
