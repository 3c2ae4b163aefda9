"""The service: a crew of processes, started, looked after and ended by one that does nothing else.

Each worker is a process of its own: what breaks one leaves the others at work, and Python runs in all of them at the
same time. Libraries are loaded once, before the first is started, and their memory is shared.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection as waiting
from typing import Any

from assay import __version__
from assay.errors import Misconfigured
from assay.orchestration.duties import keep_time
from assay.orchestration.link import Place
from assay.orchestration.stop import Stop
from assay.orchestration.watch import watch, watched
from assay.orchestration.workers import work
from assay.pipelines import versions
from assay.pipelines.platform import Platform, opened, postgres_of
from assay.stores.database import server
from assay.zones.project import load_bare

log = logging.getLogger(__name__)

#: How long the crew may take to finish what it is doing when it is told to stop, in seconds.
GRACE_SECONDS = 20.0
#: The pause before one that ended is started again: the first, and the longest that it grows to, in seconds.
PAUSE_FIRST, PAUSE_MOST = 0.1, 30.0
#: One that lived so long ended for a new reason, in seconds.
SETTLED_SECONDS = 30.0

#: What a worker loads sooner or later.
LIBRARIES = (
    "pyiceberg.catalog.sql", "pyiceberg.expressions", "pyiceberg.io.pyarrow", "assay.segments.approve",
    "assay.segments.clean", "assay.segments.conform", "assay.segments.denormalize", "assay.catalog.migrate",
)  # fmt: skip

Task = Callable[[Place, Stop], None]


@dataclass(frozen=True)
class Crew:
    """Who is at work: how many workers, whether folders are watched, and how a process begins (its log)."""

    workers: int
    begin: Callable[[], None]


def serve(place: Place, crew: Crew, admit: Callable[[Platform], object]) -> None:
    """Runs the service until SIGTERM or SIGINT; returns when everyone has finished what they were doing.

    `admit` is asked before anything is started, and raises where the one who starts the service may not. Raises
    `Unavailable` where PostgreSQL cannot be reached at the start, `Misconfigured` where assay.yaml, or the
    configuration that was applied, cannot be used.
    """
    stop = Stop()
    stop.on_signals(signal.SIGTERM, signal.SIGINT)
    # While PostgreSQL starts; the thread is gone before the first process is forked.
    loading = threading.Thread(target=_load, name="libraries")
    loading.start()
    bare = load_bare(place.root, place.target)
    with server(postgres_of(bare), bare.target.data):  # keeps an embedded one running while nobody else does
        with opened(bare) as platform:
            admit(platform)
            _introduce(platform, crew)
        loading.join()
        posts = [Post(f"worker {number + 1}", work) for number in range(crew.workers)]
        posts += [Post("watch", watch), Post("clock", keep_time)]
        try:
            _look_after(posts, place, crew, stop)
        finally:
            _end(posts, stop)
    log.info("stopped")


def _load() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)


def _introduce(platform: Platform, crew: Crew) -> None:
    """Says what the service is for, and under which configuration."""
    present = versions.present(platform)
    project = platform.project
    log.info("assay %s: platform %s on target %s", __version__, project.name, project.target.name)
    if present is None:
        log.warning("no configuration is applied yet; the service goes on by itself once one is. Next: assay apply")
        return
    log.info("configuration %s is applied; %d workers", present.project.version, crew.workers)
    _compare(platform, present)
    for pipeline in watched(present.project):
        folder = pipeline.ingress
        shown = folder.relative_to(project.root) if folder.is_relative_to(project.root) else folder
        remark = "" if folder.is_dir() else " (the folder is not there yet)"
        log.info("%s/%s: watching %s%s", pipeline.zone, pipeline.name, shown, remark)


def _compare(platform: Platform, present: Platform) -> None:
    from assay.zones.project import load_project

    try:
        lying = load_project(platform.project.root, platform.project.target.name).version
    except Misconfigured as error:
        log.warning("the project's files have mistakes, and do not count until they are applied: %s", error.what)
        return
    if lying != present.project.version:
        log.warning("the project's files differ (%s) and do not count until they are applied. Next: assay plan", lying)


# --- the crew --------------------------------------------------------------------------------------------------

#: Forking shares the memory of the loaded libraries; elsewhere than on Linux a process that forks is not safe.
_CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "forkserver")


class Post:
    """One task of the crew and the process that has it at the moment."""

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self._task = task
        self._process: Any = None
        self._started = 0.0
        self._pause = PAUSE_FIRST
        self.due = 0.0

    def start(self, place: Place, crew: Crew) -> None:
        """Starts a process for the task."""
        self._process = _CONTEXT.Process(target=_task, args=(self._task, place, crew, self.name), name=self.name)
        self._process.start()
        self._started = time.monotonic()

    @property
    def sentinel(self) -> int | None:
        """What can be read from once the process has ended; None where there is none."""
        return None if self._process is None else int(self._process.sentinel)

    @property
    def alive(self) -> bool:
        """Whether there is a process at the moment."""
        return self._process is not None and self._process.is_alive()

    def ended(self) -> None:
        """Notes the end of the process; another one is due after a pause that grows from time to time."""
        code = self._process.exitcode
        if time.monotonic() - self._started > SETTLED_SECONDS:
            self._pause = PAUSE_FIRST
        self.due = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, PAUSE_MOST)
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        log.error("%s ended %s; another one takes its place", self.name, how)
        self._process.close()
        self._process = None

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        if self.alive:
            os.kill(self._process.pid, number)


def _look_after(posts: list[Post], place: Place, crew: Crew, stop: Stop) -> None:
    for post in posts:
        post.start(place, crew)
    log.info("ready")
    while not stop.is_set():
        for post in posts:
            if post.alive:
                continue
            if post.sentinel is not None:
                post.ended()
            if post.due <= time.monotonic():
                post.start(place, crew)
        stop.wait(0.5, beside=[post.sentinel for post in posts if post.sentinel is not None])


def _end(posts: list[Post], stop: Stop) -> None:
    """Tells everyone to finish, and ends those who do not."""
    log.info("stopping: what is under way is finished, or taken on by the next service")
    stop.set()
    for post in posts:
        post.tell(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := [post for post in posts if post.alive]) and time.monotonic() < deadline:
        waiting.wait([post.sentinel for post in left if post.sentinel is not None], timeout=0.5)
    for post in left:
        log.warning("%s did not end in time", post.name)
        post.tell(signal.SIGKILL)


def _task(task: Task, place: Place, crew: Crew, name: str) -> None:
    """The life of a process of the crew."""
    # A terminal's Ctrl-C reaches every process: the one that looks after the others tells them what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = Stop()
    stop.on_signals(signal.SIGTERM)
    threading.current_thread().name = name
    threading.Thread(target=_leave_with, args=(os.getppid(), stop), name="parent", daemon=True).start()
    crew.begin()
    task(place, stop)


def _leave_with(parent: int, stop: Stop) -> None:
    """Ends this process when the one that looks after it is gone."""
    while not stop.wait(1.0):
        if os.getppid() != parent:
            stop.set()
    time.sleep(GRACE_SECONDS)
    os._exit(1)
