"""What a governed question costs over the same question on bare DuckDB, with 1,000 zones and 10,000 datasets.

    python benchmarks/governed.py                       1,000,000 rows of the lake and of PostgreSQL, 40 rounds
    python benchmarks/governed.py --rows 100000 --rounds 100
    python benchmarks/governed.py --json

A connection is open; each question is asked of it and, in turn, of DuckDB over views of the same Parquet files (for
operational tables: over PostgreSQL attached), and both give Arrow. One row of an operational table is asked for twice:
by a condition that PostgreSQL decides, and by one that makes it hand out the whole table. The zone whose tables are
asked is one of a thousand: the others are copies of it in name. The first question, and one question by `assay sql`,
start processes. Figures are milliseconds; the median says what it was like on the machine as it was, the least what it
takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import lines
from spine import environment, new_project

ZONES = 1000
#: By what is asked: tables of the lake, and of PostgreSQL.
QUESTIONS = {
    "nothing": "SELECT 1 AS one",
    "one row": "SELECT * FROM analytical.expense_wide WHERE line_key = 'T000000777'",
    "count": "SELECT count(*) AS n FROM analytical.expense_wide",
    "groups": "SELECT expense_category, sum(net_amount) AS net FROM analytical.expense_wide GROUP BY ALL ORDER BY ALL",
    "top ten": "SELECT line_key, net_amount FROM analytical.expense_wide ORDER BY ALL DESC LIMIT 10",
    "join": "SELECT count(*) AS n FROM analytical.expense_wide w JOIN analytical.expense_by_month m "
    "USING (department, month, expense_category)",
    "100,000 rows": "SELECT * FROM analytical.expense_wide LIMIT 100000",
    "operational": "SELECT count(*) AS n FROM operational.employee",
    "operational, one key": "SELECT * FROM operational.expense_line WHERE line_key = 'T000000777'",
    "operational, one key, not narrowed": "SELECT * FROM operational.expense_line WHERE line_key || '' = 'T000000777'",
}


def main() -> None:
    """Measures and prints a line for each question, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-benchmark-") as name:
        found = measured(Path(name), chosen.rows, chosen.rounds)
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for key, values in found.items():
        print(f"{key}: " + ", ".join(f"{one} {value:.1f}" for one, value in values.items()), flush=True)


def measured(folder: Path, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """Every question, and what starting costs."""
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.plan import apply
    from assay.pipelines.platform import opened
    from assay.pipelines.run import ingest
    from assay.security.principals import User

    file = lines.write_csv(folder / "lines-1.csv", rows, 7)
    project = new_project(folder / "project")
    owner = project.zones["finance"].owner
    with opened(project, user=User(owner)) as platform:
        apply(platform)
        ingest(platform, pipeline_of(platform, "finance", "expenses"), [file], None)
        found = _side_by_side(platform, rounds)
        words = [sys.executable, "-m", "assay.cli", "sql", QUESTIONS["count"], "--as", owner]
        alone = [
            _milliseconds(lambda: subprocess.run(words, cwd=project.root, env=environment(), check=True, stdout=-3))
            for _ in range(5)
        ]
    found["one question by assay sql"] = {"median": statistics.median(alone), "least": min(alone)}
    return found


def _side_by_side(platform: Any, rounds: int) -> dict[str, dict[str, float]]:
    from assay.security.world import world_of
    from assay.serving.client import Connection

    project = _large(platform.project)
    world = world_of(project)
    bare = _bare(platform)
    found: dict[str, dict[str, float]] = {}
    with Connection(platform) as connection:
        connection._force.now = lambda: (project, world)  # type: ignore[method-assign]
        first = _milliseconds(lambda: connection.sql("SELECT 1 AS one").arrow())
        found["first question of a connection"] = {"took": first}
        for name, statement in QUESTIONS.items():
            asked = statement.replace("FROM analytical", "FROM finance.analytical").replace(
                "FROM operational", "FROM finance.operational"
            ).replace("JOIN analytical", "JOIN finance.analytical")  # fmt: skip
            ways: dict[str, Callable[[], Any]] = {
                "bare": lambda statement=statement: bare.execute(statement).to_arrow_table(),
                "governed": lambda asked=asked: connection.sql(asked).arrow(),
            }
            if name != "top ten" and name != "100,000 rows":
                assert ways["bare"]().equals(ways["governed"]()), name
            times: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(rounds):
                for way in ways if number % 2 else reversed(ways):
                    times[way].append(_milliseconds(ways[way]))
            more = [governed - plain for plain, governed in zip(times["bare"], times["governed"], strict=True)]
            found[name] = {
                "bare": statistics.median(times["bare"]), "governed": statistics.median(times["governed"]),
                "more": statistics.median(more), "least bare": min(times["bare"]),
                "least governed": min(times["governed"]),
            }  # fmt: skip
    bare.close()
    return found


def _large(project: Any) -> Any:
    """The project among as many zones as a large platform has."""
    zone = project.zones["finance"]
    others = {f"zone_{number}": replace(zone, name=f"zone_{number}") for number in range(ZONES - 1)}
    return replace(project, zones={**project.zones, **others})


def _bare(platform: Any) -> Any:
    """DuckDB by itself over the same tables."""
    from assay.engines.duckdb import _postgres_extension
    from assay.segments.relations import lake_select
    from assay.stores.database import transaction
    from assay.stores.iceberg import Iceberg
    from assay.stores.lake import analytical

    bare = duckdb.connect(":memory:", config={"threads": 2})
    bare.execute(f"LOAD '{_postgres_extension()}'")
    bare.execute(f"ATTACH '{platform.url}' AS pg (TYPE postgres, READ_ONLY)")
    bare.execute("CREATE SCHEMA analytical; CREATE SCHEMA operational")
    zone = platform.project.zones["finance"]
    with transaction(platform.connection) as tx:
        iceberg = Iceberg(tx, platform.data)
        for name, table in zone.analytical.items():
            bare.execute(f"CREATE VIEW analytical.{name} AS {lake_select(analytical(table), iceberg)}")
    for name in zone.operational:
        bare.execute(f"CREATE VIEW operational.{name} AS SELECT * FROM pg.finance.{name}")
    return bare


def _milliseconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
