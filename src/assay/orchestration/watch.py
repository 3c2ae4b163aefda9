"""Notices files that arrive: the file system tells where it can, and everywhere somebody looks now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import watchfiles

from assay.orchestration.doors import Doors
from assay.orchestration.link import Place, configured, with_platform
from assay.orchestration.stop import Stop
from assay.pipelines.platform import Platform
from assay.zones.project import Pipeline, Project

log = logging.getLogger(__name__)

#: How often every folder is looked into although nothing was told, and those whose file system tells nothing.
RESCAN_SECONDS, POLL_SECONDS = 5.0, 0.5
#: How often new folders and a new configuration are looked for.
TURN_SECONDS = 0.5
#: How long several changes are gathered, and how still it has to be in between, in milliseconds.
GATHER_MS, STILL_MS = 100, 5
#: File systems whose changes by other machines the kernel does not hear of.
SILENT = frozenset({"9p", "afs", "ceph", "cifs", "fuse", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs", "vboxsf"})


def watch(place: Place, stop: Stop) -> None:
    """Watches until told to stop."""
    with_platform(place, stop, partial(_watch, stop=stop))


def watched(project: Project) -> list[Pipeline]:
    """The pipelines whose ingress folders are watched."""
    return [
        pipeline
        for zone in project.zones.values()
        for pipeline in zone.pipelines.values()
        if pipeline.triggers.arrival
    ]


def _watch(platform: Platform, stop: Stop) -> None:
    doors = Doors(platform, stop)
    doors.open()
    ears: Ears | None = None
    scanned = polled = float("-inf")
    try:
        while not stop.is_set():
            doors.check()
            now = configured(platform)
            pipelines = [] if now is None else watched(now.project)
            changed = now is not None and now is not platform
            if now is not None:
                platform = doors.platform = now
            told = {pipeline.ingress for pipeline in pipelines if _tells(pipeline.ingress, platform.project)}
            if ears is None or changed or ears.folders != told or ears.ended:
                if ears is not None:
                    ears.close()
                ears = Ears(frozenset(told), partial(_hear, doors, _by_folder(pipelines)))
                scanned = float("-inf")  # what came before anybody listened
            moment = time.monotonic()
            if moment - scanned >= RESCAN_SECONDS:
                doors.look(pipelines)
                scanned = moment
            elif moment - polled >= POLL_SECONDS:
                doors.look(one for one in pipelines if one.ingress not in told or ears.deaf)
                polled = moment
            stop.wait(TURN_SECONDS)
    finally:
        if ears is not None:
            ears.close()
        doors.close()


def _by_folder(pipelines: Iterable[Pipeline]) -> dict[Path, list[Pipeline]]:
    found: dict[Path, list[Pipeline]] = {}
    for pipeline in pipelines:
        found.setdefault(pipeline.ingress.resolve(), []).append(pipeline)
    return found


def _hear(doors: Doors, by_folder: dict[Path, list[Pipeline]], folders: set[Path]) -> None:
    doors.look(pipeline for folder in folders for pipeline in by_folder.get(folder, ()))


def _tells(folder: Path, project: Project) -> bool:
    """Whether the file system tells of changes in a folder."""
    return project.target.watch == "auto" and folder.is_dir() and _file_system(folder) not in SILENT


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder lies on; empty where the machine does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    resolved = f"{folder.resolve()}/"
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].rstrip("/") + "/"
        if resolved.startswith(point) and len(point) >= len(best):
            best, kind = point, after.split()[0].partition(".")[0]
    return kind


class Ears:
    """A thread that listens to folders and passes on those in which something changed."""

    def __init__(self, folders: frozenset[Path], told: Callable[[set[Path]], None]) -> None:
        self.folders = folders
        #: Whether nothing can be heard, so that somebody has to look.
        self.deaf = False
        self._told = told
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether it heard its last although nobody told it to leave: a folder went away."""
        return bool(self.folders) and not self.deaf and not self._thread.is_alive()

    def close(self) -> None:
        """Ends the thread."""
        self._leaving.set()
        self._thread.join()

    def _listen(self) -> None:
        if not self.folders:
            return
        try:
            for changes in watchfiles.watch(
                *(folder.resolve() for folder in self.folders), watch_filter=None, debounce=GATHER_MS, step=STILL_MS,
                stop_event=self._leaving, rust_timeout=1000, recursive=False, raise_interrupt=False,
            ):  # fmt: skip
                self._told({Path(path).parent for _, path in changes})
        except FileNotFoundError:
            return
        except OSError as error:  # the kernel's limit of watches, for one
            log.warning("the file system does not tell of changes (%s): folders are looked into instead", error)
            self.deaf = True
