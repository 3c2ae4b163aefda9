"""The quick pass over sheets whose cells the file itself typed: workbooks, JSON, Parquet.

Where every cell of a column is of the one type that its field takes, the texts of the column are written in one way,
and the expressions of the quick pass over CSV files type them. It only decides: whatever is out of the ordinary, such
as a number held as text, is left to the exact pass, which finds what is to be said of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from assay.engines import forms
from assay.engines.duckdb import PARQUET, Engine, EngineFailed, literal, quoted
from assay.findings import worst
from assay.segments.exact import Examination, Sheet, columns_of, first_text
from assay.segments.quick import kept_rows

if TYPE_CHECKING:
    from assay.readers.locate import Located
    from assay.zones.contract import Contract, Field

#: The kind of cell that a field of each type takes; a cell of another kind may fit too, but then is spoken about.
_KINDS = {
    "string": forms.KIND_TEXT, "integer": forms.KIND_NUMBER, "decimal": forms.KIND_NUMBER,
    "double": forms.KIND_NUMBER, "boolean": forms.KIND_BOOLEAN, "date": forms.KIND_DATE,
    "timestamp": forms.KIND_DATE, "time": forms.KIND_TIME,
}  # fmt: skip
#: How the readers write a date and time: without the time where that is midnight.
_MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S.%f")


def quick(
    engine: Engine, contract: Contract, sheets: Sequence[Sheet], scratch: Path, stamp: Mapping[str, int]
) -> Examination | None:
    """The typed rows of all sheets, in a Parquet file for each; None where a sheet is out of the ordinary.

    Raises `EngineFailed` at the first cell in doubt.
    """
    located = [sheet.located for sheet in sheets]
    findings = [finding for one in located for finding in one.findings]
    if worst(findings) == "error" or not all(_is_ordinary(sheet, contract) for sheet in sheets):
        return None
    files = [scratch / f"quick-{number}.parquet" for number, _ in enumerate(sheets)]
    rows = sum(
        engine.copy(_statement(contract, sheet, file, stamp)) for sheet, file in zip(sheets, files, strict=True)
    )
    if not rows:
        raise EngineFailed("there is no row")
    return Examination(
        tuple(findings), kept_rows(contract, files), None, "quick", rows, 0, columns_of(located), tuple(files)
    )


def _is_ordinary(sheet: Sheet, contract: Contract) -> bool:
    """Whether each field has one column, of cells of its own kind."""
    located = sheet.located
    if not sheet.kinds or not located.columns or located.duplicates:
        return False
    table = located.grid.table
    below = 1 + pc.index(table["row"], located.header_row).as_py()
    for field in contract.fields:
        index = located.columns.get(field.name)
        if index is not None:
            kinds = pc.unique(table[f"k{index}"].slice(below)).to_pylist()
            if field.type.timezone or not set(kinds) <= {0, _KINDS[field.type.kind]}:
                return False
    return True


def _statement(contract: Contract, sheet: Sheet, into: Path, stamp: Mapping[str, int]) -> str:
    located = sheet.located
    columns = [f"{_cell(field, located)} AS {quoted(field.name)}" for field in contract.fields]
    columns += [f"CAST({value} AS BIGINT) AS {quoted(name)}" for name, value in stamp.items()]
    columns += [f"CAST({literal(located.grid.sheet)} AS VARCHAR) AS _sheet", f"{_number(contract, located)} AS _row"]
    return (
        f"COPY (SELECT {', '.join(columns)} FROM {sheet.relation} WHERE row > {located.header_row} AND cells > 0) "
        f"TO {literal(str(into))} ({PARQUET})"
    )


def _cell(field: Field, located: Located) -> str:
    index = located.columns.get(field.name)
    return f"CAST(NULL AS {field.type.duckdb})" if index is None else forms.typed_or_fail(_as_typed(field), f"c{index}")


def _as_typed(field: Field) -> Field:
    """The field as it takes cells that a file typed: these are written in one way, whatever is declared for texts."""
    return replace(
        field, decimal_sign=".", thousands_sign=None, currency_signs=(), footnote_marks=(), parentheses=False,
        percent=False, true_words=("true",), false_words=("false",),
        formats=_MOMENTS if field.type.kind == "timestamp" else (),
    )  # fmt: skip


def _number(contract: Contract, located: Located) -> str:
    """SQL: the row's number; a row of nothing but blanks, which is no row, is left to the exact pass."""
    if any(field.required for field in contract.fields):
        return "row"  # a required cell has failed already
    return f"CASE WHEN {first_text(located.grid.width)} IS NULL THEN error('assay: blank') ELSE row END"
