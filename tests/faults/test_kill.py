"""Killed anywhere, run again: the stores equal those of a run that nothing disturbed, and nothing stands twice."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest

import assay
from assay.catalog import records
from assay.examples.expenses.generate import generate
from assay.pipelines.platform import opened
from assay.security.audit import chain, entries
from assay.security.checkpoints import read_checkpoints
from assay.security.verify_chain import examine
from assay.stores.canonical import strength
from assay.stores.database import server
from assay.zones.project import load_project
from holdings import held
from shop_project import OWNER, owned_example

SOURCES = str(Path(assay.__file__).parents[1])
KEPT = ("currencies", "merchant_categories", "card-2025-01", "card-2025-12", "ledger-2025-01", "ledger-2025-02")
#: More kills than a run has durable steps: only a run that never ends gets there.
KILLS_MOST = 3000


class Zygote:
    """A process that forks assay's commands and can kill them; see `zygote.py`."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.project = project
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "zygote.py"), str(folder / "said")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": SOURCES, "PATH": "/usr/bin:/bin", "ASSAY_USER": OWNER, "PYTHONWARNINGS": "ignore"},
        )

    def call(self, *words: str, **order: Any) -> dict[str, Any]:
        """Runs one command; {"code", "stdout", "stderr"}, the code negative for a killed one."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"argv": words, "cwd": str(self.project), **order}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Arena:
    """An applied example with files waiting, put back to that state before every test."""

    def __init__(self, folder: Path) -> None:
        self.project, self._template = folder / "project", folder / "template"
        self.project.mkdir()
        owned_example(self.project)
        generate(self.project, lines=240)
        self._few_files()
        self.zygote = Zygote(folder, self.project)
        applied = self.zygote.call("apply")
        assert applied["code"] == 0, applied["stderr"]
        self._settled()
        shutil.copytree(self.project, self._template, symlinks=True)
        self._own(self.project, self._template)
        started = time.monotonic()
        self.first = self.zygote.call("run")
        self.seconds = time.monotonic() - started
        self.undisturbed = content(self.project)

    def _few_files(self) -> None:
        for path in (self.project / "ingress").rglob("*.*"):
            if path.is_file() and not path.name.startswith(KEPT):
                path.unlink()
        path = self.project / "ingress/corporate_finance/expenses/ledger-2025-01.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter=";"))
        rows[3][rows[0].index("Net amount")] = "0,00"  # a rule sets this line aside
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=";").writerows(rows)

    def reset(self) -> None:
        """Everything as it was after `apply`, at the same path, since the lake knows its files by path."""
        self._settled()
        shutil.rmtree(self.project)
        shutil.copytree(self._template, self.project, symlinks=True)
        self._own(self._template, self.project)

    @property
    def cluster(self) -> Path:
        return self.project / ".assay" / "postgres" / "data"

    def _own(self, source: Path, copy: Path) -> None:
        for path in (source / ".assay" / "postgres").rglob("*"):
            status = path.lstat()
            target = copy / path.relative_to(source)
            if target.exists():
                shutil.chown(target, status.st_uid, status.st_gid)

    def _settled(self) -> None:
        """Waits until the last server of the project is gone."""
        deadline = time.monotonic() + 30
        while (self.cluster / "postmaster.pid").exists():
            assert time.monotonic() < deadline, "the server did not stop"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    found = Arena(tmp_path_factory.mktemp("faults"))
    yield found
    found.zygote.close()


@pytest.fixture
def fresh(arena: Arena) -> Arena:
    arena.reset()
    return arena


@pytest.fixture
def served(fresh: Arena) -> Iterator[Arena]:
    """A server that outlives the killed commands, as with a service beside them."""
    with server("embedded", fresh.project / ".assay"):
        yield fresh


def content(project_folder: Path) -> dict[str, Any]:
    """All that people and programs can see of the stores, batches named by their files instead of numbers."""
    project = load_project(project_folder)
    with opened(project) as platform:
        batches = records.batches(platform.connection)
        names = {batch.id: batch.file_name for batch in batches}
        found: dict[str, Any] = {
            "batches": Counter((b.file_name, b.source, b.sha256, b.state, b.period) for b in batches),
            "deliveries": Counter(
                platform.connection.execute(
                    "SELECT regexp_replace(path, '.*/', ''), duplicate FROM assay.delivery"
                ).fetchall()
            ),
            # Each command that is run asks at the door, as often as it is run.
            "audit": Counter(
                (one.action, one.outcome, one.detail.get("file"))
                for one in entries(platform.connection, limit=100_000)
                if "command" not in one.detail
            ),
            "audit chain": examine(chain(platform.connection), read_checkpoints(platform.checkpoints)).broken,
            "landing": {zone: platform.landing.contents(zone) for zone in platform.landing.zones()},
        }
        for batch in batches:
            # How many rows a stronger source holds depends on which came first: no order is set between sources.
            precedence = project.zones[batch.zone].pipelines[batch.pipeline].precedence
            weaker = strength(batch.source, precedence) > 0
            found[f"records of {batch.file_name}"] = (
                Counter(
                    (t.store, t.rows, tuple(sorted(t.sums.items())))
                    for t in records.tallies(platform.connection, batch.id)
                    if not (weaker and t.store.startswith("operational."))
                ),
                Counter((s, f.kind, f.message, f.count) for s, f in records.findings(platform.connection, batch.id)),
                Counter((r["segment"], r["outcome"]) for r in records.runs(platform.connection, batch.id)),
            )
        for zone in project.zones.values():
            stores = {"operational": zone.operational, "analytical": zone.analytical}
            stores |= dict.fromkeys(("readable", "staging", "quarantine"), zone.sources)
            tables = [f"{store}.{name}" for store, known in stores.items() for name in known]
            for table, (columns, rows) in held(platform, tables, zone.name).items():
                found[f"{zone.name}.{table}"] = named(columns, rows, names)
    return found


def named(columns: list[str], found: list[tuple[Any, ...]], names: dict[int, str]) -> Counter[tuple[Any, ...]]:
    """Rows with the batch's file in the place of its number, which a killed run may have used up."""
    return Counter(
        tuple(names[value] if column == "_batch" else value for column, value in zip(columns, row, strict=True))
        for row in found
    )


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What is not as in the undisturbed run: (what is there besides, what is missing) by name."""
    return {
        name: only(found.get(name), expected.get(name))
        for name in found.keys() | expected.keys()
        if found.get(name) != expected.get(name)
    }


def only(found: Any, expected: Any) -> Any:
    if isinstance(found, Counter) and isinstance(expected, Counter):
        return dict(found - expected), dict(expected - found)
    if isinstance(found, tuple) and isinstance(expected, tuple):
        return [only(one, other) for one, other in zip(found, expected, strict=True) if one != other]
    return found, expected


def finished(arena: Arena) -> None:
    """Run to the end, and once more, which must find nothing to do."""
    last = arena.zygote.call("run")
    assert last["code"] in (0, 3), last["stderr"]
    apart = differences(content(arena.project), arena.undisturbed)
    assert not apart, pformat(apart)
    scratch = arena.project / ".assay" / "scratch"
    assert not scratch.exists() or list(scratch.iterdir()) == [], "a killed run's intermediate files are still there"
    assert arena.zygote.call("run", "--json") == {"code": 0, "stdout": "[]\n", "stderr": ""}


def killed_at_every_step(arena: Arena, *, exact: bool) -> list[str]:
    """Kills the run at the first step where none was killed before, again and again, until it comes through."""
    seen = arena.project.parent / "seen"
    seen.write_text("")
    for _ in range(KILLS_MOST):
        answer = arena.zygote.call("run", seen=str(seen), exact=exact)
        if answer["code"] != -9:
            assert answer["code"] in (0, 3), answer["stderr"]
            return seen.read_text().splitlines()
    raise AssertionError("the run never came through")


def test_the_undisturbed_run_holds_what_the_comparison_needs(arena: Arena) -> None:
    assert arena.first["code"] == 3, arena.first["stderr"]
    states = Counter(state for _, _, _, state, _ in arena.undisturbed["batches"])
    assert states["done"] >= 5 and states["rejected"] >= 1, arena.undisturbed["batches"]
    filled = [name for name, value in arena.undisturbed.items() if isinstance(value, Counter) and value]
    for store in ("readable", "staging", "quarantine", "operational", "analytical"):
        assert any(store in name for name in filled), store


def test_a_run_killed_at_every_kind_of_step_ends_as_the_undisturbed_one(served: Arena) -> None:
    steps = killed_at_every_step(served, exact=False)
    segments = {step.split(":")[0] for step in steps}
    assert {"land", "approve", "clean", "gate", "conform", "denormalize", "reject"} <= segments
    assert {f"{segment}:{at} commit" for segment in segments - {"start"} for at in ("before", "after")} <= set(steps)
    finished(served)


@pytest.mark.slow
def test_a_run_killed_at_every_single_step_ends_as_the_undisturbed_one(served: Arena) -> None:
    assert len(killed_at_every_step(served, exact=True)) > 200
    finished(served)


def killed_at_random(arena: Arena, seed: int, kills: int) -> None:
    rng = random.Random(seed)
    for _ in range(kills):
        arena.zygote.call("run", kill_after=rng.uniform(0, arena.seconds))
    finished(arena)


def test_a_run_killed_at_random_instants_ends_as_the_undisturbed_one(fresh: Arena) -> None:
    killed_at_random(fresh, seed=1, kills=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 42))
def test_runs_killed_at_random_instants_end_as_the_undisturbed_one(fresh: Arena, seed: int) -> None:
    killed_at_random(fresh, seed, kills=1 + seed % 7)


def service_killed_at_random(arena: Arena, seed: int, kills: int, **order: str) -> None:
    """`assay up` with all its processes, killed at one stroke, again and again; what is left is run to its end.

    The same seed kills at the same instants; what the processes had done by then is up to the machine.
    """
    rng = random.Random(seed)
    for _ in range(kills):
        answer = arena.zygote.call("up", kill_after=rng.uniform(0.1, 2.0), **order)
        assert answer["code"] == -9, answer["stderr"]
        assert "Traceback" not in answer["stdout"] + answer["stderr"], answer
    finished(arena)


def test_a_service_killed_at_random_instants_leaves_what_the_undisturbed_run_leaves(served: Arena) -> None:
    service_killed_at_random(served, seed=1, kills=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 150))
def test_a_service_killed_a_thousand_times_leaves_what_the_undisturbed_run_leaves(served: Arena, seed: int) -> None:
    """Twenty kills a seed; `-k '[117]'` repeats one of them."""
    service_killed_at_random(served, seed, kills=20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 210))
def test_a_service_whose_postgresql_is_killed_with_it_leaves_what_the_undisturbed_run_leaves(
    fresh: Arena, seed: int
) -> None:
    """The next service starts the server again, which first replays its log."""
    service_killed_at_random(fresh, seed, kills=10, and_postmaster=str(fresh.cluster))


#: Each is reached by a later file than the one before, since every run takes up the work of the last.
POSTMASTER_STEPS = (
    "land:after settle",
    "approve:before iceberg commit",
    "conform:after merge",
    "conform:before commit",
    "denormalize:after iceberg metadata",
    "denormalize:after commit",
)


def test_a_postmaster_killed_midway_is_said_plainly_and_the_same_command_finishes(fresh: Arena) -> None:
    failed = []
    for step in POSTMASTER_STEPS:
        answer = fresh.zygote.call("run", die_at=step, postmaster=str(fresh.cluster))
        assert "Traceback" not in answer["stderr"] and answer["code"] in (0, 1, 3), answer["stderr"]
        if answer["code"] == 1:
            failed.append(step)
            assert "PostgreSQL did not answer" in answer["stderr"]
            assert "Next: run the same command again" in answer["stderr"]
            assert "postgresql://" not in answer["stderr"]
    # A server killed after the last statement of a run is missed by nobody.
    assert set(POSTMASTER_STEPS[:4]) <= set(failed)
    finished(fresh)
