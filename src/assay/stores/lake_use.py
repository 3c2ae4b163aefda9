"""Who uses files that are not, or no longer, part of a table: readers of an earlier state, writers of the next one.

A file that a table has dropped may still be read by somebody who asked before, and a file that no table has yet may
be about to become part of one. So whoever reads or writes holds a shared advisory lock of PostgreSQL whose number
is the second in which he began. The lock ends with his session, however that ends, and nothing has to be tidied up.
Housekeeping removes a file only where the oldest of these locks is younger than the moment from which on nobody
could come to know the file any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from psycopg.pq import TransactionStatus

from assay.stores.database import Connection, one

#: The first of the lock's two numbers; the second is the seconds since `_FIRST_DAY`, which fit until 2088.
_LOCK = 1_634_955_617
_FIRST_DAY = "timestamptz '2020-01-01 00:00+00'"

_SINCE = (
    f"WITH since AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp() - {_FIRST_DAY}))::int4 AS second) "
    f"SELECT second, {{}}({_LOCK}, second) FROM since"
)


@contextmanager
def in_use(connection: Connection) -> Iterator[None]:
    """Until it ends, no file is removed that could be seen when it began or that was made since.

    Within a transaction it lasts until that ends.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        in_use_until_commit(connection)
        yield
        return
    second = one(connection, _SINCE.format("pg_advisory_lock_shared"))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(f"SELECT pg_advisory_unlock_shared({_LOCK}, %s)".encode(), (second,))


def in_use_until_commit(connection: Connection) -> None:
    """Like `in_use`, until the running transaction ends."""
    connection.execute(_SINCE.format("pg_advisory_xact_lock_shared").encode())


def used_since(connection: Connection) -> datetime | None:
    """When the one who has been using files for longest began, rounded down; None where nobody does."""
    found: datetime | None = one(
        connection,
        f"SELECT {_FIRST_DAY} + make_interval(secs => min(objid::bigint)) FROM pg_locks "
        f"WHERE locktype = 'advisory' AND classid = {_LOCK} AND objsubid = 2 AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    return found
