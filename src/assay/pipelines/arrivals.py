"""What waits in a pipeline's ingress folder, taken in file by file; what cannot be taken in stops nothing.

A file whose name no source or several sources expect, or whose name does not tell its period, is a misfit. A
misfit is kept on record until it is gone, changed or taken in, and told as an event once.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from assay.batch import Batch
from assay.catalog import misfits
from assay.errors import AssayError, NotFound
from assay.pipelines.landing import arrived, source_of, take, waiting_files
from assay.pipelines.order import source_order
from assay.pipelines.platform import Platform
from assay.stores import ingress
from assay.zones.project import Pipeline, Source

#: Files that need no question to the records: path → (size, modification time) as they were taken in.
Known = MutableMapping[Path, tuple[int, int]]


@dataclass(frozen=True)
class Misfit:
    """A file in an ingress folder that cannot become a batch, and why."""

    zone: str
    pipeline: str
    path: Path
    error: AssayError


@dataclass(frozen=True)
class Landed:
    """A file that became a batch, or was recognised as one that is there (`duplicate`)."""

    batch: Batch
    duplicate: bool


def take_in(platform: Platform, pipeline: Pipeline, known: Known | None = None) -> Iterator[Landed | Misfit]:
    """Takes in the complete files that wait for a pipeline, one after the other, and tells what became of each.

    Files whose rows others refer to go first; files of one source go by name. `known` spares a caller who looks
    again and again the question whether a file was delivered before.
    """
    known = {} if known is None else known
    waiting: list[tuple[int, str, Source, Path]] = []
    turns = source_order(pipeline)
    for path in waiting_files(pipeline, known):
        try:
            source = source_of(pipeline, path)
        except AssayError as error:
            yield Misfit(pipeline.zone, pipeline.name, path, error)
        else:
            waiting.append((turns.index(source.name), path.name, source, path))
    for _, _, source, path in sorted(waiting, key=lambda entry: entry[:2]):
        stamp = _stamp(path)
        try:
            taken = None if arrived(platform, path) else take(platform, source, path)
        except (FileNotFoundError, NotFound):
            continue  # whoever delivered it has taken it away again
        except AssayError as error:
            if platform.connection.closed:
                raise
            yield Misfit(pipeline.zone, pipeline.name, path, error)
            continue
        if stamp is not None:
            known[path] = stamp
        if taken is not None:
            yield Landed(*taken)


def strangers(pipeline: Pipeline) -> list[Misfit]:
    """The files in a pipeline's ingress folder that no source expects."""
    found = []
    for path in ingress.unexpected(pipeline.ingress, pipeline.markers):
        try:
            source_of(pipeline, path)
        except AssayError as error:
            found.append(Misfit(pipeline.zone, pipeline.name, path, error))
    return found


def remember(platform: Platform, misfit: Misfit) -> bool:
    """Keeps a misfit on record and tells of it; False where it is on record already, or gone."""
    stamp = _stamp(misfit.path)
    if stamp is None:
        return False
    return misfits.remember(platform.connection, misfit.zone, misfit.pipeline, misfit.path, stamp, misfit.error)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
