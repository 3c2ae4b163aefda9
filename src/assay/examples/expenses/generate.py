"""Make the example's files: a year, about 50,000 lines, the same for the same seed."""

from __future__ import annotations

import csv
import random
import sys
from datetime import date, timedelta
from pathlib import Path

import xlsxwriter

RATES = {"EUR": "1", "GBP": "1.17", "USD": "0.92", "CHF": "1.04"}
MCC = {"5812": "Restaurants", "4111": "Local transport", "5943": "Office supplies", "7011": "Hotels"}
UNITS = ["Field Works", "Quiet Office", "Tide Desk", "Lantern Support"]
KINDS = ["Meals", "Travel", "Supplies", "Lodging"]
SHOPS = [f"{a} {b}" for a in ("Velmora", "Ostrick", "Quandle", "Brimlow") for b in ("Table", "Rail", "Paper", "Inn")]
HEAD = ["Date", "Card holder", "Department", "Merchant", "Expense type", "Amount EUR"]


def generate(root: Path, seed: int = 7, lines: int = 50_000) -> None:
    """Write the files of both zones into the ingress folders below `root`."""
    rng = random.Random(seed)
    codes = root / "ingress/reference/codes"
    own = root / "ingress/corporate_finance/expenses"
    for folder in (codes, own):
        folder.mkdir(parents=True, exist_ok=True)
    money = [[c, f"Currency {c}", "2", r] for c, r in RATES.items()]
    _csv(codes / "currencies.csv", ["code", "name", "minor_units", "eur_rate"], money, ",")
    places = [["IE", "Ireland", "EUR"], ["GB", "United Kingdom", "GBP"]]
    _csv(codes / "countries.csv", ["code", "name", "currency_code"], places, ",")
    _csv(codes / "merchant_categories.csv", ["code", "name"], [list(i) for i in MCC.items()], ",")
    for month in range(1, 13):
        _card(own / f"card-2025-{month:02}.xlsx", rng, month, lines // 24, broken=month == 12)
        _ledger(own / f"ledger-2025-{month:02}.csv", rng, month, lines // 24)


def _amount(rng: random.Random) -> float:
    value = rng.randint(200, 60_000) / 100
    return -value if rng.random() < 0.03 else value


def _card(path: Path, rng: random.Random, month: int, count: int, broken: bool) -> None:
    head = list(HEAD)
    if month > 3:
        head += ["MCC", "Original amount", "Currency"]
    if month > 6:
        head[0], head[3], head[5] = "Posting date", "Merchant name", "Billed EUR"
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("Lines")
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet.write(0, 0, f"Card lines of 2025-{month:02}")
    # The broken workbook has no merchant column: its place carries an unrelated remark.
    sheet.write_row(1, 0, ["Remark" if broken and i == 3 else h for i, h in enumerate(head)])
    for row in range(2, count + 2):
        code = rng.choice(list(RATES))
        amount = _amount(rng)
        original = round(amount / float(RATES[code]), 2)
        sheet.write_datetime(row, 0, date(2025, month, rng.randint(1, 28)), day)
        values = [f"E{rng.randint(1, 120):04}", rng.choice(UNITS), rng.choice(SHOPS), rng.choice(KINDS), amount]
        more = [rng.choice(list(MCC)), original, code]
        sheet.write_row(row, 1, values + (more if month > 3 else []))
    if broken:
        sheet.write(9, 0, "2025-02-30")  # A10
        sheet.write(17, 5, "n/a")  # F18
    book.close()


def _ledger(path: Path, rng: random.Random, month: int, count: int) -> None:
    rows = []
    for number in range(count):
        late = timedelta(days=31 if month > 1 and rng.random() < 0.04 else 0)
        day = date(2025, month, rng.randint(1, 28)) - late
        who, unit = f"E{rng.randint(1, 120):04}", rng.choice(UNITS)
        what = [rng.choice(SHOPS), rng.choice(list(MCC)), rng.choice(KINDS)]
        key = f"{month * 100_000 + number:07}"
        money = [f"{_amount(rng):.2f}", rng.choice(list(RATES))]
        rows.append([key, day.strftime("%d/%m/%Y"), who, unit, *what, *money])
    head = ["Transaction number", "Booked on", "Employee", "Cost centre", "Supplier", "Merchant category"]
    _csv(path, [*head, "Expense type", "Net amount", "Currency"], rows, ";")


def _csv(path: Path, head: list[str], rows: list[list[str]], delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, delimiter=delimiter).writerows([head, *rows])


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
