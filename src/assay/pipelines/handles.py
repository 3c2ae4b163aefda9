"""What a movement is handed: its two ends and nothing else, once policies have allowed it to have them.

A segment never sees the platform. It gets the tables of the stores that it is declared for, in its own zone, the
publications that its SQL reads and its zone was granted, and a way into PostgreSQL that leads to just these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from assay.catalog import subscriptions as kept
from assay.catalog.subscriptions import Name, State
from assay.engines.sql import references
from assay.errors import Denied
from assay.pipelines.platform import Platform
from assay.security import resources
from assay.security.guard import require
from assay.security.principals import Segment
from assay.security.segments import reach
from assay.security.world import world_around
from assay.segments.relations import check_granted
from assay.stores.database import transaction
from assay.stores.lake_part import LakePart, Place, place_of, tables_of

if TYPE_CHECKING:
    from assay.stores.lake import Lake
    from assay.zones.project import Pipeline, Project, Publication, Source, Sql, Zone

#: No subscription.
NONE: Mapping[Name, State] = MappingProxyType({})
#: The segments that touch what belongs to one source; the others run SQL, which may name any table of the zone.
OF_ONE_SOURCE = ("approve", "clean")


def handed(
    platform: Platform,
    pipeline: Pipeline,
    segment: str,
    lake: Lake,
    *,
    source: Source | None = None,
) -> LakePart:
    """The tables of the lake for a segment of a pipeline; `source` is the one that it works on, None where all are.

    Raises `Denied` unless policies allow the segment every store that it is declared for, and every publication that
    its SQL reads; `NotGranted`, a `Denied`, where the zone's subscription to one is not granted.
    """
    zone = platform.project.zones[pipeline.zone]
    publications = list(_publications(platform.project, zone, statements(pipeline, segment, source)))
    standing = kept.standing(platform.connection, "zone", zone.name) if publications else {}
    for one in publications:
        check_granted(zone.name, (one.zone, one.name), standing)
    permit(platform.project, Segment(zone.name, segment), publications, standing)
    touched, only = reach(segment), source.name if source is not None and segment in OF_ONE_SOURCE else None
    reads = {place for store in touched.reads for place in tables_of(zone, store, only)}
    writes = {place for store in touched.writes for place in tables_of(zone, store, only)}
    reads |= {place for one in publications for place in _published(platform.project, one)}
    return LakePart(lake, str(Segment(zone.name, segment)), reads=reads, writes=writes)


def permit(
    project: Project, who: Segment, publications: Iterable[Publication] = (), standing: Mapping[Name, State] = NONE
) -> None:
    """Asks for every store that a segment is declared for, and for publications; raises `Denied` at the first no.

    `standing` says how its zone's subscriptions stand.
    """
    publications = list(publications)
    grants = {name: frozenset({who.zone}) for name, state in standing.items() if state == "granted"}
    world = world_around(project, {who.zone, *(one.zone for one in publications)}, grants)
    touched = reach(who.name)
    for store in sorted(touched.reads):
        require(world, who, "read", resources.store(who.zone, store))
    for store in sorted(touched.writes):
        require(world, who, "write", resources.store(who.zone, store))
    for one in publications:
        require(world, who, "read", resources.publication(one.zone, one.name))


@contextmanager
def denials_on_record(platform: Platform, who: Segment, **where: int | str) -> Iterator[None]:
    """Puts a refusal of a segment on the audit chain; around the transaction, which is gone by then."""
    try:
        yield
    except Denied as error:
        with transaction(platform.connection) as tx:
            platform.record(
                tx, error.action or who.name, error.where or who.zone, zone=who.zone, outcome="deny", by=str(who),
                why=error.what, **where,
            )  # fmt: skip
        raise


def statements(pipeline: Pipeline, segment: str, source: Source | None = None) -> list[Sql]:
    """The SQL that a segment runs: for one source, or for all of a pipeline."""
    if segment == "denormalize":
        return [table.sql for table in pipeline.analytical.values()]
    if segment == "conform":
        sources = pipeline.sources.values() if source is None else (source,)
        return [statement for one in sources for statement in one.conform.values()]
    return []


def _publications(project: Project, zone: Zone, read: Iterable[Sql]) -> Iterator[Publication]:
    """The publications that statements read; one that the zone does not subscribe to is reported where it is read."""
    named = {one.parts for sql in read for one in references(sql.text, sql.path) if len(one.parts) == 3}
    for asked in zone.subscriptions:
        publisher = project.zones.get(asked.zone)
        if (asked.zone, "published", asked.name) in named and publisher and asked.name in publisher.publications:
            yield publisher.publications[asked.name]


def _published(project: Project, publication: Publication) -> Iterator[Place]:
    """The lake table that holds a publication; an operational one is in PostgreSQL."""
    if publication.store == "analytical":
        from assay.stores.lake import analytical

        yield place_of(analytical(project.zones[publication.zone].analytical[publication.table]))
