"""Housekeeping: small files put together, earlier states and orphaned files removed, retention, vacuum.

It runs beside loads and questions and keeps nobody waiting for long: what it changes, it prepares in the open and
commits in short transactions. Cut short anywhere, it leaves nothing half done, and the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.catalog import upkeep
from assay.errors import AssayError, Unavailable, Usage, nearest
from assay.pipelines.platform import Platform
from assay.pipelines.run import check_applied
from assay.pipelines.upkeep.compact import compact, crowded
from assay.pipelines.upkeep.expire import expire
from assay.pipelines.upkeep.orphans import orphans
from assay.pipelines.upkeep.retention import retention
from assay.pipelines.upkeep.scope import TASKS, Scope, Step, Task
from assay.pipelines.upkeep.vacuum import vacuum
from assay.stores.database import advisory_key, one

_TASKS: dict[Task, Callable[[Scope], Iterator[Step]]] = {
    "retention": retention,
    "compact": compact,
    "expire": expire,
    "orphans": orphans,
    "vacuum": vacuum,
}
_KEY = advisory_key("maintain")


@dataclass(frozen=True)
class Report:
    """What one run did, step by step; where `dry`, what it would have done."""

    steps: tuple[Step, ...]
    dry: bool

    @property
    def bytes_freed(self) -> int:
        """The bytes of all files that were removed."""
        return sum(step.bytes_freed or 0 for step in self.steps)

    @property
    def failed(self) -> bool:
        """Whether something could not be done."""
        return any(step.failed for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "dry_run": self.dry,
            "bytes_freed": self.bytes_freed,
            "failed": self.failed,
            "steps": [step.to_dict() for step in self.steps],
        }


def maintain(
    platform: Platform,
    *,
    only: Iterable[Task] = TASKS,
    zone: str | None = None,
    dry_run: bool = False,
    progress: Callable[[Task], None] | None = None,
) -> Report:
    """Does the tasks of housekeeping, for one zone or all; a task that fails is told in its step, and the next begins.

    Raises `Unavailable` where another process is at it, `Misconfigured` where the configuration was not applied,
    `Usage` for a zone that does not exist.
    """
    zones = platform.project.zones
    if zone is not None and zone not in zones:
        raise Usage(f"there is no zone {zone}", expected=nearest(zone, zones) or ", ".join(zones))
    wanted = set(only)
    scope = Scope(platform, zone, dry_run)
    chosen = [task for task in TASKS if task in wanted]
    if dry_run:
        return Report(tuple(_done(scope, chosen, progress)), dry=True)
    check_applied(platform)
    with _alone(platform):
        number = upkeep.begin(platform.connection, platform.actor)
        steps = tuple(_done(scope, chosen, progress))
        upkeep.finish(platform.connection, number, [step.to_dict() for step in steps])
    return Report(steps, dry=False)


def tidy(platform: Platform) -> tuple[Step, ...]:
    """Puts the small files of those tables together that recent batches have crowded, between the runs of housekeeping.

    Nothing where another process is at housekeeping.
    """
    places = crowded(platform)
    if not places:
        return ()
    try:
        with _alone(platform):
            return tuple(_done(Scope(platform, only=places), ["compact"], None))
    except Unavailable:
        return ()


def due(platform: Platform, scheduled: datetime) -> bool:
    """Whether housekeeping that was to begin at a moment has not begun since, or was cut short, and nobody is at it."""
    last = upkeep.last(platform.connection)
    if last is not None and last[0] >= scheduled and last[1]:
        return False
    if not one(platform.connection, "SELECT pg_try_advisory_lock(%s)", _KEY):
        return False
    platform.connection.execute("SELECT pg_advisory_unlock(%s)", (_KEY,))
    return True


def _done(scope: Scope, tasks: list[Task], progress: Callable[[Task], None] | None) -> Iterator[Step]:
    for task in tasks:
        if progress:
            progress(task)
        try:
            yield from _TASKS[task](scope)
        except (AssayError, OSError) as error:
            if scope.platform.connection.closed:
                raise
            yield Step(task, scope.zone or "all zones", f"failed: {_words(error)}", failed=True)


def _words(error: AssayError | OSError) -> str:
    return " ".join(str(error).split("\n"))


@contextmanager
def _alone(platform: Platform) -> Iterator[None]:
    """Keeps other housekeeping away; the lock ends with the session."""
    if not one(platform.connection, "SELECT pg_try_advisory_lock(%s)", _KEY):
        last = upkeep.last(platform.connection)
        since = f", since {last[0]:%Y-%m-%d %H:%M:%S}" if last else ""
        raise Unavailable(f"another process is at housekeeping{since}", next="wait until it has finished")
    try:
        yield
    finally:
        if not platform.connection.closed:
            platform.connection.execute("SELECT pg_advisory_unlock(%s)", (_KEY,))
