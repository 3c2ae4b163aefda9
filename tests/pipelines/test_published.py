"""A change of what is published is held to those who read it: plan names them, and refuses what would break them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.pipelines.test_grants import OFFER, READER, offer, only

from assay.catalog import subscriptions as kept
from assay.errors import Misconfigured
from assay.pipelines.grants import decide, request
from assay.pipelines.plan import apply, plan
from assay.pipelines.subscriptions import publication_of
from shop_project import Shop


@pytest.fixture
def read(shop: Shop) -> Iterator[Shop]:
    """A publication that another zone was granted."""
    offer(shop)
    for name, text in READER.items():
        shop.write(name, text)
    with shop.opened() as platform:
        found = plan(platform)
        assert "zone reader asks for shop.sale, owner@example.org decides" in [one.words for one in found.remarks]
        apply(platform)
        assert plan(platform).remarks == ()
        decide(platform, only(platform).id, "granted", "they compare")
    yield shop


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (OFFER.replace("[number, goods]", "[number, goods], rows: amount > 0"), "its rows"),
        (OFFER.replace("[number, goods]", "[number, goods], masks: {goods: redact}"), "goods: unmasked becomes redact"),
        (OFFER.replace("operational.sale", "operational.sale, contract: sale.odcs.yaml").replace(
            ", columns: [number, goods]", ""), "field goods: field removed"),
    ],
)  # fmt: skip
def test_what_breaks_a_subscriber_is_refused_with_his_name(read: Shop, text: str, why: str) -> None:
    read.write("zones/shop/sale.odcs.yaml", """\
version: 2.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.sale
status: active
schema:
  - name: sale
    properties:
      - {name: number, logicalType: string, primaryKey: true, required: true}
""")
    read.write("zones/reader/notes/conform/note/known.sql", "SELECT number, NULL::VARCHAR AS goods FROM batch\n")
    offer(read, text)
    for do in (plan, apply):
        with read.opened() as platform, pytest.raises(Misconfigured, match="would break for zone reader") as refused:
            do(platform)
        assert why in refused.value.what and "sale_v2" in str(refused.value.expected)
        assert str(refused.value.where).startswith(str(read.root / "zones/shop/zone.yaml"))


def test_what_breaks_nobody_is_told_with_the_subscribers(read: Shop) -> None:
    offer(read, OFFER.replace("[number, goods]", "[number, goods, month]"))
    with read.opened() as platform:
        words = [one.words for one in plan(platform).remarks]
        assert any(one.startswith("shop.sale changes for zone reader: field month") for one in words)
        apply(platform)
        assert only(platform).state == "granted"


def test_the_new_form_stands_beside_the_old_one_until_its_subscribers_have_moved(read: Shop) -> None:
    beside = OFFER + "  sale_v2: {dataset: operational.sale, columns: [number], auto_approve: {zones: [reader]}}\n"
    offer(read, beside)
    moved = READER["zones/reader/zone.yaml"].replace("shop.sale,", "shop.sale_v2,")
    with read.opened() as platform:
        apply(platform)
    read.write("zones/reader/zone.yaml", moved)
    read.write(
        "zones/reader/notes/conform/note/known.sql",
        "SELECT b.number, s.number AS goods FROM batch AS b LEFT JOIN shop.published.sale_v2 AS s USING (number)\n",
    )
    with read.opened() as platform:
        assert [one.words.partition(":")[0] for one in plan(platform).remarks] == [
            "the subscription of zone reader to shop.sale ends", "shop.sale_v2 is granted to zone reader",
        ]  # fmt: skip
        apply(platform)
        assert [(one.publication, one.state) for one in kept.listed(platform.connection)] == [
            ("sale_v2", "granted"), ("sale", "ended"),
        ]  # fmt: skip
    offer(read, beside.replace("  sale: {dataset: operational.sale, columns: [number, goods]}\n", ""))
    with read.opened() as platform:
        assert plan(platform).losing == ()


def test_a_publication_that_somebody_reads_is_dropped_by_name_only(shop: Shop) -> None:
    offer(shop)
    with shop.opened() as platform:
        apply(platform)
        offered = publication_of(platform.project, "shop.sale")
        decide(platform, request(platform, offered, "user", "u@example.org", "a study").id, "granted", "fine")
    offer(shop, "")
    with shop.opened() as platform:
        with pytest.raises(Misconfigured, match=r"drop publication shop\.sale"):
            apply(platform)
        assert plan(platform).losing == ("drop publication shop.sale",)
        apply(platform, allowed_losses=frozenset({"drop publication shop.sale"}))
        assert (only(platform).state, only(platform).last.reason) == ("ended", "shop.sale is not offered any more")
