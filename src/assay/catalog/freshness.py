"""When datasets last got something new, and how far what was agreed on it has been looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from assay.stores.database import Connection


@dataclass(frozen=True)
class Place:
    """From when on a dataset is to be looked at, and the last missed time that was told.

    `fresh` says that the watch begins now.
    """

    since: datetime
    told: datetime | None
    fresh: bool


@dataclass(frozen=True)
class Coming:
    """What counts as something new: deliveries of sources, or what a segment made of them (in a table of its)."""

    zone: str
    pipeline: str
    sources: tuple[str, ...]
    segment: str | None = None
    table: str | None = None


def begin(connection: Connection, zone: str, dataset: str, terms: str) -> tuple[datetime, Place]:
    """The time now, and from where to look; the row is held until the transaction ends.

    What was agreed anew is watched anew.
    """
    connection.execute(
        "INSERT INTO assay.freshness AS f (zone, dataset, terms) VALUES (%s, %s, %s) ON CONFLICT (zone, dataset) "
        "DO UPDATE SET terms = excluded.terms, since = clock_timestamp(), told = NULL, looked = false "
        "WHERE f.terms <> excluded.terms",
        (zone, dataset, terms),
    )
    row = connection.execute(
        "SELECT clock_timestamp(), since, told, NOT looked FROM assay.freshness WHERE zone = %s AND dataset = %s "
        "FOR UPDATE",
        (zone, dataset),
    ).fetchone()
    assert row is not None
    return row[0], Place(row[1], row[2], bool(row[3]))


def looked(connection: Connection, zone: str, dataset: str, since: datetime, told: datetime | None) -> None:
    """Records how far was looked, and the last missed time where one was told."""
    connection.execute(
        "UPDATE assay.freshness SET since = %s, told = coalesce(%s, told), looked = true "
        "WHERE zone = %s AND dataset = %s",
        (since, told, zone, dataset),
    )


def keep_only(connection: Connection, watched: Iterable[tuple[str, str]]) -> None:
    """Forgets the datasets that nobody agreed on any more."""
    names = [f"{zone}/{dataset}" for zone, dataset in watched]
    connection.execute("DELETE FROM assay.freshness WHERE zone || '/' || dataset <> ALL(%s)", (names,))


def told(connection: Connection) -> dict[tuple[str, str], datetime]:
    """(zone, dataset) → the last missed time that was told."""
    found = connection.execute("SELECT zone, dataset, told FROM assay.freshness WHERE told IS NOT NULL")
    return {(zone, dataset): moment for zone, dataset, moment in found}


# A file that came again with the same bytes came; one that was refused did not.
_DELIVERED = (
    "SELECT d.delivered_at AS at FROM assay.delivery AS d JOIN assay.batch AS b ON b.id = d.batch_id "
    "WHERE b.zone = %(zone)s AND b.pipeline = %(pipeline)s AND b.source = ANY(%(sources)s) "
    "AND b.state NOT IN ('rejected', 'withdrawn')"
)
_MADE = (
    "SELECT r.finished_at AS at FROM assay.segment_run AS r JOIN assay.batch AS b ON b.id = r.batch_id "
    "WHERE b.zone = %(zone)s AND b.pipeline = %(pipeline)s AND b.source = ANY(%(sources)s) "
    "AND r.segment = %(segment)s AND r.outcome = 'done' AND (%(table)s::text IS NULL OR r.detail ? %(table)s)"
)


def arrivals(connection: Connection, coming: Coming, since: datetime) -> list[datetime]:
    """When something new came after a moment, in order."""
    sql = f"SELECT at FROM ({_chosen(coming)}) AS came WHERE at > %(since)s ORDER BY at"
    return [row[0] for row in connection.execute(sql.encode(), {**_values(coming), "since": since})]


def last(connection: Connection, coming: Coming) -> datetime | None:
    """When something new came last."""
    row = connection.execute(f"SELECT max(at) FROM ({_chosen(coming)}) AS came".encode(), _values(coming)).fetchone()
    return None if row is None else row[0]


def _chosen(coming: Coming) -> str:
    return _DELIVERED if coming.segment is None else _MADE


def _values(coming: Coming) -> dict[str, object]:
    return {**vars(coming), "sources": list(coming.sources)}
