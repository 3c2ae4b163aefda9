"""The gate against the same work without checks, as ratios of one alternating run.

    python benchmarks/gate.py                 1 M rows × 15 columns of CSV, 100 k rows of Excel, 5 rounds
    python benchmarks/gate.py --rows 100000 --excel-rows 10000 --rounds 3 --json

Every measurement has a process of its own, and the competitors take turns, so that a noisy machine is noisy for
all of them. Time counts from the open engine to the written file and its sums; starting Python does not count.
Where other programs want the same cores, the seconds of the processor say more than those of the clock.

    bare        DuckDB reads the CSV file with its declared types and writes Parquet: nothing is checked
    gate        the same file: examined, typed, written, rows numbered, rows and sums counted in what was written
    bad         the file with 1 % of its cells wrong: the full report
    calamine    the Excel parser alone reads the workbook
    workbook    the workbook: read in a child process, examined, typed, written, counted
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.engines.duckdb import PARQUET, Engine, connect, literal
from assay.zones.contract import Contract, Field
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

TEXT, MONEY = FieldType("string"), FieldType("decimal", 14, 2)
#: Name, type and the SQL of a line's text, `i` being its number.
COLUMNS: tuple[tuple[str, FieldType, str], ...] = (
    ("line_id", TEXT, "CAST(100000000 + i AS VARCHAR)"),
    ("posted_on", FieldType("date"), "CAST(DATE '2024-01-01' + CAST(i % 365 AS INTEGER) AS VARCHAR)"),
    ("employee_no", TEXT, "'E' || lpad(CAST(hash(i) % 9000 AS VARCHAR), 4, '0')"),
    ("department", TEXT, "'Department ' || (hash(i + 1) % 40)"),
    ("cost_centre", TEXT, "'cc' || (hash(i + 2) % 900)"),
    ("merchant", TEXT, "'Merchant number ' || (hash(i + 3) % 5000)"),
    ("mcc", TEXT, "lpad(CAST(hash(i + 4) % 9999 AS VARCHAR), 4, '0')"),
    ("expense_type", TEXT, "'type ' || (hash(i + 5) % 30)"),
    ("amount", MONEY, "CAST(CAST(CAST(hash(i + 6) % 2000000 AS BIGINT) - 200000 AS DECIMAL(14,2)) * 0.01 AS VARCHAR)"),
    ("tax", MONEY, "CAST(CAST(hash(i + 7) % 90000 AS DECIMAL(14,0)) * 0.01 AS VARCHAR)"),
    ("original_amount", MONEY, "CAST(CAST(hash(i + 8) % 2000000 AS DECIMAL(14,0)) * 0.01 AS VARCHAR)"),
    ("currency", TEXT, "CASE hash(i + 9) % 3 WHEN 0 THEN 'GBP' WHEN 1 THEN 'EUR' ELSE 'USD' END"),
    ("quantity", FieldType("integer"), "CAST(1 + hash(i + 10) % 20 AS VARCHAR)"),
    ("reimbursable", FieldType("boolean"), "CASE WHEN hash(i + 11) % 2 = 0 THEN 'true' ELSE 'false' END"),
    ("note", TEXT, "'note on line ' || i"),
)
REQUIRED = {"line_id", "posted_on", "employee_no", "amount"}
#: In these columns three cells of a hundred are wrong, which is one in a hundred of all.
SPOILT = {"posted_on", "amount", "tax", "original_amount", "quantity"}
CONTRACT = Contract(
    Path("lines.odcs.yaml"), "lines", "1", "active", "lines",
    tuple(Field(name, kind, (name,), required=name in REQUIRED) for name, kind, _ in COLUMNS),
)  # fmt: skip
NUMERIC = [field.name for field in CONTRACT.fields if field.type.numeric]


def generate(folder: Path, rows: int, excel_rows: int) -> None:
    """Writes clean.csv, bad.csv and lines.xlsx."""
    with connect(folder) as engine:
        for name, spoilt in (("clean", False), ("bad", True)):
            cells = []
            for at, (column, _, sql) in enumerate(COLUMNS):
                if spoilt and column in SPOILT:
                    sql = f"CASE WHEN hash(i * 16 + {at}) % 100 < 3 THEN 'n/a' ELSE {sql} END"
                cells.append(f"{sql} AS {column}")
            engine.run(
                f"COPY (SELECT {', '.join(cells)} FROM range({rows}) AS lines(i)) "
                f"TO {literal(str(folder / f'{name}.csv'))} (HEADER, DELIMITER ',')"
            )
        _write_workbook(engine, folder, excel_rows)


def _write_workbook(engine: Engine, folder: Path, rows: int) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(
        str(folder / "lines.xlsx"), {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}
    ) as book:
        sheet = book.add_worksheet("Lines")
        sheet.write_row(0, 0, [name for name, _, _ in COLUMNS])
        typed = ", ".join(f"CAST({sql} AS {kind.duckdb})" for _, kind, sql in COLUMNS)
        for number, row in enumerate(engine.rows(f"SELECT {typed} FROM range({rows}) AS lines(i)"), start=1):
            sheet.write_row(number, 0, row)


# --- what is measured --------------------------------------------------------------------------------------------


def bare(folder: Path, engine: Engine) -> str:
    columns = ", ".join(f"'{name}': '{kind.duckdb}'" for name, kind, _ in COLUMNS)
    count = engine.row(
        f"COPY (SELECT * FROM read_csv({literal(str(folder / 'clean.csv'))}, auto_detect=false, header=true, "
        f"delim=',', columns={{{columns}}})) TO {literal(str(folder / 'bare.parquet'))} ({PARQUET})"
    )[0]
    return f"{count} rows"


def gate(folder: Path, engine: Engine) -> str:
    return _approved(folder / "clean.csv", folder, engine)


def workbook(folder: Path, engine: Engine) -> str:
    return _approved(folder / "lines.xlsx", folder, engine)


def _approved(path: Path, folder: Path, engine: Engine) -> str:
    from assay.segments.examine import examine
    from assay.segments.measure import tally

    found = examine(path, CONTRACT, ReaderHints(), engine, folder, stamp={"_batch": 1})
    if found.refused:
        raise SystemExit(f"the benchmark's own file was refused: {found.findings[0].message}")
    passing = tally(engine, "passing", found.rows, NUMERIC)
    written = found.rows
    if not found.files:
        kept = literal(str(folder / "kept.parquet"))
        engine.run(f"COPY (SELECT *, CAST(1 AS BIGINT) AS _batch FROM {found.rows}) TO {kept} ({PARQUET})")
        written = f"read_parquet({kept})"
    readable = tally(engine, "readable", written, NUMERIC)
    if (passing.rows, passing.sums) != (readable.rows, readable.sums):
        raise SystemExit("the written file does not add up")
    return f"{readable.rows} rows, {found.way}"


def bad(folder: Path, engine: Engine) -> str:
    from assay.segments.examine import examine

    found = examine(folder / "bad.csv", CONTRACT, ReaderHints(), engine, folder)
    return f"{sum(one.count for one in found.findings)} cells in {len(found.findings)} findings, {found.way}"


def calamine(folder: Path, engine: Engine) -> str:
    import python_calamine

    with python_calamine.CalamineWorkbook.from_path(str(folder / "lines.xlsx")) as book:
        return f"{len(book.get_sheet_by_index(0).to_python(skip_empty_area=False)) - 1} rows"


MEASURED: dict[str, Callable[[Path, Engine], str]] = {
    "bare": bare, "gate": gate, "bad": bad, "calamine": calamine, "workbook": workbook,
}  # fmt: skip
#: Measurement → what it is compared with, and the ratio to reach.
RATIOS = {"gate": ("bare", 1.5), "bad": ("bare", 3.0), "workbook": ("calamine", 1.5)}


def measure(name: str, folder: Path) -> dict[str, Any]:
    """One measurement in this process."""
    # Modules are loaded before the clock starts; the child that reads a workbook is part of the gate's work.
    import pyarrow.dataset  # noqa: F401 - the engine loads it when it first reads an Arrow table

    import assay.readers.locate  # noqa: F401
    import assay.readers.plain  # noqa: F401
    import assay.segments.examine  # noqa: F401
    import assay.segments.measure  # noqa: F401
    import assay.segments.quick_sheets  # noqa: F401

    with tempfile.TemporaryDirectory(dir=folder) as scratch, connect(Path(scratch)) as engine:
        started, before = time.perf_counter(), _cpu_seconds()
        for name_of in ("clean.csv", "bad.csv", "lines.xlsx"):
            (Path(scratch) / name_of).symlink_to(folder / name_of)
        said = MEASURED[name](Path(scratch), engine)
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - before
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": sum(peaks) / 1024, "said": said}


def _cpu_seconds() -> float:
    """What this process and its finished children have used of the processor."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run(rows: int, excel_rows: int, rounds: int) -> dict[str, Any]:
    """Alternating rounds of all measurements, and their medians."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(folder, rows, excel_rows)
        taken: dict[str, list[dict[str, Any]]] = {name: [] for name in MEASURED}
        for _ in range(rounds):
            for name in MEASURED:
                command = [sys.executable, __file__, "--one", name, "--folder", made]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                taken[name].append(json.loads(done.stdout))
    medians = {name: statistics.median(one["seconds"] for one in runs) for name, runs in taken.items()}
    results = {
        name: {
            "seconds": round(medians[name], 3),
            "fastest": round(min(one["seconds"] for one in runs), 3),
            "cpu_seconds": round(statistics.median(one["cpu_seconds"] for one in runs), 3),
            "peak_mb": round(max(one["peak_mb"] for one in runs)),
            "said": runs[0]["said"],
        }
        for name, runs in taken.items()
    }
    for name, (other, reach) in RATIOS.items():
        pairs = list(zip(taken[name], taken[other], strict=True))
        ratio, cpu_ratio = (
            round(statistics.median(one[unit] / against[unit] for one, against in pairs), 2)
            for unit in ("seconds", "cpu_seconds")
        )
        results[name] |= {"against": other, "ratio": ratio, "cpu_ratio": cpu_ratio, "to_reach": reach}
    return {"rows": rows, "excel_rows": excel_rows, "rounds": rounds, "results": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--excel-rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.folder)))
        return
    found = run(asked.rows, asked.excel_rows, asked.rounds)
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['rows']} rows of CSV, {found['excel_rows']} of Excel; medians of {found['rounds']} rounds")
    for name, one in found["results"].items():
        ratio = ""
        if "ratio" in one:
            ratio = f"{one['ratio']:.2f} × {one['against']} (to reach {one['to_reach']}), cpu {one['cpu_ratio']:.2f} ×"
        times = f"{one['seconds']:8.2f} s {one['cpu_seconds']:8.2f} s cpu"
        print(f"{name:10} {times} {one['peak_mb']:6} MB  {ratio:50} {one['said']}")


if __name__ == "__main__":
    main()
