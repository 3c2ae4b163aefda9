"""What the clock does: each duty at its own pace, in a thread of its own with a connection of its own.

A duty runs in every service of a platform; what must happen once takes a lock in PostgreSQL.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from assay.errors import AssayError
from assay.orchestration.link import Place, configured, with_platform
from assay.orchestration.schedule import fall_due, keep_house
from assay.orchestration.stop import Stop
from assay.orchestration.triggers import fire
from assay.pipelines import freshness
from assay.pipelines.grants import verify_due
from assay.pipelines.maintain import tidy
from assay.pipelines.observe import words_of
from assay.pipelines.platform import Platform
from assay.pipelines.review import remind
from assay.pipelines.telling.tell import tell
from assay.security.checkpoints import vouch

log = logging.getLogger(__name__)


def _vouch(platform: Platform) -> None:
    """Signs the audit chain as far as it has come, whoever added to it."""
    vouch(platform.connection, platform.checkpoints, platform.project.target.keys)


@dataclass(frozen=True)
class Duty:
    """Something to do every so often, with the platform under the configuration that was applied last."""

    name: str
    every_seconds: float
    do: Callable[[Platform], object]


#: How long telling others may take at a time: a service that is told to end does not wait for a receiver.
TELL_SECONDS = 5.0

#: In no order: each goes its own way.
DUTIES: tuple[Duty, ...] = (
    Duty("schedules", 1.0, fall_due),
    Duty("triggers", 0.5, fire),
    Duty("reminders", 60.0, remind),
    Duty("freshness", 60.0, freshness.watch),
    Duty("messages", 1.0, partial(tell, seconds=TELL_SECONDS)),
    Duty("housekeeping", 30.0, keep_house),
    Duty("small files", 5.0, tidy),
    Duty("subscriptions", 60.0, verify_due),
    Duty("checkpoints", 60.0, _vouch),
)


def keep_time(place: Place, stop: Stop) -> None:
    """Does the duties until told to stop."""
    threads = [threading.Thread(target=_keep, args=(place, stop, duty), name=duty.name) for duty in DUTIES]
    for thread in threads:
        thread.start()
    stop.wait_on()
    for thread in threads:
        thread.join()


def _keep(place: Place, stop: Stop, duty: Duty) -> None:
    with_platform(place, stop, partial(_again_and_again, stop=stop, duty=duty))


def _again_and_again(platform: Platform, stop: Stop, duty: Duty) -> None:
    while not stop.is_set():
        now = configured(platform)
        if now is not None:
            platform = now
            try:
                duty.do(platform)
            except AssayError as error:
                if platform.connection.closed:
                    raise
                log.warning("%s: %s", duty.name, words_of(error))
        stop.wait(duty.every_seconds)
