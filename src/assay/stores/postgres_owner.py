"""The role that owns the embedded server's database and does all ordinary work: no superuser, but it may make roles.

    folder/owner.password   its password, readable by the server's owner only

The superuser `assay` is needed to make this role, once, and by nobody afterwards.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from psycopg import sql

from assay.stores.database import Connection, advisory_key, connect, transaction
from assay.stores.postgres_server import DATABASE, write_private

OWNER = "assay_owner"


def as_owner(url: str, folder: Path) -> str:
    """The URL of a server under `folder`, logged in as the owner of its database instead of as the superuser."""
    password = _kept(folder) or _made(url, folder)
    place = urlsplit(url)
    return place._replace(netloc=f"{OWNER}:{password}@{place.hostname}:{place.port}").geturl()


def _kept(folder: Path) -> str | None:
    try:
        return (folder / "owner.password").read_text("utf-8").strip()
    except FileNotFoundError:
        return None


def _made(url: str, folder: Path) -> str:
    """Makes the role, or gives it another password, and makes it the owner of all that stands in the database."""
    with connect(url, autocommit=True) as connection:
        # Held by the session, until the password is kept: another process must not make another one meanwhile.
        connection.execute("SELECT pg_advisory_lock(%s)", (advisory_key("owner"),))
        password = _kept(folder)
        if password is None:
            password = secrets.token_urlsafe(24)
            with transaction(connection) as tx:
                _own(tx, password)
            write_private(folder / "owner.password", password)
    return password


def _own(tx: Connection, password: str) -> None:
    name = sql.Identifier(OWNER)
    there = tx.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,)).fetchone()
    kept = tx.pgconn.encrypt_password(password.encode(), OWNER.encode(), b"scram-sha-256").decode()
    tx.execute(
        sql.SQL("{} ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
            sql.SQL("ALTER" if there else "CREATE"), name, sql.Literal(kept)
        )
    )
    tx.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(DATABASE), name))
    for (statement,) in tx.execute(_ALTER).fetchall():
        # PostgreSQL itself words and quotes what is to be altered.
        tx.execute(sql.SQL("{} OWNER TO {}").format(sql.SQL(statement), name))


#: What a superuser made in the database when it still did all the work; sequences and indexes go with their tables.
_ALTER = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), mine AS (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER)
SELECT format('ALTER SCHEMA %I', n.nspname) FROM pg_namespace AS n JOIN ours USING (oid)
WHERE n.nspowner = (SELECT oid FROM mine)
UNION ALL
SELECT format('ALTER TABLE %I.%I', ours.nspname, c.relname) FROM pg_class AS c JOIN ours ON ours.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v') AND c.relowner = (SELECT oid FROM mine)
UNION ALL
SELECT format('ALTER ROUTINE %s', p.oid::regprocedure) FROM pg_proc AS p JOIN ours ON ours.oid = p.pronamespace
WHERE p.proowner = (SELECT oid FROM mine)
"""
