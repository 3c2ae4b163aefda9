"""What the tests of readers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.readers.grid import Grid, Kind
from assay.readers.limits import Limits, read_limited
from assay.zones.model import ReaderHints

Read = Callable[..., tuple[Grid, ...]]
Rows = Callable[[Grid], list[list[str | None]]]
Kinds = Callable[[Grid], list[list[Kind]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a file as the platform does: in a child process, under limits."""

    def reading(path: Path, limits: Limits | None = None, name: str | None = None, **hints: Any) -> tuple[Grid, ...]:
        return read_limited(path, ReaderHints(**hints), tmp_path / "scratch", limits, name=name)

    return reading


@pytest.fixture
def rows() -> Rows:
    """The texts of a grid, row by row."""
    return lambda grid: [[row[f"c{i}"] for i in range(grid.width)] for row in grid.table.to_pylist()]


@pytest.fixture
def kinds() -> Kinds:
    """The kinds of a grid's cells, row by row."""
    return lambda grid: [[Kind(row[f"k{i}"]) for i in range(grid.width)] for row in grid.table.to_pylist()]
