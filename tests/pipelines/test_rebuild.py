"""Datasets made anew: from what was delivered, under the configuration of now or of before, seen before it happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from assay.catalog import events, records
from assay.errors import NotFound, Rejected, Usage
from assay.pipelines import rebuild as rebuilding
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.rebuild import preview, rebuild, worth_rebuilding
from assay.pipelines.run import ingest
from assay.zones.project import load_project
from shop_project import Shop

HEAD = "No.,Sold on,Goods,Amount,Note\n"
NEW = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.by_goods
status: active
schema:
  - name: by_goods
    properties:
      - {name: goods, logicalType: string, required: true}
      - {name: lines, logicalType: integer, required: true}
"""


def put(platform: Platform, name: str, *lines: str) -> int:
    path = platform.project.root / f"till-{name}.csv"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [path], None)
    assert result.batch.state == "done", result.error
    return result.batch.id


@pytest.fixture
def platform(filled: Shop) -> Iterator[Platform]:
    """The shop with a second batch, which changed a line of the first and added one."""
    with filled.opened() as found:
        put(found, "2", "1,2025-01-03,tea,9.00,", "20,2025-03-01,jam,1.00,")
        yield found


def configured(platform: Platform, **files: str) -> Platform:
    """The platform after files of the shop were written (`name__suffix`) and applied."""
    shop = Shop(platform.project.root)
    for name, text in files.items():
        shop.write(name.replace("__", "."), text)
    later = replace(platform, project=load_project(shop.root))
    apply(later)
    return later


def rows(platform: Platform, sql: str) -> list[tuple[object, ...]]:
    return sorted(ask(platform, sql, "shop")[1], key=str)


def test_a_new_analytical_table_is_filled_by_a_rebuild_and_apply_says_so(platform: Platform) -> None:
    before = platform.project.version
    folder = "zones/shop/sales/analytical/by_goods"
    shop = Shop(platform.project.root)
    shop.write(f"{folder}.odcs.yaml", NEW)
    shop.write(f"{folder}.sql", "SELECT goods, count(*) AS lines FROM operational.sale GROUP BY goods")
    later = configured(platform)
    assert worth_rebuilding(later, before) == ["shop.analytical.by_goods"]
    assert rows(later, "SELECT * FROM analytical.by_goods") == []
    seen = preview(later, "shop.analytical.by_goods")
    assert [(one.store, one.added, one.removed) for one in seen.differences] == [("analytical.by_goods", 3, 0)]
    assert seen.segments == ("denormalize",)
    assert rows(later, "SELECT * FROM analytical.by_goods") == [], "a preview changes nothing"
    rebuild(later, "shop.analytical.by_goods")
    assert rows(later, "SELECT * FROM analytical.by_goods") == [("jam", 1), ("salt", 1), ("tea", 3)]
    assert [one.same for one in preview(later, "shop.analytical.by_goods").differences] == [3]


def test_what_reads_a_rebuilt_table_is_rebuilt_with_it(platform: Platform) -> None:
    later = configured(
        platform,
        sale__sql="SELECT number, strftime(sold_on, '%Y') AS month, goods, amount, note FROM batch",
    )
    assert worth_rebuilding(later, platform.project.version) == ["shop.operational.sale"]
    seen = {one.store: one for one in preview(later, "shop.operational.sale").differences}
    assert (seen["operational.sale"].changed, seen["operational.sale"].added) == (5, 0)
    assert "month: 2025-01 → 2025" in seen["operational.sale"].examples[0].words
    assert seen["analytical.by_month"].removed == 4
    rebuild(later, "shop.operational.sale")
    assert rows(later, "SELECT DISTINCT month FROM operational.sale") == [("2025",)]
    assert rows(later, "SELECT month, goods, lines FROM analytical.by_month") == [
        ("2025", "jam", 1), ("2025", "salt", 1), ("2025", "tea", 3),
    ]  # fmt: skip
    origins = rows(later, "SELECT number, _batch FROM operational.sale")
    assert origins == [("1", 2), ("2", 1), ("20", 2), ("3", 1), ("4", 1)], "each row keeps the batch that made it"
    (event,) = [one for one in _events(later) if one.kind == "rebuilt"]
    assert event.body["dataset"] == "shop.operational.sale"
    assert event.body["changes"]["operational.sale"]["changed"] == 5


def _events(platform: Platform) -> list[events.Event]:
    found = platform.connection.execute(
        "SELECT id, transaction::text::bigint, at, kind, zone, pipeline, batch_id, segment, body FROM assay.event"
    )
    return [events.Event(*row) for row in found]


def test_a_rebuild_since_a_batch_leaves_what_earlier_ones_made(platform: Platform) -> None:
    sql = "SELECT number, strftime(sold_on, '%Y') AS month, goods, amount, note FROM batch"
    later = configured(platform, sale__sql=sql)
    seen = preview(later, "shop.operational.sale", since="2")
    assert seen.batches == (2,) and seen.differences[0].changed == 2
    rebuild(later, "shop.operational.sale", since="2")
    assert rows(later, "SELECT number FROM operational.sale WHERE month = '2025'") == [("1",), ("20",)]
    day = records.batch(later.connection, 1).delivered_at.date().isoformat()
    assert preview(later, "shop.operational.sale", since=day).batches == (1, 2)
    with pytest.raises(Usage, match="neither a batch nor a date"):
        preview(later, "shop.operational.sale", since="yesterday")
    with pytest.raises(Usage, match="computed as a whole"):
        preview(later, "shop.analytical.by_month", since="2")


def test_a_table_can_be_rebuilt_as_a_version_of_before_made_it(platform: Platform) -> None:
    first = platform.project.version
    whole = rows(platform, "SELECT * FROM operational.sale")
    later = configured(
        platform, sale__sql="SELECT number, strftime(sold_on, '%Y') AS month, goods, amount, note FROM batch"
    )
    rebuild(later, "shop.operational.sale")
    assert rows(later, "SELECT * FROM operational.sale") != whole
    seen = preview(later, "shop.operational.sale", version=first)
    assert (seen.version, seen.differences[0].changed) == (first, 5)
    rebuild(later, "shop.operational.sale", version=first)
    assert rows(later, "SELECT * FROM operational.sale") == whole


def test_rows_that_would_refer_to_nothing_forbid_a_rebuild(platform: Platform) -> None:
    later = configured(platform, goods__sql="SELECT goods AS code FROM batch WHERE goods <> 'tea' GROUP BY goods")
    whole = rows(later, "SELECT * FROM operational.goods")
    seen = preview(later, "shop.operational.goods")
    assert {one.table for one in seen.dependents} == {"sale"} and seen.dependents[0].examples == ("tea",)
    with pytest.raises(Usage, match="would refer to goods tea"):
        rebuild(later, "shop.operational.goods")
    assert rows(later, "SELECT * FROM operational.goods") == whole


def test_rows_that_break_a_key_forbid_a_rebuild_and_leave_nothing_behind(platform: Platform) -> None:
    later = configured(platform, sale__sql="SELECT 'x' AS number, '2025' AS month, goods, amount, note FROM batch")
    whole = rows(later, "SELECT * FROM operational.sale")
    with pytest.raises(Rejected, match="batch 1 cannot be conformed"):
        rebuild(later, "shop.operational.sale")
    assert rows(later, "SELECT * FROM operational.sale") == whole
    left = later.connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'assay_shadow%'").fetchall()
    assert left == []


def test_staging_is_done_again_batch_by_batch_and_goes_on_where_it_was_cut_short(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = platform.project.root / "zones/shop/sales/contracts/till.odcs.yaml"
    text = contract.read_text().replace("amount <> 0", "amount > 0")
    later = configured(platform, till__odcs__yaml=text)
    seen = preview(later, "shop.staging.till")
    by_store = {one.store: one for one in seen.differences}
    assert seen.batches == (1, 2) and (by_store["clean"].removed, by_store["quarantine"].added) == (1, 1)

    original, done = rebuilding.replay, []

    def cut_short(*args: object, **options: object) -> object:
        if done:
            raise KeyboardInterrupt
        done.append(original(*args, **options))  # type: ignore[arg-type]
        return done[-1]

    monkeypatch.setattr(rebuilding, "replay", cut_short)
    with pytest.raises(KeyboardInterrupt):
        rebuild(later, "shop.staging.till")
    monkeypatch.undo()
    found, results = rebuild(later, "shop.staging.till")
    assert found.batches == (2,) and list(found.passed_over.values()) == ["its rows are of this configuration"]
    assert [one.batch.state for one in results] == ["done"]
    assert rows(later, "SELECT number FROM staging.till") == [("1",), ("1",), ("2",), ("20",), ("4",)]
    assert rebuild(later, "shop.staging.till")[1] == []


@pytest.mark.parametrize(
    ("name", "error"),
    [("sale", Usage), ("shop.lake.sale", Usage), ("shp.operational.sale", NotFound), ("shop.staging.tills", NotFound)],
)
def test_a_dataset_that_is_not_there_is_said_with_the_nearest(
    platform: Platform, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        preview(platform, name)
    assert caught.value.expected  # type: ignore[attr-defined]  # both errors of ours have it
