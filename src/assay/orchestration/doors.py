"""Ingress folders, looked into when something happened there: one look at a time per pipeline, several side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.catalog import misfits
from assay.errors import AssayError, Unavailable
from assay.orchestration.stop import Stop
from assay.pipelines.arrivals import Known, Misfit, remember, strangers, take_in
from assay.pipelines.platform import Platform
from assay.stores import ingress
from assay.stores.database import connect, failures_as_ours
from assay.stores.objects import disk_failures_as_ours
from assay.zones.project import Pipeline

log = logging.getLogger(__name__)

#: How many folders are looked into side by side: a large file that is copied keeps nobody waiting.
HANDS = 2
#: After how long a folder is looked into again where a file may be complete at any moment, in seconds.
SOON_SECONDS = 0.25

Place = tuple[str, str]


@dataclass
class Doors:
    """Which pipelines' folders are to be looked into, and the threads that do it, on connections of their own."""

    platform: Platform
    stop: Stop
    _due: dict[Place, Pipeline] = field(default_factory=dict)
    _busy: set[Place] = field(default_factory=set)
    _known: dict[Place, Known] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _failed: list[BaseException] = field(default_factory=list)
    _closed: bool = False
    _hands: list[threading.Thread] = field(default_factory=list)

    def open(self) -> None:
        """Starts the threads."""
        for number in range(HANDS):
            hand = threading.Thread(target=self._work, name=f"hand {number + 1}", daemon=True)
            hand.start()
            self._hands.append(hand)

    def close(self) -> None:
        """Ends the threads; a file that is being taken in is taken in first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for hand in self._hands:
            hand.join()

    def look(self, pipelines: Iterable[Pipeline]) -> None:
        """Asks for a look into the folders of pipelines; what is asked for twice is done once."""
        with self._changed:
            self._due.update({(pipeline.zone, pipeline.name): pipeline for pipeline in pipelines})
            self._changed.notify_all()

    def check(self) -> None:
        """Raises what ended a thread."""
        if self._failed:
            raise self._failed[0]

    def _work(self) -> None:
        try:
            with (
                failures_as_ours(),
                disk_failures_as_ours(),
                connect(self.platform.url, autocommit=True) as connection,
            ):
                while (pipeline := self._next()) is not None:
                    again = look_into(replace(self.platform, connection=connection), pipeline, self._place(pipeline))
                    self._done(pipeline, again)
        except BaseException as error:  # noqa: BLE001 - told to the thread that watches
            self._failed.append(error)

    def _place(self, pipeline: Pipeline) -> Known:
        return self._known.setdefault((pipeline.zone, pipeline.name), {})

    def _next(self) -> Pipeline | None:
        with self._changed:
            while not self._closed:
                for place, pipeline in self._due.items():
                    if place not in self._busy:
                        del self._due[place]
                        self._busy.add(place)
                        return pipeline
                self._changed.wait()
            return None

    def _done(self, pipeline: Pipeline, again: bool) -> None:
        with self._changed:
            self._busy.discard((pipeline.zone, pipeline.name))
            self._changed.notify_all()
        if again:
            timer = threading.Timer(SOON_SECONDS, self.look, [[pipeline]])
            timer.daemon = True
            timer.start()


def look_into(platform: Platform, pipeline: Pipeline, known: Known) -> bool:
    """Takes in what waits for a pipeline; returns whether something there may be complete in a moment."""
    standing: set[Path] = set()
    try:
        for found in take_in(platform, pipeline, known):
            if isinstance(found, Misfit):
                standing.add(found.path)
                _tell(platform, found)
        for found in strangers(pipeline):
            standing.add(found.path)
            _tell(platform, found)
        misfits.keep_only(platform.connection, pipeline.zone, pipeline.name, standing)
        return ingress.unsettled(pipeline.ingress, pipeline.markers, known)
    except (AssayError, OSError) as error:
        if platform.connection.closed or not isinstance(error, OSError | Unavailable):
            raise
        # A folder that cannot be read now, such as one of a share that is away, is looked into again later.
        log.warning("%s cannot be looked into: %s", pipeline.ingress, error)
        return False


def _tell(platform: Platform, misfit: Misfit) -> None:
    if remember(platform, misfit):
        log.warning(
            "%s/%s: %s is not taken in: %s", misfit.zone, misfit.pipeline, misfit.path.name, misfit.error.what
        )
