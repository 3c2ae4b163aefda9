"""What tests of the stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.stores.words import COLUMNS, PLACE

from assay.stores.database import Connection, connect, transaction
from assay.stores.iceberg import Iceberg


@pytest.fixture(scope="module")
def connection(database: Callable[[], str]) -> Iterator[Connection]:
    """A connection to a database for a table of words."""
    with connect(database(), autocommit=True) as opened:
        yield opened


@pytest.fixture
def lake(connection: Connection, tmp_path: Path) -> Iterator[Iceberg]:
    """A lake with an empty table of words."""
    made = Iceberg(connection, tmp_path)
    with transaction(connection):
        made.ensure(*PLACE, COLUMNS)
    yield made
    connection.execute("TRUNCATE iceberg_tables")
