"""How long a person waits for `assay --help` and `assay status`: the median wall time of whole processes.

    python benchmarks/cli.py [--rounds 15] [--json]

`status` is asked in a small project, first with its PostgreSQL server running (as with a service, or beside
another command), then without, when the command starts and stops the server itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from process import measure
from spine import environment, new_project

ASSAY = [sys.executable, "-m", "assay.cli"]


def main() -> None:
    """Measures and prints a line per command, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as name:
        folder = Path(name) / "project"
        found = {"python -c pass": _median([sys.executable, "-c", "pass"], None, chosen.rounds)}
        found["assay --help"] = _median([*ASSAY, "--help"], None, chosen.rounds)
        found |= _status(folder, chosen.rounds)
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for command, seconds in found.items():
        print(f"{command:40}{seconds:7.3f} s")


def _status(folder: Path, rounds: int) -> dict[str, float]:
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened

    status = [*ASSAY, "status"]
    with opened(new_project(folder)) as platform:
        apply(platform)
        running = _median(status, folder, rounds)
    return {"assay status (server running)": running, "assay status (server stopped)": _median(status, folder, rounds)}


def _median(command: list[str], folder: Path | None, rounds: int) -> float:
    measure(command, folder, environment())  # The first time reads the files from the disk.
    return round(statistics.median(measure(command, folder, environment()).seconds for _ in range(rounds)), 3)


if __name__ == "__main__":
    main()
