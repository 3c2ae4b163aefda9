"""Fixed-width text: cut by declared columns, and nothing outside them lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assay.errors import Rejected
from assay.readers.grid import Kind
from assay.zones.model import FixedColumn

COLUMNS = (
    FixedColumn(name="id", start=1, width=4),
    FixedColumn(name="name", start=5, width=6),
    FixedColumn(name="amount", start=11, width=8),
)


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "file.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_are_cut_where_they_are_declared(tmp_path: Path, read: Any, rows: Any, kinds: Any) -> None:
    path = written(tmp_path, "0007Zoë      12.50\r\n0008            \r\n\r\n0009Ann\r\n", "cp1252")
    (grid,) = read(path, columns=COLUMNS, encoding="cp1252")
    assert rows(grid) == [
        ["id", "name", "amount"], ["0007", "Zoë", "12.50"], ["0008", "", ""], [None] * 3, ["0009", "Ann", ""],
    ]  # fmt: skip
    assert grid.table["row"].to_pylist() == [0, 1, 2, 3, 4]
    assert kinds(grid)[1] == [Kind.TEXT] * 3
    assert kinds(grid)[2] == [Kind.TEXT, Kind.EMPTY, Kind.EMPTY]


@pytest.mark.parametrize(
    ("columns", "lost"), [(COLUMNS, "9"), ((COLUMNS[0], COLUMNS[2]), "Ann"), (COLUMNS[1:], "0007")]
)
def test_text_outside_the_columns_is_refused(
    tmp_path: Path, read: Any, columns: tuple[FixedColumn, ...], lost: str
) -> None:
    line = "0007Ann      12.509" if lost == "9" else "0007Ann      12.50"
    with pytest.raises(Rejected) as caught:
        read(written(tmp_path, f"{' ' * 18}\n{line}\n"), columns=columns)
    (finding,) = caught.value.findings
    assert (finding.kind, finding.count) == ("row_shape", 1)
    assert (finding.cells[0].row, finding.cells[0].found) == (2, lost)


def test_the_columns_must_be_declared(tmp_path: Path, read: Any) -> None:
    with pytest.raises(ValidationError, match="columns"):
        read(written(tmp_path, "x"), format="fixed")
