"""From a delivered file to the analytical tables: assay beside the same work written by hand in DuckDB.

Both take turns in one run, each in a process of its own, on the same PostgreSQL server. The time is that of the
whole process, so Python's start and every import count; memory is that of the process with its children, without
PostgreSQL. The sums of the two results are compared, so neither can be quick by leaving something out.

    python benchmarks/spine.py                      10,000 and 1,000,000 rows, three rounds
    python benchmarks/spine.py --rows 10000000 --rounds 1
    python benchmarks/spine.py --json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import by_hand
import lines
import psycopg
from process import Run, measure

HERE = Path(__file__).parent
SEGMENTS = ("land", "approve", "clean", "conform", "denormalize")
ROW_COUNTS = (10_000, 1_000_000)


def main() -> None:
    """Measures every size and prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="a number of rows; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="how often each of the two is run")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="a folder for the generated files, kept for the next time")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as name:
        files = chosen.keep or Path(name)
        files.mkdir(parents=True, exist_ok=True)
        results = []
        for count in chosen.rows or ROW_COUNTS:
            file = lines.write_csv(files / f"lines-{count}-{chosen.seed}.csv", count, chosen.seed)
            rounds = [_round(file, Path(name) / f"{count}-{number}", number) for number in range(chosen.rounds)]
            results.append(_summary(count, file.stat().st_size, rounds))
            if not chosen.json:
                _show(results[-1])
    if chosen.json:
        print(json.dumps(results, indent=2))


def environment() -> dict[str, str]:
    """The environment in which a child finds this checkout's assay."""
    return {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}


def new_project(folder: Path) -> Any:
    """A fresh copy of the benchmark's project, loaded."""
    from assay.zones.project import load_project

    shutil.copytree(HERE / "project", folder)
    return load_project(folder)


def _round(file: Path, folder: Path, number: int) -> dict[str, Any]:
    """Both ways once, on a new server; who begins changes from round to round."""
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened

    with opened(new_project(folder)) as platform:
        apply(platform)
        with psycopg.connect(platform.url, autocommit=True) as connection:
            connection.execute(by_hand.SCHEMA)
            runs: dict[str, Run] = {}
            for way in ("assay", "by_hand") if number % 2 == 0 else ("by_hand", "assay"):
                connection.execute("CHECKPOINT")
                command = {
                    "assay": ["-m", "assay.cli", "ingest", str(file), "--zone", "finance", "--pipeline", "expenses"],
                    "by_hand": [str(HERE / "by_hand.py"), str(file), str(folder / "by_hand")],
                }[way]
                runs[way] = measure([sys.executable, *command], folder, {**environment(), "BY_HAND_URL": platform.url})
            segments = dict(connection.execute("SELECT segment, seconds FROM assay.segment_run").fetchall())
            _check_same(connection, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return {"runs": runs, "assay": segments, "by_hand": json.loads(runs["by_hand"].output)}


def _check_same(connection: psycopg.Connection[Any], folder: Path) -> None:
    """Both ways must give the same numbers, in PostgreSQL and in the wide table."""
    import duckdb

    count = "SELECT count(*), sum(net_amount), sum(gross_amount) FROM "
    wide = folder / ".assay" / "lake" / "finance" / "analytical" / "expense_wide" / "data" / "*.parquet"
    found = {
        connection.execute(f"{count} finance.expense_line".encode()).fetchone(),
        connection.execute(f"{count} by_hand.expense_line".encode()).fetchone(),
        duckdb.execute(f"{count} '{wide}'").fetchone(),
        duckdb.execute(f"{count} '{folder / 'by_hand' / 'expense_wide.parquet'}'").fetchone(),
    }
    if len(found) != 1:
        raise SystemExit(f"the two ways differ: {found}")


def _summary(count: int, size: int, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    def seconds(way: str) -> float:
        return statistics.median(one["runs"][way].seconds for one in rounds)

    def peak(way: str) -> int:
        return max(one["runs"][way].peak_bytes for one in rounds)

    def parts(way: str) -> dict[str, float]:
        names = [name for name in ("start", *SEGMENTS) if name in rounds[0][way]]
        return {name: round(statistics.median(one[way][name] for one in rounds), 3) for name in names}

    ratios = [one["runs"]["assay"].seconds / one["runs"]["by_hand"].seconds for one in rounds]
    return {
        "rows": count,
        "bytes": size,
        "rounds": len(rounds),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "assay": {
            "seconds": round(seconds("assay"), 3),
            "peak_bytes": peak("assay"),
            "segments": parts("assay"),
        },
        "by_hand": {
            "seconds": round(seconds("by_hand"), 3),
            "peak_bytes": peak("by_hand"),
            "segments": parts("by_hand"),
        },
    }


def _show(result: dict[str, Any]) -> None:
    print(f"{result['rows']:,} rows, {result['bytes'] / 1e6:,.0f} MB, {result['rounds']} rounds")
    print(f"  ratio {result['ratio']:.2f} (each round: {', '.join(f'{r:.2f}' for r in result['ratios'])})")
    print(f"  {'':10}{'seconds':>9}{'peak MB':>9}" + "".join(f"{name:>13}" for name in ("start", *SEGMENTS)))
    for way in ("assay", "by_hand"):
        one = result[way]
        parts = "".join(
            f"{one['segments'][name]:13.2f}" if name in one["segments"] else f"{'':13}" for name in ("start", *SEGMENTS)
        )
        print(f"  {way:10}{one['seconds']:9.2f}{one['peak_bytes'] / 1e6:9.0f}{parts}")


if __name__ == "__main__":
    main()
