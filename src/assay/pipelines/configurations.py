"""The project as it was in a version that was applied: a batch is carried on, or done again, as it was then.

The files of every applied version are kept in PostgreSQL; here they become a folder again, below the target's data
folder, and the project that they were.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from assay.catalog import records
from assay.errors import Misconfigured, NotFound
from assay.pipelines.comparing import planned
from assay.stores.database import Connection, transaction
from assay.stores.objects import remove_folder, settle_folder
from assay.zones.project import Project, Target, load_project


def project_of(connection: Connection, project: Project, version: str) -> Project:
    """A project as it was in an applied version, on the target of now.

    Raises `NotFound` where the version was never applied, or was applied before files of versions were kept, and
    `Misconfigured` where this version of assay cannot read it.
    """
    if version == project.version:
        return project
    folder = project.target.data / "configurations" / version
    place = (folder, project.folder, project.target)
    known = _read.get(place)
    if known is not None and folder.exists():
        return known
    files = records.configuration_files(connection, version)
    if files is None:
        raise NotFound(
            f"there is no configuration {version} to go back to",
            expected="a version that was applied: " + ", ".join(records.configuration_versions(connection)),
        )
    if not _holds(folder, files):
        _write(folder, files)
    found = _loaded(folder, project.folder, project.target, version)
    _read[place] = found
    if len(_read) > _READ_MOST:
        _read.popitem(last=False)
    return found


def check_stores(connection: Connection, project: Project, zone: str) -> None:
    """Makes sure that the stores of a zone can take what a project writes.

    Raises `Misconfigured` with what the stores of now lack for it.
    """
    with transaction(connection) as tx:
        changes = planned(tx, project).changes
    lacking = [one.words for one in changes if one.zone == zone and one.effect != "lose"]
    if lacking:
        raise Misconfigured(
            f"the stores of {zone} are not as configuration {project.version} needs them: "
            + "; ".join(lacking[:5])
            + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""),
            next="leave out --as-of, or bring the contract back into the project and assay apply",
        )


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether the files lie in the folder as they were applied, and no others: what it says may give roles."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    return there.keys() == files.keys() and all(there[name].read_bytes() == files[name].encode() for name in files)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the files so that the folder is there as a whole or not at all; another one of the name goes."""
    gone = folder.with_name(f".{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        folder.rename(gone)
    remove_folder(gone)
    temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        for name, text in files.items():
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts:
                raise Misconfigured(f"{name} does not lie in the project", next="assay apply")
            path = temporary / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
        settle_folder(temporary, folder)
    finally:
        remove_folder(temporary)


#: The projects that this process has read, by folder, by where the project lies now, and by target.
_read: OrderedDict[tuple[Path, Path, Target], Project] = OrderedDict()
_READ_MOST = 32


def _loaded(folder: Path, root: Path, target: Target, version: str) -> Project:
    """The project of the folder; paths that lead out of it (ingress) lead from the project of now."""
    then = load_project(folder, target)
    zones = {
        name: replace(
            zone,
            pipelines={
                key: replace(pipeline, ingress=_moved(pipeline.ingress, folder.resolve(), root))
                for key, pipeline in zone.pipelines.items()
            },
        )
        for name, zone in then.zones.items()
    }
    return replace(then, zones=zones, version=version, home=root)


def _moved(path: Path, folder: Path, root: Path) -> Path:
    return root / path.relative_to(folder) if path.is_relative_to(folder) else path
