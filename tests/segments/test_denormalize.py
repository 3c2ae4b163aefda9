"""Analytical tables after each batch: refreshed in part or as a whole, they hold what their SQL says."""

from __future__ import annotations

import csv
import random
import warnings
from collections.abc import Iterator

import pytest

from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.query import ask
from assay.pipelines.run import Result, ingest
from assay.zones.project import load_project

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
version: 1.0.0
id: shop.{name}
status: active
schema:
  - name: {name}
    {more}
    properties:
"""
KEY = "      - {name: line, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}\n"
UNIT = "      - {name: unit, logicalType: string}\n"
AMOUNT = '      - {name: amount, logicalType: number, physicalType: "decimal(12,2)", required: true}\n'
SUMS = UNIT + '      - {name: amount, logicalType: number, physicalType: "decimal(18,2)", required: true}\n'
TOTAL = SUMS.replace(UNIT, "      - {name: units, logicalType: integer, required: true}\n")
BY_UNIT = "customProperties: [{property: refresh, value: {by: [unit]}}]"
LONG = "a unit whose name is longer than a file's name may be, " * 6
UNITS = ("north", "south/east", "west = 100 %", LONG.strip(), "")
FILES = {
    "assay.yaml": "name: shop\ntargets:\n  local: {data: .assay}\n",
    "zones/shop/zone.yaml": "title: Shop\nowner: owner@example.org\n",
    "zones/shop/sales/pipeline.yaml": "title: Sales\nsources:\n  till: {files: ['*.csv'], load: {mode: upsert}}\n",
    "zones/shop/sales/contracts/till.odcs.yaml": CONTRACT.format(name="till", more="") + KEY + UNIT + AMOUNT,
    "zones/shop/sales/operational/sale.odcs.yaml": CONTRACT.format(name="sale", more="") + KEY + UNIT + AMOUNT,
    "zones/shop/sales/conform/till/sale.sql": "SELECT line, unit, amount FROM batch",
    "zones/shop/sales/analytical/sale_wide.odcs.yaml": CONTRACT.format(name="sale_wide", more=BY_UNIT)
    + KEY + UNIT + AMOUNT,
    "zones/shop/sales/analytical/sale_wide.sql": "SELECT s.line, s.unit, s.amount FROM operational.sale AS s",
    "zones/shop/sales/analytical/by_unit.odcs.yaml": CONTRACT.format(name="by_unit", more=BY_UNIT) + SUMS,
    "zones/shop/sales/analytical/by_unit.sql": "SELECT s.unit, sum(s.amount)::DECIMAL(18, 2) AS amount "
    "FROM operational.sale AS s GROUP BY s.unit",
    "zones/shop/sales/analytical/total.odcs.yaml": CONTRACT.format(name="total", more="") + TOTAL,
    "zones/shop/sales/analytical/total.sql": "SELECT count(*) AS units, sum(amount)::DECIMAL(18, 2) AS amount "
    "FROM analytical.by_unit",
}  # fmt: skip


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    root = tmp_path_factory.mktemp("shop")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with opened(load_project(root)) as platform:
        apply(platform)
        yield platform


def deliver(platform: Platform, name: str, rows: list[tuple[str, str, str]]) -> Result:
    file = platform.project.root / f"{name}.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("line", "unit", "amount"), *rows])
    [result] = ingest(platform, platform.project.zones["shop"].pipelines["sales"], [file], None)
    return result


def differences(platform: Platform) -> dict[str, list[tuple[object, ...]]]:
    """Per analytical table, the rows that it holds and its SQL does not give, or the other way round."""
    found = {}
    for name, table in platform.project.zones["shop"].analytical.items():
        both = (f"SELECT * FROM analytical.{name}", table.sql.text)
        there, wanted = (ask(platform, f"SELECT *, count(*) FROM ({one}) GROUP BY ALL", "shop")[1] for one in both)
        if differing := set(there) ^ set(wanted):
            found[name] = sorted(differing, key=str)
    return found


def test_after_every_batch_each_table_holds_what_its_sql_gives(platform: Platform) -> None:
    """Units with signs that folders cannot carry, none at all, and names too long for a file; lines move between."""
    draw = random.Random(11)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(4):
            lines = draw.sample(range(60), k=draw.randint(1, 30)) if number else list(range(40))
            units = UNITS if number < 2 else UNITS[number : number + 1]
            rows = [(f"L{line}", draw.choice(units), f"{draw.randint(-999, 999) / 100:.2f}") for line in lines]
            result = deliver(platform, f"{number}", rows)
            assert result.batch.state == "done", result.error
            assert differences(platform) == {}


def test_a_batch_recomputes_only_the_values_that_it_touched(platform: Platform) -> None:
    deliver(platform, "base", [("X1", "alpha", "1"), ("X2", "beta", "2")])
    result = deliver(platform, "later", [("X1", "alpha", "5")])
    row = platform.connection.execute(
        "SELECT detail FROM assay.segment_run WHERE batch_id = %s AND segment = 'denormalize'", (result.batch.id,)
    ).fetchone()
    assert row is not None
    assert row[0] == {"sale_wide": {"unit": ["alpha"]}, "by_unit": {"unit": ["alpha"]}, "total": "all of it"}
    assert differences(platform) == {}
