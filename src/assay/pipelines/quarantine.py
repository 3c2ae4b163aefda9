"""Rows that were set aside: which, why, and as a workbook that can come back corrected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.catalog import records
from assay.catalog.sight import Sight
from assay.engines.duckdb import connect as engine_connect
from assay.engines.duckdb import path_list, quoted
from assay.errors import NotFound
from assay.pipelines.landing import named_source
from assay.pipelines.platform import Platform
from assay.readers.locate import OWN_HEADER
from assay.stewardship.masking import ALL, Cells
from assay.stores.database import transaction
from assay.stores.lake import quarantine

if TYPE_CHECKING:
    from assay.batch import Batch
    from assay.zones.project import Source


@dataclass(frozen=True)
class SetAside:
    """How many rows of a batch stand aside for one reason; `segment` set them aside."""

    batch: int
    zone: str
    source: str
    file: str
    segment: str
    reason: str
    rows: int


def listing(platform: Platform, zone: str | None = None, sight: Sight | None = None) -> list[SetAside]:
    """What stands aside in the zones, by batch and reason; with `sight` of the batches that it covers."""
    found: list[SetAside] = []
    names = {batch.id: batch for batch in records.batches(platform.connection, zone=zone, sight=sight)}
    for one in platform.project.zones.values():
        if zone not in (None, one.name) or (sight is not None and one.name not in sight.zones | sight.own):
            continue
        for source in one.sources.values():
            columns = "_batch, _segment, _reason, count(*)"
            for number, segment, reason, rows in _ask(platform, source, columns, "GROUP BY ALL ORDER BY 1, 2, 3"):
                if sight is not None and number not in names:
                    continue
                file = names[number].file_name if number in names else ""
                found.append(SetAside(number, one.name, source.name, file, segment, reason, rows))
    return found


def reasons(platform: Platform, batch: Batch) -> list[SetAside]:
    """What stands aside of one batch, by reason."""
    source = named_source(platform, batch)
    rest = f"WHERE _batch = {batch.id} GROUP BY ALL ORDER BY 1, 2"
    found = _ask(platform, source, "_segment, _reason, count(*)", rest)
    return [SetAside(batch.id, batch.zone, source.name, batch.file_name, *row) for row in found]


def rows_of(
    platform: Platform, number: int, cells: Cells = ALL
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The rows of a batch that stand aside, under the headers of its file; the reason and the row stand last.

    Rows that the contract set aside carry the texts that were delivered, those that a rule set aside typed values.
    Columns whose cells are not shown are masked, and have a header that no delivery is read by.
    """
    import json

    source = named_source(platform, records.batch(platform.connection, number))
    names = [field.name for field in source.contract.fields]
    headers = [
        (field.headers[0] or field.name) if cells.shows(field.name) else f"{OWN_HEADER} {field.name}, masked"
        for field in source.contract.fields
    ]
    listed = ", ".join(quoted(name) for name in names)
    found = _ask(platform, source, f"{listed}, _raw, _reason, _sheet, _row", f"WHERE _batch = {number} ORDER BY _row")
    rows = []
    for *values, raw, reason, sheet, row in found:
        if raw is not None:
            delivered = json.loads(raw)
            values = [delivered.get(name) for name in names]
        values = [cells.value(name, value) for name, value in zip(names, values, strict=True)]
        rows.append((*values, reason, f"{sheet}!{row}" if sheet else row))
    return [*headers, f"{OWN_HEADER} reason", f"{OWN_HEADER} row"], rows


def export(platform: Platform, number: int, into: Path, cells: Cells = ALL) -> int:
    """Writes the rows of a batch that stand aside to a workbook; returns how many.

    The columns of ours are not read when the corrected workbook is delivered.
    """
    from assay.stewardship.workbook import write_rows

    columns, rows = rows_of(platform, number, cells)
    if not rows:
        raise NotFound(f"no row of batch {number} stands aside", next="assay quarantine list")
    with transaction(platform.connection) as tx:  # before the rows leave
        zone = records.batch(tx, number).zone
        platform.record(tx, "quarantine.export", f"batch/{number}", zone=zone, outcome="allow", rows=len(rows))
    write_rows(into, "Set aside", columns, rows, marked=len(columns) - 2)
    return len(rows)


def _ask(platform: Platform, source: Source, columns: str, rest: str) -> list[tuple[Any, ...]]:
    from assay.stores.iceberg import Iceberg

    table = quarantine(source)
    with platform.scratch() as scratch, transaction(platform.connection) as tx:
        iceberg = Iceberg(tx, platform.data)
        files = iceberg.files(table.namespace, table.name) if iceberg.exists(table.namespace, table.name) else []
        if not files:
            return []
        with engine_connect(scratch) as engine:
            return engine.rows(f"SELECT {columns} FROM read_parquet({path_list(files)}, union_by_name=true) {rest}")
