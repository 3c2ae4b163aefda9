"""Housekeeping beside a process that loads and one that asks: nothing is lost, and every answer is a whole one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import assay
from assay.catalog import records
from assay.pipelines.maintain import maintain
from assay.pipelines.plan import apply
from assay.pipelines.query import ask
from assay.pipelines.upkeep import compact
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.stores.iceberg_upkeep import LakeFile, needed_files
from assay.stores.lake_schema import lake_places
from shop_project import TILL, Shop

SOURCES = str(Path(assay.__file__).parents[1])
#: Delivers the files one by one, and every fifth time replays a batch that was put together with others.
LOADER = """
import sys
from pathlib import Path
from assay.catalog import records
from assay.pipelines.landing import pipeline_of
from assay.pipelines.platform import opened
from assay.pipelines.replay import replay
from assay.pipelines.run import ingest
from assay.zones.project import load_project
root = Path(sys.argv[1])
with opened(load_project(root)) as platform:
    for number, file in enumerate(sorted(root.glob("till-n*.csv"))):
        (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [file], None)
        assert result.batch.state == "done", result
        if number % 5 == 4:
            oldest = records.batches(platform.connection, states=("done",), limit=1)[0]
            assert replay(platform, oldest.id).batch.state == "done"
"""


def eager(files: list[LakeFile], target_bytes: int) -> list[tuple[LakeFile, ...]]:
    """Every two files are worth it."""
    return [tuple(files)] if len(files) > 1 else []


def check(shop: Shop, patch: pytest.MonkeyPatch, deliveries: int) -> None:
    patch.setattr(compact, "groups", eager)
    patch.setattr(compact, "REST_SECONDS", 0)
    with (shop.root / "assay.yaml").open("a") as file:
        file.write("maintain: {grace: 0 hours}\n")
    shop.write("zones/shop/zone.yaml", "title: Shop\nowner: o@example.org\nretention: {snapshots: 0 hours}\n")
    for number in range(deliveries):
        (shop.root / f"till-n{number:04}.csv").write_text(TILL.replace("\n1,", f"\n{1000 + number},"))
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    with shop.opened() as platform:
        apply(platform)
        command = [sys.executable, "-c", LOADER, str(shop.root)]
        loader = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        runs = 0
        try:
            while loader.poll() is None:
                said = maintain(platform)
                assert not said.failed, said
                whole = Counter(row[0] for row in ask(platform, "SELECT _batch FROM readable.till", None)[1])
                assert set(whole.values()) <= {5}, "a question sees a batch with all of its rows, or not at all"
                runs += 1
        finally:
            loader.kill()
            _, complaint = loader.communicate()
        assert loader.returncode == 0, complaint.decode()
        assert runs > 2
        maintain(platform)
        standing = {batch.id for batch in records.batches(platform.connection, states=("done",))}
        assert len(standing) == deliveries + 1
        for store, rows in (("readable", 5), ("staging", 4), ("quarantine", 1)):
            found = Counter(row[0] for row in ask(platform, f"SELECT _batch FROM {store}.till", None)[1])
            assert found == dict.fromkeys(standing, rows), store
        sales, sold = ask(platform, "SELECT count(*), sum(amount) FROM operational.sale", None)[1][0]
        assert sales == deliveries + 4
        assert ask(platform, "SELECT sum(lines), sum(amount) FROM analytical.by_month", None)[1] == [(sales, sold)]
        with transaction(platform.connection) as tx:
            iceberg = Iceberg(tx, platform.data)
            for place in lake_places(tx):
                there = {str(path) for path in iceberg.folder(*place).rglob("*") if path.is_file()}
                assert set(needed_files(iceberg, *place)) <= there


def test_loads_and_replays_beside_housekeeping_lose_nothing(filled: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    check(filled, monkeypatch, 7)


@pytest.mark.slow
def test_loads_and_replays_beside_housekeeping_lose_nothing_at_length(
    filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(filled, monkeypatch, 200)
