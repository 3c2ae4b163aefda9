"""Files that nothing leads to any more are removed, once nobody can be using them.

Two moments decide. A file is *loose* from when it was first seen that no table, and nobody who is at work, needs it:
from then on nobody can come to know it. It is removed when that is longer ago than the grace period and than the
beginning of everybody who reads or prepares now (`stores/lake_use.py`).
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import sql

from assay.batch import FINAL
from assay.catalog import upkeep
from assay.errors import AssayError, Misconfigured
from assay.pipelines.run import pipeline_key
from assay.pipelines.upkeep.scope import Scope, Step, zone_of
from assay.stores import data_folder
from assay.stores.database import advisory_key, execute, one, transaction
from assay.stores.iceberg import Iceberg, plain
from assay.stores.iceberg_upkeep import needed_files
from assay.stores.lake_schema import lake_places
from assay.stores.lake_use import used_since
from assay.stores.landing import keep_away
from assay.stores.scratch import sweep
from assay.stores.shadow import shadow_schema

#: A file's time is its machine's, a process's beginning is the database's: so far apart the two clocks may be.
CLOCKS = timedelta(minutes=10)


@dataclass(frozen=True)
class Found:
    """A file on disk."""

    path: str
    size_bytes: int
    modified: datetime


def orphans(scope: Scope) -> Iterator[Step]:
    """Removes what killed processes and earlier states of tables left behind, store by store.

    Raises `Misconfigured` where the data folder holds the files of another database too.
    """
    _check_folder(scope)
    for zone, folder in scope.folders("lake"):
        yield from _lake(scope, zone, folder)
    for zone, folder in scope.folders("landing"):
        yield from _landing(scope, zone, folder)
    yield from _shadows(scope)
    if scope.zone is None:
        yield from _configurations(scope)
        yield from _scratch(scope)


def _check_folder(scope: Scope) -> None:
    data, own = scope.platform.data, upkeep.identity(scope.platform.connection)
    if own is not None and not scope.dry:
        data_folder.claim(data, own)
    strange = data_folder.others(data, own)
    if strange:
        raise Misconfigured(
            f"the data folder holds the files of {len(strange)} other databases too: no file is removed",
            file=strange[0],
            expected="a data folder for each target of assay.yaml",
            next="give the targets folders of their own, or delete that file if its database is no more",
        )


def _lake(scope: Scope, zone: str, folder: Path) -> Iterator[Step]:
    connection = scope.platform.connection
    there = list(_files(folder))
    oldest = used_since(connection)  # before the tables are read: who is gone by now has committed, or never will
    needed = _needed(scope, zone, folder)
    loose = [file for file in there if file.path not in needed and not _perhaps_prepared(file, oldest)]
    yield from _sweep(scope, f"lake/{zone}", folder, loose)
    if not scope.dry:
        _remove_empty_folders(scope, zone, folder)


def _shadows(scope: Scope) -> Iterator[Step]:
    """Drops the tables that a killed withdrawal or rebuild was making anew; whoever is at one holds the pipeline."""
    for pipeline in scope.pipelines():
        schema = shadow_schema(pipeline.zone, pipeline.name)
        with transaction(scope.platform.connection) as tx:
            if not one(tx, "SELECT 1 FROM pg_namespace WHERE nspname = %s", schema):
                continue
            if not one(tx, "SELECT pg_try_advisory_xact_lock(%s)", pipeline_key(pipeline.zone, pipeline.name)):
                continue
            if not scope.dry:
                execute(tx, sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        words = f"tables that a killed withdrawal or rebuild left {'can be' if scope.dry else 'were'} dropped"
        yield Step("orphans", f"{pipeline.zone}/{pipeline.name}", words)


def _needed(scope: Scope, zone: str, folder: Path) -> set[str]:
    """The files that the zone's tables need.

    Raises `AssayError` where a table lies elsewhere: then the folder is not what it seems.
    """
    iceberg = Iceberg(scope.platform.connection, scope.platform.data)
    real: dict[str, str] = {}

    def resolved(path: str) -> str:
        parent, name = os.path.split(path)
        if parent not in real:
            real[parent] = os.path.realpath(parent)
        return os.path.join(real[parent], name)

    needed: set[str] = set()
    below = f"{folder.resolve()}/"
    for place, metadata in sorted(lake_places(scope.platform.connection).items()):
        if zone_of(place) != zone:
            continue
        # Not whether it was seen in the folder: it may have been written since.
        if not resolved(plain(metadata)).startswith(below):
            raise AssayError(
                f"the table {'.'.join(place)} does not lie where it should: no file of its zone is removed",
                where=plain(metadata),
                expected=f"a file below {scope.platform.data / 'lake' / zone}",
                next="assay doctor",
            )
        needed.update(resolved(path) for path in needed_files(iceberg, *place))
    return needed


def _perhaps_prepared(file: Found, oldest: datetime | None) -> bool:
    """Whether somebody who is at work now may have made the file and not committed it yet."""
    return oldest is not None and file.modified > oldest - CLOCKS


def _landing(scope: Scope, zone: str, folder: Path) -> Iterator[Step]:
    """Removes bytes that every batch gave up, and those that no batch ever knew."""
    connection = scope.platform.connection
    there = scope.platform.landing.inventory(zone)
    oldest = used_since(connection)
    known, given_up = upkeep.known_bytes(connection, zone), upkeep.given_up_bytes(connection, zone)
    unknown = {str(path): sha256 for sha256, files in there.landed.items() if sha256 not in known for path in files}
    strange = [found for path in (*map(str, there.strays), *unknown) for found in _found(path)]
    loose = [found for found in strange if not _perhaps_prepared(found, oldest)]
    yield from _sweep(scope, f"landing/{zone}", folder, loose, unknown)
    horizon = scope.horizon()
    due = [sha256 for sha256 in there.landed if sha256 in given_up and given_up[sha256] < horizon]
    freed = count = 0
    for sha256 in due:
        size = _size(there.landed[sha256]) if scope.dry else _remove_landed(scope, zone, sha256)
        freed, count = freed + size, count + bool(size)
    if count:
        words = f"{count:,} delivered files past their retention {'can be' if scope.dry else 'were'} removed"
        yield Step("orphans", f"landing/{zone}", words, len(there.landed), len(there.landed) - count, freed)


def _size(files: Iterable[Path]) -> int:
    return sum(found.size_bytes for path in files for found in _found(str(path)))


def _remove_landed(scope: Scope, zone: str, sha256: str) -> int:
    """Removes landed bytes unless somebody delivered them again; returns how many."""
    with transaction(scope.platform.connection) as tx:
        keep_away(tx, zone, sha256)
        return 0 if upkeep.bytes_needed(tx, zone, sha256) else scope.platform.landing.remove(zone, sha256)


def _sweep(
    scope: Scope, subject: str, folder: Path, loose: list[Found], landed: Mapping[str, str] | None = None
) -> Iterator[Step]:
    """Marks loose files, and removes those that have been loose for long enough.

    `landed` are those that belong to a landed file, by path, with the SHA-256 of its bytes.
    """
    connection = scope.platform.connection
    below, paths = f"{folder.resolve()}/", {file.path: file for file in loose}
    if not scope.dry:
        with transaction(connection) as tx:
            upkeep.mark_loose(tx, below, paths)
    due = [path for path in upkeep.loose_before(connection, below, scope.horizon()) if path in paths]
    if not scope.dry:
        for path in due:
            if landed and path in landed:
                _remove_landed(scope, folder.name, landed[path])
            else:
                Path(path).unlink(missing_ok=True)
        upkeep.forget_loose(connection, due)
    waiting = len(paths) - len(due)
    if not paths:
        return
    words = f"{len(due):,} files that nothing needs {'can be' if scope.dry else 'were'} removed"
    words += f", {waiting:,} more when their grace is over" if waiting else ""
    yield Step("orphans", subject, words, bytes_freed=sum(paths[path].size_bytes for path in due))


def _files(folder: Path) -> Iterator[Found]:
    for root, _, names in os.walk(folder.resolve()):
        for name in names:
            yield from _found(os.path.join(root, name))


def _found(path: str) -> Iterator[Found]:
    """The file, unless it is gone since its folder was read."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return
    yield Found(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _remove_empty_folders(scope: Scope, zone: str, folder: Path) -> None:
    """Removes the empty folders of tables that were dropped; `apply`, which makes folders, is kept away meanwhile."""
    with transaction(scope.platform.connection) as tx:
        if not one(tx, "SELECT pg_try_advisory_xact_lock(%s)", advisory_key("apply")):
            return
        iceberg = Iceberg(tx, scope.platform.data)
        kept = {iceberg.folder(*place).resolve() for place in lake_places(tx) if zone_of(place) == zone}
        for root, _, _ in os.walk(folder.resolve(), topdown=False):
            path = Path(root)
            if not any(path.is_relative_to(table) for table in kept) and not any(path.iterdir()):
                path.rmdir()


def _configurations(scope: Scope) -> Iterator[Step]:
    """Removes the folders of configurations that no batch goes on with; they can be written anew from the records."""
    root, connection = scope.platform.data / "configurations", scope.platform.connection
    past = upkeep.moment_before(connection, scope.platform.project.maintain.grace).timestamp()
    needed = upkeep.versions_needed(connection, FINAL)
    folders = sorted(root.iterdir()) if root.is_dir() else []
    due = [path for path in folders if path.name not in needed and path.stat().st_mtime < past]
    if not scope.dry:
        for path in due:
            gone = path.with_name(f".{secrets.token_hex(8)}")
            path.rename(gone)  # as a whole or not at all: who comes for it now writes it anew
            shutil.rmtree(gone)
    if due:
        words = f"{len(due):,} configurations that no batch needs {'can be' if scope.dry else 'were'} removed"
        yield Step("orphans", "configurations", words, len(folders), len(folders) - len(due))


def _scratch(scope: Scope) -> Iterator[Step]:
    root = scope.platform.data / "scratch"

    def folders() -> int:
        return sum(path.is_dir() for path in root.iterdir()) if root.is_dir() else 0

    before = folders()
    if not scope.dry:
        sweep(root)
    if before > folders():
        yield Step("orphans", "scratch", f"{before - folders():,} folders of dead processes were removed")
