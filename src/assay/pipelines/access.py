"""Who may do what on a platform: by the configuration that was applied, and what that of now would open and close."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.catalog import records, subscriptions
from assay.errors import Misconfigured
from assay.security.world import world_of
from assay.stores.database import Connection, transaction
from assay.zones.project import load_project

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
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


def world_in_force(platform: Platform) -> World:
    """The world that decides on a platform: that of the configuration that was applied last, with what is granted now.

    Whoever edits the files gives himself no role until somebody who may has applied them. Before the first apply,
    and where what was applied cannot be read any more, the files at hand count; and they name the administrators
    where what was applied names none, so that a platform cannot be locked.
    """
    project = platform.project
    at_hand = granted_world(platform.connection, project)
    applied = records.applied_version(platform.connection)
    if applied is None or applied == project.version:
        return at_hand
    files = records.configuration_files(platform.connection, applied)
    if files is None or _relevant(files) == _relevant(_files(project)):
        return at_hand
    standing = _world(platform.connection, files, project.target.name)
    if standing is None:
        return at_hand
    return standing if standing.administrators else replace(standing, administrators=at_hand.administrators)


@dataclass(frozen=True)
class Changed:
    """What an apply would concern: zones, and whether anything beside them."""

    zones: frozenset[str]
    platform: bool


def zones_changed(platform: Platform) -> Changed:
    """What of the project differs from what was applied last, by its files and by the stores.

    Of the first apply assay.yaml is no change: there is nobody yet whom a configuration in force names.
    """
    from assay.pipelines.plan import planned

    project = platform.project
    with transaction(platform.connection) as tx:
        found = planned(tx, project)
        before = None if found.applied is None else records.configuration_files(tx, found.applied)
    now = _files(project)
    differing = {name for name in now.keys() | (before or {}).keys() if now.get(name) != (before or {}).get(name)}
    zones = {change.zone for change in found.changes}
    zones |= {parts[1] for name in differing if len(parts := name.split("/")) > 2 and parts[0] == "zones"}
    beside = any(not name.startswith("zones/") for name in differing)
    return Changed(frozenset(zones), before is not None and beside)


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
