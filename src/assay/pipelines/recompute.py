"""Analytical tables made anew as a whole, without a batch: what they read has changed elsewhere."""

from __future__ import annotations

import time

from assay.catalog import events
from assay.engines.duckdb import connect as engine_connect
from assay.pipelines.handles import denials_on_record, handed
from assay.pipelines.platform import Platform
from assay.pipelines.run import pipeline_key
from assay.pipelines.subscriptions import check_still, sight_of, tell_published
from assay.security.principals import Segment
from assay.stores.database import transaction
from assay.stores.zone_roles import acting_as
from assay.zones.project import Pipeline

#: A table as the zone's SQL names it: (operational, sale), (reference, published, currency).
Name = tuple[str, ...]


def recompute(platform: Platform, pipeline: Pipeline, changed: set[Name], why: str) -> list[str]:
    """Makes the pipeline's tables that read what changed anew from what stands now, in one commit, and tells of it.

    Returns the names of the tables. No batch of the pipeline is worked on meanwhile: what it adds to a table could
    be lost under the whole.
    """
    from assay.segments import denormalize
    from assay.stores.iceberg import Iceberg

    zone = platform.project.zones[pipeline.zone]
    started = time.monotonic()
    key = pipeline_key(pipeline.zone, pipeline.name)
    who = Segment(pipeline.zone, "denormalize")
    with denials_on_record(platform, who), platform.scratch() as scratch, transaction(platform.connection) as tx:
        tx.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        lake = handed(platform, pipeline, who.name, Iceberg(tx, platform.data))
        limit = platform.project.target.memory_limit
        with engine_connect(scratch, memory_limit=limit, postgres=True) as engine:
            engine.attach_postgres(platform.reader_url(zone.name))
            made = denormalize.recompute(
                platform.project, zone, pipeline.name, lambda parts: bool(parts & changed), engine, lake, scratch,
                sight=sight_of(platform, zone),
            )  # fmt: skip
            check_still(tx, zone, [one.table.sql for one in made])
            with acting_as(tx, zone.name):
                denormalize.put(lake, made, "recompute")
        names = [one.table.name for one in made]
        if names:
            body = {"tables": names, "why": why, "seconds": time.monotonic() - started}
            made_now = {f"analytical.{name}" for name in names}
            tell_published(tx, zone, made_now, pipeline=pipeline.name, segment="denormalize")
            events.add(tx, "refreshed", zone=pipeline.zone, pipeline=pipeline.name, segment="denormalize", body=body)
    return names
