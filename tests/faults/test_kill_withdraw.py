"""A withdrawal that is killed anywhere has happened as a whole or not at all; the same command brings it to its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_kill import KILLS_MOST, Arena, content, differences

from assay.pipelines.platform import opened
from assay.stores.database import server
from assay.zones.project import load_project


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    found = Arena(tmp_path_factory.mktemp("faults"))
    yield found
    found.zygote.close()


@pytest.fixture
def done(arena: Arena) -> Iterator[Arena]:
    """The example with its batches done, and a server that outlives the killed commands."""
    assert arena.first["code"] == 3
    with server("embedded", arena.project / ".assay"):
        yield arena


def number(arena: Arena, file: str) -> str:
    listed = json.loads(arena.zygote.call("batch", "list", "--json")["stdout"])
    return next(str(one["id"]) for one in listed if one["file_name"].startswith(file) and one["state"] == "done")


def stands(project_folder: Path) -> Any:
    """What a commit could have changed: states, canonical rows, and which version of each lake table counts."""
    project = load_project(project_folder)
    with opened(project) as platform:
        queries = {"batches": "SELECT id, state FROM assay.batch", "lake": "SELECT * FROM iceberg_tables"}
        for zone in project.zones.values():
            queries |= {f"{zone.name}.{name}": f"SELECT * FROM {zone.name}.{name}" for name in zone.operational}
        return {name: Counter(platform.connection.execute(sql.encode()).fetchall()) for name, sql in queries.items()}


def test_a_withdrawal_killed_at_every_kind_of_step_happens_as_a_whole_or_not_at_all(done: Arena) -> None:
    before, stood = content(done.project), stands(done.project)
    words = ("withdraw", number(done, "card-2025-01"), "--reason", "wrong office", "--yes")
    seen = done.project.parent / "seen"
    seen.write_text("")
    for _ in range(KILLS_MOST):
        answer = done.zygote.call(*words, seen=str(seen), exact=False)
        if stands(done.project) != stood:
            break
        assert answer["code"] == -9, answer["stderr"]
    now = content(done.project)
    steps = seen.read_text().splitlines()
    assert answer["code"] == 0 or steps[-1] in ("withdraw:after commit", "withdraw:end"), steps[-1]
    assert {"withdraw:before take over", "withdraw:after take over", "withdraw:before commit"} <= set(steps)
    assert "withdraw:after iceberg commit" in steps
    changed = differences(now, before)
    files = {file for file, _, _, state, _ in now["batches"] if state == "withdrawn"}
    assert len(files) == 1 and next(iter(files)).startswith("card-2025-01")
    for name, value in now.items():
        if isinstance(value, dict) and ("operational" in name or "analytical" in name or "staging" in name):
            assert not any(set(files) & set(map(str, row)) for row in value), name
    assert any(name.endswith("operational.expense_line") for name in changed)
    again = done.zygote.call(*words)
    assert again["code"] == 2 and "is withdrawn" in again["stderr"]
    assert content(done.project) == now
