"""Passwords for the roles that log in, made of one secret: none is kept, and PostgreSQL never sees one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from psycopg import sql
from psycopg.conninfo import make_conninfo

from assay.stores.database import Connection
from assay.stores.zone_roles import roles_of

SECRET_BYTES = 32


def password(secret: bytes, role: str) -> str:
    """The password of a role."""
    return hmac.digest(secret, b"assay login 1\0" + role.encode(), "sha256").hex()


def url_of(url: str, role: str, secret: bytes) -> str:
    """The same server and database, logged in as another role."""
    return make_conninfo(url, user=role, password=password(secret, role))


def without_login(connection: Connection, zones: Iterable[str], secret: bytes | None) -> list[str]:
    """The zones whose reading role is there but cannot log in with the secret."""
    roles = {roles_of(connection, zone).read: zone for zone in zones}
    found = connection.execute(
        "SELECT rolname::text, rolcanlogin, coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles "
        "WHERE rolname = ANY(%s)",
        (list(roles),),
    )
    return sorted(
        roles[role] for role, logs_in, said in found if secret is None or not logs_in or said != _mark(secret, role)
    )


def let_log_in(connection: Connection, zone: str, secret: bytes) -> None:
    """Gives the reading role of a zone its password, and a mark by which it is known that it has this one."""
    role = roles_of(connection, zone).read
    # What PostgreSQL keeps of a password is worked out here: no log of the server can show the password.
    kept = connection.pgconn.encrypt_password(
        password(secret, role).encode(), role.encode(), b"scram-sha-256"
    ).decode()
    name = sql.Identifier(role)
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(kept)))
    connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(_mark(secret, role))))


def _mark(secret: bytes, role: str) -> str:
    return "assay " + hashlib.sha256(password(secret, role).encode()).hexdigest()[:16]
