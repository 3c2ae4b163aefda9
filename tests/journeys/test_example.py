"""One year of the example from the ingress folders to answers: the page to read first."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from assay.pipelines.order import in_order
from assay.pipelines.plan import apply, plan
from assay.pipelines.platform import opened
from assay.pipelines.query import ask
from assay.pipelines.run import Result, run
from assay.zones.project import load_project
from shop_project import owned_example


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example") / "project"
    folder.mkdir()
    owned_example(folder)
    subprocess.run([sys.executable, "generate.py"], cwd=folder, check=True, capture_output=True)
    ingress = folder / "ingress" / "corporate_finance" / "expenses"
    for path in ingress.iterdir():
        if not any(month in path.name for month in ("2025-01", "2025-02", "2025-12")):
            path.unlink()
    return folder


@pytest.fixture(scope="module")
def results(project_folder: Path) -> dict[str, Result]:
    project = load_project(project_folder)
    with opened(project) as platform:
        apply(platform)
        return {result.batch.file_name: result for result in run(platform, in_order(project))}


def test_good_files_reach_the_end(results: dict[str, Result]) -> None:
    assert results["card-2025-01.xlsx"].batch.state == "done"
    assert results["ledger-2025-01.csv"].batch.state == "done"


def test_a_file_waits_for_the_one_that_its_rows_refer_to(results: dict[str, Result]) -> None:
    """By name alone countries.csv comes before currencies.csv, whose rows it refers to."""
    names = list(results)
    assert names.index("currencies.csv") < names.index("countries.csv")
    assert results["countries.csv"].batch.state == "done"


def test_the_broken_workbook_is_rejected_with_findings(results: dict[str, Result]) -> None:
    broken = results["card-2025-12.xlsx"]
    assert broken.batch.state == "rejected"
    assert broken.error is not None


def test_applying_twice_changes_nothing(project_folder: Path, results: dict[str, Result]) -> None:
    with opened(load_project(project_folder)) as platform:
        found = plan(platform)
    assert found.changes == () and found.losing == ()


def test_running_again_processes_nothing(project_folder: Path, results: dict[str, Result]) -> None:
    project = load_project(project_folder)
    with opened(project) as platform:
        assert run(platform, in_order(project)) == []


def test_gold_adds_up_to_the_operational_lines(project_folder: Path, results: dict[str, Result]) -> None:
    with opened(load_project(project_folder)) as platform:
        _, lines = ask(
            platform, "SELECT count(*), sum(amount) FROM operational.expense_line", "corporate_finance"
        )
        _, wide = ask(platform, "SELECT count(*), sum(amount) FROM analytical.expense_wide", "corporate_finance")
    assert lines == wide
    assert lines[0][0] > 100 and isinstance(lines[0][1], Decimal)


def test_help_and_errors_have_their_exit_codes(project_folder: Path) -> None:
    def call(*words: str) -> int:
        command = [sys.executable, "-m", "assay.cli", *words]
        return subprocess.run(command, cwd=project_folder, capture_output=True, env=os.environ).returncode

    assert call("--help") == 0
    assert call("nonsense") == 2
    assert call("ingest", "missing.csv", "--zone", "reference", "--pipeline", "codes", "--source", "countries") == 1
