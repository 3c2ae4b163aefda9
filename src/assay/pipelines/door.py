"""The door of people: an operation asks here for all that its row in the permission table needs.

Every answer, yes or no, is put on the audit chain: one entry for each resource that was asked about, and one for a
list of zones that were shown. The platform is handed out only after something was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assay.catalog import records
from assay.catalog.sight import Sight
from assay.errors import Denied, Misconfigured, NotFound, Rejected
from assay.pipelines.access import zones_changed
from assay.pipelines.platform import Platform
from assay.pipelines.progress import Regard
from assay.security import permissions, resources
from assay.security.decide import NO_CONTEXT, Context, Decision, decide, seen_classes
from assay.security.guard import reason, require
from assay.security.principals import Principal, User
from assay.security.resources import PLATFORM, Resource
from assay.stewardship.masking import ALL, Cells, masked_finding
from assay.stores.database import transaction

if TYPE_CHECKING:
    from assay.batch import Batch
    from assay.pipelines.arrivals import Misfit
    from assay.pipelines.run import Result
    from assay.security.world import World
    from assay.zones.project import Project


#: The operations that move data, and may stumble on it.
MOVING = frozenset({"ingest", "run", "review release", "replay", "rebuild", "withdraw"})


class Door:
    """One operation of one user, by its name in `permissions.COMMANDS`."""

    def __init__(self, platform: Platform, operation: str) -> None:
        self.operation = operation
        self.needs = permissions.COMMANDS[operation].needs
        self._platform = platform
        self._asked = False
        self._zones: set[str] = set()
        self._waiting: list[Callable[[], None]] | None = None

    @property
    def platform(self) -> Platform:
        """What the operation works with, once it has asked."""
        if not self._asked:
            raise RuntimeError(f"{self.operation} has asked for no permission")
        return self._platform

    @property
    def project(self) -> Project:
        """The project's files, which the user has."""
        return self._platform.project

    @property
    def user(self) -> User:
        """Who asks."""
        return self._platform.user

    @cached_property
    def world(self) -> World:
        """The world in which is decided."""
        return self._platform.in_force.world()

    # --- one thing ---------------------------------------------------------------------------------------------------

    def of_platform(self, *, record_later: bool = False) -> Platform:
        """Asks for what the operation needs of the platform; raises `Denied`.

        `record_later`: for an operation that examines the audit chain itself, a yes waits for `record`.
        """
        self._waiting = [] if record_later else None
        self._ask(PLATFORM)
        return self.platform

    def record(self) -> None:
        """Puts on the audit chain what waited."""
        waiting, self._waiting = self._waiting or [], None
        for write in waiting:
            write()

    def of_zone(self, zone: str) -> Platform:
        """Asks for what the operation needs of a zone; raises `Denied`."""
        self._ask(resources.zone(zone))
        return self.platform

    def of_dataset(self, zone: str, store: str, name: str) -> Platform:
        """Asks for what the operation needs of a dataset, by its store; raises `Denied`."""
        self._ask(resources.dataset(zone, store, name))
        return self.platform

    def dataset(self, zone: str, name: str, action: str | None = None) -> Platform:
        """Asks for a dataset by its name in SQL what the operation needs of it, or another action; raises `Denied`."""
        store, _, table = name.partition(".")
        resource = resources.dataset(zone, _store(store), table)
        if action is None:
            self._ask(resource)
        else:
            self.require(action, resource)
        return self.platform

    def applying(self) -> Platform:
        """Asks for all that the files at hand change: their zones, and the platform for assay.yaml and new zones.

        Raises `Denied`, also where nothing is changed and the user could change nothing.
        """
        changed = zones_changed(self._platform)
        if not changed.zones and not changed.platform:
            self.zones(refuse_none=True)
        standing = self.world.zones
        if changed.platform or changed.zones - standing.keys():
            self.require("operate", PLATFORM)
        for name in sorted(changed.zones & standing.keys()):
            self._ask(resources.zone(name))
        self._asked = True
        return self.platform

    def batch(self, number: int, *, store: str = "quarantine", four_eyes: bool = True) -> Batch:
        """The batch of that number, when all that the operation needs is allowed: of its zone, and of its source's
        dataset in `store`. Without `four_eyes` the operation is no approval, and he who delivered it may do it, too.

        Raises `Denied`; for a batch of a zone in which the user has no role what is raised for one that does not exist.
        """
        try:
            batch = records.batch(self._platform.connection, number)
        except NotFound:
            raise self._no_batch(number) from None
        moment = self.moment(batch) if four_eyes else replace(self.moment(batch), four_eyes=False)
        if not self._belongs_to(batch.zone):
            (action, *_) = (need.action for need in self.needs)
            decision = decide(self.world, self.user, action, resources.zone(batch.zone), moment)
            self._record(self.user, action, resources.zone(batch.zone), moment, decision, batch=number)
            raise self._no_batch(number)
        self._ask(resources.zone(batch.zone), moment, batch=number)
        self._ask(resources.dataset(batch.zone, store, batch.source), moment, batch=number)
        return batch

    def whole_file(self, number: int) -> Batch:
        """`batch` for one whose delivered file leaves as it is: all its cells must be such that the user sees them.

        Raises `Denied`.
        """
        batch = self.batch(number)
        hidden = self.cells_of(batch).hidden
        for one in sorted(hidden):
            dataset = resources.dataset(batch.zone, "readable", batch.source)
            moment = Context(held=batch.state == "held", field_class=one)
            self.require("see", dataset, moment)
        return batch

    def require(self, action: str, resource: Resource, context: Context = NO_CONTEXT) -> None:
        """Asks for one action more than the row names; raises `Denied`."""
        self._asked = True
        require(self.world, self.user, action, resource, context, record=self._record)

    def may(self, action: str, resource: Resource, context: Context = NO_CONTEXT) -> bool:
        """Whether an action is allowed, to show something or not; not on the audit chain."""
        return decide(self.world, self.user, action, resource, context).allowed

    def reads(self, zone: str, name: str) -> bool:
        """Whether the user may read a dataset, by its name in SQL."""
        store, _, table = name.partition(".")
        return self.may("read", resources.dataset(zone, _store(store), table))

    def may_decide(self, batch: Batch) -> bool:
        """Whether the user may decide on a batch."""
        return self.may("decide", resources.zone(batch.zone), self.moment(batch))

    # --- what is shown of many --------------------------------------------------------------------------------------

    def sight(self, only: str | None = None) -> Sight:
        """Whose batches the operation may show, of all zones or of one; raises `Denied` where one is named in vain."""
        (need,) = self.needs
        zones, own = set[str](), set[str]()
        for name in self._named(only):
            zone = resources.zone(name)
            if self.may(need.action, zone, Context(delivered_by_self=False)):
                zones.add(name)
            elif self.may(need.action, zone, Context(delivered_by_self=True)):
                own.add(name)
        self._listed(need.action, zones | own, only)
        return Sight(frozenset(zones), frozenset(own), self.user.name, self.may("operate", PLATFORM))

    def zones(self, only: str | None = None, *, refuse_none: bool = False) -> frozenset[str]:
        """The zones for which the operation's need is allowed, of all or of one.

        Raises `Denied` where one is named in vain, and with `refuse_none` where it is allowed for none.
        """
        (need,) = self.needs
        found = {name for name in self._named(only) if self.may(need.action, resources.zone(name))}
        self._listed(need.action, found, only)
        if refuse_none and not found and self.world.zones:
            raise Denied(
                f"{self.user} may not {need.action} in any zone", expected="a role in a zone",
                next="ask the owner of the zone",
            )  # fmt: skip
        return frozenset(found)

    # --- cells ------------------------------------------------------------------------------------------------------

    def cells(self, zone: str, store: str, name: str, *, held: bool | None = None) -> Cells:
        """Which cells of a dataset the user sees."""
        access = self.world.zones.get(zone)
        fields = {} if access is None else access.datasets.get((store, name), {})
        return Cells(fields, seen_classes(self.world, self.user, resources.dataset(zone, store, name), held=held))

    def shown(self, zone: str) -> Callable[[str], Cells]:
        """`cells` of the zone's datasets by their names in SQL: operational.expense_line."""

        def of(dataset: str) -> Cells:
            store, _, name = dataset.partition(".")
            return self.cells(zone, _store(store), name)

        return of

    def cells_of(self, batch: Batch, store: str = "readable") -> Cells:
        """Which cells of a batch the user sees: of one that he delivered, and may have back, all."""
        moment = self.moment(batch)
        if moment.delivered_by_self and self.may("return_file", resources.zone(batch.zone), moment):
            return ALL
        return self.cells(batch.zone, store, batch.source, held=moment.held)

    def regard(self, sight: Sight) -> Regard:
        """What the user may know of the batches in sight while they are on their way."""
        return Regard(sight, lambda zone, source: self.cells(zone, "readable", source))

    def masked_result(self, result: Result | Misfit) -> Result | Misfit:
        """What became of a file, without the cells that the user does not see."""
        from assay.pipelines.run import Result

        if not isinstance(result, Result) or not isinstance(result.error, Rejected):
            return result
        cells = self.cells_of(result.batch)
        if not cells.hidden:
            return result
        error = result.error
        findings = [masked_finding(one, cells) for one in error.findings]
        words = Rejected(
            "the contract refused the file", findings, where=error.where, next=error.next,
            rows_total=error.rows_total, rows_affected=error.rows_affected,
        )  # fmt: skip
        return replace(result, error=words)

    def told(self, error: Misconfigured) -> Misconfigured:
        """What went wrong while data was moved, without words that could quote a cell that the user does not see.

        SQL of the zone that does not run is a file to edit, and the engine says at which value it stumbled.
        """
        of_sql = (error.file or "").endswith((".sql", ".odcs.yaml"))
        if self.operation not in MOVING or not of_sql or not any(map(self._hides, self._zones)):
            return error
        words = "the zone's SQL did not run; why is not shown, for it may name cells that you may not see"
        return Misconfigured(words, file=error.file, line=error.line, next=error.next)

    def _hides(self, zone: str) -> bool:
        access = self.world.zones.get(zone)
        return access is not None and any(self.cells(zone, *place).hidden for place in access.datasets)

    def moment(self, batch: Batch) -> Context:
        """What decisions about a batch are told of it."""
        zone = self.project.zones.get(batch.zone)
        pipeline = zone.pipelines.get(batch.pipeline) if zone else None
        return Context(
            delivered_by_self=batch.delivered_by == self.user.name,
            held=batch.state == "held",
            four_eyes=pipeline.gate.four_eyes if pipeline else None,
        )

    # --- asking and recording ---------------------------------------------------------------------------------------

    def _ask(self, resource: Resource, context: Context = NO_CONTEXT, **about: Any) -> None:
        """Asks for every need of the operation that is about such a resource."""

        def record(principal: Principal, action: str, on: Resource, moment: Context, decision: Decision) -> None:
            self._record(principal, action, on, moment, decision, **about)

        self._zones |= {resource.zone} if resource.zone is not None else set()
        for need in self.needs:
            if need.resource == resource.type:
                require(self.world, self.user, need.action, resource, context, record=record)
                self._asked = True

    def _record(
        self, _: Principal, action: str, resource: Resource, __: Context, decision: Decision, **about: Any
    ) -> None:
        detail = {"command": self.operation, "policies": list(decision.policies), **about}
        if not decision.allowed:
            detail["why"] = reason(self.world, resource, decision)

        def write() -> None:
            with transaction(self._platform.connection) as tx:
                self._platform.record(
                    tx, action, f"{resource.type.lower()}/{resource}" if resource.zone else str(resource),
                    zone=resource.zone, outcome="allow" if decision.allowed else "deny", **detail,
                )  # fmt: skip

        if decision.allowed and self._waiting is not None:
            self._waiting.append(write)
        else:
            write()

    def _listed(self, action: str, shown: Iterable[str], only: str | None) -> None:
        """Records which zones a list shows; one that was named in vain is refused."""
        self._asked = True
        zones = sorted(shown)
        self._zones |= set(zones)
        if only is not None and not zones:
            require(self.world, self.user, action, resources.zone(only), record=self._record)
        if zones:
            with transaction(self._platform.connection) as tx:
                one = zones[0] if len(zones) == 1 else None
                self._platform.record(
                    tx, action, f"zone/{one}" if one else "zones", zone=one, outcome="allow",
                    command=self.operation, zones=zones,
                )  # fmt: skip

    def _named(self, only: str | None) -> Iterable[str]:
        return self.world.zones if only is None else [only]

    def _belongs_to(self, zone: str) -> bool:
        """Whether the user has any role in the zone, as far as his token reaches."""
        scope = self.user.scope.zones
        reached = scope is None or zone in scope
        auditor = "auditor" in self.world.platform_roles(self.user)
        return reached and (auditor or bool(self.world.zone_roles(self.user, zone)))

    def _no_batch(self, number: int) -> Denied | NotFound:
        if any(self._belongs_to(zone) for zone in self.world.zones):
            return NotFound(f"there is no batch {number}", next="assay batch list")
        return Denied(
            f"{self.user} has no role in any zone", expected="a role in the batch's zone",
            next="ask the owner of the zone",
        )  # fmt: skip


def _store(written: str) -> str:
    """The store that a name in SQL means: `staging` is the clean rows."""
    return "clean" if written == "staging" else written
