"""Brings the metadata tables of a database to the shape that this version of assay needs."""

from __future__ import annotations

from pathlib import Path

from assay.stores.database import Connection, advisory_key, connect, lend, one, transaction
from assay.stores.iceberg import CATALOG_TABLES

#: The newest migration; a database at this revision needs no Alembic, whose import alone takes a second.
HEAD = "0009"


def current(connection: Connection) -> str | None:
    """The revision of the database, or None for one that has no metadata tables."""
    if connection.execute("SELECT to_regclass('assay.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM assay.alembic_version").fetchone()
    return None if row is None else str(row[0])


def migrate(url: str) -> bool:
    """Runs the migrations that are missing, in one transaction; returns whether there were any."""
    with connect(url) as connection:
        with transaction(connection):
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("migrate"),))
            if current(connection) == HEAD:
                return False
            connection.execute("CREATE SCHEMA IF NOT EXISTS assay")
            if one(connection, "SELECT to_regclass('iceberg_tables')") is None:
                connection.execute(CATALOG_TABLES.encode())
            _upgrade(connection)
    return True


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = lend(connection)
    command.upgrade(config, "head")
