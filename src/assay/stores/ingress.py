"""ingress: the folders outside the platform where files arrive, and which of them are complete.

A file that is still being written is never picked up: it has to lie still for a while, and where a source
declares a done-marker, the marker has to stand beside it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

#: Names that programs give to what they have not finished, or that only lock another file.
UNFINISHED_SUFFIXES = frozenset({".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".download", ".swp"})
IGNORED_PREFIXES = ("~$", ".~lock.", ".")

#: A file that lay still so long is complete; a younger one is looked at twice.
SETTLED_SECONDS = 2.0
OBSERVE_SECONDS = 0.2
#: How far apart the two looks are when the system says that no program has a file open to write in it.
OBSERVE_CLOSED_SECONDS = 0.05
#: A file that was touched within this time may be complete at any moment.
YOUNG_SECONDS = 60.0


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
    known: Mapping[Path, tuple[int, int]] = MappingProxyType({}),
    sleep: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """The complete files in a folder whose name fits a pattern, sorted by name; none where there is no folder.

    A file is complete when it did not change for `settled_seconds`, or else when two looks `observe_seconds` apart
    see the same size and times (0: younger files wait for the next call); or, where a done-marker is declared
    (for all patterns, or as the value of one), when `<name><marker>` or `<stem><marker>` stands beside it.
    A file that some program of this machine has open to write in it is not complete, however long it lies still.
    Markers themselves never wait; nor does what is `known` by its size and modification time (ns). `sleep` is how the
    time between two looks is spent.
    """
    markers = dict(patterns) if isinstance(patterns, Mapping) else dict.fromkeys(patterns, done_marker)
    fitting = {
        path: marker
        for path in _files(folder)
        if (marker := _fits(path, markers)) is not _NO_FIT and not _known(path, known)
    }
    marked = {path for path, marker in fitting.items() if marker is not None and _done(path, str(marker))}
    unmarked = [path for path, marker in fitting.items() if marker is None]
    return sorted(marked.union(_settled(unmarked, settled_seconds, observe_seconds, sleep)))


def unexpected(folder: Path, patterns: Mapping[str, str | None]) -> list[Path]:
    """The files in a folder that lie still and fit none of the patterns, sorted by name; markers are not among them."""
    strange = [path for path in _files(folder) if not _overlooked(path, patterns) and _fits(path, patterns) is _NO_FIT]
    return sorted(_settled(strange, SETTLED_SECONDS, 0, time.sleep))


def _files(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from folder.iterdir()


def _known(path: Path, known: Mapping[Path, tuple[int, int]]) -> bool:
    return path in known and (seen := _look(path)) is not None and known[path] == (seen.size_bytes, seen.modified_ns)


def unsettled(folder: Path, patterns: Mapping[str, str | None], known: Mapping[Path, tuple[int, int]]) -> bool:
    """Whether a file that fits a pattern and is not known has changed or been opened a short while ago."""
    now = time.time_ns()
    for path in _files(folder):
        if _fits(path, patterns) is None and not _known(path, known):
            seen = _look(path)
            if seen is not None and seen.age_seconds(now) < YOUNG_SECONDS:
                return True
    return False


_NO_FIT = object()


def _fits(path: Path, markers: Mapping[str, str | None]) -> object:
    """The done-marker of the pattern that a file's name fits, None where it has none."""
    if _overlooked(path, markers):
        return _NO_FIT
    return next((marker for pattern, marker in markers.items() if fnmatch.fnmatchcase(path.name, pattern)), _NO_FIT)


def _overlooked(path: Path, markers: Mapping[str, str | None]) -> bool:
    """Whether a name is that of nothing delivered: unfinished, a lock, a marker, a folder."""
    name = path.name
    return (
        name.startswith(IGNORED_PREFIXES)
        or path.suffix.casefold() in UNFINISHED_SUFFIXES
        or any(marker is not None and name.endswith(marker) for marker in markers.values())
        or not path.is_file()
    )


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
        return [path for path in old if not _open_for_writing(path)]
    closed = all(_open_for_writing(path) is False for path in young)
    sleep(min(observe_seconds, OBSERVE_CLOSED_SECONDS) if closed else observe_seconds)
    still = [*old, *(path for path, seen in young.items() if _look(path) == seen)]
    return [path for path in still if not _open_for_writing(path)]


def _open_for_writing(path: Path) -> bool | None:
    """Whether a program of this machine has the file open to write in it; None where the system cannot tell.

    Linux gives a lease for reading only when nobody has; it is handed back at once.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None  # gone, or not ours to read: whoever copies it says so
    try:
        # Who wants to write meanwhile is told by a signal; without this it would be one that ends the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    finally:
        os.close(descriptor)


def _look(path: Path) -> Seen | None:
    try:
        stat = path.stat()
    except OSError:
        return None  # gone since the folder was listed
    return Seen(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
