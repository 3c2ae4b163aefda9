"""The walls between zones inside PostgreSQL: brought up by `apply`, used by every movement (`stores/zone_roles.py`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from assay.catalog.subscriptions import open_to
from assay.errors import Misconfigured
from assay.security import secrets
from assay.security.private_files import read_private, write_private
from assay.stores import logins
from assay.stores.changes import Change
from assay.stores.database import Connection, execute, transaction
from assay.stores.operational_schema import tables_standing, zones_standing
from assay.stores.zone_roles import (
    columns_granted,
    columns_wanted,
    open_records,
    records_open,
    roles_of,
    roles_standing,
    set_columns,
)

if TYPE_CHECKING:
    from assay.zones.project import Project

#: The file of the secret that the passwords of reading roles are made of, in the folder of the target's keys.
SECRET = "postgres.secret"


def prepare(tx: Connection) -> None:
    """Makes what all roles of zones need; before the first of them is made.

    Raises `Misconfigured` where the role of the target's URL may not make roles.
    """
    row = tx.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = CURRENT_USER").fetchone()
    if row != (True,):
        raise Misconfigured(
            "the role of the PostgreSQL URL may not make roles, and every zone has roles of its own",
            expected=f"the right CREATEROLE for {tx.info.user}",
            next=f"ALTER ROLE {tx.info.user} CREATEROLE, by an administrator of the server",
        )
    if not records_open(tx):
        open_records(tx)


def finish(tx: Connection, project: Project) -> None:
    """Lets the reading roles of the zones log in and read what their zones were granted; after the last is made."""
    zones = list(project.zones)
    secret = _secret(project.target.keys) or _made(project.target.keys)
    for zone in logins.without_login(tx, zones, secret):
        logins.let_log_in(tx, zone, secret)
    grant_publications(tx, project, zones)


def grant_publications(tx: Connection, project: Project, zones: Iterable[str]) -> None:
    """Lets the reading roles of zones read the operational publications that they were granted, and no others."""
    readers = [project.zones[name] for name in zones if name in project.zones]
    granted = open_to(tx)
    wanted = {
        column
        for reader in readers
        for asked in reader.subscriptions
        if reader.name in granted.get((asked.zone, asked.name), ())
        for column in columns_wanted(
            reader.name, project.zones[asked.zone], project.zones[asked.zone].publications[asked.name]
        )
    }
    set_columns(tx, columns_granted(tx, [reader.name for reader in readers]), wanted)


def lacking(tx: Connection, project: Project, zones: Iterable[str]) -> list[Change]:
    """What zones lack whose schemas stand, a change for each."""
    names = [zone for zone in zones if zone in project.zones]
    standing = roles_standing(tx, names)
    tables = tables_standing(tx, names) if standing.zones != set(names) else {}
    changes = [
        change
        for zone in names
        for change in standing.lacking(tx, zone, [name for place, name in tables if place == zone])
    ]
    told = {change.zone for change in changes}
    for zone in logins.without_login(tx, names, _secret(project.target.keys)):
        if zone not in told:
            changes.append(Change(zone, "", "change", f"let the reading role of zone {zone} log in anew"))
    return changes


def mend(connection: Connection, project: Project) -> None:
    """Gives the zones of a project that an earlier version of assay made their roles."""
    with transaction(connection) as tx:
        ours = [zone for zone, marked in zones_standing(tx).items() if marked and zone in project.zones]
        if not ours:
            return
        prepare(tx)
        for change in lacking(tx, project, ours):
            for step in sorted(change.steps, key=lambda step: step.phase):
                execute(tx, step.statement)
        finish(tx, project)


def reader_url(project: Project, url: str, connection: Connection, zone: str) -> str:
    """The URL under which the engine reads what a zone may read in PostgreSQL, and nothing else.

    Raises `Misconfigured` where the secret of the reading roles is missing.
    """
    secret = _secret(project.target.keys)
    if secret is None:
        raise Misconfigured(
            "the secret of PostgreSQL's reading roles is missing", file=project.target.keys / SECRET,
            expected="the file that assay apply made", next="restore it from your backup, or assay apply",
        )  # fmt: skip
    role = roles_of(connection, zone).read
    secrets.remember(logins.password(secret, role))
    return logins.url_of(url, role, secret)


def _secret(keys: Path) -> bytes | None:
    return read_private(keys / SECRET)


def _made(keys: Path) -> bytes:
    write_private(keys / SECRET, os.urandom(logins.SECRET_BYTES))  # another process may have been quicker
    found = _secret(keys)
    assert found is not None
    return found
