"""plan and apply: what the configuration would change in the stores, and doing it in one transaction."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.catalog import events, records, upkeep
from assay.errors import Misconfigured, Unavailable
from assay.pipelines import walls
from assay.pipelines.platform import Platform
from assay.pipelines.published import concerned
from assay.pipelines.subscriptions import follow, record_changes
from assay.pipelines.telling.readers import register
from assay.pipelines.telling.tell import tell_at_the_end
from assay.security.world import world_of
from assay.stores.changes import Change, LakeStep, Remark
from assay.stores.data_folder import claim
from assay.stores.database import Connection, DatabaseFailed, execute, hold, transaction
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
from assay.zones.project import version_of

if TYPE_CHECKING:
    from assay.security.diff import AccessChange
    from assay.zones.contract import Contract
    from assay.zones.project import Project, Zone

#: Names that mean something else in a zone's SQL: `name.published.x` must lead to a zone and nowhere else.
TAKEN_IN_SQL = frozenset({
    "batch", "staging", "readable", "clean", "quarantine", "operational", "analytical", "published", "landing",
    "ingress", "pg", "main", "memory", "system", "temp",
})  # fmt: skip

#: How long `apply` waits for pipelines that are at work.
WAIT_SECONDS = 60


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


def plan(platform: Platform) -> Plan:
    """Computes the changes; nothing is changed.

    Raises `Misconfigured` with every part of the configuration that cannot be carried out, file and line.
    """
    from assay.pipelines.access import access_changes

    with transaction(platform.connection) as tx:
        found = _with_subscribers(platform, tx)
        return replace(found, access=access_changes(platform))


def apply(platform: Platform, *, allowed_losses: frozenset[str] = frozenset()) -> Plan:
    """Carries the plan out in one transaction and records the configuration's version.

    Raises `Misconfigured` when a change would lose data and is not among `allowed_losses`, `Unavailable` when a
    pipeline of the zones concerned is at work for longer than a minute.
    """
    folders: list[Path] = []
    project = platform.project
    with transaction(platform.connection) as tx:
        hold(tx, "apply", seconds=WAIT_SECONDS)
        found = _with_subscribers(platform, tx)
        _refuse_losses(found, allowed_losses)
        if _hold_pipelines(tx, platform.project, found):
            # What they did while we waited counts.
            found = _with_subscribers(platform, tx)
            _refuse_losses(found, allowed_losses)
        walls.prepare(tx)
        _carry_out(tx, platform.data, found, folders)
        asked = follow(platform, tx)
        walls.finish(tx, project)
        if found.applied != found.version:
            words = [change.words for change in found.changes]
            records.add_configuration(tx, found.version, platform.actor, words, _files_of(project))
            register(tx, project)
            events.add(tx, "applied", body={"version": found.version, "by": platform.actor, "changes": words})
        record_changes(platform, tx, asked)
        if found.changes or found.applied != found.version:
            platform.record(
                tx, "apply", f"configuration/{found.version}", zone=None, applied_before=found.applied,
                changes=len(found.changes), losing=list(found.losing),
            )  # fmt: skip
    identity = upkeep.identity(platform.connection)
    if identity is not None:
        claim(platform.data, identity)
    granted = [one for one in asked if one.state == "granted"]
    if granted:
        from assay.pipelines.grants import verify

        with suppress(Unavailable):  # what could not be tried now the service tries soon
            verify(platform, granted)
    if asked:
        tell_at_the_end(platform)
    for folder in folders:  # only now: until the commit a failure must find every file where it was
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _files_of(project: Project) -> dict[str, str]:
    """The files that are kept of what is applied; raises `Misconfigured` where they are not those that were read."""
    found = project.texts()
    if version_of(found) != project.version:
        raise Misconfigured(
            "the project's files were changed while they were applied", file=project.root,
            expected="the files that were checked", next="assay plan, then assay apply",
        )  # fmt: skip
    return found


def _with_subscribers(platform: Platform, tx: Connection) -> Plan:
    """What is planned, with what it means for subscribers; raises `Misconfigured` for what would break them."""
    from assay.pipelines.sql_check import raise_all

    found = planned(tx, platform.project)
    about = concerned(platform, tx, found.applied)
    raise_all(list(about.problems), "publications would break for their subscribers")
    return replace(found, changes=found.changes + about.dropped, remarks=found.remarks + about.remarks)


def _refuse_losses(found: Plan, allowed: frozenset[str]) -> None:
    refused = [words for words in found.losing if words not in allowed]
    if refused:
        strange = sorted(allowed - set(found.losing))
        named = " ".join(f'--allow "{words}"' for words in found.losing)
        raise Misconfigured(
            "this would lose data: " + "; ".join(refused)
            + (f" (nothing is called {', '.join(strange)})" if strange else ""),
            expected="the contract, column or zone back in the project, or its loss named",
            next=f"assay apply {named}",
        )


def _hold_pipelines(tx: Connection, project: Project, found: Plan) -> bool:
    """Waits until no pipeline of a zone concerned is at work; returns whether there was any to wait for.

    A batch on its way was prepared for the tables as they are.
    """
    concerned = {change.zone for change in found.changes if change.effect != "create"}
    for zone in sorted(concerned & project.zones.keys()):
        for pipeline in sorted(project.zones[zone].pipelines):
            try:
                hold(tx, "pipeline", zone, pipeline, seconds=WAIT_SECONDS)
            except Unavailable as error:
                raise Unavailable(
                    f"{zone}/{pipeline} is at work, and its tables are to change",
                    next="assay apply, when it has finished",
                ) from error
    return bool(concerned)


def _carry_out(tx: Connection, data: Path, found: Plan, folders: list[Path]) -> None:
    steps = sorted(
        ((step, change) for change in found.changes for step in change.steps), key=lambda pair: pair[0].phase
    )
    for step, change in steps:
        try:
            execute(tx, step.statement)
        except DatabaseFailed as error:
            raise DatabaseFailed(f"could not {change.words}: {error.what}", where=step.text) from error
    lake = [step for change in found.changes for step in change.lake]
    if lake:
        folders += _carry_out_lake(tx, data, lake)


def _carry_out_lake(tx: Connection, data: Path, steps: list[LakeStep]) -> set[Path]:
    """Changes the lake's catalog in the same transaction; returns the folders that nothing needs any more."""
    from assay.stores.iceberg import Iceberg

    iceberg = Iceberg(tx, data)
    gone: set[Path] = set()
    for step in steps:
        folder = iceberg.folder(step.namespace, step.name)
        if step.action == "drop":
            iceberg.drop(step.namespace, step.name)
            gone.add(folder)
        elif step.action == "drop_column":
            iceberg.drop_columns(step.namespace, step.name, [name for name, _ in step.columns])
        else:
            iceberg.ensure(step.namespace, step.name, step.columns)
            gone.discard(folder)
    return gone


def planned(tx: Connection, project: Project) -> Plan:
    """`plan` for a project, in the caller's transaction."""
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


