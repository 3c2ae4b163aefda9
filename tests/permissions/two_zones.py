"""Two zones alike, of which one offers two tables that the other reads, and both have their own besides."""

from __future__ import annotations

from pathlib import Path

from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.run import Result, ingest
from shop_project import FILES, TILL, Shop

ZONES = ("shop", "desk")
#: What desk offers, and shop subscribes to and reads.
OFFERED = {"goods_list": "operational.goods", "months": "analytical.by_month"}

_BESIDE = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.beside
status: active
schema:
  - name: beside
    properties:
      - {name: goods, logicalType: string, required: true}
      - {name: lines, logicalType: integer}
"""
_BESIDE_SQL = (
    "SELECT l.code AS goods, sum(m.lines)::BIGINT AS lines FROM desk.published.goods_list AS l "
    "LEFT JOIN desk.published.months AS m ON m.goods = l.code "
    "WHERE EXISTS (SELECT 1 FROM operational.sale) GROUP BY l.code\n"
)


def two_zones(shop: Shop) -> Shop:
    """Makes a second zone beside the shop's, applies both, and takes a file of each to the end."""
    for name, text in FILES.items():
        moved = name.replace("zones/shop/", "zones/desk/")
        _write(shop, moved, text.replace("shop.", "desk.").replace("title: Shop", "title: Desk"))
    granted = "auto_approve: {classification: internal}"
    offered = "".join(f"  {name}: {{dataset: {table}, {granted}}}\n" for name, table in OFFERED.items())
    _write(shop, "zones/desk/zone.yaml", f"title: Desk\nowner: owner@example.org\npublications:\n{offered}")
    asked = "".join(f"  - {{publication: desk.{name}, purpose: To compare.}}\n" for name in OFFERED)
    _write(shop, "zones/shop/zone.yaml", f"title: Shop\nowner: owner@example.org\nsubscriptions:\n{asked}")
    _write(shop, "zones/shop/sales/analytical/beside.odcs.yaml", _BESIDE)
    _write(shop, "zones/shop/sales/analytical/beside.sql", _BESIDE_SQL)
    with shop.opened() as platform:
        apply(platform)
        for zone in ("desk", "shop"):
            (done,) = deliver(platform, zone, shop.root / f"till-{zone}.csv", TILL)
            assert done.batch.state == "done"
    return shop


def deliver(platform: Platform, zone: str, file: Path, text: str) -> list[Result]:
    """Takes a file of a zone as far as it goes."""
    file.write_text(text)
    return ingest(platform, pipeline_of(platform, zone, "sales"), [file], None)


def _write(shop: Shop, name: str, text: str) -> None:
    path = shop.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
