"""A change of an Iceberg table that remembers what its metadata comes to.

The library works it out anew, from the first of its updates, every time that it looks: twenty times a commit.
"""

from __future__ import annotations

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata


def change_of(table: Table) -> Transaction:
    """A transaction upon the table; used as the one that the table itself begins."""
    return _Change(table, autocommit=False)


class _Change(Transaction):
    _known: tuple[int, TableMetadata, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata after the updates so far; the library never changes one that it has made."""
        base, count = self._table.metadata, len(self._updates)
        if self._known is None or self._known[0] != count or self._known[1] is not base:
            self._known = count, base, super().table_metadata
        return self._known[2]
