"""What a delivered file is worth under its contract: every finding, and the typed rows that may pass.

Two passes build on the same expressions (`engines.forms`). The quick one types a whole CSV file inside the
engine and stops at the first doubt; the exact one reads cells with their positions and names everything wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.engines import forms
from assay.engines.duckdb import Engine, EngineFailed, literal, quoted
from assay.errors import Rejected
from assay.findings import EXAMPLES_PER_KIND, Finding, worst
from assay.segments.exact import Exact, Examination, Sheet, Way, columns_of, first_text, reshapes

if TYPE_CHECKING:
    from assay.readers.csv import Dialect
    from assay.readers.limits import Limits
    from assay.readers.locate import Located
    from assay.zones.contract import Contract, Field
    from assay.zones.model import ReaderHints


def examine(
    path: Path,
    contract: Contract,
    hints: ReaderHints,
    engine: Engine,
    scratch: Path,
    *,
    limits: Limits | None = None,
    cells_most: int = EXAMPLES_PER_KIND,
    ways: tuple[Way, ...] = ("quick", "exact"),
) -> Examination:
    """Examines a file. The relations live as long as the engine and `scratch`.

    `cells_most` bounds how many cells each finding shows; `ways` is for tests, which hold the two against each
    other: with ("quick",) a doubt is a `Rejected` without findings.
    Raises `Rejected` where the file cannot be read at all.
    """
    from assay.readers.detect import reader_of
    from assay.readers.limits import read_limited

    exact = Exact(contract, hints, engine, cells_most)
    if reader_of(path, hints) != "csv":
        return exact.examine(_sheets(engine, read_limited(path, hints, scratch, limits), contract, hints))
    from assay.readers import csv

    dialect = csv.detect(path, hints)
    text = csv.to_utf8(path, dialect, scratch / "utf8.csv")
    located = _locate(csv.head(text, dialect), contract, hints)
    plain = located.header_row == 1 and not located.duplicates and csv.plain(text, dialect)
    if plain and "quick" in ways and worst(located.findings) != "error" and not reshapes(hints):
        try:
            return _quick(engine, contract, located, text, dialect, scratch)
        except EngineFailed:
            pass  # The quick pass only decides; the exact pass finds what is wrong, or that nothing is.
    if "exact" not in ways:
        raise Rejected("the quick pass is in doubt")
    if plain:
        try:
            raw = _raw(engine, located, text, dialect, scratch)
        except EngineFailed:
            pass  # The engine's reader gave up on a record; the exact reader says on which.
        else:
            return exact.examine([raw])
    whole = csv.read(text, dialect)
    return exact.examine([Sheet("cells_0", _locate(whole, contract, hints), kinds=False)], {"cells_0": whole.table})


def summary(findings: Sequence[Finding]) -> str:
    """The first error in words, and how many more kinds there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    more = f" (and {len(errors) - 1} more kinds of problem)" if len(errors) > 1 else ""
    return f"{errors[0].message}{more}"


def _locate(grid: Any, contract: Contract, hints: ReaderHints) -> Located:
    from assay.readers.locate import locate

    return locate([grid], contract, hints.model_copy(update={"sheet": None}))[0]


# --- the quick pass ------------------------------------------------------------------------------------------


def _quick(
    engine: Engine, contract: Contract, located: Located, text: Path, dialect: Dialect, scratch: Path
) -> Examination:
    selected = ", ".join(f"{_quick_cell(field, located)} AS {quoted(field.name)}" for field in contract.fields)
    # A row without any text is no row; where a column is required it cannot pass anyway.
    blank = "false" if any(field.required for field in contract.fields) else f"{first_text(located.grid.width)} IS NULL"
    first = scratch / "quick.parquet"
    engine.run(
        f"COPY (SELECT {selected}, {blank} AS _blank FROM {_reading(text, dialect, located.grid.width, header=True)}) "
        f"TO {literal(str(first))} (FORMAT parquet, COMPRESSION snappy)"
    )
    # A row number computed while reading makes the read single-threaded (decision 0003): it is added here.
    names = ", ".join(quoted(field.name) for field in contract.fields)
    relation = (
        f"(SELECT {names}, CAST(NULL AS VARCHAR) AS _sheet, CAST(file_row_number + 2 AS BIGINT) AS _row "
        f"FROM read_parquet({literal(str(first))}, file_row_number=true) WHERE NOT _blank)"
    )
    total = engine.row(f"SELECT count(*) FROM {relation}")[0]
    if total == 0:
        raise EngineFailed("there is no row")
    return Examination(located.findings, relation, None, "quick", total, 0, columns_of([located]))


def _quick_cell(field: Field, located: Located) -> str:
    index = located.columns.get(field.name)
    return f"CAST(NULL AS {field.type.duckdb})" if index is None else forms.typed_or_fail(field, f"c{index}")


def _reading(text: Path, dialect: Dialect, width: int, *, header: bool) -> str:
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(width))
    quote = literal(dialect.quote or "")
    return (
        f"read_csv({literal(str(text))}, auto_detect=false, header={str(header).lower()}, "
        f"delim={literal(dialect.delimiter)}, quote={quote}, escape={quote}, columns={{{columns}}}, "
        f"strict_mode=true, null_padding=false, max_line_size=16777216)"
    )


# --- the cells of the exact pass ------------------------------------------------------------------------------


def _sheets(engine: Engine, grids: Sequence[Any], contract: Contract, hints: ReaderHints) -> list[Sheet]:
    from assay.readers.archive import parts
    from assay.readers.locate import locate

    sheets = []
    found = (located for group in parts(grids, hints.member) for located in locate(group, contract, hints))
    for number, located in enumerate(found):
        engine.register(f"cells_{number}", located.grid.table)
        sheets.append(Sheet(f"cells_{number}", located, kinds=located.grid.typed))
    return sheets


def _raw(engine: Engine, located: Located, text: Path, dialect: Dialect, scratch: Path) -> Sheet:
    """The cells of a plain CSV file by the engine's own reader, kept in a file with their row numbers."""
    width = located.grid.width
    file = scratch / "raw.parquet"
    engine.run(
        f"COPY (SELECT * FROM {_reading(text, dialect, width, header=False)}) TO {literal(str(file))} "
        f"(FORMAT parquet, COMPRESSION snappy)"
    )
    relation = (
        f"(SELECT * EXCLUDE (file_row_number), CAST(file_row_number + 1 AS BIGINT) AS row, {width} AS cells "
        f"FROM read_parquet({literal(str(file))}, file_row_number=true))"
    )
    return Sheet(relation, located, kinds=False)
