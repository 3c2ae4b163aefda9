"""Files in ingress folders that cannot become batches: on record while they stand there, told as an event once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from assay.catalog import events
from assay.errors import AssayError
from assay.stores.database import Connection, transaction


@dataclass(frozen=True)
class Misfit:
    """A file on record: the error as JSON-ready values, and since when it stands there."""

    zone: str
    pipeline: str
    path: str
    error: dict[str, Any]
    seen_at: datetime


def remember(
    connection: Connection, zone: str, pipeline: str, path: Path, stamp: tuple[int, int], error: AssayError
) -> bool:
    """Puts a file on record; `stamp` is its size and modification time (ns).

    Returns False where this very file is on record with the same error. What is only unavailable for now is no event.
    """
    words = error.to_dict()
    with transaction(connection) as tx:
        changed = tx.execute(
            "INSERT INTO assay.misfit AS m (path, zone, pipeline, size_bytes, mtime_ns, error) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (path, zone, pipeline) DO UPDATE SET "
            "size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, error = excluded.error, "
            "seen_at = clock_timestamp() WHERE (m.size_bytes, m.mtime_ns, m.error ->> 'what') IS DISTINCT FROM "
            "(excluded.size_bytes, excluded.mtime_ns, excluded.error ->> 'what') RETURNING path",
            (str(path), zone, pipeline, *stamp, Jsonb(words)),
        ).fetchone()
        if changed is not None and not error.retryable:
            body = {"file": path.name, "path": str(path), **words}
            events.add(tx, "unexpected", zone=zone, pipeline=pipeline, body=body)
    return changed is not None


def keep_only(connection: Connection, zone: str, pipeline: str, standing: Iterable[Path]) -> None:
    """Takes off the record what is no misfit of a pipeline any more."""
    connection.execute(
        "DELETE FROM assay.misfit WHERE zone = %s AND pipeline = %s AND path <> ALL(%s)",
        (zone, pipeline, [str(path) for path in standing]),
    )


def on_record(connection: Connection) -> list[Misfit]:
    """All of them, the newest first."""
    found = connection.execute(
        "SELECT zone, pipeline, path, error, seen_at FROM assay.misfit ORDER BY seen_at DESC, path"
    )
    return [Misfit(*row) for row in found]
