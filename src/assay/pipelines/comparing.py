"""The configuration beside what stands in the stores: what an apply would change, as values; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.catalog import records
from assay.errors import Misconfigured
from assay.pipelines import walls
from assay.security.world import world_of
from assay.stores.changes import Change, Remark
from assay.stores.database import Connection
from assay.stores.lake import LakeTable, analytical, clean, quarantine, readable
from assay.stores.lake_schema import Place, drop_lake_table, lake_changes, lake_places, lake_standing, lake_zones
from assay.stores.operational import load_order
from assay.stores.operational_schema import (
    RESERVED_ZONES,
    Standing,
    create_zone,
    drop_schema_steps,
    drop_table,
    drop_table_steps,
    foreign_keys_upon,
    table_changes,
    tables_standing,
    zones_standing,
)

if TYPE_CHECKING:
    from assay.security.diff import AccessChange
    from assay.zones.contract import Contract
    from assay.zones.project import Project, Zone

#: Names that mean something else in a zone's SQL: `name.published.x` must lead to a zone and nowhere else.
TAKEN_IN_SQL = frozenset({
    "batch", "staging", "readable", "clean", "quarantine", "operational", "analytical", "published", "landing",
    "ingress", "pg", "main", "memory", "system", "temp",
})  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What `apply` would do, in the order of zones; `applied` is the version of the configuration that stands.

    `access` is what would be opened and closed to whom; `remarks` say what of the configuration
    nothing is done about.
    """

    changes: tuple[Change, ...]
    version: str
    applied: str | None = None
    access: tuple[AccessChange, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def losing(self) -> tuple[str, ...]:
        """The words of the changes that take data away, each to be named explicitly."""
        return tuple(change.words for change in self.changes if change.effect == "lose")

    def within(self, zones: Set[str], *, platform: bool) -> Plan:
        """What of the plan concerns the zones, and with `platform` what concerns none."""
        return replace(
            self,
            changes=tuple(change for change in self.changes if change.zone in zones),
            access=tuple(one for one in self.access if (platform if one.zone is None else one.zone in zones)),
            remarks=tuple(one for one in self.remarks if one.zones & zones),
        )


def planned(tx: Connection, project: Project) -> Plan:
    """What a project would change in the stores, in the caller's transaction.

    Raises `Misconfigured` with every part of it that cannot be carried out, file and line.
    """
    from assay.pipelines.gate_check import check_gates
    from assay.pipelines.sql_check import check_sql, raise_all
    from assay.pipelines.telling.wording import check_templates

    applied = records.applied_version(tx)
    if applied != project.version:  # what was applied has been checked
        check_gates(project)
        check_sql(project)
        world_of(project)
        raise_all(list(check_templates(project)), "templates have a problem")
    schemas = zones_standing(tx)
    places = lake_places(tx)
    ours = {zone for zone, marked in schemas.items() if marked} | lake_zones(places)
    standing = tables_standing(tx, sorted({*ours, *project.zones}))
    comparing = _Comparing(tx, project, standing, places, schemas.keys() & ours)
    problems: list[Misconfigured] = []
    changes: list[Change] = walls.lacking(tx, project, [zone for zone, marked in schemas.items() if marked])
    for zone in project.zones.values():
        if zone.name in schemas and zone.name not in ours and any(place[0] == zone.name for place in standing):
            problems.append(_taken(zone, "the database has a schema of that name, which is not assay's"))
        elif zone.name in RESERVED_ZONES or zone.name.startswith("pg_"):
            problems.append(_taken(zone, "the database has a schema of that name for its own use"))
        elif zone.name in TAKEN_IN_SQL:
            problems.append(_taken(zone, "in SQL the name stands for something else"))
        else:
            if not schemas.get(zone.name):
                changes.append(create_zone(tx, zone.name))
            changes += comparing.zone(zone)
    changes += [comparing.removed(name) for name in sorted(ours - project.zones.keys())]
    raise_all([*problems, *comparing.problems], "parts of the configuration cannot be carried out")
    return Plan(tuple(changes), project.version, applied, remarks=tuple(_remarks(project)))


def _remarks(project: Project) -> Iterator[Remark]:
    """The words of service levels that nobody watches, by contract."""
    for zone in project.zones.values():
        contracts = [source.contract for source in zone.sources.values()]
        contracts += [table.contract for table in zone.operational.values()]
        contracts += [table.contract for table in zone.analytical.values()]
        for contract in contracts:
            if contract.unwatched:
                words = ", ".join(contract.unwatched)
                told = f"{contract.path.relative_to(project.root)}: of slaProperties, {words}: not watched"
                yield Remark(told, frozenset({zone.name}))


def _taken(zone: Zone, why: str) -> Misconfigured:
    return Misconfigured(
        f"the zone cannot be called {zone.name}: {why}",
        file=zone.path,
        expected="another name of the zone's folder",
    )


class _Comparing:
    """The configuration beside what stands, zone by zone; `problems` gathers what cannot be carried out."""

    def __init__(
        self,
        connection: Connection,
        project: Project,
        standing: dict[tuple[str, str], Standing],
        places: dict[Place, str],
        schemas: set[str],
    ) -> None:
        self._connection = connection
        self._project = project
        self._standing = standing
        self._places = places
        self._schemas = schemas
        self.problems: list[Misconfigured] = []

    def zone(self, zone: Zone) -> list[Change]:
        """Everything that must change in the stores of a zone."""
        return [*self._relational(zone), *self._lake(zone)]

    def removed(self, zone: str) -> Change:
        """A zone that the project no longer has: its tables in both stores and its schema, as one change."""
        tables = [(name, self._standing[z, name]) for z, name in self._standing if z == zone]
        lake = [self._dropped_lake(zone, place) for place in self._lake_places(zone)]
        steps = [step for name, there in tables for step in drop_table_steps(zone, name, there)]
        if zone in self._schemas:
            steps += drop_schema_steps(self._connection, zone)
        rows = [drop_table(self._connection, zone, name, there) for name, there in tables]
        held = ", ".join(f"{change.dataset} ({change.note})" for change in [*rows, *lake])
        return Change(
            zone,
            "",
            "lose",
            f"drop zone {zone}",
            tuple(steps),
            tuple(step for change in lake for step in change.lake),
            note=held or "it holds nothing",
        )

    def _relational(self, zone: Zone) -> list[Change]:
        from assay.pipelines import refresh

        tracked = refresh.tracked(self._project, zone)
        changes: list[Change] = []
        for table in load_order(zone.operational.values()):
            by = {
                column
                for source in zone.sources.values()
                if source.load.mode == "replace" and table.name in source.conform
                for column in source.load.by
            }
            columns = {field.name for field in table.contract.fields}
            indexes = {*tracked.get(table.name, ()), *(by if by <= columns else ())}
            found, problems = table_changes(
                self._connection, table, self._standing.get((zone.name, table.name)), indexes
            )
            changes += found
            self.problems += problems
        for place in sorted(self._standing):
            if place[0] == zone.name and place[1] not in zone.operational:
                changes.append(drop_table(self._connection, *place, self._standing[place]))
        return [*changes, *foreign_keys_upon(changes, zone.operational.values(), self._standing)]

    def _lake(self, zone: Zone) -> list[Change]:
        changes: list[Change] = []
        wanted = set()
        for table, contract in lake_tables(zone):
            wanted.add((table.namespace, table.name))
            place = self._places.get((table.namespace, table.name))
            there = None if place is None else lake_standing(place)
            found, problems = lake_changes(zone.name, table, contract, there)
            changes += found
            self.problems += problems
        dropped = [place for place in self._lake_places(zone.name) if place not in wanted]
        return [*changes, *(self._dropped_lake(zone.name, place) for place in dropped)]

    def _lake_places(self, zone: str) -> list[Place]:
        return sorted(place for place in self._places if place[0].startswith(zone + "."))

    def _dropped_lake(self, zone: str, place: Place) -> Change:
        return drop_lake_table(zone, place, lake_standing(self._places[place]))


def lake_tables(zone: Zone) -> Iterator[tuple[LakeTable, Contract]]:
    """The Iceberg tables of a zone, each with the contract that describes it."""
    for source in zone.sources.values():
        yield readable(source), source.contract
        yield quarantine(source), source.contract
        if source.cleans:
            yield clean(source), source.clean_contract or source.contract
    for table in zone.analytical.values():
        yield analytical(table), table.contract
