"""Rows that were set aside, and the same file under a mended contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from assay.batch import Batch
from assay.catalog import records
from assay.errors import Usage
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.quarantine import export, listing
from assay.pipelines.query import ask
from assay.pipelines.rebuild import preview as rebuild_preview
from assay.pipelines.replay import again as again_
from assay.pipelines.replay import failed, preview, replay
from assay.pipelines.review import decide
from assay.pipelines.run import ingest
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.zones.project import load_project
from shop_project import Shop

HEAD = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: sales.{0}
status: active
schema:
  - name: {0}
"""
SALE = HEAD.format("sale") + """\
    customProperties:
      - {property: drift, value: {type_mismatch: tolerate}}
    quality:
      - {name: not_too_much, type: custom, engine: assay, implementation: amount < LIMIT}
    properties:
      - {name: no, logicalType: string, required: true}
      - {name: shop, logicalType: string, required: true}
      - {name: amount, logicalType: number, physicalType: "decimal(12,2)", required: true}
"""
FILES = {
    "assay.yaml": "name: shops\ntargets:\n  local: {data: .assay}\n",
    "zones/sales/zone.yaml": "title: Sales\nowner: a@example.org\n",
    "zones/sales/tills/pipeline.yaml": """\
title: Tills
sources:
  sale: {files: ["sale*"], load: {mode: append}}
""",
    "zones/sales/tills/operational/shop.odcs.yaml": HEAD.format("shop")
    + "    properties:\n      - {name: name, logicalType: string, primaryKey: true, required: true}\n",
    "zones/sales/tills/operational/sale.odcs.yaml": HEAD.format("sale") + """\
    properties:
      - {name: no, logicalType: string, primaryKey: true, required: true}
      - {name: shop, logicalType: string, required: true, relationships: [{type: foreignKey, to: shop.name}]}
      - {name: amount, logicalType: number, physicalType: "decimal(12,2)", required: true}
""",
    "zones/sales/tills/conform/sale/shop.sql": "SELECT shop AS name FROM batch GROUP BY shop",
    "zones/sales/tills/conform/sale/sale.sql": "SELECT no, shop, amount FROM batch",
    "zones/sales/tills/analytical/by_shop.odcs.yaml": HEAD.format("by_shop") + """\
    customProperties:
      - {property: refresh, value: {by: [shop]}}
    properties:
      - {name: shop, logicalType: string, required: true}
      - {name: amount, logicalType: number, physicalType: "decimal(12,2)", required: true}
""",
    "zones/sales/tills/analytical/by_shop.sql": (
        "SELECT s.shop, sum(s.amount)::DECIMAL(12, 2) AS amount FROM operational.sale AS s GROUP BY s.shop"
    ),
}
DELIVERED = "no,shop,amount\n1,North,10.00\n2,South,900.00\n3,South,twelve\n4,West,5.00\n"


def configure(root: Path, limit: str, contract: str = SALE) -> None:
    for name, text in {**FILES, "zones/sales/tills/contracts/sale.odcs.yaml": contract}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("LIMIT", limit))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    configure(tmp_path / "project", "100")
    return tmp_path / "project"


@pytest.fixture
def platform(root: Path) -> Iterator[Platform]:
    with opened(load_project(root)) as made:
        apply(made)
        yield made


def deliver(platform: Platform, path: Path) -> Batch:
    (result,) = ingest(platform, pipeline_of(platform, "sales", "tills"), [path], "sale")
    return result.batch


def reconfigured(platform: Platform, root: Path, limit: str, contract: str = SALE) -> Platform:
    configure(root, limit, contract)
    changed = Platform(load_project(root), platform.url, platform.connection, platform.actor)
    apply(changed)
    return changed


def gold(platform: Platform) -> dict[str, Any]:
    _, rows = ask(platform, "SELECT shop, amount FROM analytical.by_shop", "sales")
    return {shop: str(amount) for shop, amount in rows}


def test_rows_set_aside_come_back_corrected_and_a_mended_rule_lets_them_through(
    platform: Platform, root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sale-1.csv"
    file.write_text(DELIVERED)
    batch = deliver(platform, file)
    assert batch.state == "done" and gold(platform) == {"North": "10.00", "West": "5.00"}
    assert [(one.segment, one.reason, one.rows) for one in listing(platform)] == [
        ("approve", "amount: does not fit", 1), ("clean", "not_too_much", 1),
    ]  # fmt: skip

    # The mended rule: first what would change, then the change.
    mended = reconfigured(platform, root, "1000")
    seen = preview(mended, batch.id)
    by_store = {one.store: one for one in seen.differences}
    assert seen.verdict == "Approved"
    assert (by_store["clean"].same, by_store["clean"].added) == (2, 1)
    assert (by_store["quarantine"].same, by_store["quarantine"].removed) == (1, 1)
    assert by_store["clean"].examples[0].row == 3
    assert gold(mended) == {"North": "10.00", "West": "5.00"}, "a preview changes nothing"

    again = replay(mended, batch.id).batch
    assert (again.state, again.replaces) == ("done", batch.id)
    assert records.batch(mended.connection, batch.id).state == "replaced"
    assert gold(mended) == {"North": "10.00", "South": "900.00", "West": "5.00"}
    rows = ask(mended, "SELECT _batch, count(*) FROM staging.sale GROUP BY 1", "sales")[1]
    assert rows == [(again.id, 3)], "staging holds the rows once"
    rows = ask(mended, "SELECT DISTINCT _batch FROM operational.sale", "sales")[1]
    assert rows == [(again.id,)]
    with pytest.raises(Usage, match="takes the place"):
        replay(mended, batch.id)

    # What still stands aside goes out as a workbook and comes back corrected.
    workbook = tmp_path / "sale-corrections.xlsx"
    assert export(mended, again.id, workbook) == 1
    book = openpyxl.load_workbook(workbook)
    sheet = book["Set aside"]
    assert [cell.value for cell in sheet[2]] == ["3", "South", "twelve", "amount: does not fit", 4]
    sheet["C2"] = 12
    book.save(workbook)
    assert deliver(mended, workbook).state == "done"
    assert gold(mended)["South"] == "912.00"


def test_a_replay_takes_away_what_the_contract_no_longer_lets_through(
    platform: Platform, root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sale-1.csv"
    file.write_text(DELIVERED)
    batch = deliver(platform, file)
    stricter = reconfigured(platform, root, "7")
    seen = {one.store: one for one in preview(stricter, batch.id).differences}
    assert (seen["clean"].same, seen["clean"].removed) == (1, 1)
    again = replay(stricter, batch.id).batch
    assert gold(stricter) == {"West": "5.00"}
    kinds = [finding.kind for _, finding in records.findings(stricter.connection, again.id)]
    assert "replay_kept_rows" in kinds, "the shop North stays and that is said"


def test_a_replay_that_is_rejected_leaves_everything_as_it_was(
    platform: Platform, root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sale-1.csv"
    file.write_text(DELIVERED)
    batch = deliver(platform, file)
    before = gold(platform)
    strict = reconfigured(platform, root, "100", SALE.replace("type_mismatch: tolerate", "type_mismatch: reject"))
    seen = preview(strict, batch.id)
    assert seen.verdict == "Rejected" and seen.findings[0].kind == "type_mismatch"
    assert replay(strict, batch.id).batch.state == "rejected"
    assert records.batch(strict.connection, batch.id).state == "done" and gold(strict) == before


def test_an_empty_file_that_the_contract_tolerates_is_a_batch_of_no_rows(
    platform: Platform, root: Path, tmp_path: Path
) -> None:
    tolerant = reconfigured(platform, root, "100", SALE.replace("tolerate}", "tolerate, empty_file: tolerate}"))
    file = tmp_path / "sale-empty.csv"
    file.write_text("no,shop,amount\n")
    assert deliver(tolerant, file).state == "done"
    assert gold(tolerant) == {}


def test_a_renamed_copy_and_a_month_far_out_wait_for_the_steward(
    platform: Platform, root: Path, tmp_path: Path
) -> None:
    pipeline = FILES["zones/sales/tills/pipeline.yaml"].replace("append}", "append}, checks: {outliers: hold}")
    (root / "zones/sales/tills/pipeline.yaml").write_text(pipeline)
    watched = Platform(load_project(root), platform.url, platform.connection, "clerk")
    apply(watched)

    def month(name: str, numbers: range) -> Batch:
        file = tmp_path / f"sale-{name}.csv"
        file.write_text("no,shop,amount\n" + "".join(f"{number},North,1.00\n" for number in numbers))
        return deliver(watched, file)

    for number in range(6):
        assert month(str(number), range(number * 100, number * 100 + 20 + number % 3)).state == "done"
    copy = tmp_path / "sale-copy.csv"
    copy.write_text("shop,no,amount\n" + "".join(f"North,{number},1.0\n" for number in reversed(range(20))))
    held = deliver(watched, copy)
    assert held.state == "held"
    told = [finding.message for _, finding in records.findings(watched.connection, held.id) if finding.holds]
    assert told == ["all 20 rows stood in batch 1 (sale-0.csv) already"]

    short = month("short", range(900, 903))
    told = [finding.message for _, finding in records.findings(watched.connection, short.id) if finding.holds]
    assert short.state == "held" and told[0] == "3 rows; the last 7 batches had 20 to 22"
    steward = Platform(watched.project, watched.url, watched.connection, "steward")
    assert decide(steward, short.id, "release", "the shop was closed").batch.state == "done"


SHOP_HEAD = "No.,Sold on,Goods,Amount,Note\n"


def put(platform: Platform, name: str, *lines: str) -> Batch:
    """Delivers lines of the shop's till."""
    path = platform.project.root / f"till-{name}.csv"
    path.write_text(SHOP_HEAD + "".join(f"{line}\n" for line in lines))
    (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [path], None)
    return result.batch


def test_a_replay_does_not_undo_what_later_batches_said(filled: Shop) -> None:
    with filled.opened() as platform:
        put(platform, "2", "1,2025-01-03,tea,9.00,")
        again = replay(platform, 1).batch
        rows = ask(platform, "SELECT number, amount::VARCHAR, _batch FROM operational.sale ORDER BY 1", "shop")[1]
        assert rows[:2] == [("1", "9.00", 2), ("2", "3.50", again.id)]
        (one,) = rebuild_preview(platform, "shop.operational.sale").differences
        assert (one.same, one.added, one.removed, one.changed) == (4, 0, 0, 0), "a table made anew is the same"


@pytest.mark.parametrize(("start", "skipped"), [("clean", {"approve"}), ("conform", {"approve", "clean"})])
def test_a_replay_from_a_segment_takes_what_stands_before_it(filled: Shop, start: Any, skipped: set[str]) -> None:
    filled.edit("sale.sql", "note FROM", "upper(note) AS note FROM")
    with filled.opened() as platform:
        apply(platform)
        (landed,) = [path for path in (platform.data / "landing").rglob("*") if len(path.name) == 64]
        landed.chmod(0o600)
        landed.write_text("these bytes are not read\n")
        seen = preview(platform, 1, start=start)
        assert seen.verdict == "Approved" and not any(one.any for one in seen.differences)
        if start == "conform":
            assert {one.table: one.changed for one in seen.effects} == {"goods": 0, "sale": 2}
        again = replay(platform, 1, start=start).batch
        assert (again.state, again.replaces) == ("done", 1)
        rows = ask(platform, "SELECT note FROM operational.sale WHERE note IS NOT NULL ORDER BY 1", "shop")[1]
        assert rows == [("GIFT",), ("REFUND",)]
        runs = {run["segment"]: run for run in records.runs(platform.connection, again.id)}
        assert {name for name, run in runs.items() if "taken_over_from" in run["detail"]} == skipped
        stores = [(tally.store, tally.rows) for tally in records.tallies(platform.connection, again.id)]
        before = [(tally.store, tally.rows) for tally in records.tallies(platform.connection, 1)]
        assert sorted(stores) == sorted(before)
        assert [one.rows for one in listing(platform)] == [1], "rows set aside are taken over, once"
        kinds = [(s, f.kind) for s, f in records.findings(platform.connection, again.id)]
        assert kinds == [(s, f.kind) for s, f in records.findings(platform.connection, 1)]


def test_from_denormalize_on_the_analytical_rows_are_computed_again_and_the_batch_stays(filled: Shop) -> None:
    with filled.opened() as platform:
        before = ask(platform, "SELECT * FROM analytical.by_month ORDER BY ALL", "shop")[1]
        with transaction(platform.connection) as tx:
            Iceberg(tx, platform.data).put("shop.analytical", "by_month", [], replacing=True)
        assert replay(platform, 1, start="denormalize").batch == records.batch(platform.connection, 1)
        assert ask(platform, "SELECT * FROM analytical.by_month ORDER BY ALL", "shop")[1] == before


def test_a_replay_as_of_a_version_goes_by_the_files_of_then(filled: Shop) -> None:
    with filled.opened() as platform:
        first = platform.project.version
    filled.edit("till.odcs.yaml", "amount <> 0", "amount > 0")
    with filled.opened() as platform:
        apply(platform)
        stricter = replay(platform, 1).batch
        assert ask(platform, "SELECT count(*) FROM staging.till", "shop")[1] == [(3,)]
        seen = preview(platform, stricter.id, version=first)
        assert {one.store: one.added for one in seen.differences}["clean"] == 1
        again = replay(platform, stricter.id, version=first).batch
        assert (again.state, again.config_version) == ("done", first)
        assert ask(platform, "SELECT count(*) FROM staging.till", "shop")[1] == [(4,)]


def test_a_replay_that_was_cut_short_goes_on_with_the_same_command(
    filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    import assay.pipelines.replay as replaying

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with filled.opened() as platform:
        monkeypatch.setattr(replaying, "work_off", stopped)
        with pytest.raises(KeyboardInterrupt):
            replay(platform, 1)
        monkeypatch.undo()
        assert records.batch(platform.connection, 2).state == "landed"
        again = replay(platform, 1).batch
        assert (again.id, again.state, records.batch(platform.connection, 1).state) == (2, "done", "replaced")


def test_what_failed_is_tried_again_but_not_what_somebody_refused_or_corrected(filled: Shop) -> None:
    halt = "amount < 5, customProperties: [{property: action, value: halt}]"
    filled.edit("till.odcs.yaml", "amount <> 0", halt)
    with filled.opened() as platform:
        apply(platform)
        wrong = [put(platform, name, f"{name}0,2025-01-03,tea,7.00,") for name in ("5", "6", "7")]
        assert {batch.state for batch in wrong} == {"rejected"}
        corrected = put(platform, "6 (corrected)", "60,2025-01-03,tea,3.00,")
        assert corrected.replaces == wrong[1].id
        records.add_decision(platform.connection, wrong[2].id, "reject", "steward", "no")
        assert [one.id for one in failed(platform, "shop", "sales")] == [wrong[0].id]
        assert again_(platform, wrong[0]).batch.state == "rejected"
        assert [one.id for one in failed(platform, "shop", None)] == [wrong[0].id]
        filled.edit("till.odcs.yaml", "amount < 5", "amount < 50")
    with filled.opened() as platform:
        apply(platform)
        assert again_(platform, wrong[0]).batch.state == "done"
        assert failed(platform, "shop", None) == []


def test_a_whole_that_a_newer_one_replaced_is_not_replayed(filled: Shop) -> None:
    filled.edit("pipeline.yaml", "{mode: upsert}", "{mode: snapshot}")
    with filled.opened() as platform:
        apply(platform)
        later = put(platform, "2", "20,2025-03-01,tea,1.00,")
        with pytest.raises(Usage, match=f"batch {later.id} came after batch 1"):
            replay(platform, 1)


def test_what_a_batch_did_not_come_through_cannot_be_left_out(filled: Shop) -> None:
    broken = filled.root / "till-broken.csv"
    broken.write_text("nonsense\n1\n")
    with filled.opened() as platform:
        (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [broken], None)
        with pytest.raises(Usage, match="did not come through approve"):
            replay(platform, result.batch.id, start="conform")
