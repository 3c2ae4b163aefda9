"""Who reads the catalog's events on a platform: its project says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.catalog import events
from assay.stores.database import Connection

if TYPE_CHECKING:
    from assay.zones.project import Project

#: The reader that makes OpenLineage events, and the one that makes messages.
LINEAGE = "openlineage"
MESSAGES = "notifications"


def wanted(project: Project) -> dict[str, bool]:
    """Each reader, and whether the project asks for it."""
    notices = bool(project.notices) or any(zone.notices for zone in project.zones.values())
    return {LINEAGE: project.target.lineage is not None, MESSAGES: notices}


def register(connection: Connection, project: Project) -> None:
    """Lets the readers that the project asks for begin with what happens from now on, and forgets the others."""
    asked = wanted(project)
    events.forget(connection, [name for name, wish in asked.items() if not wish])
    events.begin(connection, [name for name, wish in asked.items() if wish])
