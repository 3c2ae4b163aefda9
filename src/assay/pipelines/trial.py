"""What a release would do, tried and taken back: the rows of a batch meet the canonical tables and leave no trace."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.engines.duckdb import connect as engine_connect
from assay.engines.duckdb import quoted
from assay.errors import Rejected
from assay.findings import masked
from assay.pipelines.handles import handed
from assay.pipelines.platform import Platform
from assay.pipelines.subscriptions import sight_of
from assay.segments.relations import NotGranted
from assay.stores.database import transaction
from assay.stores.lake import clean
from assay.stores.zone_roles import acting_as

if TYPE_CHECKING:
    from assay.zones.project import Source

#: How many rows of a batch a steward is shown.
SAMPLE_ROWS = 5


@dataclass(frozen=True)
class TableEffect:
    """What a batch would do to a canonical table, in rows; the others that it brings stand there already."""

    table: str
    brought: int
    added: int
    changed: int
    removed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class SampleRows:
    """The first clean rows of a batch; values of sensitive fields as their shape only."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def trial(platform: Platform, batch: Batch, source: Source) -> tuple[tuple[TableEffect, ...], str | None]:
    """What conforming the batch would do now, per table, or why it would be rejected."""
    from assay.segments import conform
    from assay.stores.iceberg import Iceberg

    if not source.conform:
        return (), None
    with platform.scratch() as scratch:
        with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
            zone = platform.project.zones[batch.zone]
            try:
                lake = handed(
                    platform, zone.pipelines[batch.pipeline], "conform", Iceberg(platform.connection, platform.data),
                    source=source,
                )  # fmt: skip
            except NotGranted as error:
                return (), error.what
            outcome = conform.prepare(
                batch, platform.project, source, engine, lake, platform.reader_url(batch.zone), scratch, {},
                lambda *_: None, sight=sight_of(platform, zone),
            )  # fmt: skip
        try:
            with transaction(platform.connection) as tx, tx.transaction(force_rollback=True), acting_as(tx, batch.zone):
                outcome.commit(tx)
        except Rejected as error:
            return (), error.what
    effects = [
        TableEffect(name, found["staged"], found["inserted"], found["updated"], found["deleted"])
        for name, found in outcome.detail.items()
    ]
    return tuple(effects), None


def sample(platform: Platform, batch: Batch, source: Source) -> SampleRows:
    """The first clean rows of the batch."""
    from assay.segments.relations import file_rows
    from assay.stores.iceberg import Iceberg

    table = clean(source)
    fields = source.clean_fields
    names = [field.name for field in fields]
    with platform.scratch() as scratch, transaction(platform.connection) as tx, engine_connect(scratch) as engine:
        files = Iceberg(tx, platform.data).files(table.namespace, table.name, batch.id)
        rows = engine.rows(
            f"SELECT {', '.join(quoted(name) for name in names)}, _sheet, _row FROM {file_rows(table, files)} "
            f"WHERE _batch = {batch.id} ORDER BY _sheet, _row LIMIT {SAMPLE_ROWS}"
        )
    shown = [
        (
            *(
                masked(str(value)) if field.sensitive and value is not None else value
                for field, value in zip(fields, values[:-2], strict=True)
            ),
            f"{values[-2]}!{values[-1]}" if values[-2] else values[-1],
        )
        for values in rows
    ]
    return SampleRows((*names, "row"), tuple(shown))
