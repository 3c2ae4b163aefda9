"""From a delivered file to the analytical tables: assay beside the same work written by hand in DuckDB.

They take turns in one run, each in a process of its own, on the same PostgreSQL server. The hand-written job runs
twice: as one writes it, and `tuned`, with the foreign keys dropped before the copy and added after it. The time is
that of the whole process, so Python's start and every import count; memory is that of the process with its
children, without PostgreSQL. The sums of the results are compared, so none can be quick by leaving something out.

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
#: Rows and sums of the lines that the rules let pass, from the file itself.
CONTROL = """
SELECT count(*), sum("Net amount"), sum("Gross amount") FROM read_csv('{}', types={{'Net amount': 'DECIMAL(14,2)',
'Gross amount': 'DECIMAL(14,2)'}}) WHERE "Net amount" <> 0
"""
WAYS = ("assay", "by_hand", "tuned")
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
    """The environment in which a child finds this checkout's assay, and acts as the owner of the project's zone."""
    return {**os.environ, "PYTHONPATH": str(HERE.parent / "src"), "ASSAY_USER": "benchmark"}


def new_project(folder: Path) -> Any:
    """A fresh copy of the benchmark's project, loaded."""
    from assay.zones.project import load_project

    shutil.copytree(HERE / "project", folder)
    return load_project(folder)


def _round(file: Path, folder: Path, number: int) -> dict[str, Any]:
    """Every way once, on a new server; who begins changes from round to round."""
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened

    with opened(new_project(folder)) as platform:
        apply(platform)
        with psycopg.connect(platform.url, autocommit=True) as connection:
            runs = {
                way: _run(way, file, folder, connection, platform.url)
                for way in (WAYS if number % 2 == 0 else reversed(WAYS))
            }
            segments = connection.execute("SELECT segment, seconds FROM assay.segment_run").fetchall()
    shutil.rmtree(folder, ignore_errors=True)
    parts = {way: json.loads(runs[way].output) for way in WAYS[1:]}
    return {"runs": runs, "assay": dict(segments), **parts}


def _run(way: str, file: Path, folder: Path, connection: psycopg.Connection[Any], url: str) -> Run:
    """One way from the file to its tables, whose sums must be those of the file."""
    words = [str(HERE / "by_hand.py"), str(file), str(folder / way), *(["tuned"] if way == "tuned" else [])]
    if way == "assay":
        words = ["-m", "assay.cli", "ingest", str(file), "--zone", "finance", "--pipeline", "expenses"]
    else:
        connection.execute(by_hand.SCHEMA.encode())
    connection.execute("CHECKPOINT")
    run = measure([sys.executable, *words], folder, {**environment(), "BY_HAND_URL": url})
    schema, wide = "by_hand", folder / way / "expense_wide.parquet"
    if way == "assay":
        schema, wide = "finance", folder / ".assay/lake/finance/analytical/expense_wide/data/*.parquet"
    import duckdb

    sums = "SELECT count(*), sum(net_amount), sum(gross_amount) FROM"
    found = {
        connection.execute(f"{sums} {schema}.expense_line".encode()).fetchone(),
        duckdb.execute(f"{sums} '{wide}'").fetchone(),
        duckdb.execute(CONTROL.format(file)).fetchone(),
    }
    if len(found) != 1:
        raise SystemExit(f"{way} does not add up to the file: {found}")
    return run


def _summary(count: int, size: int, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    def seconds(way: str) -> float:
        return statistics.median(one["runs"][way].seconds for one in rounds)

    def peak(way: str) -> int:
        return max(one["runs"][way].peak_bytes for one in rounds)

    def parts(way: str) -> dict[str, float]:
        names = [name for name in ("start", *SEGMENTS) if name in rounds[0][way]]
        return {name: round(statistics.median(one[way][name] for one in rounds), 3) for name in names}

    def ratios(other: str) -> list[float]:
        return [round(one["runs"]["assay"].seconds / one["runs"][other].seconds, 3) for one in rounds]

    ways = {way: {"seconds": round(seconds(way), 3), "peak_bytes": peak(way), "segments": parts(way)} for way in WAYS}
    return {
        "rows": count,
        "bytes": size,
        "rounds": len(rounds),
        "ratio": statistics.median(ratios("by_hand")),
        "ratios": ratios("by_hand"),
        "ratio_to_tuned": statistics.median(ratios("tuned")),
        "ratios_to_tuned": ratios("tuned"),
        **ways,
    }


def _show(result: dict[str, Any]) -> None:
    print(f"{result['rows']:,} rows, {result['bytes'] / 1e6:,.0f} MB, {result['rounds']} rounds")
    for words, name in (("by hand", "ratio"), ("by hand, tuned", "ratio_to_tuned")):
        each = ", ".join(f"{ratio:.2f}" for ratio in result[name.replace("ratio", "ratios")])
        print(f"  {result[name]:.2f} times the time {words} (each round: {each})")
    print(f"  {'':10}{'seconds':>9}{'peak MB':>9}" + "".join(f"{name:>13}" for name in ("start", *SEGMENTS)))
    for way in WAYS:
        one = result[way]
        parts = "".join(
            f"{one['segments'][name]:13.2f}" if name in one["segments"] else f"{'':13}" for name in ("start", *SEGMENTS)
        )
        print(f"  {way:10}{one['seconds']:9.2f}{one['peak_bytes'] / 1e6:9.0f}{parts}")


if __name__ == "__main__":
    main()
