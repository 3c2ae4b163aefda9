"""Who sees what of a table: a decision as a value, and the SELECT that shows exactly that.

Cedar says whether a user reads a dataset and which classes of fields he sees; `access` in zone.yaml says which rows
his roles are shown and how columns are masked. Somebody with several roles sees, cell by cell, what each of them sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.engines.duckdb import quoted
from assay.engines.masks import masked
from assay.engines.sql import row_condition
from assay.pipelines.names import columns, tables
from assay.security.classes import FieldClass
from assay.security.decide import decide, seen_classes
from assay.security.principals import User
from assay.security.resources import PUBLISHED, Resource, dataset, publication
from assay.security.world import World
from assay.zones.masks import MASKS, Mask
from assay.zones.types import FieldType

if TYPE_CHECKING:
    from assay.zones.project import Zone

#: What assay adds to each row says where it came from and is no cell of the delivery; `_raw` is all of its cells.
_ADDED: Final = frozenset[FieldClass]({"internal"})
_RAW: Final = "_raw"
#: The number of a row in its file: beside rows that are not shown it would tell how many there are.
_ROW: Final = "_row"
#: How cells are masked that a user may not see, where nothing else is said.
UNSEEN: Final[Mask] = "redact"
#: What stands for the table in a SELECT.
SOURCE: Final = "source"


@dataclass(frozen=True)
class Column:
    """A column of a table, with the classes of its cells."""

    name: str
    type: FieldType
    classes: frozenset[FieldClass]


@dataclass(frozen=True)
class Part:
    """What one of a user's roles is shown: the rows that keep `rows` (all, without), with these columns masked."""

    rows: str | None
    masks: Mapping[str, Mask]


@dataclass(frozen=True)
class Sight:
    """What a user sees of a table that he may read.

    Cells that no part shows as they are show all the same in the batches that wait for a steward, if their column is
    in `seen_while_held`.
    """

    zone: Zone
    store: str
    name: str
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    seen_while_held: frozenset[str] = frozenset()

    @property
    def resource(self) -> Resource:
        """What was decided about."""
        return resource_of(self.zone.name, self.store, self.name)

    @cached_property
    def masked(self) -> tuple[str, ...]:
        """The columns of which some cells are masked."""
        named = {name for part in self.parts for name in part.masks}
        return tuple(one.name for one in self.columns if one.name in named)

    @cached_property
    def filtered(self) -> bool:
        """Whether some rows may not be shown."""
        return all(part.rows is not None for part in self.parts)

    @property
    def open(self) -> bool:
        """Whether every row and every cell of these columns is shown."""
        return not self.masked and not self.filtered

    def of(self, wanted: Callable[[str], bool]) -> Sight:
        """The same with those columns alone that are wanted, and at least one."""
        kept = tuple(one for one in self.columns if wanted(one.name)) or self.columns[:1]
        return replace(self, columns=kept)

    def needed(self) -> str:
        """The columns that the SELECT reads: a filter may read others than are shown."""
        return "*" if not self.open else ", ".join(quoted(one.name) for one in self.columns)

    def select(self, source: str, key: bytes, held: Iterable[int] = ()) -> str:
        """The SELECT over the rows of `source`, a relation; `held` are the batches that wait for a steward.

        Where something is hidden, the rows are in the order of what is shown: that in which they are kept could tell
        what is hidden.
        """
        shown = ", ".join(self._shown(one, key, tuple(held)) for one in self.columns)
        rows = "" if not self.filtered else f" WHERE {' OR '.join(_kept(part) for part in self.parts)}"
        order = "" if self.open else " ORDER BY ALL"
        return f"SELECT {shown} FROM {source} AS {SOURCE}{rows}{order}"

    def _shown(self, column: Column, key: bytes, held: tuple[int, ...]) -> str:
        name = quoted(column.name)
        how: dict[Mask | None, list[str]] = {}
        for part in self.parts:
            how.setdefault(part.masks.get(column.name), []).append(_kept(part))
        cases = [
            (name if mask is None else masked(column.name, column.type, mask, key), conditions)
            for mask in (None, *MASKS)
            if (conditions := how.get(mask))
        ]
        value = cases[-1][0]
        for shown, conditions in reversed(cases[:-1]):
            value = f"CASE WHEN {' OR '.join(conditions)} THEN {shown} ELSE {value} END"
        if column.name in self.seen_while_held and held and value != name:
            value = f"CASE WHEN _batch IN ({', '.join(map(str, held))}) THEN {name} ELSE {value} END"
        return name if value == name else f"{value} AS {name}"


def sight_of(world: World, user: User, zone: Zone, store: str, name: str) -> Sight | None:
    """What a user sees of a table of a zone, in SQL's words (`staging` is clean); None where he may not read it."""
    if name not in tables(zone, store):
        return None
    resource = resource_of(zone.name, store, name)
    if not decide(world, user, "read", resource).allowed:
        return None
    shown = columns_of(world, zone, store, name)
    seen = seen_classes(world, user, resource)
    held = seen_classes(world, user, resource, held=True) if any(one.name == "_batch" for one in shown) else seen
    return Sight(
        zone, store, name, shown, _parts(world, user, zone, store, name, shown, seen),
        frozenset(one.name for one in shown if not one.classes <= seen and one.classes <= held),
    )  # fmt: skip


def resource_of(zone: str, store: str, name: str) -> Resource:
    """The resource that a table of SQL is."""
    if store == PUBLISHED:
        return publication(zone, name)
    return dataset(zone, "clean" if store == "staging" else store, name)


def columns_of(world: World, zone: Zone, store: str, name: str) -> tuple[Column, ...]:
    """The columns of a table, in order, with their classes."""
    access = world.zones[zone.name]
    kept = "clean" if store == "staging" else store
    fields = access.publications[name] if store == PUBLISHED else access.datasets[kept, name]
    every = frozenset[FieldClass]().union(*fields.values(), _ADDED)
    return tuple(
        Column(one, kind, fields.get(one, every if one == _RAW else _ADDED)) for one, kind in columns(zone, store, name)
    )


def _parts(
    world: World, user: User, zone: Zone, store: str, name: str, shown: tuple[Column, ...],
    seen: frozenset[FieldClass],
) -> tuple[Part, ...]:  # fmt: skip
    """One part for each of the roles by which he reads the table, where `access` speaks of it; else one for all.

    A publication is one part: what its owner offers, masked as he masks it.
    """
    if store == PUBLISHED:
        offered = zone.publications[name]
        known = frozenset(column for column, _ in columns(zone, offered.store, offered.table))
        rows = _condition(offered.rows, zone.path, offered.line, known)
        return (Part(rows, {**_unseen(shown, seen), **offered.masks}),)
    said = {one.role: one for one in zone.access if (one.store, one.table) == (store, name)}
    roles = world.zone_roles(user, zone.name) if said else frozenset()
    if not roles & said.keys():
        return (Part(None, _unseen(shown, seen)),)
    worlds = {role: _alone(world, user, role, zone) for role in sorted(roles)}
    resource = resource_of(zone.name, store, name)
    reading = [role for role, made in worlds.items() if decide(made, _plain(user), "read", resource).allowed]
    parts = []
    for role in reading or worlds:
        masks = _unseen(shown, seen_classes(worlds[role], _plain(user), resource))
        rows = None
        if role in said:
            masks.update(said[role].masks)
            rows = _condition(said[role].rows, zone.path, said[role].line, frozenset(one.name for one in shown))
        if rows is not None:
            masks[_ROW] = "null"
        parts.append(Part(rows, masks))
    return tuple(parts)


@lru_cache(4096)
def _condition(rows: str | None, path: Path, line: int | None, known: frozenset[str]) -> str | None:
    return None if rows is None else row_condition(rows, known, path, line)


def _unseen(shown: tuple[Column, ...], seen: frozenset[FieldClass]) -> dict[str, Mask]:
    return {one.name: UNSEEN for one in shown if not one.classes <= seen}


def _alone(world: World, user: User, role: str, zone: Zone) -> World:
    """The world in which this is the user's only role."""
    return World({zone.name: replace(world.zones[zone.name], roles={role: frozenset({user.name})})})


def _plain(user: User) -> User:
    return User(user.name, scope=user.scope)


def _kept(part: Part) -> str:
    # A condition that fails for a row says nothing of it: the row is not shown.
    return "true" if part.rows is None else f"coalesce(TRY({part.rows}), false)"
