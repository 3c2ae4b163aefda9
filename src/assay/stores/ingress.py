"""ingress: the folders outside the platform where files arrive, and which of them are complete.

A file that is still being written is never picked up: it has to lie still for a while, and where a source
declares a done-marker, the marker has to stand beside it.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Names that programs give to what they have not finished, or that only lock another file.
UNFINISHED_SUFFIXES = frozenset({".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".download", ".swp"})
IGNORED_PREFIXES = ("~$", ".~lock.", ".")

#: A file that lay still so long is complete; a younger one is looked at twice.
SETTLED_SECONDS = 2.0
OBSERVE_SECONDS = 0.2


@dataclass(frozen=True)
class Seen:
    """A file's size and the time of its last change, of content or of place, when it was looked at."""

    size_bytes: int
    modified_ns: int
    changed_ns: int

    def age_seconds(self, now_ns: int) -> float:
        """How long it has lain still. A copy that keeps old times counts from its arrival."""
        return (now_ns - max(self.modified_ns, self.changed_ns)) / 1e9


def waiting(
    folder: Path,
    patterns: Mapping[str, str | None] | Iterable[str],
    *,
    settled_seconds: float = SETTLED_SECONDS,
    observe_seconds: float = OBSERVE_SECONDS,
    done_marker: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """The complete files in a folder whose name fits a pattern, sorted by name; none where there is no folder.

    A file is complete when it did not change for `settled_seconds`, or else when two looks `observe_seconds` apart
    see the same size and times (0: younger files wait for the next call); or, where a done-marker is declared
    (for all patterns, or as the value of one), when `<name><marker>` or `<stem><marker>` stands beside it.
    Markers themselves never wait. `sleep` is how the time between two looks is spent.
    """
    if not folder.is_dir():
        return []
    markers = dict(patterns) if isinstance(patterns, Mapping) else dict.fromkeys(patterns, done_marker)
    fitting = {path: marker for path in folder.iterdir() if (marker := _fits(path, markers)) is not _NO_FIT}
    marked = {path for path, marker in fitting.items() if marker is not None and _done(path, str(marker))}
    unmarked = [path for path, marker in fitting.items() if marker is None]
    return sorted(marked.union(_settled(unmarked, settled_seconds, observe_seconds, sleep)))


_NO_FIT = object()


def _fits(path: Path, markers: Mapping[str, str | None]) -> object:
    """The done-marker of the pattern that a file's name fits, None where it has none."""
    name = path.name
    if name.startswith(IGNORED_PREFIXES) or path.suffix.casefold() in UNFINISHED_SUFFIXES or not path.is_file():
        return _NO_FIT
    if any(marker is not None and name.endswith(marker) for marker in markers.values()):
        return _NO_FIT
    return next((marker for pattern, marker in markers.items() if fnmatch.fnmatchcase(name, pattern)), _NO_FIT)


def _done(path: Path, marker: str) -> bool:
    return path.with_name(path.name + marker).exists() or path.with_name(path.stem + marker).exists()


def _settled(
    paths: list[Path], settled_seconds: float, observe_seconds: float, sleep: Callable[[float], None]
) -> list[Path]:
    now = time.time_ns()
    looks = {path: seen for path in paths if (seen := _look(path)) is not None}
    old = [path for path, seen in looks.items() if seen.age_seconds(now) >= settled_seconds]
    young = {path: seen for path, seen in looks.items() if seen.age_seconds(now) < settled_seconds}
    if not young or observe_seconds <= 0:
        return old
    sleep(observe_seconds)
    return old + [path for path, seen in young.items() if _look(path) == seen]


def _look(path: Path) -> Seen | None:
    try:
        stat = path.stat()
    except OSError:
        return None  # gone since the folder was listed
    return Seen(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
