"""Upkeep of Iceberg tables: many small files become few, earlier states are let go, and what is still needed is told.

The library changes rows; it neither compacts a table nor says which files its history needs. Both are read from the
table's manifests here. Every change is one commit under the table's lock, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.stores.iceberg import SNAPSHOTS_KEPT, Iceberg, field_type, plain
from assay.zones.types import FieldType

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

#: Smaller files than this part of the wanted size are worth putting together.
SMALL = 0.75
#: Fewer small files than this stay as they are, unless they fill a file of the wanted size.
FILES_LEAST = 8
#: More files than this are not put together at once.
FILES_MOST = 1000


@dataclass(frozen=True)
class LakeFile:
    """A file of a table's current state; `place` orders files by what their rows begin with."""

    path: str
    size_bytes: int
    rows: int
    place: tuple[Any, ...]


@dataclass(frozen=True)
class TableState:
    """A table's current files, smallest `place` first, and what makes it the same table later: uuid and schema."""

    namespace: str
    name: str
    uuid: str
    schema: int
    columns: tuple[tuple[str, FieldType], ...]
    files: tuple[LakeFile, ...]


@dataclass(frozen=True)
class Swap:
    """A new file that holds exactly the rows of some old ones."""

    old: tuple[str, ...]
    new: Path
    data: DataFile = field(repr=False)


def state_of(iceberg: Iceberg, namespace: str, name: str, order_by: Sequence[str]) -> TableState | None:
    """What upkeep must know of a table; None for one that is gone, or that another program works on.

    Such a table has partitions, types, or files of deleted rows that assay does not write.
    """
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = iceberg.table(namespace, name)
    except NoSuchTableError:  # dropped since it was listed
        return None
    columns = [(column.name, field_type(column.field_type)) for column in table.schema().fields]
    known = tuple((name, kind) for name, kind in columns if kind is not None)
    tasks = list(table.scan().plan_files())
    if len(known) < len(columns) or table.spec().fields or any(task.delete_files for task in tasks):
        return None
    schema, ordering = table.schema(), [name for name in order_by if name in dict(known)]
    files = [
        LakeFile(
            plain(task.file.file_path),
            task.file.file_size_in_bytes,
            task.file.record_count,
            tuple(_lowest(schema, task.file, column) for column in ordering),
        )
        for task in tasks
    ]
    files.sort(key=lambda file: (*((value is not None, value) for value in file.place), file.path))
    return TableState(
        namespace, name, str(table.metadata.table_uuid), table.metadata.current_schema_id, known, tuple(files)
    )


def groups(files: Sequence[LakeFile], target_bytes: int) -> list[tuple[LakeFile, ...]]:
    """Which files are worth being put together, in their order, each group for one new file.

    A file larger than all others of its group together stays out of it: so each row is rewritten a number of times
    that grows with the logarithm of its table, whatever the rhythm of deliveries and upkeep.
    """
    found: list[tuple[LakeFile, ...]] = []
    group: list[LakeFile] = []
    for file in (file for file in files if file.size_bytes < SMALL * target_bytes):
        if group and (_bytes(group) + file.size_bytes > target_bytes or len(group) == FILES_MOST):
            found += _worthwhile(group, target_bytes)
            group = []
        group.append(file)
    return found + _worthwhile(group, target_bytes)


def _worthwhile(group: list[LakeFile], target_bytes: int) -> list[tuple[LakeFile, ...]]:
    rest = list(group)
    while rest and 2 * max(file.size_bytes for file in rest) > _bytes(rest):
        rest.remove(max(rest, key=lambda file: file.size_bytes))
    full = len(rest) > 1 and _bytes(rest) >= SMALL * target_bytes
    return [tuple(rest)] if full or len(rest) >= FILES_LEAST else []


def _bytes(files: Iterable[LakeFile]) -> int:
    return sum(file.size_bytes for file in files)


def prepared(iceberg: Iceberg, state: TableState, old: Iterable[LakeFile], new: Path) -> Swap:
    """The new file as the table will carry it: its rows counted, its columns' bounds read."""
    from pyiceberg.io.pyarrow import parquet_file_to_data_file

    table = iceberg.table(state.namespace, state.name)
    data = parquet_file_to_data_file(table.io, table.metadata, str(new))
    return Swap(tuple(file.path for file in old), new, data)


def swap(iceberg: Iceberg, state: TableState, swaps: Iterable[Swap]) -> list[Swap]:
    """Puts new files in the place of old ones; gives those swaps that were done.

    A swap whose old files are no longer all part of the table is not, nor is any once the table's columns changed:
    the new file would bring back what was replaced.
    """
    iceberg.lock(state.namespace, state.name)
    if not iceberg.exists(state.namespace, state.name):
        return []
    table = iceberg.table(state.namespace, state.name)
    if (str(table.metadata.table_uuid), table.metadata.current_schema_id) != (state.uuid, state.schema):
        return []
    there = {plain(task.file.file_path): task.file for task in table.scan().plan_files()}
    done = [one for one in swaps if all(path in there for path in one.old)]
    if not done:
        return []
    with table.transaction() as change, change.update_snapshot({"assay.upkeep": "compact"}).overwrite() as overwrite:
        for one in done:
            for path in one.old:
                overwrite.delete_data_file(there[path])
            overwrite.append_data_file(one.data)
    return done


def superseded(table: Table, before: datetime) -> list[int]:
    """The snapshots that readers of the last while cannot have seen as the current one: superseded before a moment,
    or beyond the number that is kept."""
    from assay.stores.iceberg_change import in_order, named_snapshots

    named, ordered = named_snapshots(table.metadata), in_order(table.metadata)
    moment = before.timestamp() * 1000
    old = {one.snapshot_id for one, after in zip(ordered, ordered[1:], strict=False) if after.timestamp_ms < moment}
    old |= {one.snapshot_id for one in ordered[:-SNAPSHOTS_KEPT]}
    return [one.snapshot_id for one in ordered if one.snapshot_id in old - named]


def expire(iceberg: Iceberg, namespace: str, name: str, before: datetime) -> int:
    """Lets go of the snapshots that were superseded before a moment; returns how many. Their files stay for now."""
    iceberg.lock(namespace, name)
    if not iceberg.exists(namespace, name):
        return 0
    table = iceberg.table(namespace, name)
    old = superseded(table, before)
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()
    return len(old)


def needed_files(iceberg: Iceberg, namespace: str, name: str) -> Iterator[str]:
    """Every file that the table's current metadata leads to: itself, its predecessors, manifests, data.

    A table that was dropped since it was listed needs none.
    """
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = iceberg.table(namespace, name)
    except NoSuchTableError:
        return
    yield plain(table.metadata_location)
    for earlier in table.metadata.metadata_log:
        yield plain(earlier.metadata_file)
    for statistics in table.metadata.statistics:
        yield plain(statistics.statistics_path)
    seen: set[str] = set()
    for snapshot in table.metadata.snapshots:
        yield plain(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield plain(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield plain(entry.data_file.file_path)


def _lowest(schema: Schema, file: DataFile, column: str) -> Any:
    from pyiceberg.conversions import from_bytes

    known = schema.find_field(column)
    bound = (file.lower_bounds or {}).get(known.field_id)
    return None if bound is None else from_bytes(known.field_type, bound)  # type: ignore[arg-type]  # a column's type


def batches_within(runs: Iterable[tuple[int, int]]) -> Any:
    """The PyIceberg expression for the rows of batches in ranges of numbers, both ends included.

    A range, not a list: a file whose batches all lie within it leaves the table without being read.
    """
    import pyiceberg.expressions as library

    # The library's annotations describe its JSON form, not the positional one that it documents.
    made: Any = library
    whole: Any = made.AlwaysFalse()
    for first, last in runs:
        inside = made.And(made.GreaterThanOrEqual("_batch", first), made.LessThanOrEqual("_batch", last))
        whole = made.Or(whole, inside)
    return whole
