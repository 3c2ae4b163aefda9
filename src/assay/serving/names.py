"""What the names in a question stand for, for the one who asks: what he may not read is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from assay.engines.sql import Parts
from assay.engines.sql.gate import WrittenTable
from assay.errors import Denied, Usage, nearest
from assay.pipelines.names import STORES, TABLES, tables
from assay.security.principals import User
from assay.security.resources import PUBLISHED
from assay.security.world import World
from assay.serving.sight import Sight, sight_of

if TYPE_CHECKING:
    from assay.zones.project import Project

#: Questions that are answered from the contracts.
_DESCRIBE = re.compile(r"\s*desc(?:ribe)?\s+(?:table\s+)?([\w.\"]+)\s*;?\s*", re.IGNORECASE)
_SHOW = re.compile(r"\s*show\s+(?:all\s+)?tables\s*;?\s*", re.IGNORECASE)


class Names:
    """The names of one user; `zone` is where names without a zone are looked for, without it every zone of his."""

    def __init__(self, project: Project, world: World, user: User, zone: str | None = None) -> None:
        self._project = project
        self._world = world
        self._user = user
        self._zone = zone

    def place(self, parts: Parts) -> tuple[str | None, Sight | None]:
        """The zone that a name leads into, if there is one, and what he sees there; None for what is not for him.

        Raises `Usage` where it could be a table of several zones that he reads.
        """
        if len(parts) == 3:
            return self._known(parts[0]), self._sight(*parts)
        if len(parts) != 2 or parts[0] not in STORES:
            return None, None
        homes = sorted(self._world.zones_of(self._user)) if self._zone is None else [self._zone]
        found = [sight for home in homes if (sight := self._sight(home, *parts)) is not None]
        if len(found) > 1:
            raise Usage(
                f"several zones have {'.'.join(parts)}",
                expected=" or ".join(f"{one.zone.name}.{'.'.join(parts)}" for one in found), next="add --zone NAME",
            )  # fmt: skip
        return (found[0].zone.name, found[0]) if found else (self._known(self._zone), None)

    def refusal(self, table: WrittenTable) -> Denied:
        """What is said of a table that is not there or not for him: the same of both."""
        if "landing" in table.parts[:-1]:
            return Denied(
                "landing holds the delivered bytes, which nobody reads", where=str(table.place), expected=TABLES
            )
        known = [".".join(parts) for parts, _ in self.all()]
        short = [name.partition(".")[2] for name in known if f".{PUBLISHED}." not in name]
        return Denied(
            f"there is no table {table} that you may read", where=str(table.place),
            expected=nearest(str(table), [*known, *short]) or TABLES, next='assay sql "SHOW TABLES"',
        )  # fmt: skip

    def all(self) -> Iterator[tuple[Parts, Sight]]:
        """Every table that he reads, under its full name."""
        for home in sorted(self._world.zones_of(self._user)):
            if home in self._project.zones:
                for store in (*STORES, PUBLISHED):
                    for name in sorted(tables(self._project.zones[home], store)):
                        if (sight := self._sight(home, store, name)) is not None:
                            yield (home, store, name), sight
        mine = self._world.zones_of(self._user)
        for home, access in sorted(self._world.zones.items()):
            if home not in mine:
                for name in sorted(access.publications):
                    to_him = self._user.name in access.granted_users.get(name, ())
                    if to_him or access.granted.get(name, frozenset()) & mine:
                        if (sight := self._sight(home, PUBLISHED, name)) is not None:
                            yield (home, PUBLISHED, name), sight

    def _known(self, zone: str | None) -> str | None:
        return zone if zone in self._project.zones else None

    def _sight(self, zone: str, store: str, name: str) -> Sight | None:
        if zone not in self._project.zones or store not in (*STORES, PUBLISHED):
            return None
        return sight_of(self._world, self._user, self._project.zones[zone], store, name)


def described(statement: str) -> Parts | None:
    """The table that a DESCRIBE asks about; None for another statement."""
    found = _DESCRIBE.fullmatch(statement)
    return None if found is None else tuple(found[1].replace('"', "").lower().split("."))


def lists_tables(statement: str) -> bool:
    """Whether the statement is SHOW TABLES."""
    return _SHOW.fullmatch(statement) is not None
