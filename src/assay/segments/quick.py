"""The quick pass: a plain CSV file is typed and written by the engine in one go, which stops at the first doubt.

It only decides. What it lets pass, the exact pass would let pass as the same rows; where it raises instead,
the exact pass finds what is wrong, or that nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.engines import forms
from assay.engines.duckdb import PARQUET, Engine, EngineFailed, literal, path_list, quoted
from assay.segments.exact import Examination, columns_of, first_text

if TYPE_CHECKING:
    from assay.readers.dialect import Dialect
    from assay.readers.locate import Located
    from assay.readers.plain import Part
    from assay.zones.contract import Contract, Field

#: Numbering rows while they are read makes reading single-threaded; larger files are read in parts side by side.
PART_BYTES = 1 << 24


def quick(
    engine: Engine,
    contract: Contract,
    located: Located,
    text: Path,
    dialect: Dialect,
    scratch: Path,
    stamp: Mapping[str, int],
) -> Examination:
    """The typed rows of a file in UTF-8 whose first record is the header, in Parquet files with their row numbers.

    Raises `EngineFailed` or `NotPlain` at the first doubt.
    """
    from assay.readers.plain import Part, cut, is_plain

    parts: list[Part] = []
    files: list[Path] = []

    def statements(given: Iterable[Part]) -> Iterator[str]:
        parts.clear()
        files.clear()
        for part in given:
            parts.append(part)
            files.append(scratch / f"quick-{len(files)}.parquet")
            yield _statement(contract, located, part, dialect, files[-1], stamp)

    def records(given: Iterable[Part]) -> int:
        """Writes the parts, one while the next is still being cut; how many records they hold, the header included."""
        return 1 + int(sum(engine.side_by_side(statements(given))))

    count = max(1, min(engine.threads, text.stat().st_size // PART_BYTES))
    found = records(cut(text, dialect, scratch, count))
    lines = sum(part.lines for part in parts)
    if found < lines and len(parts) > 1:
        # Some cells hold line ends, so that lines are no measure for the numbers of the rows: read it as one part.
        found = records([Part(text, 0, lines)])
    if found < lines and not is_plain(text, dialect):
        raise EngineFailed("there are blank lines")
    if found == 1:
        raise EngineFailed("there is no row")
    return Examination(
        located.findings, kept_rows(contract, files), None, "quick", found - 1, 0, columns_of([located]), tuple(files)
    )


def reading(text: Path, dialect: Dialect, width: int, *, header: bool) -> str:
    """SQL that stands after FROM: the cells of a CSV file in UTF-8 as texts `c0`…, read strictly."""
    # The engine's own default buffers, twice as large, cost 200 MB more.
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(width))
    quote = literal(dialect.quote or "")
    return (
        f"read_csv({literal(str(text))}, auto_detect=false, header={str(header).lower()}, "
        f"delim={literal(dialect.delimiter)}, quote={quote}, escape={quote}, columns={{{columns}}}, "
        f"strict_mode=true, null_padding=false, max_line_size=16777216, buffer_size=16777216)"
    )


def _statement(
    contract: Contract, located: Located, part: Part, dialect: Dialect, into: Path, stamp: Mapping[str, int]
) -> str:
    first = part.lines_before == 0
    columns = [f"{_cell(field, located)} AS {quoted(field.name)}" for field in contract.fields]
    columns += [f"CAST({value} AS BIGINT) AS {quoted(name)}" for name, value in stamp.items()]
    columns += ["CAST(NULL AS VARCHAR) AS _sheet", f"{_number(contract, located)} AS _row"]
    above = 1 if first else part.lines_before
    numbered = (
        f"SELECT *, CAST(row_number() OVER () + {above} AS BIGINT) AS row "
        f"FROM {reading(part.path, dialect, located.grid.width, header=first)}"
    )
    return f"COPY (SELECT {', '.join(columns)} FROM ({numbered})) TO {literal(str(into))} ({PARQUET})"


def _cell(field: Field, located: Located) -> str:
    index = located.columns.get(field.name)
    return f"CAST(NULL AS {field.type.duckdb})" if index is None else forms.typed_or_fail(field, f"c{index}")


def _number(contract: Contract, located: Located) -> str:
    """SQL: the row's number; a row without any text, which is no row, is left to the exact pass."""
    if any(field.required for field in contract.fields):
        return "row"  # a required cell has failed already
    return f"CASE WHEN {first_text(located.grid.width)} IS NULL THEN error('assay: blank') ELSE row END"


def kept_rows(contract: Contract, files: Sequence[Path]) -> str:
    """SQL that stands after FROM: the rows that a quick pass has written."""
    names = ", ".join(quoted(field.name) for field in contract.fields)
    return f"(SELECT {names}, _sheet, _row FROM read_parquet({path_list([str(file) for file in files])}))"
