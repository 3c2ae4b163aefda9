"""Names of the tables in the lake: one namespace per zone and store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.zones.types import FieldType

if TYPE_CHECKING:
    from assay.zones.project import AnalyticalTable, Source

TEXT = FieldType("string")
WHOLE = FieldType("integer")

#: Columns that every staged row carries: the batch, the sheet of a workbook, and the row in the delivered file.
PROVENANCE: tuple[tuple[str, FieldType], ...] = (("_batch", WHOLE), ("_sheet", TEXT), ("_row", WHOLE))


@dataclass(frozen=True)
class LakeTable:
    """An Iceberg table: where it stands and what columns it has."""

    namespace: str
    name: str
    columns: tuple[tuple[str, FieldType], ...]


class Lake(Protocol):
    """Where segments read and write the files of lake tables: Iceberg, or a draft that nobody else sees."""

    def files(self, namespace: str, name: str, batch: int | None = None) -> list[str]:
        """The Parquet files of a table; of one batch only, where `batch` is given."""

    def file_count(self, namespace: str, name: str) -> int:
        """How many files a table has."""

    def new_file(self, namespace: str, name: str, hint: str) -> Path:
        """A path for a new file; it counts only once it is put."""

    def put(self, namespace: str, name: str, files: Iterable[Path], *, replacing: Any = None) -> None:
        """Makes files part of a table, in place of the rows that `replacing` selects."""


def readable(source: Source) -> LakeTable:
    """The typed rows of a source, nothing else changed."""
    fields = tuple((field.name, field.type) for field in source.contract.fields)
    return LakeTable(f"{source.zone}.readable", source.name, (*fields, *PROVENANCE))


def clean(source: Source) -> LakeTable:
    """The rows of a source that passed its rules; the readable table itself where nothing cleans."""
    if not source.cleans:
        return readable(source)
    fields = tuple((field.name, field.type) for field in source.clean_fields)
    return LakeTable(f"{source.zone}.clean", source.name, (*fields, *PROVENANCE))


def quarantine(source: Source) -> LakeTable:
    """The rows of a source that were set aside, with the reason: by `approve`, where a cell does not fit its type
    (then `_raw` holds the delivered texts as JSON), or by a rule of `clean`."""
    fields = tuple((field.name, field.type) for field in source.contract.fields)
    more = (("_reason", TEXT), ("_segment", TEXT), ("_raw", TEXT))
    return LakeTable(f"{source.zone}.quarantine", source.name, (*fields, *PROVENANCE, *more))


def analytical(table: AnalyticalTable) -> LakeTable:
    """An analytical table."""
    fields = tuple((field.name, field.type) for field in table.contract.fields)
    return LakeTable(f"{table.zone}.analytical", table.name, fields)
