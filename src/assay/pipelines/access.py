"""What the configuration would open and close, beside the one that was applied last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.catalog import records, subscriptions
from assay.errors import Misconfigured
from assay.security.world import world_of
from assay.stores.database import Connection
from assay.zones.project import load_project

if TYPE_CHECKING:
    from assay.security.diff import AccessChange
    from assay.security.world import World
    from assay.zones.project import Project

#: Only these files say who may do what, or which class a field has.
_SAY_WHO_MAY = ("assay.yaml", "zone.yaml", ".cedar", ".odcs.yaml")


def granted_world(tx: Connection, project: Project) -> World:
    """The world with the subscriptions that are granted at this moment.

    Whoever asks for it anew for each statement sees a revocation with the next one; it is made anew only when a
    subscription has changed.
    """
    global _made
    stamp = subscriptions.stamp(tx)
    kept = _made
    if kept is None or kept.project is not project or kept.stamp != stamp or kept.database != tx.info.dsn:
        world = world_of(project, subscriptions.granted(tx, "zone"), subscriptions.granted(tx, "user"))
        _made = kept = _Made(project, tx.info.dsn, stamp, world)
    return kept.world


@dataclass(frozen=True)
class _Made:
    """The world that was made last, and of what."""

    project: Project
    database: str
    stamp: tuple[int, int]
    world: World


_made: _Made | None = None


def access_changes(tx: Connection, project: Project, applied: str | None) -> tuple[AccessChange, ...]:
    """What the project's files open and close; nothing where no configuration was applied, or its files not kept."""
    files = None if applied in (None, project.version) else records.configuration_files(tx, str(applied))
    if files is None or _relevant(files) == _relevant(_files(project)):
        return ()
    before = _world(tx, files, project.target.name)
    if before is None:
        return ()
    from assay.security.diff import opened_and_closed

    return opened_and_closed(before, granted_world(tx, project))


def _relevant(files: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(_SAY_WHO_MAY)}


def _files(project: Project) -> dict[str, str]:
    return {str(path.relative_to(project.root)): path.read_text("utf-8") for path in project.files}


def _world(tx: Connection, files: dict[str, str], target: str) -> World | None:
    """The world of files that were applied; None where this version of assay does not read them any more."""
    project = project_of_files(files, target)
    try:
        return None if project is None else granted_world(tx, project)
    except Misconfigured:
        return None


def project_of_files(files: dict[str, str], target: str) -> Project | None:
    """The project of files that were applied; None where this version of assay does not read them any more."""
    with TemporaryDirectory(prefix="assay-") as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        try:
            return load_project(Path(folder), target)
        except Misconfigured:
            return None
