"""A small zone with a source for every load mode, files for it by chance, and a model of what it must hold.

The model knows nothing of the product: a few dictionaries say what the load modes mean.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from assay.pipelines.platform import Platform
from assay.pipelines.run import ingest
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from holdings import ask_each

SALE = (
    ("sale_key", "string", "primaryKey: true, primaryKeyPosition: 1, required: true"),
    ("period", "string", ""),
    ("month", "date", ""),
    ("shop", "string", ""),
    ("kind", "string", ""),
    ("level", "integer", ""),
    ("sold_at", "timestamp", ""),
    ("rate", "decimal(6,3)", ""),
    ("cash", "boolean", ""),
    ("amount", "decimal(12,2)", ""),
)
NAMES = [name for name, _, _ in SALE]
SHOP = (("code", "string", "primaryKey: true, primaryKeyPosition: 1, required: true"), ("title", "string", ""))
SHOPS = {"a": "Alder", "b": "Beech's", "c": "Cedar"}
#: Each load mode has a source of its own; `shops` changes the table that the others' rows point to.
MODES = {
    "added": "{mode: append}",
    "monthly": "{mode: replace, by: [period]}",
    "keyed": "{mode: upsert}",
    "whole": "{mode: snapshot}",
    "shops": "{mode: upsert}",
}
ANALYTICAL = {
    "by_month": (
        ["month"],
        (("month", "date", ""), ("title", "string", ""), ("sales", "integer", ""), ("amount", "decimal(14,2)", "")),
        "SELECT s.month, p.title, count(*) AS sales, sum(s.amount) AS amount FROM operational.sale AS s "
        "LEFT JOIN operational.shop AS p ON p.code = s.shop GROUP BY s.month, p.title",
    ),
    "by_kind": (
        ["kind", "level"],
        (("kind", "string", ""), ("level", "integer", ""), ("sales", "integer", "")),
        "SELECT kind, level, count(*) AS sales FROM operational.sale GROUP BY kind, level",
    ),
    "by_rate": (
        ["rate", "cash"],
        (("rate", "decimal(6,3)", ""), ("cash", "boolean", ""), ("amount", "decimal(14,2)", "")),
        "SELECT rate, cash, sum(amount) AS amount FROM operational.sale GROUP BY rate, cash",
    ),
    "wide": (
        ["sold_at"],
        (*((name, kind, "") for name, kind, _ in SALE), ("title", "string", "")),
        "SELECT s.*, p.title FROM operational.sale AS s INNER JOIN operational.shop AS p ON p.code = s.shop",
    ),
}


def contract(
    name: str, fields: tuple[tuple[str, str, str], ...], refresh: list[str] | None = None, keys: str = ""
) -> str:
    text = (
        f"version: 1.0.0\napiVersion: v3.1.0\nkind: DataContract\nid: {name}\nstatus: active\n"
        f"schema:\n  - name: {name}\n"
    )
    if refresh:
        text += f"    customProperties:\n      - {{property: refresh, value: {{by: {refresh}}}}}\n"
    text += "    properties:\n"
    for column, kind, more in fields:
        logical = f"number, physicalType: '{kind}'" if kind.startswith("decimal") else kind
        text += f"      - {{name: {column}, logicalType: {logical}{', ' + more if more else ''}"
        text += f", relationships: [{{to: {keys}}}]" if keys and column == "shop" else ""
        text += "}\n"
    return text


def write_project(root: Path) -> None:
    pipeline = root / "zones" / "trade" / "sales"
    files = {
        root / "assay.yaml": "name: trade\ntargets:\n  local: {data: .assay}\n",
        root / "zones" / "trade" / "zone.yaml": "title: Trade\nowner: trade@example.org\n",
        pipeline / "pipeline.yaml": "title: Sales\nsources:\n"
        + "".join(f"  {name}: {{files: ['{name}-*.csv'], load: {load}}}\n" for name, load in MODES.items()),
        pipeline / "operational" / "sale.odcs.yaml": contract("sale", SALE, keys="shop.code"),
        pipeline / "operational" / "shop.odcs.yaml": contract("shop", SHOP),
        pipeline / "contracts" / "shops.odcs.yaml": contract("shops", SHOP),
        pipeline / "conform" / "shops" / "shop.sql": "SELECT code, title FROM batch",
    }
    for name in MODES.keys() - {"shops"}:
        files[pipeline / "contracts" / f"{name}.odcs.yaml"] = contract(name, SALE)
        files[pipeline / "conform" / name / "sale.sql"] = f"SELECT {', '.join(NAMES)} FROM batch"
    for name, (by, fields, sql) in ANALYTICAL.items():
        files[pipeline / "analytical" / f"{name}.odcs.yaml"] = contract(name, fields, by)
        files[pipeline / "analytical" / f"{name}.sql"] = sql
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Delivery:
    """A file of one source: rows as the typed values that its cells stand for."""

    source: str
    rows: tuple[Mapping[str, Any], ...]


#: The shops that the sales refer to come first.
FIRST = Delivery("shops", tuple({"code": code, "title": title} for code, title in SHOPS.items()))


@dataclass
class Model:
    """What the load modes mean."""

    shops: dict[str, str] = field(default_factory=dict)
    sales: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=lambda: {m: {} for m in MODES})

    def take(self, delivery: Delivery) -> None:
        mine = self.sales[delivery.source]
        came = {row["sale_key"]: row for row in delivery.rows if "sale_key" in row}
        if delivery.source == "shops":
            self.shops.update({row["code"]: row["title"] for row in delivery.rows})
        elif delivery.source == "whole":
            mine.clear()
        elif delivery.source == "monthly":
            periods = {row["period"] for row in delivery.rows}
            for key in [key for key, row in mine.items() if row["period"] in periods]:
                del mine[key]
        mine.update(came)

    def rows(self) -> Counter[tuple[Any, ...]]:
        return Counter(tuple(row[name] for name in NAMES) for rows in self.sales.values() for row in rows.values())


KINDS = ["x", "it's", 'say "so"', "a,b;c", " lead", "Ärger", "two\nlines", "NULL", None]


def sale(source: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "sale_key": st.integers(0, 5).map(lambda number: f"{source}/{number}"),
            "period": st.sampled_from(["2025-01", "2025-02"]),
            "month": st.sampled_from([date(2025, 1, 1), date(2025, 2, 1), date(1999, 12, 1), None]),
            "shop": st.sampled_from([*SHOPS, None]),
            "kind": st.sampled_from(KINDS),
            "level": st.sampled_from([0, -7, 2**53 + 1, None]),
            "sold_at": st.sampled_from([datetime(2025, 1, 1), datetime(2025, 1, 1, 9, 30, 59), None]),
            "rate": st.sampled_from([Decimal("0.000"), Decimal("-1.250"), Decimal("999.999"), None]),
            "cash": st.sampled_from([True, False, None]),
            "amount": st.decimals(-999, 999, places=2),
        }
    )


def of_source(source: str) -> st.SearchStrategy[Delivery]:
    if source == "shops":
        titles = st.sampled_from(["Alder", "Birch", "Zebra's"])
        rows = st.fixed_dictionaries({"code": st.sampled_from([*SHOPS, "d"]), "title": titles})
    else:
        rows = sale(source)
    key = "code" if source == "shops" else "sale_key"
    listed = st.lists(rows, min_size=1, max_size=4, unique_by=lambda row: row[key])
    return listed.map(lambda found: Delivery(source, tuple(found)))


DELIVERIES = st.lists(st.sampled_from(sorted(MODES)).flatmap(of_source), min_size=1, max_size=5)


def empty(platform: Platform) -> None:
    """Nothing was ever delivered: every example begins here."""
    with transaction(platform.connection) as tx:
        tx.execute("TRUNCATE trade.sale, trade.shop, assay.batch CASCADE")
        iceberg = Iceberg(tx, platform.data)
        for name in ANALYTICAL:
            iceberg.put("trade.analytical", name, [], replacing=True)


def check_analytical(platform: Platform) -> None:
    """Each analytical table holds what its SQL gives."""
    statements: list[str] = []
    for name, (_, fields, sql) in ANALYTICAL.items():
        columns = ", ".join(column for column, _, _ in fields)
        statements += [f"SELECT {columns} FROM analytical.{name}", f"SELECT {columns} FROM ({sql})"]
    found = [Counter(rows) for _, rows in ask_each(platform, statements)]
    for name, incremental, full in zip(ANALYTICAL, found[::2], found[1::2], strict=True):
        assert incremental == full, name


def deliver(platform: Platform, delivery: Delivery, number: int, folder: Path) -> str:
    path = folder / f"{delivery.source}-{number}.csv"
    names = list(delivery.rows[0])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([[cell(row[name]) for name in names] for row in delivery.rows])
    (result,) = ingest(platform, platform.project.zones["trade"].pipelines["sales"], [path], delivery.source)
    return "duplicate" if result.duplicate else result.batch.state


def cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def unrepeated(delivery: Delivery, earlier: set[str]) -> Delivery | None:
    """Appended lines are new lines: a key that came before is left out."""
    if delivery.source != "added":
        return delivery
    rows = tuple(row for row in delivery.rows if row["sale_key"] not in earlier)
    earlier.update(row["sale_key"] for row in rows)
    return Delivery("added", rows) if rows else None


#: Few examples, the same every time; the marked runs take more, by chance.
ORDINARY = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    # A failing example is small as it is; to shrink it further would take minutes.
    phases=[Phase.explicit, Phase.generate],
)
