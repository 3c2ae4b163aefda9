"""A withdrawn batch leaves the stores as if it had never been delivered; or nothing happens, and it is said why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trade import (
    DELIVERIES,
    FIRST,
    ORDINARY,
    Delivery,
    check_analytical,
    deliver,
    empty,
    unrepeated,
    write_project,
)

from assay.catalog import events, records
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Usage
from assay.pipelines.landing import pipeline_of
from assay.pipelines.maintain import maintain
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.query import ask
from assay.pipelines.run import alone, ingest
from assay.pipelines.withdraw import preview, withdraw
from assay.segments.relations import lake_select
from assay.stores.database import one, transaction
from assay.stores.iceberg import Iceberg
from assay.stores.lake import clean, quarantine, readable
from assay.stores.shadow import shadow_schema
from assay.zones.project import load_project
from holdings import held
from shop_project import TILL, Shop

NUMBERS = count()
Content = dict[str, Counter[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The trade zone, whose sources bring rows of the same keys: `keyed` is trusted more than `monthly`."""
    root = tmp_path_factory.mktemp("withdraw")
    write_project(root)
    pipeline = root / "zones/trade/sales/pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("sources:\n", "precedence: [keyed, monthly]\nsources:\n"))
    with opened(load_project(root)) as found:
        apply(found)
        yield found


def content(platform: Platform) -> Content:
    """All rows of all stores, with the delivered file in the place of the batch's number."""
    zone = platform.project.zones["trade"]
    names = {batch.id: batch.file_name for batch in records.batches(platform.connection)}
    found: Content = {}
    with platform.scratch() as scratch, transaction(platform.connection) as tx, engine_connect(scratch) as engine:
        lake = Iceberg(tx, platform.data)
        for source in zone.sources.values():
            for table in dict.fromkeys((readable(source), clean(source), quarantine(source))):
                # Staging keeps the rows of batches that `empty` forgot.
                staged = engine.table(f"FROM ({lake_select(table, lake)}) WHERE _batch IN {(*names, -1, -2)}")
                found[f"{table.namespace}.{table.name}"] = named(*staged, names)
    served = [f"operational.{name}" for name in zone.operational] + [f"analytical.{name}" for name in zone.analytical]
    found |= {name: named(*rows, names) for name, rows in held(platform, served, "trade").items()}
    return found


def named(columns: list[str], rows: list[tuple[Any, ...]], names: dict[int, str]) -> Counter[tuple[Any, ...]]:
    return Counter(
        tuple(names[value] if column == "_batch" else value for column, value in zip(columns, row, strict=True))
        for row in rows
    )


def brought(platform: Platform, deliveries: list[tuple[int, Delivery]], folder: Path) -> list[str]:
    """Delivers the files; gives the state of each."""
    empty(platform)
    return [deliver(platform, delivery, number, folder) for number, delivery in deliveries]


def numbered(deliveries: list[Delivery], *, shared: bool) -> list[tuple[int, Delivery]]:
    """Deliveries that differ, each with a number; with `shared`, sources other than `added` bring the same keys."""
    found: list[tuple[int, Delivery]] = []
    appended: set[str] = set()
    for delivery in (FIRST, *deliveries):
        kept = unrepeated(delivery, appended)
        if kept is not None and shared and kept.source not in ("added", "shops"):
            rows = tuple({**row, "sale_key": "shared/" + row["sale_key"].split("/")[1]} for row in kept.rows)
            kept = Delivery(kept.source, rows)
        if kept is not None and kept not in [other for _, other in found]:
            found.append((next(NUMBERS), kept))
    return found


def check(platform: Platform, deliveries: list[Delivery], chosen: set[int], shared: bool, folder: Path) -> None:
    listed = numbered(deliveries, shared=shared)
    leaving = {number for place, (number, _) in enumerate(listed) if place in chosen} or {listed[-1][0]}
    rest = [(number, delivery) for number, delivery in listed if number not in leaving]
    without = brought(platform, rest, folder)
    wanted = content(platform)
    states = brought(platform, listed, folder)
    assert set(states) <= {"done", "rejected"}
    whole = content(platform)
    numbers = [
        batch.id
        for batch in records.batches(platform.connection, states=("done",))
        if int(batch.file_name.removesuffix(".csv").rsplit("-", 1)[1]) in leaving
    ]
    if not numbers:
        return
    before = preview(platform, numbers)
    assert content(platform) == whole, "a preview changes nothing"
    if before.dependents:
        with pytest.raises(Usage, match="refer to rows that would go"):
            withdraw(platform, numbers, "sent by mistake")
        assert content(platform) == whole
        assert "rejected" in without, "who never had the parent would have been refused"
        return
    withdraw(platform, numbers, "sent by mistake")
    now = content(platform)
    if set(states) == set(without or ["done"]) == {"done"}:
        assert now == wanted
    check_analytical(platform)


PLACES = st.sets(st.integers(0, 5), min_size=1, max_size=2)


@settings(ORDINARY, max_examples=2)
@given(deliveries=DELIVERIES, chosen=PLACES, shared=st.booleans())
def test_what_is_withdrawn_might_as_well_never_have_been_delivered(
    platform: Platform,
    tmp_path_factory: pytest.TempPathFactory,
    deliveries: list[Delivery],
    chosen: set[int],
    shared: bool,
) -> None:
    check(platform, deliveries, chosen, shared, tmp_path_factory.mktemp("files"))


@pytest.mark.slow
@settings(ORDINARY, max_examples=100, derandomize=False)
@given(deliveries=DELIVERIES, chosen=PLACES, shared=st.booleans())
def test_what_is_withdrawn_might_as_well_never_have_been_delivered_at_length(
    platform: Platform,
    tmp_path_factory: pytest.TempPathFactory,
    deliveries: list[Delivery],
    chosen: set[int],
    shared: bool,
) -> None:
    check(platform, deliveries, chosen, shared, tmp_path_factory.mktemp("files"))


PUBLISHED = """title: Shop
owner: owner@example.org
publications:
  sales: {dataset: operational.sale}
  months: {dataset: analytical.by_month}
  goods: {dataset: operational.goods}
"""


def put(platform: Platform, name: str, *lines: str) -> int:
    """Delivers lines of the shop's till; gives the batch."""
    path = platform.project.root / f"till-{name}.csv"
    path.write_text("No.,Sold on,Goods,Amount,Note\n" + "".join(f"{line}\n" for line in lines))
    (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [path], None)
    assert result.batch.state == "done" and not result.duplicate, result.error
    return result.batch.id


def sales(platform: Platform) -> dict[str, str]:
    rows = ask(platform, "SELECT number, amount FROM operational.sale", "shop")[1]
    return {number: str(amount) for number, amount in rows}


def test_what_a_batch_overwrote_comes_back_and_a_later_word_stays(filled: Shop) -> None:
    with filled.opened() as platform:
        second = put(platform, "2", "1,2025-01-03,tea,9.00,", "2,2025-01-04,tea,9.00,", "20,2025-03-01,jam,1.00,")
        third = put(platform, "3", "2,2025-01-04,tea,7.00,")
        assert sales(platform) == {"1": "9.00", "2": "7.00", "3": "-1.00", "4": "4.00", "20": "1.00"}
        seen = preview(platform, [second])
        by_store = {one.store: one for one in seen.differences}
        sale = by_store["operational.sale"]
        assert (sale.added, sale.removed, sale.changed) == (0, 1, 1) and seen.later[third] == 1
        shown = {(one.kind, one.words) for one in sale.examples}
        assert shown == {("removed", "20"), ("changed", "1: amount: 9.00 → 2.50")}
        assert by_store["operational.goods"].removed == 1 and by_store["analytical.by_month"].any
        withdraw(platform, [second], "a test delivery")
        assert sales(platform) == {"1": "2.50", "2": "7.00", "3": "-1.00", "4": "4.00"}
        assert ask(platform, "SELECT _batch FROM operational.sale WHERE number = '1'", "shop")[1] == [(1,)]
        assert ask(platform, "SELECT count(*) FROM staging.till WHERE _batch = 2", "shop")[1] == [(0,)]
        assert ("jam",) not in ask(platform, "SELECT goods FROM analytical.by_month", "shop")[1]
        batch = records.batch(platform.connection, second)
        assert batch.state == "withdrawn"
        (event,) = events.of_batch(platform.connection, second, ["withdrawn"])
        assert event.body["reason"] == "a test delivery"
        assert records.decisions(platform.connection, second)[0]["decision"] == "withdraw"
        left = platform.connection.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'assay_shadow%'").fetchall()
        assert left == [], "the shadow is gone"


def test_what_a_killed_withdrawal_was_making_is_dropped_once_nobody_is_at_it(filled: Shop) -> None:
    schema = shadow_schema("shop", "sales")
    with filled.opened() as platform, filled.opened() as other:
        platform.connection.execute(f'CREATE SCHEMA "{schema}"; CREATE TABLE "{schema}".sale (number bigint)'.encode())
        with alone(other, "shop", "sales"):
            assert [step.words for step in maintain(platform, only=["orphans"]).steps if "killed" in step.words] == []
        (step,) = (one for one in maintain(platform, only=["orphans"]).steps if "killed" in one.words)
        assert step.subject == "shop/sales" and "were dropped" in step.words
        assert one(platform.connection, "SELECT count(*) FROM pg_namespace WHERE nspname = %s", schema) == 0


def test_the_same_bytes_delivered_after_a_withdrawal_are_a_new_batch(filled: Shop) -> None:
    with filled.opened() as platform:
        withdraw(platform, [1], "too early")
        assert sales(platform) == {} and ask(platform, "SELECT * FROM analytical.by_month", "shop")[1] == []
        again = filled.root / "till-once-more.csv"
        again.write_text(TILL)
        (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [again], None)
        assert (result.batch.state, result.duplicate) == ("done", False) and result.batch.id != 1
        assert len(sales(platform)) == 4


def test_rows_of_others_that_refer_to_its_rows_forbid_it_until_they_go_too(
    platform: Platform, tmp_path: Path
) -> None:
    sale = {"sale_key": "keyed/1", "period": "2025-01", "month": None, "shop": "a", "kind": "x", "level": 1,
            "sold_at": None, "rate": None, "cash": None, "amount": 1}  # fmt: skip
    brought(platform, [(next(NUMBERS), FIRST), (next(NUMBERS), Delivery("keyed", (sale,)))], tmp_path)
    shops, sold = (batch.id for batch in records.batches(platform.connection))
    seen = preview(platform, [shops])
    assert seen.blocking == (sold,) and seen.dependents[0].examples == ("a",)
    with pytest.raises(Usage, match=f"batch {sold} refer") as caught:
        withdraw(platform, [shops], "wrong")
    assert f"assay withdraw {shops} {sold}" in str(caught.value.next)
    withdraw(platform, [sold, shops], "wrong")
    states = {batch.state for batch in records.batches(platform.connection)}
    assert states == {"withdrawn"} and not any(content(platform).values())


def test_who_subscribes_to_what_would_change_is_told(filled: Shop) -> None:
    filled.write("zone.yaml", PUBLISHED)
    other = "title: Other\nowner: o@example.org\nsubscriptions:\n  - {publication: shop.sales, purpose: to look}\n"
    filled.write("zones/other/zone.yaml", other)
    with filled.opened() as platform:
        apply(platform)
        second = put(platform, "2", "20,2025-03-01,tea,1.00,")
        seen = preview(platform, [second])
    assert seen.publications == {"shop.sales": ("other",), "shop.months": ()}


@pytest.mark.parametrize("state", ["held", "rejected", "withdrawn"])
def test_only_what_is_done_can_be_withdrawn(filled: Shop, state: str) -> None:
    with filled.opened() as platform:
        platform.connection.execute("UPDATE assay.batch SET state = %s", (state,))
        with pytest.raises(Usage, match=f"is {state}: only one that is done"):
            withdraw(platform, [1], "x")


def test_sql_that_reads_other_tables_is_followed(filled: Shop) -> None:
    """A line's note names how many goods there are: what a withdrawn batch's goods changed elsewhere changes back."""
    sql = (
        "SELECT number, strftime(sold_on, '%Y-%m') AS month, goods, amount, "
        "(SELECT count(*)::VARCHAR FROM operational.goods) AS note FROM batch"
    )
    filled.write("sale.sql", sql)
    with filled.opened() as platform:
        apply(platform)
        second = put(platform, "2", "20,2025-03-01,jam,1.00,", "21,2025-03-01,oil,1.00,")
        third = put(platform, "3", "30,2025-03-01,tea,1.00,")
        note = "SELECT note FROM operational.sale WHERE number = '30'"
        assert ask(platform, note, "shop")[1] == [("4",)]
        withdraw(platform, [second], "x")
        assert ask(platform, note, "shop")[1] == [("2",)]
        assert records.batch(platform.connection, third).state == "done"


@pytest.mark.parametrize(
    ("mode", "removed", "added"),
    [("{mode: append}", 2, 0), ("{mode: replace, by: [month]}", 2, 3)],
)
def test_a_table_without_a_key_loses_the_rows_of_the_batch_and_gets_back_what_it_took_away(
    shop: Shop, mode: str, removed: int, added: int
) -> None:
    shop.edit("sale.odcs.yaml", "number, logicalType: string, primaryKey: true,", "number, logicalType: string,")
    shop.edit("pipeline.yaml", "{mode: upsert}", mode)
    with shop.fill().opened() as platform:
        second = put(platform, "2", "1,2025-01-03,tea,9.00,", "1,2025-01-03,tea,9.00,")
        assert ask(platform, "SELECT count(*) FROM operational.sale", "shop")[1] == [(6 - added,)]
        seen = {one.store: one for one in preview(platform, [second]).differences}["operational.sale"]
        assert (seen.removed, seen.added, seen.same) == (removed, added, 4 - added)
        withdraw(platform, [second], "x")
        rows = ask(platform, "SELECT _batch, count(*) FROM operational.sale GROUP BY 1", "shop")[1]
        assert rows == [(1, 4)]


def test_a_canonical_table_that_changed_by_hand_elsewhere_is_left_alone(filled: Shop) -> None:
    """Only what the batch can have had a part in is made anew: other rows stand as they are."""
    with filled.opened() as platform:
        second = put(platform, "2", "20,2025-03-01,tea,1.00,")
        platform.connection.execute("UPDATE shop.sale SET note = 'by hand' WHERE number = '1'")
        withdraw(platform, [second], "x")
        assert ask(platform, "SELECT note FROM operational.sale WHERE number = '1'", "shop")[1] == [("by hand",)]


def test_a_snapshot_that_lacks_rows_which_others_need_says_which(filled: Shop) -> None:
    """Goods are described by a file of their own, which is the whole of them; a sale needs tea."""
    filled.edit("pipeline.yaml", "sources:\n", "sources:\n  list: {files: ['list*.csv'], load: {mode: snapshot}}\n")
    contract = (filled.root / "zones/shop/sales/operational/goods.odcs.yaml").read_text()
    filled.write("zones/shop/sales/contracts/list.odcs.yaml", contract.replace("shop.goods", "shop.list"))
    filled.write("zones/shop/sales/conform/list/goods.sql", "SELECT code FROM batch")
    with filled.opened() as platform:
        apply(platform)
        results = []
        for number, codes in enumerate(("salt tea jam", "salt oil jam")):
            path = filled.root / f"list-{number}.csv"
            path.write_text("code\n" + codes.replace(" ", "\n") + "\n")
            if number == 0:
                platform.connection.execute("UPDATE shop.goods SET _source = 'list'")
            results += ingest(platform, pipeline_of(platform, "shop", "sales"), [path], None)
        assert [one.batch.state for one in results] == ["done", "rejected"]
        (finding,) = [one for _, one in records.findings(platform.connection, results[1].batch.id)]
        assert finding.kind == "still_referred" and [cell.found for cell in finding.cells] == ["tea"]
        assert finding.message == "1 rows of goods that the file no longer brings are needed by sale"
