"""What decides at this moment: the configuration that was applied last, what is granted, and the world of both.

Every door asks here. Whoever edits the files gives himself no role and shows himself nothing until somebody who may
has applied them. The files at hand count before the first apply, and where what was applied was not kept or is not
read by this version of assay; and they name the administrators where what was applied names none, so that a platform
cannot be locked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.catalog import records, subscriptions
from assay.errors import Misconfigured, NotFound
from assay.pipelines.configurations import project_of
from assay.security.world import World, world_of
from assay.zones.project import version_of

if TYPE_CHECKING:
    from assay.stores.database import Connection
    from assay.zones.project import Project


@dataclass(frozen=True)
class _Made:
    """A world that was made, and of what."""

    project: Project
    stamp: tuple[int, int]
    world: World


class InForce:
    """The project and the world that decide on a platform.

    What stands is asked of PostgreSQL each time, so that an apply and a revocation count from the next question on;
    projects and worlds are made anew only when it has changed.
    """

    def __init__(self, connection: Connection, project: Project) -> None:
        self._connection = connection
        self._at_hand = project
        self._read: tuple[str, Project | None] | None = None
        self._alike: tuple[str, bool] | None = None
        #: One of the files at hand, and one of what was applied.
        self._made: tuple[_Made, ...] = ()

    def is_of(self, connection: Connection, project: Project) -> bool:
        """Whether it serves a platform with these files at hand; who acts there does not matter."""
        return self._at_hand is project and self._connection is connection

    def now(self) -> tuple[Project, World]:
        """The project and the world that decide now."""
        project = self.applied() or self._at_hand
        return project, self._deciding(project)

    def world(self) -> World:
        """The world that decides now; cheaper than `now` where the files at hand differ in nothing that decides."""
        return self._deciding(self.differing() or self._at_hand)

    def applied(self) -> Project | None:
        """The project that was applied last; None where none was, or it cannot be had any more."""
        version = records.applied_version(self._connection)
        return None if version is None else self._project(version)

    def differing(self) -> Project | None:
        """`applied`, and None also where the files at hand say the same about who may do what."""
        version = records.applied_version(self._connection)
        return None if version is None or self._says_the_same(version) else self._project(version)

    def granted(self, project: Project) -> World:
        """The world of a project with what is granted now; raises `Misconfigured` as `world_of`."""
        stamp = subscriptions.stamp(self._connection)
        for one in self._made:
            if one.project is project and one.stamp == stamp:
                return one.world
        found = subscriptions.granted(self._connection)
        world = world_of(project, found["zone"], found["user"])
        others = [one for one in self._made if one.project is not project]
        self._made = (_Made(project, stamp, world), *others[:1])
        return world

    def _deciding(self, project: Project) -> World:
        world = self.granted(project)
        if project is self._at_hand or self._names_administrators(project):
            return world
        return replace(world, administrators=self._at_hand.administrators)

    def _names_administrators(self, project: Project) -> bool:
        """Whether a project says who runs the platform: by name, or by a group where a login tells groups."""
        by_group = any("administrator" in group.platform for group in project.groups.values())
        return bool(project.administrators) or (by_group and self._at_hand.target.identity == "oidc")

    def _project(self, version: str) -> Project | None:
        """The project of a version; None where its files were not kept, or this version of assay refuses them."""
        if version == self._at_hand.version:
            return self._at_hand
        if self._read is None or self._read[0] != version:
            try:
                found = project_of(self._connection, self._at_hand, version)
                world_of(found)  # it refuses policies that reach too far
            except NotFound:
                return None
            except Misconfigured:
                found = None
            self._read = version, found
        return self._read[1]

    def _says_the_same(self, version: str) -> bool:
        """Whether the files at hand decide as those of a version do: a project is read in seconds where it is large."""
        if version == self._at_hand.version:
            return True
        if self._alike is None or self._alike[0] != version:
            files = records.configuration_files(self._connection, version)
            if files is None:
                return True  # there is nothing else that could count
            texts = self._at_hand.texts()
            # What lies there may be newer than what this process has read, and is then no help.
            as_read = version_of(texts) == self._at_hand.version
            self._alike = version, as_read and _deciding(files) == _deciding(texts)
        return self._alike[1]


def _deciding(files: dict[str, str]) -> dict[str, str]:
    """What of a project's files can matter for who may do what: all of them but the words of SQL."""
    return {name: "" if name.endswith(".sql") else text for name, text in files.items()}
