"""What waits in the ingress folders is taken in; a file that cannot be stops nothing and is told once."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_every_command import call

from assay.catalog import misfits
from assay.errors import Usage
from assay.pipelines.arrivals import Landed, Misfit, remember, strangers, take_in
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from shop_project import TILL, Shop

PERIOD = """\
title: Sales
sources:
  till:
    files: ["till*.csv"]
    load: {mode: upsert}
    period: {from: file_name, pattern: "till-([0-9]{4}-[0-9]{2})"}
"""


def deliver(shop: Shop, *names: str) -> None:
    folder = shop.root / "ingress/shop/sales"
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_text(TILL.replace("\n1,", f"\n{100 + number},"))


def told(platform: Platform) -> list[tuple[str, str]]:
    found = platform.connection.execute(
        "SELECT body ->> 'file', body ->> 'what' FROM assay.event WHERE kind = 'unexpected' ORDER BY id"
    )
    return [(row[0], row[1]) for row in found]


def test_a_file_that_cannot_be_taken_in_is_one_result_and_the_rest_goes_on(shop: Shop) -> None:
    shop.write("pipeline.yaml", PERIOD)
    deliver(shop, "till-2025-01.csv", "till-x.csv", "till-2025-03.csv")
    with shop.opened() as platform:
        apply(platform)
    result = call(shop, "run --json")
    found = [(one["file"], one["state"], (one["error"] or {}).get("error")) for one in json.loads(result.stdout)]
    assert found == [
        ("till-2025-01.csv", "done", None), ("till-2025-03.csv", "done", None), ("till-x.csv", None, "Rejected"),
    ]  # fmt: skip
    assert result.exit_code == 3
    shown = call(shop, "run")
    assert "not taken in" in shown.stdout and "does not tell its period" in shown.stdout
    with shop.opened() as platform:
        assert told(platform) == [("till-x.csv", "the name till-x.csv does not tell its period")]


def test_a_file_that_several_sources_expect_does_not_stop_the_run(shop: Shop) -> None:
    other = '  other:\n    files: ["*-1.csv"]\n    contract: contracts/till.odcs.yaml\n'
    shop.edit("pipeline.yaml", "sources:\n", "sources:\n" + other)
    deliver(shop, "till-1.csv", "till-2.csv")
    with shop.opened() as platform:
        apply(platform)
    result = call(shop, "run --json")
    assert [(one["file"], one["state"]) for one in json.loads(result.stdout)] == [
        ("till-2.csv", "done"), ("till-1.csv", None),
    ]  # fmt: skip
    assert result.exit_code == 2


def test_a_misfit_is_told_once_and_again_only_when_the_file_changed(shop: Shop) -> None:
    deliver(shop, "till-1.csv", "readme.txt")
    with shop.opened() as platform:
        apply(platform)
        pipeline = pipeline_of(platform, "shop", "sales")
        path = pipeline.ingress / "readme.txt"
        # A name that nobody expects may be one that is still being written: it has to lie still.
        assert strangers(pipeline) == []
        error = Usage("no source expects a file named readme.txt")
        assert [remember(platform, Misfit("shop", "sales", path, error)) for _ in range(2)] == [True, False]
        assert len(told(platform)) == 1
        path.write_text("longer than before")
        assert remember(platform, Misfit("shop", "sales", path, error))
        assert len(told(platform)) == 2
        assert [one.path for one in misfits.on_record(platform.connection)] == [str(path)]
        misfits.keep_only(platform.connection, "shop", "sales", [])
        assert misfits.on_record(platform.connection) == []


def test_files_that_were_taken_in_are_not_asked_for_again(shop: Shop) -> None:
    deliver(shop, "till-1.csv", "till-2.csv")
    with shop.opened() as platform:
        apply(platform)
        pipeline = pipeline_of(platform, "shop", "sales")
        known: dict[Path, tuple[int, int]] = {}
        first = list(take_in(platform, pipeline, known))
        assert [one.batch.file_name for one in first if isinstance(one, Landed)] == ["till-1.csv", "till-2.csv"]
        assert len(known) == 2
        assert list(take_in(platform, pipeline, known)) == []
        assert list(take_in(platform, pipeline)) == []
