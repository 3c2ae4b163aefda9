"""PostgreSQL, met here: connections, transactions, and its errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from assay.errors import AssayError, Misconfigured, Unavailable

Connection = psycopg.Connection[TupleRow]
LockNotAvailable = psycopg.errors.LockNotAvailable


#: The same for every role: the default path begins with a schema that is called as the user is.
SESSION = "-c TimeZone=UTC -c search_path=assay,public"

_AS_THEY_LIE = " ".join(
    f"-c {setting}"
    for setting in (
        "enable_indexscan=off", "enable_indexonlyscan=off", "synchronize_seqscans=off",
        "max_parallel_workers_per_gather=0",
    )
)  # fmt: skip


@contextmanager
def server(postgres: str, data: Path) -> Iterator[str]:
    """The URL of the target's PostgreSQL: its own embedded server, as the database's owner, or the URL that it is."""
    if postgres == "embedded":
        from assay.stores.postgres_owner import as_owner
        from assay.stores.postgres_server import running

        with running(data / "postgres") as url:
            yield as_owner(url, data / "postgres")
    else:
        yield postgres


def connect(url: str, *, autocommit: bool = False) -> Connection:
    """A new connection.

    Raises `Misconfigured` for a URL that cannot be read, `Unavailable` where no server takes the connection.
    """
    try:
        return psycopg.connect(url, autocommit=autocommit, connect_timeout=10, options=SESSION)
    except psycopg.ProgrammingError:
        # Not chained and not quoted: the library's text repeats the URL, and with it the password.
        raise Misconfigured(
            "the PostgreSQL URL of the target cannot be read",
            expected="postgresql://user:password@host:port/database",
            next="correct `postgres` of the target in assay.yaml, or the environment variable that it names",
        ) from None
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"PostgreSQL did not answer: {_first_line(error)}",
            next="see that the server runs and that `postgres` of the target in assay.yaml names it, "
            "then run the same command again",
        ) from error


def as_they_lie(url: str) -> str:
    """The same connection for another library; its scans give rows in the order in which they lie in a table.

    A scan of an index would give them in that of the index, and several processes in any.
    """
    options = conninfo_to_dict(url).get("options") or ""
    return make_conninfo(url, options=f"{options} {_AS_THEY_LIE}".strip())


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """One transaction: all that happens inside is visible at once, or not at all."""
    with failures_as_ours(), connection.transaction():
        yield connection


@contextmanager
def failures_as_ours() -> Iterator[None]:
    """The driver's errors, also where SQLAlchemy carries them, become errors of assay."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error) from error
    except Exception as error:
        cause = getattr(error, "orig", None)  # SQLAlchemy's name for what it wraps; the library is not loaded here
        if isinstance(cause, psycopg.Error):
            raise translated(cause) from error
        raise


def translated(error: psycopg.Error) -> AssayError:
    """A PostgreSQL error as one of ours; what may succeed later is `Unavailable`."""
    first = _first_line(error)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return Unavailable(
            "somebody else holds a table for too long", next="close sessions that have an open transaction, run again"
        )
    if error.sqlstate == "53100":
        return Unavailable("PostgreSQL's disk is full", next="free some space and run the command again")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(f"PostgreSQL did not answer: {first}", next="run the same command again")
    return DatabaseFailed(first)


def _first_line(error: psycopg.Error) -> str:
    # An @ in a password that was not written as %40 makes the rest of it a host name: it is masked.
    text = re.sub(r"""(?<=host name ")[^"]*(?=@)|(?<=host ')[^']*(?=@)""", "****", str(error).strip()).splitlines()
    return text[0] if text else type(error).__name__


class DatabaseFailed(AssayError):
    """PostgreSQL refused a statement."""


def advisory_key(*words: str) -> int:
    """A stable 63-bit key for PostgreSQL's advisory locks."""
    import hashlib

    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:8], "big") >> 1


#: PostgreSQL cuts longer names silently.
NAME_BYTES_MOST = 63


def short_name(name: str) -> str:
    """The name itself, or as much as PostgreSQL keeps of it, made unique by a hash of the whole."""
    import hashlib

    if len(name.encode()) <= NAME_BYTES_MOST:
        return name
    head = name.encode()[: NAME_BYTES_MOST - 9].decode(errors="ignore")
    return f"{head}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def hold(connection: Connection, *words: str, seconds: int) -> None:
    """Takes an advisory lock until the transaction ends; what follows in it waits as long for a lock, not longer.

    Raises `Unavailable` when somebody else has it for longer than `seconds`.
    """
    key = advisory_key(*words)
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{int(seconds)}s'".encode())
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
    except psycopg.errors.LockNotAvailable as error:
        raise Unavailable(
            f"another process has had {' '.join(words)} for more than {seconds} seconds",
            next="run the same command again",
        ) from error


def execute(connection: Connection, statement: sql.Composed) -> None:
    """Executes a composed statement for its effect; PostgreSQL's refusal is ours."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        raise translated(error) from error


def one(connection: Connection, query: str, *parameters: Any) -> Any:
    """The single value of a query, or None."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    return None if row is None else row[0]


class _Borrowed:
    """A connection lent to SQLAlchemy: the transaction that it is in stays ours to end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        """Ours to do."""

    def rollback(self) -> None:
        """Ours to do; an error reaches the one who began the transaction anyway."""

    def close(self) -> None:
        """Ours to do."""


def lend(connection: Connection) -> Any:
    """The connection as an SQLAlchemy `Connection` that takes part in the running transaction."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _Borrowed(connection),
        poolclass=StaticPool,
        pool_reset_on_return=None,
        use_native_hstore=False,
    )
    lent = engine.connect()
    lent.begin()
    return lent
