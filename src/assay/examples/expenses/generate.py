"""Make the files that the example's two offices deliver: a year, about 50,000 lines, the same for the same seed.

    python generate.py [FOLDER]     writes FOLDER/ingress and FOLDER/corrected; default: the folder of this file

The company, its people and its merchants are invented. Codes of currencies, countries and merchant categories are
the real ones; the rates are round figures of this example.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import xlsxwriter

YEAR = 2025
EMPLOYEES = 180

# ISO 4217: code, name, digits after the decimal sign, what one unit is worth in EUR (this example's figure).
CURRENCIES = """
AUD Australian dollar|2|0.58;     BGN Bulgarian lev|2|0.511292;   BRL Brazilian real|2|0.158
CAD Canadian dollar|2|0.63;       CHF Swiss franc|2|1.065;        CLP Chilean peso|0|0.00093
CNY Yuan renminbi|2|0.123;        CZK Czech koruna|2|0.0405;      DKK Danish krone|2|0.134
EUR Euro|2|1;                     GBP Pound sterling|2|1.168;     HKD Hong Kong dollar|2|0.114
HUF Forint|2|0.0025;              IDR Rupiah|2|0.000054;          ILS New Israeli sheqel|2|0.256
INR Indian rupee|2|0.0102;        ISK Iceland krona|0|0.0069;     JPY Yen|0|0.0059
KRW Won|0|0.00062;                MXN Mexican peso|2|0.047;       MYR Malaysian ringgit|2|0.207
NOK Norwegian krone|2|0.0853;     NZD New Zealand dollar|2|0.52;  PHP Philippine peso|2|0.0154
PLN Zloty|2|0.2357;               RON Romanian leu|2|0.198;       SEK Swedish krona|2|0.0903
SGD Singapore dollar|2|0.678;     THB Baht|2|0.027;               TRY Turkish lira|2|0.0224
USD US dollar|2|0.885;            ZAR Rand|2|0.0496
"""

# ISO 3166: code, name, its currency, and how often a merchant of this example sits there.
COUNTRIES = """
AT Austria|EUR|3;       AU Australia|AUD|0;      BE Belgium|EUR|3;       BG Bulgaria|BGN|0
BR Brazil|BRL|0;        CA Canada|CAD|1;         CH Switzerland|CHF|3;   CL Chile|CLP|0
CN China|CNY|0;         CZ Czechia|CZK|1;        DE Germany|EUR|9;       DK Denmark|DKK|3
EE Estonia|EUR|0;       ES Spain|EUR|4;          FI Finland|EUR|2;       FR France|EUR|6
GB United Kingdom|GBP|14; GR Greece|EUR|0;       HU Hungary|HUF|0;       IE Ireland|EUR|34
IL Israel|ILS|0;        IN India|INR|0;          IS Iceland|ISK|1;       IT Italy|EUR|4
JP Japan|JPY|2;         KR Korea, Republic of|KRW|0; LU Luxembourg|EUR|1; MX Mexico|MXN|0
NL Netherlands|EUR|5;   NO Norway|NOK|3;         NZ New Zealand|NZD|0;   PL Poland|PLN|3
PT Portugal|EUR|3;      RO Romania|RON|0;        SE Sweden|SEK|3;        SG Singapore|SGD|1
TR Turkey|TRY|0;        US United States|USD|6;  ZA South Africa|ZAR|0
"""

# ISO 18245: code, name, our expense category, the last word of such merchants' names, a usual amount in EUR, weight.
MERCHANT_CATEGORIES = """
0780 Landscaping services|Facilities|Gardens|190|1
4111 Local transport|Rail and taxi|Transit|6|12
4112 Passenger railways|Rail and taxi|Rail|48|12
4121 Taxicabs|Rail and taxi|Cabs|27|12
4131 Bus lines|Rail and taxi|Coaches|18|5
4215 Courier services|Post and telephone|Couriers|22|4
4511 Airlines|Air travel|Air|246|7
4722 Travel agencies|Air travel|Journeys|310|2
4784 Tolls and bridge fees|Car and fuel|Tollways|5|4
4814 Telecommunication services|Post and telephone|Telecom|31|5
4816 Computer network services|Software and IT|Networks|64|3
4900 Utilities|Facilities|Energy|215|1
5039 Construction materials|Facilities|Timber|140|1
5045 Computers and peripherals|Software and IT|Computing|420|2
5065 Electrical parts|Workshop supplies|Electric|58|5
5072 Hardware supplies|Workshop supplies|Fittings|36|5
5085 Industrial supplies|Workshop supplies|Industrial|120|3
5111 Stationery|Office supplies|Stationers|24|5
5192 Books and newspapers|Training and books|Books|29|3
5251 Hardware stores|Workshop supplies|Ironmongers|19|4
5411 Grocery stores|Meals|Grocers|14|6
5462 Bakeries|Meals|Bakery|7|6
5541 Service stations|Car and fuel|Filling Station|61|8
5734 Computer software stores|Software and IT|Software|88|4
5811 Caterers|Client hospitality|Catering|230|2
5812 Restaurants|Meals|Table|34|14
5813 Bars|Client hospitality|Taproom|46|3
5814 Fast food|Meals|Kitchen|11|12
5943 Office supply stores|Office supplies|Paper|38|6
6513 Real estate agents|Facilities|Rooms|380|1
7011 Hotels and lodging|Lodging|Inn|117|10
7372 Programming services|Software and IT|Code|150|2
7392 Consulting services|Training and books|Advisers|480|1
7512 Car rental|Car and fuel|Car Hire|96|4
7523 Parking|Car and fuel|Parking|9|7
8299 Schools and training|Training and books|Academy|290|2
9402 Postal services|Post and telephone|Post|8|4
"""

DEPARTMENTS = (
    "Customer Care", "Field Service", "Finance", "Lamp Design", "Legal", "Logistics", "Optics Workshop", "People",
    "Research", "Sales North", "Sales South", "Tower Maintenance",
)  # fmt: skip
DEPARTMENT_WEIGHTS = (4, 14, 3, 6, 2, 7, 9, 3, 8, 15, 13, 10)
MONTH_WEIGHTS = (90, 95, 106, 98, 104, 103, 84, 72, 112, 115, 112, 91)

#: Syllables of invented merchant names.
FIRST = "Ash Bel Brim Cor Dun Fen Gal Hal Ilk Jor Kes Lan Mor Nim Ost Quan".split()
LAST = "barrow cote dle drake fell gate lowe mere pell rick sel tarn vane worth".split()


@dataclass(frozen=True)
class Merchant:
    """Where money is spent: an invented name in a real country and category."""

    name: str
    mcc: str
    category: str
    country: str
    usual_eur: float


@dataclass(frozen=True)
class Line:
    """One expense; `cents` are those of EUR, `original` is the amount in the merchant's currency."""

    day: date
    employee: str
    department: str
    merchant: Merchant
    cents: int
    original: float
    currency: str
    key: str = ""


def generate(root: Path, seed: int = 7, lines: int = 50_000) -> int:
    """Write the files of both zones below `root` and return the number of expense lines in them.

    `ingress` holds what the offices send: the card workbook and the ledger file of December break their contracts.
    `corrected` holds these two as they should be.
    """
    rng = random.Random(seed)
    corrected = root / "corrected"
    codes = root / "ingress/reference/codes"
    inbox = root / "ingress/corporate_finance/expenses"
    for folder in (corrected, codes, inbox):
        folder.mkdir(parents=True, exist_ok=True)
    _write_codes(codes)

    office = _Office(rng)
    sent: list[Line] = []
    count = 0
    for month in range(1, 13):
        share = round(lines * MONTH_WEIGHTS[month - 1] / sum(MONTH_WEIGHTS))
        card = [office.line(month) for _ in range(share * 45 // 100)]
        ledger = _ledger_lines(office, month, share - len(card), sent)
        sent += ledger
        count += len(card) + len(ledger)
        last = month == 12
        for folder in (inbox, corrected) if last else (inbox,):
            broken = last and folder is inbox
            _write_card(folder / f"card-{YEAR}-{month:02}.xlsx", month, card, broken=broken)
            _write_ledger(folder / f"ledger-{YEAR}-{month:02}.csv", ledger, broken=broken)
    return count


class _Office:
    """Who spends what where: employees have a department, merchants a country and a category."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._rates = {code: (int(digits), float(rate)) for code, _, digits, rate in _rows(CURRENCIES)}
        self._currency = {code: currency for code, _, currency, _ in _rows(COUNTRIES)}
        self._employees = [
            (f"E{number:04}", rng.choices(DEPARTMENTS, DEPARTMENT_WEIGHTS)[0]) for number in range(1, EMPLOYEES + 1)
        ]
        self._merchants, self._weights = self._found_merchants()

    def _found_merchants(self) -> tuple[list[Merchant], list[float]]:
        rng = self._rng
        places = [(code, int(weight)) for code, _, _, weight in _rows(COUNTRIES)]
        names = [first + last for first in FIRST for last in LAST]
        rng.shuffle(names)
        merchants, weights = [], []
        for mcc, _, category, noun, usual, weight in _rows(MERCHANT_CATEGORIES):
            for _ in range(5):
                country = rng.choices([code for code, _ in places], [share for _, share in places])[0]
                merchants.append(Merchant(f"{names.pop()} {noun}", mcc, category, country, float(usual)))
                weights.append(int(weight) * rng.uniform(0.3, 1.7))
        return merchants, weights

    def line(self, month: int) -> Line:
        """A line of that month: three in a hundred are refunds, a few have no amount, some are very large."""
        rng = self._rng
        employee, department = rng.choice(self._employees)
        merchant = rng.choices(self._merchants, self._weights)[0]
        euros = merchant.usual_eur * math.exp(rng.gauss(0, 0.45))
        kind = rng.random()
        if kind < 0.03:
            euros = -euros
        elif kind < 0.0304:
            euros = 0.0
        elif kind < 0.0309:
            euros *= 5_000 / merchant.usual_eur
        currency = self._currency[merchant.country]
        digits, rate = self._rates[currency]
        # Both amounts come from one: the card's cents of EUR are what the original amount is worth.
        original = round(euros / rate, digits)
        cents = round(original * rate * 100)
        day = date(YEAR, month, 1) + timedelta(days=rng.randrange(_days(month)))
        return Line(day, employee, department, merchant, cents, original, currency)

    def earlier(self, line: Line) -> Line:
        """The same line, of one to three months before."""
        month = max(1, line.day.month - self._rng.randint(1, 3))
        return replace(line, day=line.day.replace(month=month, day=min(line.day.day, _days(month))))

    def corrected(self, line: Line) -> Line:
        """The same line with the amount that it should have had."""
        return replace(line, original=round(line.original * self._rng.uniform(0.5, 1.2), 2 if line.original % 1 else 0))

    def some(self, of: Sequence[Line], share: float) -> list[Line]:
        """A part of some lines."""
        return self._rng.sample(of, int(len(of) * share))

    def is_late(self) -> bool:
        """Whether a ledger line reaches us months after it was booked."""
        return self._rng.random() < 0.04


def _ledger_lines(office: _Office, month: int, count: int, sent: Sequence[Line]) -> list[Line]:
    """New transactions, some of them late, then corrections of transactions that were sent before."""
    lines = []
    for number in range(count):
        line = replace(office.line(month), key=f"{month * 100_000 + number:07}")
        lines.append(office.earlier(line) if office.is_late() else line)
    return lines + [office.corrected(line) for line in office.some(sent, 0.005)]


# --- the files -----------------------------------------------------------------------------------------------


def _write_codes(folder: Path) -> None:
    currencies = [[code, name, digits, rate] for code, name, digits, rate in _rows(CURRENCIES)]
    _write_csv(folder / "currencies.csv", ["code", "name", "minor_units", "eur_rate"], currencies)
    countries = [[code, name, currency] for code, name, currency, _ in _rows(COUNTRIES)]
    _write_csv(folder / "countries.csv", ["code", "name", "currency_code"], countries)
    categories = [[code, name] for code, name, *_ in _rows(MERCHANT_CATEGORIES)]
    _write_csv(folder / "merchant_categories.csv", ["code", "name"], categories)


def _write_card(path: Path, month: int, lines: list[Line], *, broken: bool) -> None:
    """The card office's workbook: a title, a header that changes with the year, lines, a total."""
    book = xlsxwriter.Workbook(str(path))
    book.set_properties({"created": datetime(YEAR, month, _days(month), 18)})
    sheet = book.add_worksheet("Lines")
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    money = book.add_format({"num_format": "#,##0.00"})
    bold = book.add_format({"bold": True})
    sheet.set_column(0, 9, 18)
    sheet.write(0, 0, f"Company card, lines posted in {YEAR}-{month:02}", bold)
    top = 1
    if month >= 7:
        sheet.write(1, 0, "Amounts billed in EUR. Refunds are negative.")
        top = 3
    sheet.write_row(top, 0, _card_header(month), bold)
    first = top + 1
    for row, line in enumerate(lines, first):
        sheet.write_datetime(row, 0, line.day, day)
        # The card system knows departments in several spellings.
        unit = line.department.upper() if row % 11 == 0 else f"{line.department} " if row % 17 == 0 else line.department
        sheet.write_row(row, 1, [line.employee, unit, line.merchant.name, line.merchant.category])
        sheet.write_number(row, 5, line.cents / 100, money)
        if month >= 4:
            sheet.write_string(row, 6, line.merchant.mcc)
            sheet.write_number(row, 7, line.original)
            sheet.write_row(row, 8, [line.currency, line.merchant.country])
    end = first + len(lines)
    sheet.write(end, 0, "Total", bold)
    total = sum(line.cents for line in lines) / 100
    sheet.write_formula(end, 5, f"=SUM(F{first + 1}:F{end})", money, total)
    if broken:
        sheet.write(9, 0, "2025-11-31")  # A10: a day that November does not have
        sheet.write(17, 5, "n/a")  # F18: no number
        sheet.write(30, 1, "E77")  # B31: not an employee number
        sheet.write_blank(41, 3, None, bold)  # D42: no merchant
    book.close()


def _card_header(month: int) -> list[str]:
    if month < 4:
        return ["Date", "Card holder", "Department", "Merchant", "Expense type", "Amount EUR"]
    more = ["MCC", "Original amount", "Currency", "Country"]
    if month < 7:
        return ["Date", "Card holder", "Department", "Merchant", "Expense type", "Amount EUR", *more]
    return ["Posting date", "Employee", "Department", "Merchant name", "Category", "Billed EUR", *more]


def _write_ledger(path: Path, lines: list[Line], *, broken: bool) -> None:
    """The ledger's export: semicolons, decimal commas, a transaction number on every line."""
    # The broken file calls the supplier by another name.
    head = ["Transaction number", "Booked on", "Employee", "Cost centre", "Vendor" if broken else "Supplier",
            "Merchant category", "Expense type", "Net amount", "Currency"]  # fmt: skip
    rows = [
        [
            line.key,
            line.day.strftime("%d/%m/%Y"),
            line.employee,
            line.department,
            line.merchant.name,
            line.merchant.mcc,
            line.merchant.category,
            f"{line.original:,.2f}".translate(str.maketrans(",.", ".,")),
            line.currency,
        ]
        for line in lines
    ]
    _write_csv(path, head, rows, ";")


def _write_csv(path: Path, head: list[str], rows: Iterable[list[str]], delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, delimiter=delimiter).writerows([head, *rows])


def _rows(table: str) -> list[list[str]]:
    """The rows of one of the tables above: the first word is the code, `|` stands between cells."""
    entries = (entry.strip() for entry in table.replace("\n", ";").split(";"))
    return [[entry.split()[0], *entry.split(maxsplit=1)[1].split("|")] for entry in entries if entry]


def _days(month: int) -> int:
    """How many days a month of the year has."""
    return (date(YEAR + month // 12, month % 12 + 1, 1) - date(YEAR, month, 1)).days


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    made = generate(place)
    files = sum(path.is_file() for path in (place / "ingress").rglob("*"))
    print(f"{files} files with {made:,} expense lines wait in {place.name}/ingress")
