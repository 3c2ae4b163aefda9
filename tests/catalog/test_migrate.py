"""A database of an earlier version is brought up to date with its records kept."""

from __future__ import annotations

from pathlib import Path

from assay.catalog import records
from assay.catalog.migrate import HEAD, current, migrate
from assay.stores.database import connect, lend, server, transaction
from assay.stores.iceberg import CATALOG_TABLES


def test_batches_recorded_before_a_migration_are_read_after_it(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    import assay.catalog

    with server("embedded", tmp_path / "data") as url, connect(url, autocommit=True) as connection:
        with transaction(connection) as tx:
            tx.execute("CREATE SCHEMA assay")
            tx.execute(CATALOG_TABLES.encode())
            config = Config()
            config.set_main_option("script_location", str(Path(assay.catalog.__file__).parent / "migrations"))
            config.attributes["connection"] = lend(tx)
            command.upgrade(config, "0001")
        connection.execute(
            "INSERT INTO assay.batch (zone, pipeline, source, file_name, size_bytes, sha256, state, delivered_by, "
            "config_version) VALUES ('z', 'p', 's', 'old.csv', 1, '00', 'rejected', 'anna', 'v')"
        )
        assert migrate(url) and current(connection) == HEAD
        (old,) = records.unreplaced(connection, "z", "p", "s")
        assert (old.file_name, old.replaces) == ("old.csv", None)
        assert not migrate(url)
