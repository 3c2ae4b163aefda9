"""What a delivered file is worth under its contract: every finding, and the typed rows that may pass.

Two passes build on the same expressions (`engines.forms`). The quick one types a whole CSV file, or the sheets of
another file, inside the engine and stops at the first doubt; the exact one reads cells with their positions and names
everything wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from assay.engines.duckdb import Engine, EngineFailed, literal
from assay.errors import Rejected
from assay.findings import EXAMPLES_PER_KIND, Finding, worst
from assay.segments.exact import Exact, Examination, Sheet, Way, reshapes
from assay.segments.quick import quick, reading

if TYPE_CHECKING:
    from assay.readers.dialect import Dialect
    from assay.readers.limits import Limits
    from assay.readers.locate import Located
    from assay.zones.contract import Contract
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
    stamp: Mapping[str, int] = MappingProxyType({}),
) -> Examination:
    """Examines a file. The relations live as long as the engine and `scratch`.

    `stamp` has columns of one number each that the quick pass writes beside the rows, for whoever keeps its files.
    `cells_most` bounds how many cells each finding shows; `ways` is for tests, which hold the two against each
    other: with ("quick",) a doubt is a `Rejected` without findings.
    Raises `Rejected` where the file cannot be read at all.
    """
    from assay.readers.detect import reader_of
    from assay.readers.limits import read_limited

    exact = Exact(contract, hints, engine, cells_most)
    if reader_of(path, hints) != "csv":
        sheets = _sheets(engine, read_limited(path, hints, scratch, limits), contract, hints)
        if "quick" in ways and not reshapes(hints):
            found = _quickly_typed(sheets, contract, engine, scratch, stamp)
            if found is not None:
                return found
        if "exact" not in ways:
            raise Rejected("the quick pass is in doubt")
        return exact.examine(sheets)
    if "quick" in ways and not reshapes(hints):
        found = _quickly(path, contract, hints, engine, scratch, stamp)
        if found is not None:
            return found
    if "exact" not in ways:
        raise Rejected("the quick pass is in doubt")
    from assay.readers import csv
    from assay.readers.plain import is_plain

    dialect = csv.detect(path, hints)
    text = csv.to_utf8(path, dialect, scratch / "utf8.csv")
    located = _locate(csv.head(text, dialect), contract, hints)
    if located.header_row == 1 and not located.duplicates and is_plain(text, dialect):
        try:
            raw = _raw(engine, located, text, dialect, scratch)
        except EngineFailed:
            pass  # The engine's reader gave up on a record; the exact reader says on which.
        else:
            return exact.examine([raw])
    (whole,) = read_limited(path, hints, scratch, limits)
    return exact.examine([Sheet("cells_0", _locate(whole, contract, hints), kinds=False)], {"cells_0": whole.table})


def _quickly(
    path: Path, contract: Contract, hints: ReaderHints, engine: Engine, scratch: Path, stamp: Mapping[str, int]
) -> Examination | None:
    """The quick pass over a CSV file; None where it has a doubt, whatever that is: the exact pass finds out."""
    from assay.readers import csv
    from assay.readers.plain import NotPlain

    try:
        dialect = csv.detect(path, hints, whole=False)
        text = path
        if dialect.encoding != "utf-8" or dialect.bom:  # other bytes than UTF-8 are found where the file is cut
            text = csv.to_utf8(path, dialect, scratch / "utf8.csv")
        located = _locate(csv.head(text, dialect), contract, hints)
        if located.header_row != 1 or located.duplicates or worst(located.findings) == "error":
            return None
        return quick(engine, contract, located, text, dialect, scratch, stamp)
    except (EngineFailed, NotPlain, Rejected, UnicodeError):
        return None


def _quickly_typed(
    sheets: Sequence[Sheet], contract: Contract, engine: Engine, scratch: Path, stamp: Mapping[str, int]
) -> Examination | None:
    """The quick pass over sheets that a reader has read; None where it has a doubt."""
    from assay.segments import quick_sheets

    try:
        return quick_sheets.quick(engine, contract, sheets, scratch, stamp)
    except EngineFailed:
        return None


def summary(findings: Sequence[Finding]) -> str:
    """The first error in words, and how many more kinds there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    rest = len(errors) - 1
    more = f" (and {rest} more kind{'' if rest == 1 else 's'} of problem)" if rest else ""
    return f"{errors[0].message}{more}"


def _locate(grid: Any, contract: Contract, hints: ReaderHints) -> Located:
    from assay.readers.locate import locate

    return locate([grid], contract, hints.model_copy(update={"sheet": None}))[0]


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
        f"COPY (SELECT * FROM {reading(text, dialect, width, header=False)}) TO {literal(str(file))} "
        f"(FORMAT parquet, COMPRESSION snappy)"
    )
    relation = (
        f"(SELECT * EXCLUDE (file_row_number), CAST(file_row_number + 1 AS BIGINT) AS row, {width} AS cells "
        f"FROM read_parquet({literal(str(file))}, file_row_number=true))"
    )
    return Sheet(relation, located, kinds=False)
