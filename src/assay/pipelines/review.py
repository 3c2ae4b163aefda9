"""The steward's decision on a held batch, recorded with name and reason in one transaction with the move."""

from __future__ import annotations

from assay.batch import State
from assay.catalog import records
from assay.errors import Denied, NotFound
from assay.pipelines.platform import Platform
from assay.pipelines.run import Result, advance, turn
from assay.stores.database import transaction


def decide(platform: Platform, number: int, decision: str, reason: str) -> Result:
    """Releases or rejects a held batch, and takes a released one on.

    Raises `Denied` when the batch was delivered by the one who decides (four eyes).
    """
    batch = records.batch(platform.connection, number)
    if batch.state != "held":
        raise NotFound(f"batch {number} does not wait for a steward: it is {batch.state}", next="assay status")
    if batch.delivered_by == platform.actor:
        raise Denied(
            f"{platform.actor} delivered batch {number} and cannot decide on it", next="ask another steward"
        )
    after: State = "released" if decision == "release" else "rejected"
    with turn(platform, batch.zone, batch.pipeline):
        with transaction(platform.connection) as tx:
            records.lock_batch(tx, number, "held")
            records.add_decision(tx, number, decision, platform.actor, reason)
            records.move(tx, number, "held", after)
        return advance(platform, number)
