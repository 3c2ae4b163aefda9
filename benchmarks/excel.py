"""A workbook from delivery to the readable table, beside python-calamine alone reading the same file.

Each in a process of its own, in turns. assay's time is that of its `approve` segment, with the process that reads
the workbook under limits, the check of every cell and the commit; calamine's is opening the file and reading every
cell into Python. What starting Python and its imports cost is in neither.

    python benchmarks/excel.py [--rows 100000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import lines
from process import measure
from spine import environment, new_project

ALONE = """
import sys, time
import python_calamine
started = time.monotonic()
with python_calamine.CalamineWorkbook.from_path(sys.argv[1]) as book:
    rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
print(time.monotonic() - started, len(rows))
"""
READABLE = "SELECT r.seconds, (r.detail->>'rows')::bigint FROM assay.segment_run AS r WHERE r.segment = 'approve'"


def main() -> None:
    """Measures and prints a line, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as name:
        file = lines.write_xlsx(Path(name) / f"lines-{chosen.rows}.xlsx", chosen.rows, chosen.seed)
        rounds = [_round(file, Path(name) / str(number), chosen.rows) for number in range(chosen.rounds)]
    ratios = [one["assay"] / one["calamine"] for one in rounds]
    result = {
        "rows": chosen.rows,
        "rounds": chosen.rounds,
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "assay_seconds": round(statistics.median(one["assay"] for one in rounds), 3),
        "calamine_seconds": round(statistics.median(one["calamine"] for one in rounds), 3),
        "assay_peak_bytes": max(one["peak"] for one in rounds),
    }
    if chosen.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{result['rows']:,} rows x {len(lines.HEADER)} columns: ratio {result['ratio']:.2f} "
        f"(file to readable {result['assay_seconds']:.2f} s, calamine alone {result['calamine_seconds']:.2f} s), "
        f"peak {result['assay_peak_bytes'] / 1e6:.0f} MB"
    )


def _round(file: Path, folder: Path, rows: int) -> dict[str, Any]:
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened

    with opened(new_project(folder)) as platform:
        apply(platform)
        alone = measure([sys.executable, "-c", ALONE, str(file)])
        command = ["-m", "assay.cli", "ingest", str(file), "--zone", "finance", "--pipeline", "expenses"]
        ours = measure([sys.executable, *command], folder, environment())
        found = platform.connection.execute(READABLE).fetchone()
    seconds, counted = alone.output.split()
    if found is None or found[1] != rows or int(counted) != rows + 1:
        raise SystemExit(f"rows differ: {found}, {counted}")
    shutil.rmtree(folder, ignore_errors=True)
    return {"assay": float(found[0]), "calamine": float(seconds), "peak": ours.peak_bytes}


if __name__ == "__main__":
    main()
