"""What stands when a question is asked: the configuration that was applied last, and the world that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.catalog import records
from assay.errors import Misconfigured, NotFound
from assay.pipelines.configurations import project_of
from assay.pipelines.platform import Platform
from assay.security.world import World, world_of

if TYPE_CHECKING:
    from assay.zones.project import Project


class InForce:
    """The project and the world that decide, looked up for each question and made anew when they have changed.

    Whoever edits the files shows himself nothing until somebody who may has applied them. Before the first apply, and
    where what was applied cannot be read any more, the files at hand count.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: tuple[str | None, Project, World] | None = None

    def now(self) -> tuple[Project, World]:
        """What stands now."""
        version = records.applied_version(self._platform.connection)
        if self._known is None or self._known[0] != version:
            project = self._applied(version)
            self._known = version, project, world_of(project)
        return self._known[1], self._known[2]

    def _applied(self, version: str | None) -> Project:
        if version is None:
            return self._platform.project
        try:
            return project_of(self._platform, version)
        except (NotFound, Misconfigured):
            return self._platform.project
