"""A batch once more: what it would be under another configuration or from some segment on, and putting that in its
place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from assay.batch import MOVES, Batch
from assay.catalog import queue, records, upkeep
from assay.engines.duckdb import PARQUET, Engine, literal, quoted
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Rejected, Usage
from assay.findings import Finding
from assay.pipelines.configurations import check_stores
from assay.pipelines.difference import Difference, masked_differences, staging_difference
from assay.pipelines.handles import permit
from assay.pipelines.landing import Delivered, named_source, new_batch, period_of
from assay.pipelines.movement import denormalize_again
from assay.pipelines.platform import Platform
from assay.pipelines.review import BEYOND, gate_of
from assay.pipelines.run import Progress, Result, alone, check_applied, work_off
from assay.pipelines.trial import TableEffect, trial
from assay.pipelines.versions import under
from assay.pipelines.worker import at_work
from assay.security.principals import Segment
from assay.stewardship.masking import Cells, masked_finding
from assay.stewardship.verdict import verdict
from assay.stores.database import Connection, transaction
from assay.stores.draft import Draft
from assay.stores.lake import Lake, LakeTable, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Source

#: The segment with which a replay begins: what stands in the store before it is taken as it is.
Start = Literal["approve", "clean", "conform", "denormalize"]
STARTS: tuple[Start, ...] = get_args(Start)
#: The lines of a reconciliation that `approve` makes.
_APPROVED = ("delivered", "readable", "set aside by the contract")


@dataclass(frozen=True)
class Preview:
    """What a replay would do: its verdict (`Approved`, `Held` or `Rejected`), findings and differences by store.

    `effects` are what the rows would do to the canonical tables, where staging stays as it is.
    """

    batch: Batch
    verdict: str
    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...] = field(default=())
    effects: tuple[TableEffect, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "batch": self.batch.id,
            "verdict": self.verdict,
            "findings": [finding.to_dict() for finding in self.findings],
            "differences": [difference.to_dict() for difference in self.differences],
            "effects": [effect.to_dict() for effect in self.effects],
        }


def masked(found: Preview, own: Cells, cells: Callable[[str], Cells]) -> Preview:
    """What a replay would do, without cells that are not shown: `own` of the batch, `cells` by store.name."""
    return replace(
        found,
        findings=tuple(masked_finding(one, own) for one in found.findings),
        differences=masked_differences(found.differences, cells),
    )


def preview(
    platform: Platform, number: int, *, start: Start = "approve", version: str | None = None
) -> Preview:
    """Runs the segments of staging over what the batch has before them, for nobody to see.

    `version` is an applied configuration; that of now where it is left out. Raises `Usage` for a batch that cannot
    be replayed so.
    """
    batch, source, then = _replayable(platform, number, start, version)
    gate = gate_of(then, batch)
    if start in ("conform", "denormalize"):
        effects, refusal = trial(then, batch, source) if start == "conform" else ((), None)
        kept = tuple(finding for _, finding in records.findings(platform.connection, number))
        if refusal is not None:
            return Preview(batch, "Rejected", (Finding("key_violation", refusal),))
        decided = type(verdict(kept, gate)).__name__ if start == "conform" else "Approved"
        return Preview(batch, decided, kept, effects=effects)
    from assay.segments import approve
    from assay.segments import clean as cleaning
    from assay.stores.iceberg import Iceberg

    with platform.scratch() as scratch, transaction(platform.connection) as tx:
        draft, lake = Draft(scratch / "draft"), Iceberg(tx, platform.data)
        findings: list[Finding] = []
        with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
            try:
                if start == "approve":
                    permit(then.project, Segment(batch.zone, "approve"))
                    landed = platform.landed(batch, scratch)
                    approved = approve.prepare(batch, source, landed, engine, draft, scratch)
                    approved.commit(tx)
                    findings += approved.findings
                else:
                    for table, which in _carried(source, start):
                        _copy(engine, lake, draft, table, which, batch.id, batch.id)
                    findings += [found for segment, found in records.findings(tx, number) if segment == "approve"]
                permit(then.project, Segment(batch.zone, "clean"))
                cleaned = cleaning.prepare(batch, source, engine, draft, scratch)
                cleaned.commit(tx)
                findings += cleaned.findings
            except Rejected as error:
                return Preview(batch, "Rejected", error.findings)
            tables = {"readable": readable(source), "quarantine": quarantine(source)}
            if source.cleans:
                tables["clean"] = clean(source)
            differences = []
            for store, table in tables.items():
                before = lake.files(table.namespace, table.name, batch.id)
                after = draft.files(table.namespace, table.name)
                differences.append(staging_difference(engine, source, store, batch.id, before, after))
    found = tuple(findings)
    return Preview(batch, type(verdict(found, gate)).__name__, found, tuple(differences))


def replay(
    platform: Platform,
    number: int,
    progress: Progress | None = None,
    *,
    start: Start = "approve",
    version: str | None = None,
) -> Result:
    """Takes a batch through the pipeline again as a new batch, which takes its place at the end.

    Until the new batch is conformed the old one stands as it is; then its rows leave staging and, where the new
    one does not repeat them and the load mode lets them go, the canonical tables. A replay that was cut short is
    gone on with. From `denormalize` on nothing is replaced: what the batch touched is recomputed. Raises as `preview`.
    """
    check_applied(platform)
    going_on = under_way(platform, number)
    if going_on is not None:
        with at_work(platform) as worker:
            queue.take_up(platform.connection, number=going_on)
            return work_off(platform, worker, going_on, progress)
    batch, source, then = _replayable(platform, number, start, version)
    if start == "denormalize":
        with alone(platform, batch.zone, batch.pipeline):
            denormalize_again(then, batch)
        return Result(records.batch(platform.connection, number))
    with at_work(platform) as worker:
        return work_off(platform, worker, _begin(then, batch, source, start), progress)


def failed(platform: Platform, zone: str, pipeline: str | None) -> list[Batch]:
    """The batches of a zone or pipeline that went wrong and that nobody has refused or corrected: those that wait
    for a cause to be mended, and those that were rejected by a contract, a rule or a key."""
    return records.failed(platform.connection, zone, pipeline)


def again(platform: Platform, batch: Batch, progress: Progress | None = None) -> Result:
    """Tries a batch that went wrong once more, under the configuration of now."""
    if batch.state == "rejected":
        return replay(platform, batch.id, progress)
    with at_work(platform) as worker:
        queue.take_up(platform.connection, number=batch.id)
        return work_off(platform, worker, batch.id, progress)


def under_way(platform: Platform, number: int) -> int | None:
    """The replay of a batch that was begun and has not come to rest."""
    newer = records.replaced_by(platform.connection, number)
    if newer is None:
        return None
    batch = records.batch(platform.connection, newer)
    return newer if batch.origin == "replay" and batch.state in queue.MOVING else None


def _begin(platform: Platform, batch: Batch, source: Source, start: Start) -> int:
    """Records the new batch, with what it takes over of the old one; returns its number."""
    with transaction(platform.connection) as tx:
        records.lock_batch(tx, batch.id, batch.state)
        new = new_batch(
            platform,
            tx,
            source,
            Delivered(batch.file_name, batch.size_bytes, batch.sha256),
            period_of(source, batch.file_name) if start == "approve" else batch.period,
            replaces=batch.id,
            replay={"replay_of": batch.id, "from": start},
        )
        if start != "approve":
            _take_over(platform, tx, batch, new, source, start)
        platform.record(
            tx, "replay", f"batch/{batch.id}", zone=batch.zone, new_batch=new, sha256=batch.sha256, begins_with=start,
            configuration=platform.project.version,
        )  # fmt: skip
    return new


def _take_over(platform: Platform, tx: Connection, old: Batch, new: int, source: Source, start: Start) -> None:
    """Gives a new batch the staged rows and the records of the segments that it does not go through again."""
    from assay.stores.iceberg import Iceberg

    lake = Iceberg(tx, platform.data)
    with platform.scratch() as scratch, engine_connect(scratch) as engine:
        for table, which in _carried(source, start):
            _copy(engine, lake, lake, table, which, old.id, new)
    segments = ("approve",) if start == "clean" else ("approve", "clean")
    for run in records.runs(tx, old.id):
        if run["segment"] in segments:
            records.add_run(tx, new, run["segment"], "done", 0.0, {**run["detail"], "taken_over_from": old.id})
    for segment, finding in records.findings(tx, old.id):
        if segment in segments:
            records.add_findings(tx, new, segment, [finding])
    for tally in records.tallies(tx, old.id):
        if tally.store in _APPROVED or (start == "conform" and not tally.store.startswith("operational.")):
            records.add_tally(tx, new, tally)
    profile = records.profile(tx, old.id)
    if profile is not None:
        records.add_profile(tx, new, profile)
    records.move(tx, new, "landed", "readable")
    if start == "conform":
        records.move(tx, new, "readable", "clean")


def _carried(source: Source, start: Start) -> Iterable[tuple[LakeTable, str]]:
    """The staging tables whose rows (those of the condition) a replay that begins at `start` takes as they are."""
    yield readable(source), "true"
    yield quarantine(source), "_segment = 'approve'" if start == "clean" else "true"
    if start == "conform" and source.cleans:
        yield clean(source), "true"


def _copy(engine: Engine, lake: Lake, into: Lake, table: LakeTable, which: str, old: int, new: int) -> None:
    """Puts the rows of a batch in a table once more, as those of another batch."""
    from assay.segments.relations import file_rows

    files = lake.files(table.namespace, table.name, old)
    if not files:
        return
    file = into.new_file(table.namespace, table.name, f"{new}-replay")
    columns = ", ".join(
        f"CAST({new} AS BIGINT) AS _batch" if name == "_batch" else quoted(name) for name, _ in table.columns
    )
    engine.run(
        f"COPY (SELECT {columns} FROM {file_rows(table, files)} WHERE _batch = {old} AND ({which})) "
        f"TO {literal(str(file))} ({PARQUET})"
    )
    into.put(table.namespace, table.name, [file])


def _replayable(
    platform: Platform, number: int, start: Start, version: str | None
) -> tuple[Batch, Source, Platform]:
    """The batch, and its source and the platform in the configuration asked for."""
    batch = records.batch(platform.connection, number)
    then = platform if version is None else under(platform, version)
    if then is not platform:
        check_stores(then.connection, then.project, batch.zone)
    newer = records.replaced_by(platform.connection, number)
    if newer is not None:
        raise Usage(f"batch {newer} takes the place of batch {number} already", next=f"assay batch show {newer}")
    if "replaced" not in MOVES.get(batch.state, ()):
        raise Usage(
            f"batch {number} is {batch.state}: only one that is done or rejected can be replayed",
            next=_next(batch),
        )
    source = named_source(then, batch)
    mode = source.load.mode
    if mode in ("snapshot", "replace"):
        later = records.overtaker(platform.connection, batch, by_period=mode == "replace", states=BEYOND)
        if later is not None and start != "denormalize":
            raise Usage(
                f"batch {later} came after batch {number} and took the place of its rows: replayed, it would undo that",
                next=f"assay replay {later}",
            )
    _check_start(platform, batch, start)
    _check_kept(platform, batch, start)
    return batch, source, then


def _check_start(platform: Platform, batch: Batch, start: Start) -> None:
    if start == "denormalize" and batch.state != "done":
        raise Usage(
            f"batch {batch.id} is {batch.state}: only one that is done can be recomputed",
            next=f"assay replay {batch.id}",
        )
    done = {run["segment"] for run in records.runs(platform.connection, batch.id) if run["outcome"] == "done"}
    missing = [segment for segment in STARTS[: STARTS.index(start)] if segment not in done]
    if missing:
        raise Usage(
            f"batch {batch.id} did not come through {missing[0]}: it cannot begin with {start}",
            next=f"assay replay {batch.id} --from {missing[0]}",
        )


def _check_kept(platform: Platform, batch: Batch, start: Start) -> None:
    """Makes sure that retention has left what the replay begins with."""
    if start == "approve":
        platform.check_landed(batch)
    needed = {"clean": ("readable", "quarantine"), "conform": ("readable", "quarantine", "clean")}.get(start, ())
    for gone in upkeep.removals(platform.connection, [batch.id]):
        if gone.store in needed:
            raise Usage(
                f"the {gone.store} rows of batch {batch.id} were removed on {gone.removed_at:%Y-%m-%d} ({gone.rule}): "
                f"it cannot begin with {start}",
                next=f"assay replay {batch.id}",
            )


def _next(batch: Batch) -> str:
    steps = {"held": f"assay review show {batch.id}", "withdrawn": "deliver the file again", "replaced": ""}
    return steps.get(batch.state, "assay run") or f"assay batch show {batch.id}"
