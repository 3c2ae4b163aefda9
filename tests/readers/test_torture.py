"""Broken, hostile and odd files of other projects' test suites: each is read or rejected, within its limits.

What is expected of each file stands in torture.json. After a deliberate change of a reader write it anew with
`ASSAY_REGENERATE=1 pytest -m slow tests/readers/test_torture.py`, and read the difference line by line.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from assay.errors import Rejected
from assay.readers.grid import Grid, Kind
from assay.readers.limits import Limits, read_limited
from assay.zones.model import ReaderHints

TORTURE = Path(__file__).parents[3] / "shared/data/torture"
EXPECTED = Path(__file__).with_name("torture.json")
#: The operating system holds the reading process to them.
LIMITS = Limits(memory_bytes=1 << 30, wall_seconds=10)

pytestmark = pytest.mark.skipif(not TORTURE.is_dir(), reason=f"the torture files are not at {TORTURE}")


def filled(grid: Grid) -> int:
    kinds = [grid.table[f"k{index}"] for index in range(grid.width)]
    return sum(len(column) - column.to_pylist().count(int(Kind.EMPTY)) for column in kinds)


def outcome(path: Path, scratch: Path) -> dict[str, Any]:
    try:
        grids = read_limited(path, ReaderHints(), scratch, LIMITS)
        sheets = [[grid.sheet, grid.height, grid.width, filled(grid)] for grid in grids]
        return {"outcome": "read", "sheets (name, rows, columns, cells with something in them)": sheets}
    except Rejected as error:
        assert error.findings and error.where == path.name
        what = error.what.replace(str(scratch), "")
        return {"outcome": "rejected", "kinds": [finding.kind for finding in error.findings], "what": what}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def outcomes(scratch: Path, some: slice = slice(None)) -> dict[str, Any]:
    files = sorted(path for path in TORTURE.rglob("*") if path.is_file())[some]
    # The reading happens in child processes, so two threads keep two processors busy.
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(outcome, files, [scratch / str(number) for number in range(len(files))])
        return {path.relative_to(TORTURE).as_posix(): one for path, one in zip(files, found, strict=True)}


def differing(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    names = expected.keys() | found.keys()
    return {name: (expected.get(name), found.get(name)) for name in names if expected.get(name) != found.get(name)}


def test_every_third_file_is_read_or_rejected_as_expected(tmp_path: Path) -> None:
    found = outcomes(tmp_path, slice(None, None, 3))
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    assert len(found) > 100
    assert differing({name: one for name, one in expected.items() if name in found}, found) == {}


@pytest.mark.slow
def test_every_file_is_read_or_rejected_as_expected(tmp_path: Path) -> None:
    told = outcomes(tmp_path)
    if os.environ.get("ASSAY_REGENERATE"):
        lines = (f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=True)}" for name, one in told.items())
        EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    assert differing(json.loads(EXPECTED.read_text(encoding="utf-8")), told) == {}
