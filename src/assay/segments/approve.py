"""approve: landing → readable. The form of every cell is checked, then typed by the contract; or nothing passes.

Two passes build on the same expressions (`engines.forms`). The quick one types a whole CSV file inside the
engine and stops at the first doubt; the exact one reads cells with their positions and names everything wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch, Tally
from assay.engines import forms
from assay.engines.duckdb import Engine, EngineFailed, literal, path_list, quoted
from assay.errors import Rejected
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding, column_letter, worst
from assay.segments.measure import tally
from assay.segments.outcome import Outcome
from assay.stores.iceberg import Iceberg, batch_is
from assay.stores.lake import readable

if TYPE_CHECKING:
    from assay.readers.grid import Grid
    from assay.readers.locate import Located
    from assay.zones.contract import Field
    from assay.zones.project import Source

PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
EXCEL_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"})


@dataclass(frozen=True)
class Table:
    """A relation of typed rows ready to be written: its SQL, and the remarks made on the way."""

    relation: str
    findings: tuple[Finding, ...]
    way: str


def prepare(
    batch: Batch, source: Source, landed: Path, engine: Engine, iceberg: Iceberg, scratch: Path
) -> Outcome:
    """Types a landed file into a Parquet file of the readable table.

    Raises `Rejected` with every finding when the file does not fit the contract.
    """
    if _is_excel(batch, source):
        from assay.readers.limits import read_limited

        grids = read_limited(_named(landed, batch, scratch), source.reader, scratch)
        table = _exact(engine, source, *_located(grids, source))
    else:
        table = _csv(engine, source, landed, scratch)
    target = readable(source)
    file = iceberg.new_file(target.namespace, target.name, f"{batch.id}-approve")
    numeric = [field.name for field in source.contract.fields if field.type.numeric]
    delivered = tally(engine, "delivered", table.relation, numeric)
    engine.run(
        f"COPY (SELECT {', '.join(quoted(f.name) for f in source.contract.fields)}, "
        f"CAST({batch.id} AS BIGINT) AS _batch, _sheet, _row FROM {table.relation}) "
        f"TO {literal(str(file))} ({PARQUET})"
    )
    written = tally(engine, "readable", f"read_parquet({path_list([str(file)])})", numeric)
    differences = compare(delivered, written)
    if differences:
        raise Rejected("the readable table does not add up to the delivered file", differences)

    def commit(connection: Any) -> None:
        iceberg.put(target.namespace, target.name, [file], replacing=batch_is(batch.id))

    return Outcome(
        commit,
        findings=table.findings,
        tallies=(delivered, written),
        detail={"rows": written.rows, "way": table.way},
        period=_period(engine, batch, source, file),
    )


def compare(before: Tally, after: Tally) -> tuple[Finding, ...]:
    """The differences between two lines of a reconciliation, as findings of severity error."""
    found = []
    if before.rows != after.rows:
        found.append(
            Finding(
                "reconciliation",
                f"{before.store} has {before.rows} rows, {after.store} has {after.rows}",
                expected=str(before.rows),
            )
        )
    for name in sorted(before.sums.keys() & after.sums.keys()):
        if before.sums[name] != after.sums[name]:
            found.append(
                Finding(
                    "reconciliation",
                    f"the sum of {name} is {before.sums[name]} in {before.store} "
                    f"and {after.sums[name]} in {after.store}",
                    field=name,
                    expected=str(before.sums[name]),
                )
            )
    return tuple(found)


def _is_excel(batch: Batch, source: Source) -> bool:
    if source.reader.format == "auto":
        return Path(batch.file_name).suffix.lower() in EXCEL_SUFFIXES
    return source.reader.format == "excel"


def _named(landed: Path, batch: Batch, scratch: Path) -> Path:
    """The landed object under a name with the delivered suffix, by which spreadsheet readers choose a format."""
    name = scratch / f"delivered{Path(batch.file_name).suffix.lower()}"
    name.unlink(missing_ok=True)
    name.symlink_to(landed.resolve())
    return name


def _located(grids: tuple[Grid, ...], source: Source) -> tuple[Located, bool]:
    from assay.readers.locate import locate

    located = locate(grids, source.contract, source.reader)
    if worst(located.findings) == "error":
        raise Rejected("the file does not have the columns that its contract names", located.findings)
    return located, located.grid.sheet is not None


def _csv(engine: Engine, source: Source, landed: Path, scratch: Path) -> Table:
    from assay.readers import csv

    dialect = csv.detect(landed, source.reader)
    text = csv.to_utf8(landed, dialect, scratch / "utf8.csv")
    head = csv.head(text, dialect)
    located, _ = _located((head,), source)
    if located.header_row == 1 and not (source.reader.footer or located.duplicates) and csv.plain(text, dialect):
        try:
            return _quick(engine, source, located, text, dialect, scratch)
        except EngineFailed:
            pass  # The quick pass only decides; the exact pass finds what is wrong, or that nothing is.
    whole = csv.read(text, dialect)
    return _exact(engine, source, *_located((whole,), source))


def _quick(
    engine: Engine, source: Source, located: Located, text: Path, dialect: Any, scratch: Path
) -> Table:
    width = len([name for name in located.grid.table.column_names if name.startswith("c") and name[1:].isdigit()])
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(width))
    quote = literal(dialect.quote or "")
    selected = ", ".join(
        f"{_cell(field, located, forms.typed_or_fail)} AS {quoted(field.name)}" for field in source.contract.fields
    )
    first = scratch / "quick.parquet"
    engine.run(
        f"COPY (SELECT {selected} FROM read_csv({literal(str(text))}, auto_detect=false, header=true, "
        f"delim={literal(dialect.delimiter)}, quote={quote}, escape={quote}, columns={{{columns}}}, "
        f"strict_mode=true, null_padding=false, max_line_size=16777216)) TO {literal(str(first))} "
        f"(FORMAT parquet, COMPRESSION snappy)"
    )
    # A row number computed while reading makes the read single-threaded (decision 0003): it is added here.
    present = " OR ".join(f"{quoted(field.name)} IS NOT NULL" for field in source.contract.fields)
    relation = (
        f"(SELECT * EXCLUDE (file_row_number), CAST(NULL AS VARCHAR) AS _sheet, "
        f"CAST(file_row_number + 2 AS BIGINT) AS _row "
        f"FROM read_parquet({literal(str(first))}, file_row_number=true) WHERE {present})"
    )
    return Table(relation, located.findings, "quick")


def _cell(field: Field, located: Located, typed: Any, kinds: bool = False) -> str:
    """SQL of a field's typed value; null of its type where the file may lack the column and does."""
    index = located.columns.get(field.name)
    if index is None:
        return f"CAST(NULL AS {field.type.duckdb})"
    return str(typed(field, f"c{index}", f"k{index}") if kinds else typed(field, f"c{index}"))


def _exact(engine: Engine, source: Source, located: Located, kinds: bool) -> Table:
    engine.register("cells", located.grid.table)
    fields = [field for field in source.contract.fields if field.name in located.columns]
    present = " OR ".join(f"NOT {forms.is_null(f, f'c{located.columns[f.name]}')}" for f in fields)
    footer = _footer(located, source.reader.footer)
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE body AS SELECT * FROM cells WHERE row > {located.header_row} "
        f"AND ({present}) AND NOT ({footer})"
    )
    findings = (
        *located.findings,
        *_shape(engine, located, kinds),
        *(finding for field in fields for finding in _bad_cells(engine, field, located, kinds)),
    )
    rows = engine.row("SELECT count(*) FROM body")[0]
    if rows == 0:
        findings = (*findings, Finding("empty_file", "there is no data row below the header"))
    if worst(findings) == "error":
        raise Rejected(_summary(findings), findings)
    selected = ", ".join(
        f"{_cell(field, located, forms.typed, kinds)} AS {quoted(field.name)}" for field in source.contract.fields
    )
    relation = (
        f"(SELECT {selected}, CAST({literal(located.grid.sheet)} AS VARCHAR) AS _sheet, "
        f"CAST(row AS BIGINT) AS _row FROM body ORDER BY row)"
    )
    return Table(relation, findings, "exact")


def _footer(located: Located, patterns: tuple[str, ...]) -> str:
    if not patterns:
        return "false"
    texts = sorted(
        (name for name in located.grid.table.column_names if name.startswith("c") and name[1:].isdigit()),
        key=lambda name: int(name[1:]),
    )
    first = "coalesce(" + ", ".join(f"nullif(trim({name}), '')" for name in texts) + ", '')"
    return " OR ".join(f"regexp_matches({first}, {literal(pattern)})" for pattern in patterns)


def _shape(engine: Engine, located: Located, kinds: bool) -> tuple[Finding, ...]:
    """Rows of a text file that have another number of cells than its header."""
    if kinds:
        return ()
    width = engine.row(f"SELECT max(cells) FROM cells WHERE row = {located.header_row}")[0]
    names = [name for name in located.grid.table.column_names if name.startswith("c") and name[1:].isdigit()]
    beyond = [name for name in names if int(name[1:]) >= width]
    extra = " OR ".join(f"coalesce(trim({name}), '') <> ''" for name in beyond) or "false"
    bad = f"cells < {width} OR ({extra})"
    count = engine.row(f"SELECT count(*) FROM body WHERE {bad}")[0]
    if not count:
        return ()
    rows = engine.rows(f"SELECT row, cells FROM body WHERE {bad} ORDER BY row LIMIT {EXAMPLES_PER_KIND}")
    return (
        Finding(
            "row_shape",
            f"{count} row(s) have another number of cells than the header, which has {width}",
            expected=f"{width} cells",
            count=count,
            cells=tuple(Cell(row=row, found=f"{cells} cells") for row, cells in rows),
        ),
    )


def _bad_cells(engine: Engine, field: Field, located: Located, kinds: bool) -> tuple[Finding, ...]:
    index = located.columns[field.name]
    column, kind = f"c{index}", f"k{index}" if kinds else None
    null = forms.is_null(field, column)
    error = f"{kind} = {forms.KIND_ERROR}" if kind else "false"
    wrong = f"(({error}) OR (NOT {null} AND NOT coalesce({forms.fits(field, column, kind)}, false)))"
    missing = f"(NOT ({error}) AND {null})" if field.required else "false"
    wrong_count, missing_count = engine.row(
        f"SELECT count(*) FILTER ({wrong}), count(*) FILTER ({missing}) FROM body"
    )
    found = []
    if wrong_count:
        found.append(
            Finding(
                "type_mismatch",
                f"column {field.name}: {wrong_count} cell(s) are not {expectation(field)}",
                field=field.name,
                expected=expectation(field),
                count=wrong_count,
                cells=_examples(engine, wrong, column, index, located),
            )
        )
    if missing_count:
        found.append(
            Finding(
                "missing_value",
                f"column {field.name}: {missing_count} cell(s) are empty, but the contract requires a value",
                field=field.name,
                expected=expectation(field),
                count=missing_count,
                cells=_examples(engine, missing, column, index, located),
            )
        )
    return tuple(found)


def expectation(field: Field) -> str:
    """What a field's cells must look like, for people."""
    words = str(field.type)
    if field.type.kind in ("date", "timestamp", "time") and field.formats:
        words += " written as " + " or ".join(field.formats)
    if field.pattern:
        words += f" that matches {field.pattern}"
    for value, text in (
        (field.min_length, "at least {} characters"),
        (field.max_length, "at most {} characters"),
        (field.minimum, "not below {}"),
        (field.maximum, "not above {}"),
        (field.exclusive_minimum, "above {}"),
        (field.exclusive_maximum, "below {}"),
    ):
        if value is not None:
            words += ", " + text.format(value)
    return words


def _examples(engine: Engine, condition: str, column: str, index: int, located: Located) -> tuple[Cell, ...]:
    rows = engine.rows(
        f"SELECT row, {column} FROM body WHERE {condition} ORDER BY row LIMIT {EXAMPLES_PER_KIND}"
    )
    letter = column_letter(index)
    return tuple(Cell(row, letter, None if text is None else text[:80], located.grid.sheet) for row, text in rows)


def _summary(findings: tuple[Finding, ...]) -> str:
    errors = [finding for finding in findings if finding.severity == "error"]
    more = f" (and {len(errors) - 1} more kinds of problem)" if len(errors) > 1 else ""
    return f"{errors[0].message}{more}"


def _period(engine: Engine, batch: Batch, source: Source, file: Path) -> str | None:
    if source.period is None or source.period.origin == "file_name":
        return batch.period
    assert source.period.sql is not None
    value = engine.row(
        f"SELECT CAST(({source.period.sql}) AS VARCHAR) FROM read_parquet({literal(str(file))}) AS batch"
    )[0]
    return None if value is None else str(value)
