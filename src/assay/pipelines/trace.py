"""Where a value comes from: rows back to the row of the delivered file, columns back to the delivered header."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.catalog import records
from assay.engines.sql import Made, column_lineage, condition_columns, condition_of, trace_rows
from assay.errors import Denied, Misconfigured, Usage
from assay.pipelines import refresh
from assay.pipelines.names import tables, zone_of
from assay.stewardship.masking import Cells
from assay.stores.operational import PROVENANCE

if TYPE_CHECKING:
    from assay.catalog.records import Evidence
    from assay.pipelines.platform import Platform
    from assay.zones.project import AnalyticalTable, Project, Source, Sql, Zone

#: How many rows a trace shows, unless told otherwise.
ROWS_SHOWN = 50

#: The columns that say where a row stands, and hold no cell.
_PLACE = frozenset({"_batch", "_sheet", "_row", "_source"})

#: What a row of a store that was delivered, not made, can be traced by itself.
DELIVERED = ("readable", "staging", "quarantine", "operational")


@dataclass(frozen=True)
class Origins:
    """The delivered rows behind rows of a dataset.

    `table` is the one whose rows these are, `others` those that could be asked for too, `closed` publications of
    other zones; `total` counts all rows, of which `rows` may be the first; `evidence` is by batch number.
    """

    dataset: str
    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int
    evidence: Mapping[int, Evidence]
    others: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    def places(self) -> Origins:
        """Where the rows stood in their files, without the rows."""
        return replace(self, columns=self.columns[:3], rows=tuple(row[:3] for row in self.rows))


def origins(
    platform: Platform,
    dataset: str,
    where: str | None = None,
    zone: str | None = None,
    *,
    table: str | None = None,
    limit: int | None = ROWS_SHOWN,
    cells: Callable[[str], Cells] | None = None,
) -> Origins:
    """The delivered rows behind the rows of a dataset that keep the condition `where`.

    An analytical row leads to the rows of the table that its SQL reads first, or of `table`. `cells` says of a dataset
    of the zone which cells are shown; the others are masked. Raises `Usage` for a dataset that does not exist and for
    SQL that cannot be followed, saying why; `Denied` for a condition on cells that are not shown.
    """
    from assay.pipelines.query import ask

    chosen, store, _ = traced(platform.project, dataset, zone)
    if cells is not None and where is not None:
        _check_condition(dataset, where, cells(dataset))
    if store == "analytical":
        found = _derived(platform.project, chosen, dataset, where, table)
    else:
        found = _Query(_delivered(dataset, where), dataset)
    # The provenance leads; what remains keeps the table's own order.
    hidden = [column for column, _ in PROVENANCE if column != "_source" or found.table.startswith("operational.")]
    statement = (
        f"SELECT count(*) OVER () AS _total, _batch, _sheet, _row, * EXCLUDE ({', '.join(hidden)}) "
        f"FROM ({found.text}) AS found ORDER BY _batch, _sheet, _row" + (f" LIMIT {int(limit)}" if limit else "")
    )
    columns, rows = ask(platform, statement, chosen.name)
    if cells is not None:
        shown = cells(found.table)
        rows = [
            (*row[:4], *(shown.value(name, value) for name, value in zip(columns[4:], row[4:], strict=True)))
            for row in rows
        ]
    return Origins(
        dataset=dataset,
        table=found.table,
        columns=("batch", "sheet", "row", *columns[4:]),
        rows=tuple(row[1:] for row in rows),
        total=rows[0][0] if rows else 0,
        evidence=records.evidence(platform.connection, {row[1] for row in rows}),
        others=found.others,
        closed=found.closed,
    )


def traced(project: Project, dataset: str, zone: str | None) -> tuple[Zone, str, str]:
    """Zone, store and name of a dataset that can be traced; raises `Usage` for one that is not there."""
    store, _, name = dataset.partition(".")
    chosen = zone_of(project, zone, dataset)
    if store not in (*DELIVERED, "analytical") or name not in tables(chosen, store):
        raise _unknown(chosen, dataset)
    return chosen, store, name


def _check_condition(dataset: str, where: str, cells: Cells) -> None:
    """A condition tells by its rows what stands in the cells that it names."""
    try:
        named = condition_columns(tuple(dataset.split(".")), where, Path("your condition"))
    except Misconfigured as error:
        raise Usage(error.what, where=error.where, expected=error.expected) from error
    hidden = sorted(name for name in named - _PLACE if not cells.shows(name))
    if hidden:
        raise Denied(
            f"the condition names {', '.join(hidden)}, whose cells you may not see", where=dataset,
            expected="a condition on columns that you see", next="ask the owner of the zone",
        )  # fmt: skip


def row_origins(
    platform: Platform, dataset: str, where: str | None, zone: str | None
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """`origins` as one flat table: each row with the file that it came from, and how that came in."""
    found = origins(platform, dataset, where, zone)
    names = ("batch", "file", "sha256", "period", "contract", "released by", *found.columns[1:])
    return names, [
        (
            row[0],
            *(evidence.file_name, evidence.sha256, evidence.period, evidence.contract, evidence.released_by),
            *row[1:],
        )
        for row in found.rows
        for evidence in (found.evidence[row[0]],)
    ]


@dataclass(frozen=True)
class _Query:
    text: str
    table: str
    others: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def _delivered(dataset: str, where: str | None) -> str:
    if where is None:
        return f"SELECT * FROM {dataset}"
    condition = condition_of(tuple(dataset.split(".")), where, Path("your condition"))
    return f"SELECT * FROM {dataset} WHERE {condition.sql(dialect='duckdb', comments=False)}"


def _derived(project: Project, zone: Zone, dataset: str, where: str | None, table: str | None) -> _Query:
    made: dict[tuple[str, ...], Made] = {
        ("analytical", entry.name): _made(entry) for entry in zone.analytical.values()
    }
    target = None
    if table is not None:
        target = tuple(table.split(".")) if "." in table else ("operational", table)
    try:
        found = trace_rows(tuple(dataset.split(".")), made, refresh.schema(project, zone), where, target)
    except Misconfigured as error:
        raise Usage(
            error.what, where=error.where, expected=error.expected,
            next=f"assay lineage {dataset} --zone {zone.name} --columns",
        ) from error  # fmt: skip
    names = [".".join(parts) for parts in found.tables]
    read = ".".join(found.table)
    return _Query(
        found.text,
        read,
        tuple(name for name in names if name != read),
        tuple(".".join(parts) for parts in found.closed),
    )


def _made(table: AnalyticalTable) -> Made:
    types = {field.name: field.type.duckdb for field in table.contract.fields}
    return Made(table.sql.text, table.sql.path, types, table.contract.primary_key)


def _unknown(zone: Zone, dataset: str) -> Usage:
    from assay.errors import nearest

    known = [f"{store}.{name}" for store in (*DELIVERED, "analytical") for name in tables(zone, store)]
    near = nearest(dataset, known)
    return Usage(f"there is no {dataset} in zone {zone.name}", expected=near or ", ".join(known))


@dataclass(frozen=True)
class ColumnOrigin:
    """One way by which a column gets its value: the steps before it, the nearest first, the delivered header last."""

    column: str
    steps: tuple[str, ...]


def column_origins(project: Project, dataset: str, zone: str | None) -> list[ColumnOrigin]:
    """For every column of a derived dataset, each way back through the zone's SQL to the header in the file.

    Columns that only choose rows (WHERE, ON, GROUP BY) are no part of a value and are left out.
    """
    chosen, store, name = traced(project, dataset, zone)
    following = _Following(project, chosen)
    fields = _fields(chosen, store, name)
    return [
        ColumnOrigin(column, steps) for column in fields for steps in following.ways((store, name), column)
    ]


def _fields(zone: Zone, store: str, name: str) -> list[str]:
    entry = tables(zone, store)[name]
    fields = entry.clean_fields if store == "staging" else entry.contract.fields
    return [field.name for field in fields]


class _Following:
    """Column lineage of every SELECT of a zone, computed when it is needed."""

    def __init__(self, project: Project, zone: Zone) -> None:
        self._project = project
        self._zone = zone
        self._schema = refresh.schema(project, zone)
        self._known: dict[tuple[str, ...], dict[str, tuple[tuple[tuple[str, ...], str], ...]]] = {}

    def ways(self, table: tuple[str, ...], column: str) -> list[tuple[str, ...]]:
        """Every chain of steps behind a column; an empty one where its value is made in the SQL itself."""
        found: list[tuple[str, ...]] = []
        for step, behind in self._behind(table, column):
            if behind is None:
                found.append((step,))
            else:
                found += [(step, *rest) for rest in self.ways(*behind)]
        return list(dict.fromkeys(found)) or [()]

    def _behind(
        self, table: tuple[str, ...], column: str
    ) -> Iterator[tuple[str, tuple[tuple[str, ...], str] | None]]:
        match table:
            case ("analytical", name):
                made = self._zone.analytical[name]
                for origin in self._origins(table, made.sql, self._schema).get(column, ()):
                    yield _written(*origin), origin
            case ("operational", name):
                for source in self._zone.sources.values():
                    if name in source.conform:
                        yield from self._conformed(source, name, column)
            case ("staging", name):
                yield from self._staged(self._zone.sources[name], column)
            case ("readable" | "quarantine", name):
                yield _header(self._zone.sources[name], column), None

    def _conformed(
        self, source: Source, name: str, column: str
    ) -> Iterator[tuple[str, tuple[tuple[str, ...], str] | None]]:
        schema = refresh.batch_schema(self._project, self._zone, source.name)
        place = ("operational", name, source.name)
        for table, origin in self._origins(place, source.conform[name], schema).get(column, ()):
            staged = ("staging", source.name) if table == ("batch",) else table
            if origin.startswith("_"):
                yield f"{_written(staged, origin)} (added by assay)", None
            else:
                yield _written(staged, origin), (staged, origin)

    def _staged(self, source: Source, column: str) -> Iterator[tuple[str, tuple[tuple[str, ...], str] | None]]:
        if source.clean_sql is None:
            yield _header(source, column), None
            return
        schema: refresh.Schema = {("batch",): {field.name: field.type.duckdb for field in source.contract.fields}}
        for _, origin in self._origins(("staging", source.name), source.clean_sql, schema).get(column, ()):
            yield _written(("readable", source.name), origin), (("readable", source.name), origin)

    def _origins(
        self, place: tuple[str, ...], statement: Sql, schema: refresh.Schema
    ) -> dict[str, tuple[tuple[tuple[str, ...], str], ...]]:
        if place not in self._known:
            self._known[place] = column_lineage(statement.text, statement.path, schema)
        return self._known[place]


def _written(table: tuple[str, ...], column: str) -> str:
    return f"{'.'.join(table)}.{column}"


def _header(source: Source, column: str) -> str:
    """The header under which a file of the source carries the field."""
    field = next((entry for entry in source.contract.fields if entry.name == column), None)
    if field is None:
        return f"{source.name}: {column} (added by assay)"
    return f"file of {source.name}: " + " or ".join(f'"{header}"' for header in field.headers)
