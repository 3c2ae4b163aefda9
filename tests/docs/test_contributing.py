"""What is said twice is said alike: in the Makefile, the hooks, the import contract and the pages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from assay.flow import GATE, SEGMENTS

ROOT = Path(__file__).parents[2]


def _recipe(target: str) -> list[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.M)
    assert found is not None, target
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found.group(1).splitlines()]


def test_pre_commit_runs_exactly_make_check() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == _recipe("check")


def test_ci_runs_make_check_and_make_test() -> None:
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make check", "make test"]


def test_help_names_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert targets is not None
    told = "\n".join(_recipe("help"))
    assert [name for name in targets.group(1).split() if name != "help" and f"make {name} " not in told] == []


def test_contributing_shows_the_import_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    assert "\n".join(contract["layers"]) in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/explanation/how-it-works.md"])
def test_the_flow_that_a_page_draws_is_the_one_that_runs(page: str) -> None:
    drawn = next(line for line in (ROOT / page).read_text("utf-8").splitlines() if "──land──▶" in line)
    steps = [word for segment in SEGMENTS for word in (segment.segment, segment.target)]
    assert re.findall(r"[a-z]+", drawn.replace("[steward]", "")) == [SEGMENTS[0].source, *steps]
    assert f"{GATE} ─[steward]─" in drawn


def test_the_rooms_that_how_it_works_walks_through_exist() -> None:
    text = (ROOT / "docs/explanation/how-it-works.md").read_text("utf-8")
    rooms = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+(?:\.py|/))`", text)) - {"src/assay/"}
    assert len(rooms) > 8
    assert [room for room in sorted(rooms) if not (ROOT / "src/assay" / room).exists()] == []
