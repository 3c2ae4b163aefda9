"""From any row of gold to exactly the delivered rows that it was made of, and how they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from assay.errors import Usage
from assay.pipelines.landing import pipeline_of
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.run import ingest
from assay.pipelines.trace import column_origins, origins, row_origins
from shop_project import TILL, Shop

LATER = """\
No.,Sold on,Goods,Amount,Note
6,2025-01-30,tea,1.25,late
7,2025-02-03,salt,7.00,
"""


@pytest.fixture(scope="module")
def platform(standing_shop: Shop) -> Iterator[Platform]:
    file = standing_shop.root / "till-2.csv"
    file.write_text(LATER)
    with standing_shop.opened() as opened:
        ingest(opened, pipeline_of(opened, "shop", "sales"), [file], None)
        yield opened


def test_the_lines_behind_every_row_of_an_aggregate_sum_to_its_amount_and_count(platform: Platform) -> None:
    columns, rows = ask(platform, "SELECT month, goods, lines, amount FROM analytical.by_month", None)
    assert len(rows) == 4
    seen: list[str] = []
    for month, goods, lines, amount in rows:
        found = origins(platform, "analytical.by_month", f"month = '{month}' AND goods = '{goods}'")
        assert found.table == "operational.sale" and found.others == ("operational.goods",)
        assert found.total == len(found.rows) == lines
        at = found.columns.index("amount")
        assert sum(row[at] for row in found.rows) == amount
        seen += [row[found.columns.index("number")] for row in found.rows]
    assert sorted(seen) == ["1", "2", "3", "4", "6", "7"]


def test_a_traced_row_is_the_row_of_the_delivered_file(platform: Platform) -> None:
    found = origins(platform, "analytical.by_month", "amount = 7.25")
    delivered = {1: TILL.splitlines(), 2: LATER.splitlines()}
    numbers = found.columns.index("number")
    for row in found.rows:
        assert delivered[row[0]][row[2] - 1].split(",")[0] == row[numbers]


def test_a_trace_carries_the_evidence_of_its_batches(platform: Platform) -> None:
    evidence = origins(platform, "operational.sale", "number = '6'").evidence[2]
    assert evidence.file_name == "till-2.csv"
    assert evidence.sha256 == hashlib.sha256(LATER.encode()).hexdigest()
    assert evidence.contract == "shop.till 1.2.0"
    assert evidence.released_by is None


def test_another_table_of_the_query_can_be_traced(platform: Platform) -> None:
    found = origins(platform, "analytical.by_month", "goods = 'tea'", table="goods")
    assert found.table == "operational.goods"
    assert [row[found.columns.index("code")] for row in found.rows] == ["tea"]


def test_a_trace_that_is_cut_says_how_many_rows_there_are(platform: Platform) -> None:
    found = origins(platform, "operational.sale", limit=2)
    assert (len(found.rows), found.total) == (2, 6)


@pytest.mark.parametrize("store", ["staging", "readable", "quarantine"])
def test_rows_of_the_lake_are_traced_by_what_they_carry(platform: Platform, store: str) -> None:
    found = origins(platform, f"{store}.till", "number = '5'")
    assert [row[:3] for row in found.rows] == ([] if store == "staging" else [(1, None, 6)])


def test_the_flat_form_names_the_file_in_every_row(platform: Platform) -> None:
    names, rows = row_origins(platform, "operational.sale", "number = '6'", None)
    assert dict(zip(names, rows[0], strict=True))["file"] == "till-2.csv"


def test_what_cannot_be_followed_says_why_and_offers_the_columns(shop: Shop) -> None:
    from assay.pipelines.plan import apply

    shop.edit("by_month.odcs.yaml", "{by: [month]}", "full")
    shop.write("zones/shop/sales/analytical/by_month.sql", (
        "SELECT month, goods, count(*) OVER () AS lines, amount FROM operational.sale"
    ))  # fmt: skip
    with shop.opened() as platform:
        apply(platform)
        with pytest.raises(Usage) as caught:
            origins(platform, "analytical.by_month")
    assert "window function" in caught.value.what
    assert caught.value.next == "assay lineage analytical.by_month --zone shop --columns"


@pytest.mark.parametrize("where", ["1 = 1; DROP TABLE shop.sale", "number = '1' UNION SELECT 1", "nosuch = 1", "("])
def test_a_condition_that_is_none_is_refused(platform: Platform, where: str) -> None:
    from assay.errors import AssayError

    with pytest.raises(AssayError):
        origins(platform, "analytical.by_month", where)


def test_an_unknown_dataset_names_the_nearest(platform: Platform) -> None:
    with pytest.raises(Usage) as caught:
        origins(platform, "analytical.by_moth", zone="shop")
    assert caught.value.expected == "analytical.by_month"


def test_columns_lead_back_to_the_header_of_the_delivered_file(platform: Platform) -> None:
    found = {one.column: one.steps for one in column_origins(platform.project, "analytical.by_month", None)}
    assert found["amount"] == ("operational.sale.amount", "staging.till.amount", 'file of till: "Amount"')
    assert found["month"] == ("operational.sale.month", "staging.till.sold_on", 'file of till: "Sold on"')
    assert found["goods"] == ("operational.goods.code", "staging.till.goods", 'file of till: "Goods"')
    assert found["lines"] == ()
