"""What offices published, under contracts written for their sources: every row and cent, or the reason why not.

The contracts stand in `offices/`. The oracles are independent of assay: the control totals beside the files, a
plain reading of the CSV files, and the totals that the workbooks print themselves.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import python_calamine

from assay.engines.duckdb import Engine, connect
from assay.errors import Rejected
from assay.findings import Finding
from assay.segments.exact import Examination
from assay.segments.examine import examine
from assay.zones.contract import Contract, load_contract
from assay.zones.model import ReaderHints

OFFICES = Path(__file__).parent / "offices"
EXPENSE = Path(__file__).parents[3] / "shared" / "data" / "expense"
pytestmark = pytest.mark.skipif(not EXPENSE.is_dir(), reason=f"the offices' files are not at {EXPENSE}")


@dataclass(frozen=True)
class Source:
    """The files of a source, its column of amounts, and how its texts are to be read by a plain reader."""

    contract: str
    files: tuple[str, ...]
    amount: str | None
    header: tuple[str, ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."


CSV_SOURCES = (
    Source("calderdale_card", ("calderdale_card/clean/*",), "net", ("Net Amount",)),
    Source("oxford_pcard", ("oxford_pcard/*jan-mar*.csv",), "amount", ("Value",)),
    Source("oxford_pcard_summary", ("oxford_pcard/*.csv",), "amount", ("Value", "FIN.TRANSACTION AMOUNT")),
    Source("manchester_raw", ("manchester_raw/*",), "net", ("Net Amount",), "cp1252"),
    Source("br_senate_ceaps", ("br_senate_ceaps/*",), "amount", ("VALOR_REEMBOLSADO",), "latin-1", ";", ","),
    Source("br_serenata", ("br_serenata/*.csv", "*/*/*__reimbursements-*.csv"), "net", ("total_net_value",)),
    Source("br_meals", ("*/*/*__meal_price_outlier_classifier.csv",), "net", ("net_value",)),
    Source("br_monthly_limits", ("*/*/*__monthly_subquota_limit_classifier.csv",), "net", ("net_value",)),
    Source("br_travels", ("*/*/*__traveled_speeds_classifier.csv",), "latitude", ("latitude",)),
    Source("br_tax_ids", ("*/*/core__invalid_cnpj_cpf_classifier.csv",), None, ("recipient_id",)),
    Source("cabinetoffice", ("*/cabinetoffice/clean/202*.csv",), "amount", ("Amount",)),
    # One of three months is in another encoding: its pipeline's hint goes before the contract's.
    Source("cabinetoffice", ("*/cabinetoffice/clean/2019-06.csv",), "amount", ("Amount",), "cp1252"),
    Source("darlington", ("*/darlington/clean/*",), "net", ("Invoice Line Value (net of VAT)",)),
    Source("salford", ("*/salford/clean/2011-08.csv", "*/salford/clean/2017-02.csv"), "net", ("Net",)),
)
WORKBOOKS = {
    "birmingham_pcard": ("birmingham_pcard/*.xls",),
    "nz_members": ("nz_members/*.xls*",),
    "nz_ministers": tuple(f"nz_ministers/{quarter}.xls*" for quarter in ("2009-Q3", "2011-Q4", "2014-*", "2017-Q2")),
    "nz_ministers_grouped": ("nz_ministers/2019-*.xlsx", "nz_ministers/2024-*.xlsx"),
}

#: Why a file must not pass, and where the first cell of each finding stands.
REFUSED = (
    # The unrelated file among the purchase cards.
    ("birmingham_pcard", "birmingham_pcard/open_data_planning_weekly_list.csv",
     {"missing_header", "missing_column"}, {"trans_date", "original_gross", "merchant", "card"}),
    # Three of six columns: no reference any more.
    ("oxford_pcard", "oxford_pcard/procurement-card-spending-apr-jun-2017.csv",
     {"missing_column"}, {"reference", "description", "description_2"}),
    ("oxford_pcard", "oxford_pcard/procurement-card-spending-july-2017.csv",
     {"missing_column"}, {"reference", "description", "description_2"}),
    # A byte that is no UTF-8, under a contract of UTF-8.
    ("cabinetoffice", "uk_public_bodies/cabinetoffice/clean/2019-06.csv", {"wrong_encoding"}, set()),
    # A register of contracts in the folder of the invoices.
    ("salford", "uk_public_bodies/salford/clean/2022-07.csv",
     {"missing_header", "missing_column"}, {"authority", "paid_on", "key", "gross", "vat", "net"}),
    # The header has 6 names in one row and 4 more in the next; the rows have 8 cells, and nothing says which is which.
    ("nz_members", "nz_members/2009-Q3.csv",
     {"missing_column", "unknown_column", "row_shape", "type_mismatch", "missing_value"},
     {"wellington", "elsewhere", "air", "surface"}),
    # Compressed by a way that no reader takes.
    ("br_tax_ids", "br_serenata/rosie_fixtures/chamber_of_deputies__companies.xz", {"unreadable_file"}, set()),
    ("br_serenata", "br_serenata/rosie_fixtures/federal_senate__federal_senate_reimbursements.xz",
     {"unreadable_file"}, set()),
)  # fmt: skip
#: Beside the data, and no delivery.
BESIDE = ("CONTROL_TOTALS.csv", "*/datapackage.json", "*/*/index.json")


def names(patterns: tuple[str, ...]) -> list[str]:
    every = sorted(path.relative_to(EXPENSE).as_posix() for path in EXPENSE.rglob("*") if path.is_file())
    return [name for name in every if any(_matches(name, pattern) for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture
def look(engine: Engine, tmp_path: Path) -> Any:
    def looked(contract: Contract, name: str, hints: ReaderHints | None = None, **more: Any) -> Examination:
        return examine(EXPENSE / name, contract, hints or contract.reader, engine, tmp_path, **more)

    return looked


def contract_of(source: str) -> Contract:
    return load_contract(OFFICES / f"{source}.odcs.yaml")


def measured(engine: Engine, found: Examination, amount: str) -> tuple[int, Decimal, int]:
    rows, total, negative = engine.row(
        f"SELECT count(*), coalesce(sum({amount}), 0), count(*) FILTER ({amount} < 0) FROM {found.rows}"
    )
    return rows, total, negative


def controls() -> dict[str, tuple[int, Decimal, int]]:
    """File → rows, sum and negative rows, as somebody else counted them."""
    with (EXPENSE / "CONTROL_TOTALS.csv").open(newline="", encoding="utf-8") as file:
        return {
            f"{row['set']}/{row['file']}": (
                int(row["data_rows"]), Decimal(row["amount_sum"]), int(row["negative_rows"])
            )
            for row in csv.DictReader(file)
        }  # fmt: skip


def in_plain(source: Source, name: str) -> tuple[int, Decimal, int]:
    """The same of a CSV file by the standard library."""
    with (EXPENSE / name).open(newline="", encoding=source.encoding) as file:
        records = list(csv.reader(file, delimiter=source.delimiter))
    head = next(index for index, record in enumerate(records) if set(record) & set(source.header))
    at = next(index for index, text in enumerate(records[head]) if text in source.header)
    if source.amount is None:
        return len(records) - head - 1, Decimal(0), 0
    thousands = "," if source.decimal == "." else "."
    texts = [record[at].replace(thousands, "").replace("£", "").strip() for record in records[head + 1 :]]
    amounts = [Decimal(text.replace(source.decimal, ".")) for text in texts if text]
    return len(texts), sum(amounts, Decimal(0)), sum(amount < 0 for amount in amounts)


def test_every_file_of_the_folder_has_its_line_in_these_tables() -> None:
    told = {name for source in CSV_SOURCES for name in names(source.files)}
    told |= {name for patterns in WORKBOOKS.values() for name in names(patterns)}
    told |= {name for _, name, _, _ in REFUSED} | set(names(BESIDE))
    assert told == set(names(("*", "*/*", "*/*/*", "*/*/*/*")))


@pytest.mark.parametrize("source", CSV_SOURCES, ids=lambda source: f"{source.contract}-{source.files[0]}")
def test_every_delivery_passes_whole_and_adds_up(engine: Engine, look: Any, source: Source) -> None:
    contract = contract_of(source.contract)
    hints = contract.reader.model_copy(update={"encoding": source.encoding})
    known = controls()
    for name in names(source.files):
        found = look(contract, name, hints)
        assert not found.refused and found.aside is None, (name, found.findings)
        counted = measured(engine, found, source.amount or "0")
        assert counted == in_plain(source, name), name
        assert counted == known.get(name, counted), name


@pytest.mark.parametrize("source", CSV_SOURCES, ids=lambda source: f"{source.contract}-{source.files[0]}")
def test_the_quick_pass_never_says_another_thing_than_the_exact_one(engine: Engine, look: Any, source: Source) -> None:
    contract = contract_of(source.contract)
    hints = contract.reader.model_copy(update={"encoding": source.encoding})
    for name in names(source.files):
        exact = engine.rows(f"SELECT * FROM {look(contract, name, hints, ways=('exact',)).rows} ORDER BY _row")
        try:
            quick = look(contract, name, hints, ways=("quick",))
        except Rejected:
            continue
        assert engine.rows(f"SELECT * FROM {quick.rows} ORDER BY _row") == exact, name


def test_seven_months_of_purchase_cards_with_other_columns_pass_under_one_contract(engine: Engine, look: Any) -> None:
    known = controls()
    for name in names(WORKBOOKS["birmingham_pcard"]):
        found = look(contract_of("birmingham_pcard"), name)
        billed = measured(engine, found, "coalesce(billing_gross, original_gross)")
        assert not found.refused and billed == known[name], name


@pytest.mark.parametrize(("source", "name", "kinds", "fields"), REFUSED, ids=[name for _, name, _, _ in REFUSED])
def test_what_must_not_pass_comes_back_with_the_right_reason(
    look: Any, source: str, name: str, kinds: set[str], fields: set[str]
) -> None:
    try:
        findings: tuple[Finding, ...] = look(contract_of(source), name).findings
    except Rejected as error:
        findings = error.findings
    errors = [one for one in findings if one.severity == "error"]
    assert {one.kind for one in errors} == kinds
    assert fields <= {one.field for one in errors if one.kind == "missing_column"}


# --- workbooks that print their own totals ---------------------------------------------------------------------

#: By how many dollars a printed total may differ, and why: the office rounded each cell and each total by itself.
ROUNDED = {
    "nz_members/2014-Q2.xls": 2,  # only the column of the Clerk's office, in one party
    "nz_members/2017-Q2.xlsx": 3,
    "nz_members/2019-Q2.xlsx": 15,
    "nz_members/2019-Q3.xlsx": 13,
    "nz_ministers/2009-Q3.xls": 2,
    "nz_ministers/2011-Q4.xls": 2,
    "nz_ministers/2014-Q2.xls": 3,
    "nz_ministers/2014-Q3.xlsx": 2,
}
#: Totals that the office itself got wrong: file, label, column → what its rows really add up to.
WRONG_IN_PRINT = {
    # The formulas leave out the first row of the party.
    ("nz_members/2011-Q4.xls", "Act Total"): {"air": "32771.12", "total": "65705.44"},
    ("nz_members/2011-Q4.xls", "Green Total"): {
        "wellington": "22010.51", "elsewhere": "7760.12", "air": "114628.50", "surface": "36683.06",
        "total": "181082.19",
    },
    ("nz_members/2011-Q4.xls", "Labour Total"): {"air": "355998.27", "surface": "207647.76", "total": "685591.74"},
    # The formulas add members and subtotals together, or leave out the same rows.
    ("nz_members/2011-Q4.xls", "Total All Parties"): {
        "wellington": "269080.86", "elsewhere": "41811.75", "air": "825708.15", "surface": "445809.08",
        "total": "1582409.84",
    },
    # One minister's 1,643 dollars are missing from the printed total.
    ("nz_ministers/2011-Q4.xls", "Total National"): {"internal": "993709"},
    ("nz_ministers/2011-Q4.xls", "Total All Parties"): {"internal": "1157552"},
    # A cell with a footnote mark is a text, which the row's own formula takes for nothing.
    ("nz_ministers/2017-Q2.xlsx", "Total National"): {"internal": "969785.72"},
    ("nz_ministers/2017-Q2.xlsx", "Total All Parties"): {"internal": "1075266.91"},
}  # fmt: skip
#: Rows of data for each file, counted by hand in the sheets.
MEMBERS = {
    "nz_members/2011-Q4.xls": 151, "nz_members/2014-Q2.xls": 124, "nz_members/2014-Q3.xlsx": 113,
    "nz_members/2017-Q2.xlsx": 121, "nz_members/2019-Q2.xlsx": 122, "nz_members/2019-Q3.xlsx": 120,
    "nz_members/2024-Q4.xlsx": 124,
    "nz_ministers/2009-Q3.xls": 29, "nz_ministers/2011-Q4.xls": 32, "nz_ministers/2014-Q2.xls": 33,
    "nz_ministers/2014-Q3.xlsx": 30, "nz_ministers/2017-Q2.xlsx": 34, "nz_ministers/2019-Q2.xlsx": 29,
    "nz_ministers/2019-Q3.xlsx": 30, "nz_ministers/2024-Q4.xlsx": 30,
}  # fmt: skip
#: Parties of one row, for which no subtotal is printed.
SINGLE = {"nz_ministers/2009-Q3.xls": {"united future"}}
GRAND = re.compile(r"(?i)^(grand total|total all parties|total green, labour, nz first|total national, act and .*)$")
PRINTED = re.compile(r"(?i)(total$|^total )")


@dataclass(frozen=True)
class Printed:
    """A line of totals as it stands in a sheet."""

    label: str
    amounts: tuple[Decimal, ...]

    @property
    def grand(self) -> bool:
        return GRAND.match(self.label) is not None


def printed_totals(name: str, columns: int) -> list[Printed]:
    """The totals of the first sheet, read by the parser alone."""
    rows = python_calamine.CalamineWorkbook.from_path(str(EXPENSE / name)).get_sheet_by_index(0).to_python()
    found = []
    for row in rows:
        texts = [str(value).strip() for value in row]
        label = next((text for text in texts if text), "")
        if not PRINTED.search(label) or len([text for text in texts if text]) < 3:
            continue
        behind = row[texts.index(label) + 1 :]
        if name == "nz_ministers/2024-Q4.xlsx":
            del behind[1]  # the column of footnote marks
        if re.search("[A-Za-z]{3}", str(behind[0]).replace("N/A", "")):
            continue  # a member's row whose party is called a total
        found.append(Printed(label, tuple(_printed_number(value) for value in behind[-columns:])))
    return found


def _printed_number(value: Any) -> Decimal:
    text = re.sub("[ ,]", "", str(value))
    return Decimal(0) if text in ("", "-", "N/A") else Decimal(text)


def party(label: str | None) -> str:
    return " ".join(re.sub(r"(?i)\b(total|party)\b", "", label or "").split()).casefold()


@pytest.mark.parametrize("source", ["nz_members", "nz_ministers", "nz_ministers_grouped"])
def test_groups_and_sums_are_those_that_the_sheets_print(engine: Engine, look: Any, source: str) -> None:
    contract = contract_of(source)
    for name in names(WORKBOOKS[source]):
        found = look(contract, name)
        assert not found.refused and found.aside is None, (name, found.findings)
        assert engine.row(f"SELECT count(*) FROM {found.rows}")[0] == MEMBERS[name]
        columns = [field.name for field in contract.fields if field.type.kind == "decimal"]
        if name.startswith("nz_members") and name < "nz_members/2019":
            columns.remove("vip")
        sums = ", ".join(f"coalesce(sum({column}), 0)" for column in columns)
        ours: dict[str, list[Decimal]] = {}
        # Rows without a party stand below the grand total, which does not count them.
        grouped = f"SELECT party, {sums} FROM {found.rows} WHERE party IS NOT NULL GROUP BY 1"
        for label, *amounts in engine.rows(grouped):
            before = ours.get(party(label), [Decimal(0)] * len(columns))
            ours[party(label)] = [one + other for one, other in zip(before, amounts, strict=True)]
        totals = printed_totals(name, len(columns))
        subtotals = {party(total.label) for total in totals if not total.grand}
        assert subtotals | SINGLE.get(name, set()) == set(ours), name
        assert sum(total.grand for total in totals) == 1
        for total in totals:
            sums_of = [sum(column) for column in zip(*ours.values(), strict=True)]
            counted = sums_of if total.grand else ours[party(total.label)]
            wrong = WRONG_IN_PRINT.get((name, total.label), {})
            for column, printed, amount in zip(columns, total.amounts, counted, strict=True):
                where = (name, total.label, column, printed, amount)
                if column in wrong:
                    assert abs(printed - amount) > 100 and round(amount, 2) == Decimal(wrong[column]), where
                else:
                    assert abs(printed - amount) <= Decimal(ROUNDED.get(name, 0)) + Decimal("0.005"), where


def test_rows_below_the_grand_total_are_kept_without_a_party(engine: Engine, look: Any) -> None:
    found = look(contract_of("nz_ministers"), "nz_ministers/2014-Q2.xls")
    assert engine.rows(f"SELECT trim(minister), international FROM {found.rows} WHERE party IS NULL ORDER BY _row") == [
        ("Dr Paul Hutchison MP (C)", 12198), ("John Hayes MP (D)", 8947),
        ("Hon Kate Wilkinson MP (E)", 33), ("Hon Phil Heatley MP (F)", 46),
    ]  # fmt: skip


def test_a_member_whose_party_is_misnamed_a_total_is_not_left_out(engine: Engine, look: Any) -> None:
    """`kept_when_filled`: the pattern of subtotals matches his row, but no subtotal names a member."""
    found = look(contract_of("nz_members"), "nz_members/2017-Q2.xlsx")
    assert engine.rows(f"SELECT party, total, _row FROM {found.rows} WHERE trim(member) = 'Seymour, David'") == [
        ("ACT Total", Decimal("520.00"), 4)
    ]


def test_hidden_sheets_of_other_quarters_are_not_taken(engine: Engine, look: Any) -> None:
    found = look(contract_of("nz_ministers_grouped"), "nz_ministers/2019-Q3.xlsx")
    assert engine.rows(f"SELECT DISTINCT _sheet FROM {found.rows}") == [("Jul-Sept 2019 FINAL",)]


def test_numbers_with_footnote_marks_are_read_without_them(engine: Engine, look: Any) -> None:
    found = look(contract_of("nz_ministers"), "nz_ministers/2011-Q4.xls")
    marked = engine.rows(f"SELECT elsewhere, international FROM {found.rows} WHERE _row IN (9, 16, 19) ORDER BY _row")
    assert marked == [(-27, 11253), (2881, -84), (4331, -350)]
