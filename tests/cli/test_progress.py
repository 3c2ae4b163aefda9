"""What is under way is shown: in `status`, beside `run`, line by line; and what failed can be tried again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_every_command import call
from tests.orchestration.conftest import soon

import assay
from assay.catalog import queue
from assay.errors import Misconfigured, Usage
from assay.pipelines.arrivals import Misfit, remember
from assay.pipelines.landing import pipeline_of, take
from assay.pipelines.plan import apply
from assay.pipelines.run import work_off
from assay.pipelines.worker import at_work
from shop_project import TILL, Shop


def deliver(shop: Shop, name: str = "till-1.csv") -> None:
    folder = shop.root / "ingress/shop/sales"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(TILL)


@pytest.fixture
def broken(shop: Shop) -> Shop:
    """One batch failed for good, a second one behind it, and one file waits."""
    with shop.opened() as platform:
        apply(platform)
        source = pipeline_of(platform, "shop", "sales").sources["till"]
        for number in (1, 2):
            path = shop.root / f"till-{number}.csv"
            path.write_text(TILL.replace("\n1,", f"\n{number}0,"))
            assert take(platform, source, path) is not None

        def fail(*_: object) -> None:
            raise Misconfigured("the SQL did not run", next="correct it")

        with pytest.MonkeyPatch.context() as patch, at_work(platform) as worker, pytest.raises(Misconfigured):
            patch.setattr("assay.pipelines.run.move", fail)
            work_off(platform, worker, 1)
    deliver(shop, "till-3.csv")
    return shop


def test_status_says_what_failed_why_and_what_to_do(broken: Shop) -> None:
    found = json.loads(call(broken, "status --json").stdout)
    first, second = found["batches"]
    assert (first["state"], first["parked"], first["waits_for"]) == ("landed", True, "a person")
    assert first["failure"]["what"] == "the SQL did not run"
    assert second["waits_for"] == "batch 1"
    assert found["next"][0] == "assay retry 1"
    shown = call(broken, "status")
    assert "correct it; then assay retry 1" in shown.stdout
    assert shown.stderr.splitlines()[-1] == "Next: assay retry 1"


def test_status_counts_the_files_that_lie_still_and_wait(broken: Shop) -> None:
    found = soon(lambda: json.loads(call(broken, "status --json").stdout)["waiting"])
    assert found == [{"zone": "shop", "pipeline": "sales", "files": ["till-3.csv"]}]


def test_retry_takes_up_what_failed(broken: Shop) -> None:
    assert call(broken, "retry 99").exit_code == 1
    result = call(broken, "retry 1")
    assert result.stdout == "1 batch is tried again\n" and result.stderr.splitlines()[-1] == "Next: assay run"
    assert json.loads(call(broken, "retry --json").stdout) == {"taken_up": 0}
    with broken.opened() as platform, at_work(platform) as worker:
        assert queue.claim(platform.connection, worker.name, number=1) is not None


def test_status_names_the_workers_and_what_they_have_in_hands(broken: Shop) -> None:
    call(broken, "retry")
    with broken.opened() as platform, at_work(platform, "service") as worker:
        assert queue.claim(platform.connection, worker.name, number=1) is not None
        found = json.loads(call(broken, "status --json").stdout)
        assert [(one["kind"], one["pid"], one["batch"]) for one in found["workers"]] == [("service", os.getpid(), 1)]
        assert found["batches"][0]["worker"] == worker.name and found["batches"][0]["waits_for"] is None
        assert str(os.getpid()) in call(broken, "status").stdout


def test_status_tells_of_schedules_and_misfits(shop: Shop) -> None:
    triggers = 'triggers: [{cron: "0 6 * * 1-5", timezone: Europe/Oslo}]\n'
    shop.edit("pipeline.yaml", "steward: never\n", f"steward: never\n{triggers}")
    with shop.opened() as platform:
        apply(platform)
        path = shop.root / "readme.txt"
        path.touch()
        remember(platform, Misfit("shop", "sales", path, Usage("no source expects it")))
    found = json.loads(call(shop, "status --json").stdout)
    assert [(one["pipeline"], one["schedule"]) for one in found["schedules"]] == [("sales", "0 6 * * 1-5 Europe/Oslo")]
    assert [(one["path"], one["error"]["what"]) for one in found["misfits"]] == [(str(path), "no source expects it")]
    assert "no source expects it" in call(shop, "status").stdout


def test_run_with_watch_prints_a_line_for_each_thing_that_changes(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
    deliver(shop)
    result = _cli(shop, "run", "--watch")
    lines = [line for line in result.stdout.splitlines() if "till-1.csv" in line]
    assert result.returncode == 0 and len(lines) >= 2, result.stdout
    assert "done" in lines[-1].split()


def test_status_with_watch_goes_on_until_it_is_told_to_end(broken: Shop) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "assay.cli", "status", "--watch"], cwd=broken.root, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "till-1.csv" in first and "a person" in first
    assert process.returncode == 0 and "Traceback" not in errors


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(assay.__file__).parents[1])}


def _cli(shop: Shop, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "assay.cli", *words], cwd=shop.root, capture_output=True, text=True, env=_environment()
    )
