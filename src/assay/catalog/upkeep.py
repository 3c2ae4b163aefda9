"""The records of housekeeping: when it ran, what it took away from which batch, and which files are about to go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from assay.batch import State
from assay.stores.database import Connection, one


@dataclass(frozen=True)
class Removal:
    """What retention took away from a batch: the store, the setting that said so with its configuration, and when."""

    batch: int
    store: str
    rule: str
    config_version: str
    removed_at: datetime


def add_removals(connection: Connection, numbers: Iterable[int], store: str, rule: str, version: str) -> None:
    """Records that a store gave up what it held of batches."""
    connection.execute(
        "INSERT INTO assay.removal (batch_id, store, rule, config_version) SELECT unnest(%s::bigint[]), %s, %s, %s "
        "ON CONFLICT (batch_id, store) DO NOTHING",
        (list(numbers), store, rule, version),
    )


def removals(connection: Connection, numbers: Iterable[int]) -> list[Removal]:
    """What was taken away from batches, in the order in which it was."""
    found = connection.execute(
        "SELECT batch_id, store, rule, config_version, removed_at FROM assay.removal WHERE batch_id = ANY(%s) "
        "ORDER BY removed_at, batch_id, store",
        (list(numbers),),
    )
    return [Removal(*row) for row in found]


def moment_before(connection: Connection, age: str) -> datetime:
    """The time of the database's clock, so long ago (`7 years`)."""
    found: datetime = one(connection, "SELECT clock_timestamp() - %s::interval", age)
    return found


def begin(connection: Connection, actor: str) -> int:
    """Records that housekeeping began; returns its number."""
    return int(one(connection, "INSERT INTO assay.maintenance (actor) VALUES (%s) RETURNING id", actor))


def finish(connection: Connection, number: int, steps: list[dict[str, Any]]) -> None:
    """Records that housekeeping came to its end, and what it did."""
    connection.execute(
        "UPDATE assay.maintenance SET finished_at = clock_timestamp(), steps = %s WHERE id = %s",
        (Jsonb(steps), number),
    )


def last(connection: Connection) -> tuple[datetime, bool] | None:
    """When housekeeping began last, and whether it came to its end."""
    row = connection.execute(
        "SELECT started_at, finished_at IS NOT NULL FROM assay.maintenance ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0], row[1])


def mark_loose(connection: Connection, below: str, loose: Iterable[str]) -> None:
    """Keeps since when files below a folder are loose: those seen now, and no others."""
    paths = list(loose)
    connection.execute(
        "DELETE FROM assay.loose_file AS f WHERE starts_with(f.path, %s) "
        "AND NOT EXISTS (SELECT 1 FROM unnest(%s::text[]) AS seen WHERE seen = f.path)",
        (below, paths),
    )
    connection.execute(
        "INSERT INTO assay.loose_file (path) SELECT unnest(%s::text[]) ON CONFLICT (path) DO NOTHING", (paths,)
    )


def loose_before(connection: Connection, below: str, moment: datetime) -> list[str]:
    """The files below a folder that have been loose since before a moment."""
    found = connection.execute(
        "SELECT path FROM assay.loose_file WHERE starts_with(path, %s) AND since < %s ORDER BY path", (below, moment)
    )
    return [str(path) for (path,) in found]


def forget_loose(connection: Connection, paths: Iterable[str]) -> None:
    """Takes files off the list, once they are gone."""
    connection.execute("DELETE FROM assay.loose_file WHERE path = ANY(%s)", (list(paths),))


def identity(connection: Connection) -> str | None:
    """A name of this database that no other has: the moment of its first configuration; None before there is one."""
    found: str | None = one(
        connection,
        "SELECT to_char(min(applied_at) AT TIME ZONE 'UTC', 'YYYYMMDD-HH24MISS-US') FROM assay.configuration",
    )
    return found


def given_up_bytes(connection: Connection, zone: str) -> dict[str, datetime]:
    """SHA-256 of landed bytes of which every batch has given them up, and when the last did.

    Bytes that no batch knows are not among them: they are found on disk only.
    """
    found = connection.execute(
        "SELECT b.sha256, max(r.removed_at) FROM assay.batch AS b LEFT JOIN assay.removal AS r "
        "ON r.batch_id = b.id AND r.store = 'landing' WHERE b.zone = %s "
        "GROUP BY b.sha256 HAVING count(*) = count(r.batch_id)",
        (zone,),
    )
    return {str(sha256): moment for sha256, moment in found}


def known_bytes(connection: Connection, zone: str) -> set[str]:
    """SHA-256 of all landed bytes that batches of a zone know."""
    found = connection.execute("SELECT DISTINCT sha256 FROM assay.batch WHERE zone = %s", (zone,))
    return {str(sha256) for (sha256,) in found}


def bytes_needed(connection: Connection, zone: str, sha256: str) -> bool:
    """Whether some batch still needs landed bytes."""
    found: bool = one(
        connection,
        "SELECT EXISTS (SELECT 1 FROM assay.batch AS b WHERE b.zone = %s AND b.sha256 = %s AND NOT EXISTS "
        "(SELECT 1 FROM assay.removal AS r WHERE r.batch_id = b.id AND r.store = 'landing'))",
        zone,
        sha256,
    )
    return found


def versions_needed(connection: Connection, final: Iterable[State]) -> set[str]:
    """The version of the configuration that was applied last, and those that unfinished batches began with."""
    found = connection.execute(
        "SELECT DISTINCT config_version FROM assay.batch WHERE state <> ALL(%s) "
        "UNION SELECT version FROM assay.configuration WHERE id = (SELECT max(id) FROM assay.configuration)",
        (list(final),),
    )
    return {str(version) for (version,) in found}
