"""A change of an Iceberg table: one snapshot, whatever goes and whatever comes.

The library makes a snapshot for the rows that go and another for those that come, reads every manifest for each, and
copies the table's whole metadata each time that it looks at it. A small batch would spend most of its time so.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyarrow.parquet import read_metadata
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_file_to_data_file,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update.snapshot import ExpireSnapshots, _DeleteFiles, _MergeAppendFiles, _SnapshotProducer

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import UpdatesAndRequirements


def replace(
    table: Table, condition: Any, paths: Iterable[str], properties: dict[str, str], snapshots_kept: int
) -> None:
    """Commits Parquet files in place of the rows that a condition (an expression of the library) selects.

    `condition` is None where files are only added. Nothing is committed where nothing goes and nothing comes.
    The oldest snapshots are let go in the same commit, when there are ten more than are kept.
    """
    change = _Change(table, autocommit=False)
    with change:
        change.let_go(snapshots_kept)
        come = _data_files(change, paths)
        if not change.swap_files(condition, come, properties):
            with warnings.catch_warnings():
                # A file's statistics can promise rows that it does not hold; the library wonders aloud.
                warnings.filterwarnings("ignore", message="Delete operation did not match any records")
                change.delete(condition, snapshot_properties=properties)
            change.swap_files(None, come, properties)


def in_order(metadata: TableMetadata) -> list[Snapshot]:
    """The snapshots that a table keeps, the oldest first."""
    return sorted(metadata.snapshots, key=lambda one: (one.sequence_number or 0, one.timestamp_ms))


def named_snapshots(metadata: TableMetadata) -> set[int]:
    """The snapshots that must stay: the current one, and what others tagged."""
    return {ref.snapshot_id for ref in metadata.refs.values()}


class _Change(Transaction):
    """A transaction that remembers what its metadata comes to, and can take whole files out as others come in."""

    _known: tuple[int, TableMetadata, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata after the updates so far; the library never changes one that it has made."""
        base, count = self._table.metadata, len(self._updates)
        if not count:
            return base
        if self._known is None or self._known[0] != count or self._known[1] is not base:
            self._known = count, base, super().table_metadata
        return self._known[2]

    def swap_files(self, condition: Any, come: list[DataFile], properties: dict[str, str]) -> bool:
        """Adds files, and takes those out whose rows all meet the condition, in one snapshot.

        False, and nothing is done, where only some rows of a file meet it: that file must be written anew.
        """
        operation = Operation.APPEND if condition is None else Operation.OVERWRITE
        swap = _Swap(operation, self, self._table.io, snapshot_properties=properties)
        if condition is not None:
            swap.delete_by_predicate(condition)
            if swap.rewrites_needed:
                swap._clean_all_uncommitted()
                return False
        for file in come:
            swap.append_data_file(file)
        swap.commit()
        return True

    def let_go(self, kept: int) -> None:
        """Lets the oldest snapshots go, when there are ten more than are kept."""
        metadata = self.table_metadata
        if len(metadata.snapshots) < kept + 10:
            return
        named = named_snapshots(metadata)
        old = [one.snapshot_id for one in in_order(metadata)[:-kept] if one.snapshot_id not in named]
        if old:
            ExpireSnapshots(self).by_ids(old).commit()


class _Swap(_DeleteFiles, _MergeAppendFiles):
    """The library's snapshot that drops whole files, and its snapshot that adds files and merges manifests, as one."""

    _validate_concurrency = _SnapshotProducer._validate_concurrency

    def _commit(self) -> UpdatesAndRequirements:
        if not (self._added_data_files or self.files_affected):
            return (), ()
        return _SnapshotProducer._commit(self)

    @cached_property
    def _compute_deletes(self) -> tuple[list[ManifestFile], list[Any], bool]:
        # Without a condition nothing goes: the manifests need not be read.
        if self._operation == Operation.APPEND:
            return _MergeAppendFiles._existing_manifests(self), [], False
        kept, gone, rewrites_needed = super()._compute_deletes
        # A manifest that only tells which files left, earlier, has told it.
        return [one for one in kept if one.has_added_files() or one.has_existing_files()], gone, rewrites_needed


def _data_files(change: _Change, paths: Iterable[str]) -> list[DataFile]:
    """Parquet files as the table will carry them: their rows counted, their columns' bounds read.

    The library compares the columns of each with the table's; files of the same columns are compared once.
    """
    if change.table_metadata.name_mapping() is None:
        mapping = change.table_metadata.schema().name_mapping.model_dump_json()
        change.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})
    io, metadata = change._table.io, change.table_metadata
    schema = metadata.schema()
    columns, numbers = compute_statistics_plan(schema, metadata.properties), parquet_path_to_id_mapping(schema)
    made: list[DataFile] = []
    compared = None
    for path in paths:
        footer = read_metadata(path)
        if compared is None or not footer.schema.equals(compared):
            made.append(parquet_file_to_data_file(io, metadata, path))
            compared = footer.schema
            continue
        found = data_file_statistics_from_parquet_metadata(footer, columns, numbers)
        made.append(
            DataFile.from_args(
                content=DataFileContent.DATA,
                file_path=path,
                file_format=FileFormat.PARQUET,
                partition=found.partition(metadata.spec(), schema),
                file_size_in_bytes=os.stat(path).st_size,
                sort_order_id=None,
                spec_id=metadata.default_spec_id,
                equality_ids=None,
                key_metadata=None,
                **found.to_serialized_dict(),
            )
        )
    return made
