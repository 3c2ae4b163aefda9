"""The process that meets a hostile file: reads it under limits and leaves Arrow files for its parent.

Run by `limits.read_limited` as `python -m assay.readers.child`, with the request as JSON on standard input.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from assay.errors import Rejected
from assay.readers import csv, excel
from assay.readers.archive import check_archive
from assay.readers.grid import Grid

ANSWER = "answer.json"


def main() -> int:
    """Read the requested file; whatever happens is told in the answer file, if the process lives to write it."""
    request = json.load(sys.stdin)
    memory, seconds = int(request["memory_bytes"]), int(request["wall_seconds"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    scratch = Path(request["scratch"])
    (scratch / ANSWER).write_text(json.dumps(_answer(request, scratch)), encoding="utf-8")
    return 0


def _answer(request: dict[str, Any], scratch: Path) -> dict[str, Any]:
    path = Path(request["path"])
    try:
        grids = _read(request, path, scratch)
        return {"grids": [_keep(grid, scratch / f"grid-{index}.arrow") for index, grid in enumerate(grids)]}
    except Rejected as error:
        return {"rejected": error.to_dict()}
    except MemoryError:
        return {"failed": "the file needs more memory than a delivery may use"}
    except BaseException as error:  # noqa: BLE001 - the Excel parser's panic is not an Exception
        return {"failed": f"the file cannot be read: {type(error).__name__}: {str(error)[:300]}"}


def _read(request: dict[str, Any], path: Path, scratch: Path) -> tuple[Grid, ...]:
    hints: Any = SimpleNamespace(**request["hints"])
    if request["format"] == "excel":
        check_archive(path, request["uncompressed_bytes"], request["ratio"])
        return excel.read(path, hints)
    dialect = csv.detect(path, hints)
    return (csv.read(csv.to_utf8(path, dialect, scratch / "text.utf8"), dialect),)


def _keep(grid: Grid, into: Path) -> dict[str, Any]:
    with pa.OSFile(str(into), "wb") as sink, pa.ipc.new_file(sink, grid.table.schema) as writer:
        writer.write_table(grid.table)
    return {"file": into.name, "sheet": grid.sheet, "hidden": grid.hidden}


if __name__ == "__main__":
    sys.exit(main())
