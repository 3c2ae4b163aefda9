"""What stands when a question is asked: the configuration that was applied last, what was granted, and the world
that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.catalog import records, subscriptions
from assay.errors import Misconfigured, NotFound
from assay.pipelines.configurations import project_of
from assay.pipelines.platform import Platform
from assay.security.world import World, world_of

if TYPE_CHECKING:
    from assay.zones.project import Project

#: Publications by zone and name, with those to whom they are granted.
Granted = dict[tuple[str, str], frozenset[str]]


class InForce:
    """The project and the world that decide, looked up for each question and made anew when they have changed.

    Whoever edits the files shows himself nothing until somebody who may has applied them. Before the first apply, and
    where what was applied cannot be read any more, the files at hand count.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: tuple[tuple[str | None, Granted, Granted], Project, World] | None = None

    def now(self) -> tuple[Project, World]:
        """What stands now."""
        tx = self._platform.connection
        version = records.applied_version(tx)
        zones, users = subscriptions.granted(tx, "zone"), subscriptions.granted(tx, "user")
        stands = version, zones, users
        if self._known is None or self._known[0] != stands:
            project = self._applied(version)
            self._known = stands, project, world_of(project, zones, users)
        return self._known[1], self._known[2]

    def _applied(self, version: str | None) -> Project:
        if version is None:
            return self._platform.project
        try:
            return project_of(self._platform, version)
        except (NotFound, Misconfigured):
            return self._platform.project
