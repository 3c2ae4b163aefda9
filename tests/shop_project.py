"""A small project that tests change file by file."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from assay.examples.expenses import write_example
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.run import ingest
from assay.zones.project import load_project

#: Who owns the shop and runs its platform: in whose name the tests act, unless they name another.
OWNER = "owner@example.org"
PEOPLE = f"administrators: [{OWNER}]\nauditors: [{OWNER}]\n"


def owned_example(folder: Path) -> None:
    """The example as `assay init` writes it for the owner."""
    write_example(folder, OWNER)
    settings = folder / "assay.yaml"
    settings.write_text(settings.read_text() + PEOPLE)


#: A pipeline of one CSV source, one dimension, one fact, and two analytical tables.
FILES = {
    "zones/shop/zone.yaml": "title: Shop\nowner: owner@example.org\n",
    "zones/shop/sales/pipeline.yaml": """\
title: Sales
steward: never
sources:
  till:
    files: ["till*.csv"]
    load: {mode: upsert}
""",
    "zones/shop/sales/contracts/till.odcs.yaml": """\
version: 1.2.0
apiVersion: v3.1.0
kind: DataContract
id: shop.till
status: active
schema:
  - name: till
    quality:
      - {name: amount_not_zero, type: custom, engine: assay, implementation: amount <> 0}
    properties:
      - {name: number, physicalName: No., logicalType: string, required: true}
      - {name: sold_on, physicalName: Sold on, logicalType: date, required: true}
      - {name: goods, physicalName: Goods, logicalType: string, required: true}
      - {name: amount, physicalName: Amount, logicalType: number, physicalType: 'decimal(12,2)', required: true}
      - {name: note, physicalName: Note, logicalType: string}
""",
    "zones/shop/sales/operational/goods.odcs.yaml": """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.goods
status: active
schema:
  - name: goods
    properties:
      - {name: code, logicalType: string, primaryKey: true, required: true}
""",
    "zones/shop/sales/operational/sale.odcs.yaml": """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.sale
status: active
schema:
  - name: sale
    properties:
      - {name: number, logicalType: string, primaryKey: true, required: true}
      - {name: month, logicalType: string, required: true}
      - name: goods
        logicalType: string
        required: true
        relationships: [{type: foreignKey, to: goods.code}]
      - {name: amount, logicalType: number, physicalType: 'decimal(12,2)', required: true}
      - {name: note, logicalType: string}
""",
    "zones/shop/sales/conform/till/goods.sql": "SELECT goods AS code FROM batch GROUP BY goods\n",
    "zones/shop/sales/conform/till/sale.sql": (
        "SELECT number, strftime(sold_on, '%Y-%m') AS month, goods, amount, note FROM batch\n"
    ),
    "zones/shop/sales/analytical/by_month.odcs.yaml": """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.by_month
status: active
schema:
  - name: by_month
    customProperties:
      - {property: refresh, value: {by: [month]}}
    properties:
      - {name: month, logicalType: string, required: true}
      - {name: goods, logicalType: string, required: true}
      - {name: lines, logicalType: integer, required: true}
      - {name: amount, logicalType: number, physicalType: 'decimal(14,2)', required: true}
""",
    "zones/shop/sales/analytical/by_month.sql": (
        "SELECT s.month, g.code AS goods, count(*) AS lines, sum(s.amount)::DECIMAL(14, 2) AS amount\n"
        "FROM operational.sale AS s JOIN operational.goods AS g ON g.code = s.goods\n"
        "GROUP BY s.month, g.code\n"
    ),
}

TILL = """\
No.,Sold on,Goods,Amount,Note
1,2025-01-03,tea,2.50,
2,2025-01-04,tea,3.50,gift
3,2025-01-09,salt,-1.00,refund
4,2025-02-01,tea,4.00,
5,2025-02-02,salt,0.00,
"""


class Shop:
    """A project whose files a test changes, and its platform."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def restore(self) -> None:
        """Writes every file of the project as it was."""
        for name, text in FILES.items():
            self.write(name, text)

    def fill(self) -> Shop:
        """Applies the project and takes one file to the end."""
        file = self.root / "till-1.csv"
        file.write_text(TILL)
        with self.opened() as platform:
            apply(platform)
            (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [file], None)
            assert result.batch.state == "done"
        return self

    def write(self, name: str, text: str) -> None:
        """Writes a file of the project; `name` is short for the one file that ends so."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, before: str, after: str) -> None:
        """Replaces a text that stands in a file."""
        path = self._path(name)
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def people(self, lines: str) -> None:
        """Other people of the platform than the owner of the shop."""
        self.edit("assay.yaml", PEOPLE, lines)

    def remove(self, name: str) -> None:
        """Takes a file out of the project."""
        self._path(name).unlink()

    def opened(self) -> AbstractContextManager[Platform]:
        """The platform of the files as they now stand."""
        return opened(load_project(self.root))

    def _path(self, name: str) -> Path:
        found = [file for file in FILES if file.endswith("/" + name)]
        return self.root / (found[0] if len(found) == 1 else name)
