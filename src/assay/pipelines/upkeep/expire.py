"""Earlier states of the lake's tables are let go, by number and by age; `orphans` removes what only they needed."""

from __future__ import annotations

from collections.abc import Iterator

from assay.catalog.upkeep import moment_before
from assay.pipelines.upkeep.scope import Scope, Step
from assay.stores import iceberg_upkeep
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.zones.model import RetentionFile


def expire(scope: Scope) -> Iterator[Step]:
    """Lets go of the snapshots of every table that were superseded longer ago than `retention.snapshots` says."""
    platform = scope.platform
    owners = scope.owners()
    for place in scope.tables():
        kept = owners[place][0].retention if place in owners else RetentionFile()
        moment = moment_before(platform.connection, kept.snapshots)
        with transaction(platform.connection) as tx:
            iceberg = Iceberg(tx, platform.data)
            if not iceberg.exists(*place):
                continue
            count = len(iceberg_upkeep.superseded(iceberg.table(*place), moment))
            if count and not scope.dry:
                count = iceberg_upkeep.expire(iceberg, *place, moment)
        if count:
            words = f"{count:,} earlier states {'can be' if scope.dry else 'were'} let go"
            yield Step("expire", ".".join(place), words)
