"""Housekeeping killed anywhere and run again: every row is there, and what was to go is gone."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.faults.test_kill import Arena, content, differences

from assay.catalog import upkeep
from assay.pipelines.platform import opened
from assay.stores.database import server
from assay.stores.iceberg import Iceberg
from assay.stores.iceberg_upkeep import needed_files
from assay.stores.lake_schema import lake_places
from assay.zones.project import load_project

#: More kills than housekeeping has kinds of steps.
KILLS_MOST = 200


class KeptArena(Arena):
    """The example after its run, under settings that leave nothing for later."""

    def _few_files(self) -> None:
        super()._few_files()
        with (self.project / "assay.yaml").open("a") as file:
            file.write("maintain: {grace: 0 hours}\n")
        for zone, rules in (
            ("corporate_finance", "snapshots: 0 hours, quarantine: 0 hours, findings: 0 hours"),
            ("reference", "snapshots: 0 hours"),
        ):
            with (self.project / "zones" / zone / "zone.yaml").open("a") as file:
                file.write(f"retention: {{{rules}}}\n")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptArena]:
    found = KeptArena(tmp_path_factory.mktemp("kept"))
    yield found
    found.zygote.close()


def maintain(arena: Arena, **order: Any) -> dict[str, Any]:
    return arena.zygote.call("maintain", eager=True, **order)


def orphan(arena: Arena) -> None:
    """What a killed load left behind an hour ago, in the lake and in landing."""
    for name in ("lake/reference/readable/currencies/data/9-dead.parquet", "landing/reference/heads/.09.part"):
        path = arena.project / ".assay" / name
        path.write_bytes(b"left behind")
        os.utime(path, (time.time() - 3600, time.time() - 3600))


def loose_files(arena: Arena) -> set[str]:
    """Files of the lake that no table needs, and unfinished copies in landing."""
    data = arena.project / ".assay"
    with opened(load_project(arena.project)) as platform:
        iceberg = Iceberg(platform.connection, platform.data)
        needed = {path for place in lake_places(platform.connection) for path in needed_files(iceberg, *place)}
    there = {str(path) for path in (data / "lake").rglob("*") if path.is_file()}
    assert needed <= there
    return (there - needed) | {str(path) for path in (data / "landing").rglob(".*.part")}


def without_rows_set_aside(found: dict[str, Any]) -> dict[str, Any]:
    """The content without what retention takes: rows set aside."""
    return {name: value for name, value in found.items() if ".quarantine." not in name}


@pytest.mark.slow
def test_housekeeping_killed_at_every_kind_of_step_ends_as_if_undisturbed(arena: KeptArena) -> None:
    with server("embedded", arena.project / ".assay"):
        orphan(arena)
        seen = arena.project.parent / "seen"
        seen.write_text("")
        kills = 0
        while (answer := maintain(arena, seen=str(seen)))["code"] == -9:
            kills += 1
            assert kills < KILLS_MOST
        assert answer["code"] == 0, answer["stderr"]
        steps = seen.read_text().splitlines()
        assert {step.split(":")[0] for step in steps} >= {"retention", "compact", "expire", "orphans", "vacuum"}
        for step in (
            "retention:before commit", "retention:after iceberg commit", "compact:before engine copy",
            "compact:after engine copy", "compact:after iceberg swap", "compact:before commit", "compact:after commit",
            "expire:after iceberg metadata", "expire:after commit", "orphans:after mark_loose", "orphans:before unlink",
            "orphans:after unlink", "orphans:before forget_loose",
        ):  # fmt: skip
            assert step in steps
        last = maintain(arena)
        assert last["code"] == 0, last["stderr"]
        assert loose_files(arena) == set()
        # The cells of findings are gone too; their words and counts, which are compared, are not.
        found, expected = without_rows_set_aside(content(arena.project)), without_rows_set_aside(arena.undisturbed)
        added = found.pop("audit") - expected["audit"]
        assert differences(found, {name: value for name, value in expected.items() if name != "audit"}) == {}
        with opened(load_project(arena.project)) as platform:
            numbers = [row[0] for row in platform.connection.execute("SELECT id FROM assay.batch").fetchall()]
            kept = Counter(removal.store for removal in upkeep.removals(platform.connection, numbers))
            told = platform.connection.execute("SELECT count(*) FROM assay.event WHERE kind = 'removed'").fetchone()
        assert kept.keys() == {"quarantine", "findings"}
        assert {action for action, *_ in added} == {"retention"} and told == (added.total(),), "each is told once"
