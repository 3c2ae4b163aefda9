"""The example's files: what its offices send, and what its project holds."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from assay.examples.expenses import write_example
from assay.examples.expenses.generate import generate
from assay.zones.project import load_project
from assay.zones.schemas import json_schemas

LINES = 6_000


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sent")
    made = generate(folder, lines=LINES)
    assert abs(made - LINES) < LINES * 0.05
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _ledger(sent: Path, month: int) -> list[dict[str, str]]:
    path = sent / f"ingress/corporate_finance/expenses/ledger-2025-{month:02}.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter=";"))


def _card(sent: Path, month: int, folder: str = "ingress/corporate_finance/expenses") -> list[list[object]]:
    book = CalamineWorkbook.from_path(str(sent / folder / f"card-2025-{month:02}.xlsx"))
    return book.get_sheet_by_name("Lines").to_python(skip_empty_area=False)


def test_the_same_seed_makes_the_same_bytes(sent: Path, tmp_path: Path) -> None:
    generate(tmp_path, lines=LINES)
    assert _hashes(tmp_path) == _hashes(sent)


def test_another_seed_makes_another_year(sent: Path, tmp_path: Path) -> None:
    generate(tmp_path, seed=8, lines=LINES)
    names = _hashes(sent)
    assert names.keys() == _hashes(tmp_path).keys()
    changed = {name for name, digest in _hashes(tmp_path).items() if names[name] != digest}
    assert {name for name in names if "card-" in name or "ledger-" in name} == changed


def test_ledger_lines_come_again_with_another_amount_and_months_late(sent: Path) -> None:
    amounts: dict[str, set[str]] = defaultdict(set)
    late = 0
    for month in range(1, 12):
        rows = _ledger(sent, month)
        numbers = [row["Transaction number"] for row in rows]
        assert len(set(numbers)) == len(numbers), "a number stands once in a file"
        late += sum(
            datetime.strptime(row["Booked on"], "%d/%m/%Y").month < month
            for row in rows
            if row["Transaction number"].startswith(f"{month:02}")
        )
        for row in rows:
            amounts[row["Transaction number"]].add(row["Net amount"])
    assert sum(len(found) > 1 for found in amounts.values()) > 20
    assert late > 50


def test_the_year_has_refunds_and_foreign_money(sent: Path) -> None:
    rows = [row for month in range(1, 12) for row in _ledger(sent, month)]
    refunds = [row for row in rows if Decimal(row["Net amount"].replace(".", "").replace(",", ".")) < 0]
    assert 0.02 < len(refunds) / len(rows) < 0.04
    assert len({row["Currency"] for row in rows}) > 8


@pytest.mark.parametrize(
    ("month", "header_row", "first", "width"), [(1, 2, "Date", 6), (5, 2, "Date", 10), (9, 4, "Posting date", 10)]
)
def test_the_workbooks_header_moves_and_changes(
    sent: Path, month: int, header_row: int, first: str, width: int
) -> None:
    rows = _card(sent, month)
    header = [cell for cell in rows[header_row - 1] if cell]
    assert (header[0], len(header)) == (first, width)
    assert str(rows[0][0]).startswith("Company card")
    assert rows[-1][0] == "Total"


def test_the_broken_files_differ_from_the_corrected_ones_where_they_say(sent: Path) -> None:
    broken, right = _card(sent, 12), _card(sent, 12, "corrected")
    places = [(row, column) for row in range(len(right)) for column in range(len(right[3]))]
    differing = {(row, column) for row, column in places if broken[row][column] != right[row][column]}
    assert differing == {(9, 0), (17, 5), (30, 1), (41, 3)}
    sent_text = (sent / "ingress/corporate_finance/expenses/ledger-2025-12.csv").read_text("utf-8")
    right_text = (sent / "corrected/ledger-2025-12.csv").read_text("utf-8")
    assert sent_text.replace("Vendor", "Supplier", 1) == right_text


def test_codes_that_lines_use_are_in_the_lists(sent: Path) -> None:
    def codes(name: str) -> dict[str, dict[str, str]]:
        with (sent / f"ingress/reference/codes/{name}.csv").open(encoding="utf-8", newline="") as lines:
            return {row["code"]: row for row in csv.DictReader(lines)}

    currencies, countries, categories = codes("currencies"), codes("countries"), codes("merchant_categories")
    assert {row["currency_code"] for row in countries.values()} <= currencies.keys()
    rows = [row for month in range(1, 12) for row in _ledger(sent, month)]
    assert {row["Currency"] for row in rows} <= currencies.keys()
    assert {row["Merchant category"] for row in rows} <= categories.keys()
    assert min(len(currencies), len(countries), len(categories)) > 24


def test_the_project_loads_and_points_editors_at_schemas(tmp_path: Path) -> None:
    write_example(tmp_path)
    assert load_project(tmp_path).name == "brindlemark"
    kinds = {f"{name}.schema.json" for name in json_schemas()}
    pointing = [path for path in tmp_path.rglob("*.yaml") if path.name in ("assay.yaml", "zone.yaml", "pipeline.yaml")]
    assert len(pointing) == 5
    for path in pointing:
        found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text("utf-8"))
        assert found is not None, path
        schema = (path.parent / found.group(1)).resolve()
        assert schema.parent == (tmp_path / ".assay/schema").resolve()
        assert schema.name in kinds and schema.name.startswith(path.stem)
