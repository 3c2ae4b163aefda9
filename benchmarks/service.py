"""The running service: how soon a small file can be asked for, what history, order and records cost, what it holds.

Every part starts `assay up` on a new project with its own PostgreSQL, and drops invented files of 100 lines.

    python benchmarks/service.py                        every part, with the numbers of the documentation
    python benchmarks/service.py --part latency --files 50
    python benchmarks/service.py --json

latency     a file is moved into the ingress folder; the clock stops when its batch is done, which is when its rows
            can be asked for in the analytical store. One file at a time, the service idle in between.
workbooks   the same with workbooks instead of CSV files.
history     the seconds of the segments for the batches around the tenth and around the last of many.
throughput  the files of several zones, all there at once, with one, two and four workers.
overhead    a batch under a lease, with gate, records and events, beside the same segments called directly.
memory      what the idle service's processes hold, shared pages divided among them (PSS), without PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lines
from spine import environment, new_project

LINES = 100
PARTS = ("latency", "workbooks", "history", "throughput", "overhead", "memory")


def main() -> None:
    """Measures the parts asked for and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--files", type=int, default=50, help="files of latency, throughput and overhead")
    parser.add_argument("--history", type=int, default=1000, help="batches of history")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    for part in chosen.part or PARTS:
        with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as name:
            count = chosen.history if part == "history" else chosen.files
            found[part] = MEASURES[part](Path(name), count)
        if not chosen.json:
            print(f"{part}: " + ", ".join(f"{key} {value}" for key, value in found[part].items()), flush=True)
    if chosen.json:
        print(json.dumps(found, indent=2))


@contextmanager
def service(folder: Path, *, workers: int = 2, zones: int = 1) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A running service and a platform beside it."""
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened
    from assay.zones.project import load_project

    root = folder / "project"
    new_project(root)
    for number in range(1, zones):
        shutil.copytree(root / "zones/finance", root / f"zones/finance_{number}")
    project = load_project(root)
    for zone in project.zones.values():
        for pipeline in zone.pipelines.values():
            pipeline.ingress.mkdir(parents=True)
    with opened(project) as platform, (folder / "said").open("wb") as said:
        apply(platform)
        command = [sys.executable, "-m", "assay.cli", "up", "--json", "--workers", str(workers)]
        process = subprocess.Popen(command, cwd=root, env=environment(), stdout=said, stderr=said)
        try:
            until(lambda: b'"ready"' in (folder / "said").read_bytes() or process.poll() is not None)
            if process.poll() is not None:
                raise SystemExit((folder / "said").read_text())
            yield process, platform
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def until(ask: Callable[[], Any], pause: float = 0.05) -> Any:
    """The first answer."""
    deadline = time.monotonic() + 1800
    while not (found := ask()):
        if time.monotonic() > deadline:
            raise SystemExit("the service did not get there")
        time.sleep(pause)
    return found


def done(platform: Any) -> int:
    """How many batches are done."""
    row = platform.connection.execute("SELECT count(*) FROM assay.batch WHERE state = 'done'").fetchone()
    return int(row[0])


def files(folder: Path, count: int, suffix: str = "csv") -> list[Path]:
    """Different files, outside of any ingress folder."""
    place = folder / "files"
    place.mkdir(exist_ok=True)
    write = {"csv": lines.write_csv, "xlsx": lines.write_xlsx}[suffix]
    return [write(place / f"lines-{number:05}.{suffix}", LINES, number) for number in range(count)]


def workbooks(folder: Path, count: int) -> dict[str, Any]:
    """`latency` of workbooks."""
    return latency(folder, count, "xlsx")


def latency(folder: Path, count: int, suffix: str = "csv") -> dict[str, Any]:
    """From the move into the folder to the state done, one file at a time; the first three warm up."""
    with service(folder) as (_, platform):
        ingress = platform.project.zones["finance"].pipelines["expenses"].ingress
        seconds = []
        for number, file in enumerate(files(folder, count + 3, suffix)):
            time.sleep(0.3)
            started = time.monotonic()
            file.rename(ingress / file.name)
            until(lambda wanted=number + 1: done(platform) >= wanted, pause=0.002)
            seconds.append(time.monotonic() - started)
        segments = dict(
            platform.connection.execute(
                "SELECT segment, round(avg(seconds)::numeric, 3)::float FROM assay.segment_run GROUP BY segment"
            ).fetchall()
        )
    kept = sorted(seconds[3:])
    return {
        "files": count, "median": round(statistics.median(kept), 3),
        "p95": round(kept[min(len(kept) - 1, int(0.95 * len(kept)))], 3), "segments": segments,
    }  # fmt: skip


def history(folder: Path, count: int) -> dict[str, Any]:
    """The median of all segments of ten batches around the tenth, and of the last twenty."""
    with service(folder) as (_, platform):
        ingress = platform.project.zones["finance"].pipelines["expenses"].ingress
        for file in files(folder, count):
            file.rename(ingress / file.name)
        until(lambda: done(platform) == count, pause=0.5)
        rows = platform.connection.execute(
            "SELECT segment, array_agg(seconds ORDER BY batch_id) FROM assay.segment_run GROUP BY segment"
        ).fetchall()
    spent = {segment: seconds for segment, seconds in rows if segment != "land"}
    spent["all"] = [sum(one) for one in zip(*spent.values(), strict=True)]
    found = {name: (statistics.median(one[5:15]), statistics.median(one[-20:])) for name, one in spent.items()}
    shown = {name: f"{early:.3f} {late:.3f}" for name, (early, late) in found.items()}
    return {"batches": count, "tenth and last": shown, "ratio": round(found["all"][1] / found["all"][0], 2)}


def throughput(folder: Path, count: int) -> dict[str, Any]:
    """Batches a second; a zone's files go one after the other, so there are four zones."""
    found: dict[str, Any] = {"batches": 4 * (count // 4)}
    for workers in (1, 2, 4):
        own = folder / f"{workers}"
        own.mkdir()
        with service(own, workers=workers, zones=4) as (_, platform):
            started = time.monotonic()
            for file in files(own, count // 4):
                for zone in platform.project.zones.values():
                    shutil.copy(file, part := zone.pipelines["expenses"].ingress / f".{file.name}.part")
                    part.rename(part.with_name(file.name))
            until(lambda: done(platform) == found["batches"])
            found[f"workers {workers}"] = round(found["batches"] / (time.monotonic() - started), 2)
            twice = platform.connection.execute(
                "SELECT count(*) FROM (SELECT batch_id FROM assay.event WHERE kind = 'done' GROUP BY batch_id "
                "HAVING count(*) > 1) AS t"
            ).fetchone()
            assert twice == (0,), "a batch was done twice"
    return found


def overhead(folder: Path, count: int) -> dict[str, Any]:
    """Both ways in one process, in turns; the batches' rows are different."""
    from assay.pipelines.landing import land
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened
    from assay.pipelines.run import work_off
    from assay.pipelines.worker import at_work

    with opened(new_project(folder / "project")) as platform:
        apply(platform)
        source = platform.project.zones["finance"].pipelines["expenses"].sources["ledger"]
        spent: dict[str, list[float]] = {"orchestrated": [], "direct": []}
        with at_work(platform) as worker:
            for number, file in enumerate(files(folder, count)):
                batch, _ = land(platform, source, file)
                way = ("orchestrated", "direct")[number % 2]
                started = time.process_time(), time.monotonic()
                if way == "direct":
                    _direct(platform, source, batch)
                    platform.connection.execute("UPDATE assay.batch SET state = 'done' WHERE id = %s", (batch.id,))
                else:
                    work_off(platform, worker, batch.id)
                spent[way].append(time.monotonic() - started[1])
    kept = {way: statistics.median(values[3:]) for way, values in spent.items()}
    ratio = kept["orchestrated"] / kept["direct"]
    return {**{way: round(value, 3) for way, value in kept.items()}, "ratio": round(ratio, 2)}


def _direct(platform: Any, source: Any, batch: Any) -> None:
    """The segments one after the other, each in a transaction, and nothing around them."""
    from assay.catalog import records
    from assay.engines.duckdb import connect
    from assay.pipelines import movement, refresh
    from assay.segments import denormalize
    from assay.stores.database import transaction
    from assay.stores.iceberg import Iceberg

    zone = platform.project.zones[batch.zone]
    for segment in ("approve", "clean", "conform"):
        with platform.scratch() as scratch:
            outcome = movement._prepare(platform, batch, source, segment, scratch)
            with transaction(platform.connection) as tx:
                outcome.commit(tx)
    with platform.scratch() as scratch, connect(scratch, postgres=True) as engine:
        touched = refresh.by_table(platform.project, zone, records.touched(platform.connection, batch.id), set(), False)
        iceberg = Iceberg(platform.connection, platform.data)
        outcome = denormalize.prepare(
            batch, platform.project, source, engine, iceberg, platform.url, scratch, touched
        )
        with transaction(platform.connection) as tx:
            outcome.commit(tx)


def memory(folder: Path, count: int) -> dict[str, Any]:
    """Megabytes by process, at the start and after some batches."""
    with service(folder) as (process, platform):
        fresh = _held(process.pid)
        ingress = platform.project.zones["finance"].pipelines["expenses"].ingress
        for file in files(folder, count):
            file.rename(ingress / file.name)
        until(lambda: done(platform) == count)
        time.sleep(2)
        return {"idle MB": fresh, f"after {count} batches MB": _held(process.pid)}


def _held(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (str(pid), *children):
        rollup = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total // 1024


MEASURES: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "latency": latency, "workbooks": workbooks, "history": history, "throughput": throughput, "overhead": overhead,
    "memory": memory,
}  # fmt: skip

if __name__ == "__main__":
    os.environ.setdefault("ASSAY_USER", "benchmark")
    main()
