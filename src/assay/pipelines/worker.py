"""A process at work: known to the others by name, alive as long as it says so."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from assay import __version__
from assay.catalog import queue
from assay.errors import AssayError
from assay.pipelines import observe
from assay.pipelines.platform import Platform
from assay.pipelines.telling.tell import tell_at_the_end
from assay.stores.database import connect

Kind = Literal["command", "service"]

#: How often a worker says that it is alive, in seconds: several times within the lease.
BEAT_SECONDS = queue.LEASE_SECONDS / 5


@dataclass(frozen=True)
class Worker:
    """One that claims batches; its name is unique, and at most 63 characters of ASCII."""

    name: str


@contextmanager
def at_work(platform: Platform, kind: Kind = "command") -> Iterator[Worker]:
    """Registers a worker that uses the platform's connection, and renews its leases from a thread until it leaves.

    A command tells at its end what happened; a service does so all the time.
    """
    observe.start(platform.project)
    host = socket.gethostname()
    worker = Worker(f"assay {host.encode('ascii', 'replace').decode()[:30]} {os.getpid()} {secrets.token_hex(4)}")
    queue.register(platform.connection, worker.name, kind, host, os.getpid(), platform.actor, __version__)
    leaving = threading.Event()
    thread = threading.Thread(target=_beat, args=(platform.url, worker, leaving), name="beat", daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        leaving.set()
        thread.join()
        if not platform.connection.closed:
            queue.resign(platform.connection, worker.name)
            if kind == "command":
                tell_at_the_end(platform)
        observe.flush()


def _beat(url: str, worker: Worker, leaving: threading.Event) -> None:
    """Renews until told to leave; while PostgreSQL is away the leases run out, and the fence keeps the order."""
    while not leaving.wait(BEAT_SECONDS):
        with suppress(AssayError), connect(url, autocommit=True) as connection:
            while True:
                queue.beat(connection, [worker.name])
                if leaving.wait(BEAT_SECONDS):
                    return
