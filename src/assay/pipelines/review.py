"""The steward's decision on a held batch: what waits, what speaks for and against it, and the decision itself.

A held batch is a row and nothing else. The decision is recorded with name, reason and a fingerprint of the evidence,
in one transaction with the move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from assay.batch import Batch, Profile, State, Tally
from assay.catalog import events, queue, records
from assay.catalog.sight import Sight
from assay.errors import NotFound, Usage
from assay.findings import Finding
from assay.pipelines import observe
from assay.pipelines.landing import named_source
from assay.pipelines.platform import Platform
from assay.pipelines.run import Progress, Result, check_applied, turn, work_off
from assay.pipelines.trial import SampleRows, TableEffect, sample, trial
from assay.pipelines.worker import at_work
from assay.stewardship.evidence import Evidence, changed
from assay.stewardship.masking import Cells, masked_finding, masked_profile, masked_tally
from assay.stewardship.reminders import Due, Waiting, due
from assay.stewardship.verdict import Held, verdict
from assay.stores.database import Connection, transaction
from assay.zones.gate import OPEN, Gate

#: The states of a later batch whose rows will stand, or stand, in the canonical tables.
BEYOND: tuple[State, ...] = ("released", "conformed", "done")


@dataclass(frozen=True)
class WaitingBatch:
    """A held batch as a list shows it: since when it waits, why, for whom, and who was told of it.

    `replaced_by` is a later batch in whose favour it can only be rejected.
    """

    batch: Batch
    since: datetime
    waited: timedelta
    why: str
    findings: int
    stewards: tuple[str, ...]
    reminders: int
    escalated_to: tuple[str, ...]
    replaced_by: int | None

    def is_for(self, name: str) -> bool:
        """Whether it waits for somebody of that name."""
        return name in (*self.stewards, *self.escalated_to)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        one = self.batch
        return {
            "batch": one.id, "zone": one.zone, "pipeline": one.pipeline, "source": one.source, "file": one.file_name,
            "period": one.period, "delivered_by": one.delivered_by, "since": self.since,
            "waited_seconds": int(self.waited.total_seconds()), "why": self.why, "findings": self.findings,
            "waits_for": [*self.stewards, *self.escalated_to], "reminders": self.reminders,
            "escalated_to": list(self.escalated_to), "replaced_by": self.replaced_by,
        }  # fmt: skip


@dataclass(frozen=True)
class Review:
    """All that speaks for or against releasing a held batch; `evidence` is the fingerprint to decide upon.

    `set_aside` are (segment, reason, rows) in quarantine; `history` earlier batches of the source (number, file,
    period, profile), the newest first; `effects` say what a release would change in the canonical tables now, and
    `refusal` why it would be rejected there.
    """

    waiting: WaitingBatch
    evidence: str
    findings: tuple[tuple[str, Finding], ...]
    tallies: tuple[Tally, ...]
    set_aside: tuple[tuple[str, str, int], ...]
    profile: Profile | None
    history: tuple[tuple[int, str, str | None, Profile], ...]
    sample: SampleRows
    effects: tuple[TableEffect, ...]
    refusal: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        profiles = [
            {"batch": number, "file": file, "period": period, "profile": profile.to_dict()}
            for number, file, period, profile in self.history
        ]
        return {
            **self.waiting.to_dict(),
            "evidence": self.evidence,
            "findings": [{"segment": segment, **finding.to_dict()} for segment, finding in self.findings],
            "reconciliation": [tally.to_dict() for tally in self.tallies],
            "quarantine": [dict(zip(("segment", "reason", "rows"), row, strict=True)) for row in self.set_aside],
            "profile": None if self.profile is None else self.profile.to_dict(),
            "history": profiles,
            "sample": [dict(zip(self.sample.columns, row, strict=True)) for row in self.sample.rows],
            "release_would_change": [effect.to_dict() for effect in self.effects],
            "release_would_be_refused": self.refusal,
        }


def waiting(platform: Platform, *, zone: str | None = None, sight: Sight | None = None) -> list[WaitingBatch]:
    """The batches that wait for a steward, the longest first; with `sight` those that it covers."""
    with transaction(platform.connection) as tx:
        now = _now(tx)
        held = records.batches(tx, zone=zone, states=("held",), sight=sight)
        found = [_waiting(platform, tx, batch, now) for batch in held]
    return sorted(found, key=lambda one: (one.since, one.batch.id))


def review(platform: Platform, number: int) -> Review:
    """The evidence about a held batch, with what a release would do now; nothing is changed.

    Raises `NotFound` for a batch that does not wait, `Misconfigured` under a configuration that was not applied.
    """
    batch = _held(platform, number)
    source = named_source(platform, batch)
    with transaction(platform.connection) as tx:
        one = _waiting(platform, tx, batch, _now(tx))
        evidence = evidence_of(platform, tx, batch)
        profile = records.profile(tx, number)
        history = records.profiles(tx, batch, profile.fingerprint, limit=source.checks.batches) if profile else []
    with turn(platform, batch.zone, batch.pipeline):
        effects, refusal = trial(platform, batch, source)
    return Review(
        one,
        evidence.fingerprint,
        tuple(records.findings(platform.connection, number)),
        evidence.tallies,
        tuple(set_aside(platform, batch)),
        profile,
        tuple(history),
        sample(platform, batch, source),
        effects,
        refusal,
    )


def masked(found: Review, cells: Cells) -> Review:
    """The review with the cells that are shown."""
    rows = tuple(
        tuple(value if name == "row" else cells.value(name, value) for name, value in
              zip(found.sample.columns, row, strict=True))
        for row in found.sample.rows
    )  # fmt: skip
    return replace(
        found,
        findings=tuple((segment, masked_finding(one, cells)) for segment, one in found.findings),
        tallies=tuple(masked_tally(one, cells) for one in found.tallies),
        profile=None if found.profile is None else masked_profile(found.profile, cells),
        history=tuple((one, file, period, masked_profile(was, cells)) for one, file, period, was in found.history),
        sample=replace(found.sample, rows=rows),
        refusal="its words may name cells that you may not see" if found.refusal and cells.hidden else found.refusal,
    )


def set_aside(platform: Platform, batch: Batch) -> list[tuple[str, str, int]]:
    """(segment, reason, rows) of the batch's rows in quarantine."""
    from assay.pipelines.quarantine import reasons

    return [(one.segment, one.reason, one.rows) for one in reasons(platform, batch)]


def evidence_of(platform: Platform, connection: Connection, batch: Batch) -> Evidence:
    """What is known about a batch now, for the fingerprint."""
    approved = next((run for run in records.runs(connection, batch.id) if run["segment"] == "approve"), None)
    contract = approved["detail"].get("contract") if approved else None
    return Evidence(
        tuple(finding for _, finding in records.findings(connection, batch.id)),
        tuple(records.tallies(connection, batch.id)),
        records.profile(connection, batch.id),
        contract["fingerprint"] if contract else None,
        platform.project.version,
        records.moved_at(connection, batch.id),
    )


def decide(
    platform: Platform,
    number: int,
    decision: str,
    reason: str,
    *,
    evidence: str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Releases or rejects a held batch, and takes a released one on.

    `evidence` is the fingerprint of what the steward was shown; the one of now where it is left out. Whether he may
    decide, four eyes among it, the policies say (`door`). Raises `Usage` when the evidence has changed since or the
    batch was replaced.
    """
    check_applied(platform)
    batch = _held(platform, number)
    shown = evidence or evidence_of(platform, platform.connection, batch).fingerprint
    after: Literal["released", "rejected"] = "released" if decision == "release" else "rejected"
    with transaction(platform.connection) as tx:
        records.lock_batch(tx, number, "held")
        if after == "released":
            _refuse_replaced(platform, tx, batch)
        _refuse_stale(platform, tx, batch, shown)
        records.add_decision(tx, number, decision, platform.actor, reason, shown)
        records.move(tx, number, "held", after)
        events.add(tx, after, batch=batch, body={"by": platform.actor, "reason": reason, "evidence": shown})
        queue.announce(tx)
        resource = f"batch/{number}"
        platform.record(tx, decision, resource, zone=batch.zone, outcome="allow", reason=reason, evidence=shown)
    observe.decided(batch, after, platform.actor)
    with at_work(platform) as worker:
        return work_off(platform, worker, number, progress)


def remind(platform: Platform) -> list[Due]:
    """Writes an event for every reminder and escalation that is due and was not told yet; gives those written.

    Several processes may do it at the same time: each batch's row is held while its events are looked at.
    """
    with transaction(platform.connection) as tx:
        now = _now(tx)
        told = []
        for batch in records.batches(tx, states=("held",)):
            if not due([_as_waiting(platform, tx, batch)], now) or not records.lock_held(tx, batch.id):
                continue
            for one in due([_as_waiting(platform, tx, batch)], now):
                events.add(tx, one.kind, batch=batch, body={"step": one.step, "to": list(one.to)})
                told.append(one)
    return told


def gate_of(platform: Platform, batch: Batch) -> Gate:
    """The gate of the batch's pipeline; an open one where the project no longer has it."""
    zone = platform.project.zones.get(batch.zone)
    pipeline = zone.pipelines.get(batch.pipeline) if zone else None
    return pipeline.gate if pipeline else OPEN


def replaced_by(platform: Platform, connection: Connection, batch: Batch) -> int | None:
    """The later batch in whose favour a held one can only be rejected: its correction, or the newer whole."""
    correction = records.replaced_by(connection, batch.id)
    if correction is not None:
        return correction
    mode = named_source(platform, batch).load.mode
    if mode not in ("snapshot", "replace"):
        return None
    return records.overtaker(connection, batch, by_period=mode == "replace", states=BEYOND)


def _held(platform: Platform, number: int) -> Batch:
    batch = records.batch(platform.connection, number)
    if batch.state != "held":
        raise NotFound(f"batch {number} does not wait for a steward: it is {batch.state}", next="assay review list")
    return batch


def _refuse_replaced(platform: Platform, tx: Connection, batch: Batch) -> None:
    later = replaced_by(platform, tx, batch)
    if later is not None:
        other = records.batch(tx, later)
        raise Usage(
            f"batch {batch.id} was replaced by batch {later} ({other.file_name}, {other.state}): "
            "released now, it would undo what is newer",
            next=f'assay review reject {batch.id} --reason "replaced by batch {later}"',
        )


def _refuse_stale(platform: Platform, tx: Connection, batch: Batch, shown: str) -> None:
    present = evidence_of(platform, tx, batch).fingerprint
    if shown != present:
        raise Usage(
            f"the evidence about batch {batch.id} is no longer what was shown; changed: "
            + ", ".join(changed(shown, present)),
            expected=f"--evidence {present}",
            next=f"assay review show {batch.id}, and decide upon what it says now",
        )


def _waiting(platform: Platform, tx: Connection, batch: Batch, now: datetime) -> WaitingBatch:
    history = events.of_batch(tx, batch.id, ("held", "escalated"))
    state = _as_waiting(platform, tx, batch)
    found = [finding for _, finding in records.findings(tx, batch.id)]
    why = next((str(event.body["why"]) for event in reversed(history) if event.body.get("why")), None)
    if why is None:  # held before events were kept
        decided = verdict(found, state.gate)
        why = decided.why if isinstance(decided, Held) else "a steward was to look"
    escalated = [name for event in history if event.kind == "escalated" for name in event.body["to"]]
    later = replaced_by(platform, tx, batch) if batch.zone in platform.project.zones else None
    return WaitingBatch(
        batch, state.since, now - state.since, why, len(found), state.stewards, state.reminders, tuple(escalated), later
    )


def _as_waiting(platform: Platform, tx: Connection, batch: Batch) -> Waiting:
    told = events.of_batch(tx, batch.id, ("reminded", "escalated"))
    zone = platform.project.zones.get(batch.zone)
    gate = gate_of(platform, batch)
    return Waiting(
        batch.id,
        records.moved_at(tx, batch.id),
        gate,
        zone.stewards if zone else (),
        gate.escalate_to or ((zone.owner,) if zone else ()),
        max((int(event.body["step"]) for event in told if event.kind == "reminded"), default=0),
        any(event.kind == "escalated" for event in told),
    )


def _now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now
