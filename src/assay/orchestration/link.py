"""A platform for as long as a process lives: opened again whenever PostgreSQL was away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.errors import AssayError, Misconfigured, Unavailable
from assay.orchestration.stop import Stop
from assay.pipelines import versions
from assay.pipelines.platform import Platform, opened
from assay.zones.project import load_bare

log = logging.getLogger(__name__)

#: The pause before a platform is opened again: the first, and the longest that it grows to, in seconds.
PAUSE_FIRST, PAUSE_MOST = 0.1, 5.0


@dataclass(frozen=True)
class Place:
    """What a service is for: a project's folder and the name of a target."""

    root: Path
    target: str | None


def with_platform(place: Place, stop: Stop, work: Callable[[Platform], None]) -> None:
    """Calls `work` with an open platform until it is told to stop; after a failure that may pass, once more.

    The platform knows no zones: what was applied is asked for in the database, not read from files at work.
    """
    pause = PAUSE_FIRST
    while not stop.is_set():
        started = time.monotonic()
        try:
            with opened(load_bare(place.root, place.target)) as platform:
                work(platform)
        except (Unavailable, Misconfigured) as error:
            if stop.is_set():
                return
            if time.monotonic() - started > PAUSE_MOST:
                pause = PAUSE_FIRST
            log.warning("%s; trying again", _said(error))
            stop.wait(pause)
            pause = min(2 * pause, PAUSE_MOST)


def configured(platform: Platform) -> Platform | None:
    """The platform under the configuration that was applied last; None, with a word in the log, where none counts."""
    try:
        return versions.present(platform)
    except Misconfigured as error:
        log.error("the configuration that was applied cannot be used: %s", _said(error))
        return None


def _said(error: AssayError) -> str:
    return " ".join(str(error).split())
