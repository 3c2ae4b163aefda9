"""The steward's decision on a held batch, recorded with name and reason in one transaction with the move."""

from __future__ import annotations

from typing import Literal

from assay.catalog import events, queue, records
from assay.errors import Denied, NotFound
from assay.pipelines.platform import Platform
from assay.pipelines.run import Result, check_applied, work_off
from assay.pipelines.worker import at_work
from assay.stores.database import transaction


def decide(platform: Platform, number: int, decision: str, reason: str) -> Result:
    """Releases or rejects a held batch, and takes a released one on.

    Raises `Denied` when the batch was delivered by the one who decides (four eyes).
    """
    check_applied(platform)
    batch = records.batch(platform.connection, number)
    if batch.state != "held":
        raise NotFound(f"batch {number} does not wait for a steward: it is {batch.state}", next="assay status")
    resource = f"batch/{number}"
    if batch.delivered_by == platform.actor:
        with transaction(platform.connection) as tx:
            platform.record(
                tx, decision, resource, zone=batch.zone, outcome="deny", reason=reason, why="delivered by the actor"
            )
        raise Denied(
            f"{platform.actor} delivered batch {number} and cannot decide on it", next="ask another steward"
        )
    after: Literal["released", "rejected"] = "released" if decision == "release" else "rejected"
    with transaction(platform.connection) as tx:
        records.lock_batch(tx, number, "held")
        records.add_decision(tx, number, decision, platform.actor, reason)
        records.move(tx, number, "held", after)
        events.add(tx, after, batch=batch, body={"by": platform.actor, "reason": reason})
        queue.announce(tx)
        platform.record(tx, decision, resource, zone=batch.zone, outcome="allow", reason=reason)
    with at_work(platform) as worker:
        return work_off(platform, worker, number)
