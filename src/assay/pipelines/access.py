"""What the configuration would open and close, beside the one that was applied last."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.catalog import records
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


def access_changes(tx: Connection, project: Project, applied: str | None) -> tuple[AccessChange, ...]:
    """What the project's files open and close; nothing where no configuration was applied, or its files not kept."""
    files = None if applied in (None, project.version) else records.configuration_files(tx, str(applied))
    if files is None or _relevant(files) == _relevant(_files(project)):
        return ()
    before = _world(files, project.target.name)
    if before is None:
        return ()
    from assay.security.diff import opened_and_closed

    return opened_and_closed(before, world_of(project))


def _relevant(files: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(_SAY_WHO_MAY)}


def _files(project: Project) -> dict[str, str]:
    return {str(path.relative_to(project.root)): path.read_text("utf-8") for path in project.files}


def _world(files: dict[str, str], target: str) -> World | None:
    """The world of files that were applied; None where this version of assay does not read them any more."""
    with TemporaryDirectory(prefix="assay-") as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        try:
            return world_of(load_project(Path(folder), target))
        except Misconfigured:
            return None
