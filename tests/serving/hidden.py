"""A platform of two zones with much to hide from an analyst of one of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.run import ingest
from assay.security.principals import User
from assay.zones.project import load_project
from shop_project import Shop

#: Whoever asks, and what he must never learn.
ANALYST, OWNER, STEWARD, STRANGER = "ana@example.org", "olga@example.org", "stig@example.org", "eve@example.org"
CANARY = "CANARY"

ZONE = f"""\
title: Shop
owner: {OWNER}
stewards: [{STEWARD}]
analysts: [{ANALYST}]
subscriptions:
  - {{publication: annex.codes, purpose: to compare}}
access:
  - {{role: analyst, dataset: operational.sale, rows: "goods <> 'salt'", masks: {{note: redact}}}}
  - {{role: analyst, dataset: analytical.by_month, rows: "goods <> 'salt'"}}
  - {{role: analyst, dataset: operational.goods, rows: "code <> 'salt'"}}
"""
ANNEX = """\
title: Annex
owner: otto@example.org
publications:
  codes: {dataset: operational.goods, columns: [code], auto_approve: {zones: [shop]}}
  sales: {dataset: operational.sale}
  some: {dataset: operational.sale, columns: [goods, note], rows: amount < 0, masks: {note: partial}}
"""
HEADER = "No.,Sold on,Goods,Amount,Note\n"
#: Rows of salt and every note are hidden from the analyst, and so is all of the annex but the codes of its goods.
SHOWN = "1,2025-01-03,tea,2.50,{note}\n{salt}2,2025-01-04,tea,3.50,{note}\n4,2025-02-01,tea,4.00,\n"
SALT = f"3,2025-01-09,salt,-8471.00,{CANARY} refund\n"
ELSEWHERE = f"{CANARY}-9,2025-03-09,tea,-8472.00,{CANARY} annex\n"


def hiding(
    new_shop: Callable[[], Shop], *, salt: str = SALT, note: str = f"{CANARY} gift", annex: str = ELSEWHERE
) -> Shop:
    """The platform, with files taken to the end in both zones; what is hidden can be chosen."""
    shop = new_shop()
    shop.write("zones/shop/zone.yaml", ZONE)
    shop.write("zones/annex/zone.yaml", ANNEX)
    for file in list((shop.root / "zones/shop/sales").rglob("*.*")):
        name = str(file.relative_to(shop.root)).replace("zones/shop/", "zones/annex/")
        shop.write(name, file.read_text())
    with opened(load_project(shop.root), user=User("loader@example.org")) as platform:
        apply(platform)
        for zone, rows in (("shop", SHOWN.format(note=note, salt=salt)), ("annex", annex)):
            if rows:
                file = shop.root / f"till-{zone}.csv"
                file.write_text(HEADER + rows)
                (done,) = ingest(platform, pipeline_of(platform, zone, "sales"), [file], None)
                assert done.batch.state == "done"
    return shop


def as_user(shop: Shop, name: str) -> AbstractContextManager[Platform]:
    """The platform as somebody uses it."""
    return opened(load_project(shop.root), user=User(name))
