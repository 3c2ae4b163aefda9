"""What many small batches cost, and what housekeeping changes: the thousandth batch, a question, the disk.

The benchmark's project takes in small files one by one, with `assay maintain` after every so many of them, or never.
Questions over the staged rows are timed before and after the last housekeeping. Beside the time on the clock stands
that of the processor, in this process, which a busy machine does not change much.

    python benchmarks/upkeep.py                      1,000 batches of 100 rows, housekeeping after every 100
    python benchmarks/upkeep.py --every 0            without housekeeping
    python benchmarks/upkeep.py --json
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lines

HERE = Path(__file__).parent
#: Seconds on the clock, and of the processor.
Time = tuple[float, float]
QUESTION = "SELECT count(*), sum(net_amount) FROM readable.ledger"


def main() -> None:
    """Measures once and prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--every", type=int, default=100, help="housekeeping after so many batches; 0 is never")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as name:
        result = _measure(Path(name), chosen.batches, chosen.rows, chosen.every)
    if chosen.json:
        print(json.dumps(result, indent=2))
    else:
        for key, value in result.items():
            print(f"{key:32}{value}")


def _measure(folder: Path, batches: int, rows: int, every: int) -> dict[str, Any]:
    from assay.pipelines.maintain import maintain
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened
    from assay.pipelines.run import ingest
    from assay.zones.project import load_project

    project = folder / "project"
    shutil.copytree(HERE / "project", project)
    for file_name, more in (
        ("assay.yaml", "maintain: {grace: 0 hours}\n"),
        ("zones/finance/zone.yaml", "retention: {snapshots: 0 hours}\n"),
    ):
        with (project / file_name).open("a") as file:
            file.write(more)
    loaded = load_project(project)
    seconds: list[Time] = []
    upkeep: list[Time] = []
    with opened(loaded) as platform:
        apply(platform)
        pipeline = loaded.zones["finance"].pipelines["expenses"]
        for number in range(1, batches + 1):
            path = lines.write_csv(folder / f"lines-{number}.csv", rows, number)
            started = _now()
            (one,) = ingest(platform, pipeline, [path], None)
            seconds.append(_since(started))
            if one.batch.state != "done":
                raise SystemExit(f"{path.name} is {one.batch.state}: {one.error}")
            if every and number % every == 0 and number < batches:
                started = _now()
                maintain(platform)
                upkeep.append(_since(started))
            if number % 100 == 0:
                print(f"  {number} batches", file=sys.stderr)
        before, files, disk = _question(platform), _files(platform), _bytes(platform)
        started = _now()
        report = maintain(platform)
        last = _since(started)
        after = _question(platform)
        if before[1] != after[1] or report.failed:
            raise SystemExit(f"housekeeping changed the answer: {before[1]} to {after[1]}")
        return {
            "batches": batches,
            "housekeeping after every": every,
            "batches 5 to 15, ms": _ms(seconds[4:15]),
            "the last 11 batches, ms": _ms(seconds[-11:]),
            "ratio": [round(_median(seconds[-11:], n) / _median(seconds[4:15], n), 2) for n in (0, 1)],
            "housekeeping between, ms": _ms(upkeep) if upkeep else None,
            "last housekeeping, ms": _ms([last]),
            "files of readable before, after": f"{files}, {_files(platform)}",
            "question before, ms": _ms(before[0]),
            "question after, ms": _ms(after[0]),
            "lake before, after, MB": f"{disk / 1e6:.1f}, {_bytes(platform) / 1e6:.1f}",
        }


def _question(platform: Any) -> tuple[list[Time], Any]:
    """The times of five answers, and the answer."""
    from assay.pipelines.query import ask

    times = []
    for _ in range(5):
        started = _now()
        _, answer = ask(platform, QUESTION, "finance")
        times.append(_since(started))
    return times, answer


def _files(platform: Any) -> int:
    from assay.stores.iceberg import Iceberg

    return len(Iceberg(platform.connection, platform.data).files("finance.readable", "ledger"))


def _bytes(platform: Any) -> int:
    return sum(path.stat().st_size for path in (platform.data / "lake").rglob("*") if path.is_file())


def _now() -> Time:
    return time.perf_counter(), time.process_time()


def _since(started: Time) -> Time:
    return time.perf_counter() - started[0], time.process_time() - started[1]


def _median(times: list[Time], which: int) -> float:
    return statistics.median(one[which] for one in times)


def _ms(times: list[Time]) -> str:
    return f"{_median(times, 0) * 1000:.0f} on the clock, {_median(times, 1) * 1000:.0f} of the processor"


if __name__ == "__main__":
    main()
