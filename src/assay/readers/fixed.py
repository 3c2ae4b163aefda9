"""Fixed-width text: the columns that the configuration declares, cut from every line.

The blanks that fill a column are not part of its cells. Text outside every column is refused: it would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import Rejected
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding
from assay.readers.grid import Grid, GridBuilder, Kind

if TYPE_CHECKING:
    from assay.zones.model import FixedColumn

#: The row number of a header that is declared, not delivered.
DECLARED = 0


def read(path_utf8: Path, columns: Sequence[FixedColumn], folder: Path | None = None) -> Grid:
    """Every line as cells; the header is row 0, the lines count from 1. Raises `Rejected` for undeclared text."""
    spans = [slice(column.start - 1, column.start - 1 + column.width) for column in columns]
    builder = GridBuilder(folder=folder)
    builder.add(DECLARED, [column.name for column in columns], [Kind.TEXT] * len(columns))
    gaps = _gaps(spans)
    outside: list[Cell] = []
    count = 0
    with path_utf8.open(encoding="utf-8", newline=None) as file:
        for number, ended in enumerate(file, start=1):
            line = ended.removesuffix("\n")
            texts = [line[span].strip(" ") for span in spans] if line.strip(" ") else []
            builder.add(number, texts, [Kind.TEXT if text else Kind.EMPTY for text in texts])
            lost = "".join(line[gap] for gap in gaps).strip(" ")
            if lost:
                count += 1
                if count <= EXAMPLES_PER_KIND:
                    outside.append(Cell(row=number, found=lost[:80]))
    if count:
        what = f"{count} line(s) have text outside the declared columns, first line {outside[0].row}"
        finding = Finding("row_shape", what, expected="blanks there", count=count, cells=tuple(outside))
        raise Rejected(what, [finding], where=path_utf8.name, next="correct the file, or `reader.columns`")
    return builder.build()


def _gaps(spans: Sequence[slice]) -> list[slice]:
    """What no span covers, the rest of the line included."""
    gaps, reached = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.start > reached:
            gaps.append(slice(reached, span.start))
        reached = max(reached, span.stop)
    return [*gaps, slice(reached, None)]
