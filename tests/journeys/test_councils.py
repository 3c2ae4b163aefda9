"""Real card files of two councils, through one canonical model to the analytical tables, to the penny.

The project beside this file is ours; the delivered files stay where they are shared, and so does the oracle:
`CONTROL_TOTALS.csv` counted and summed them with another program.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import xlwt
from python_calamine import CalamineWorkbook

from assay.catalog import records
from assay.pipelines.order import in_order
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.query import ask
from assay.pipelines.run import Result, ingest, run
from assay.pipelines.trace import row_origins
from assay.zones.project import load_project

EXPENSE = Path(__file__).parents[3] / "shared" / "data" / "expense"
BIRMINGHAM = EXPENSE / "birmingham_pcard"
CALDERDALE = EXPENSE / "calderdale_card" / "clean"
UNRELATED = "open_data_planning_weekly_list.csv"
SEPTEMBER = "cusersfinainmndesktoppublish-spend-sept-2017.xls"
AUGUST = "cusersfinainmndesktoppublish-spend-august-2017-all-directorates.xls"

pytestmark = pytest.mark.skipif(not EXPENSE.is_dir(), reason="the shared data folder is missing")


@dataclass(frozen=True)
class Control:
    """What the oracle says of one delivered file."""

    path: Path
    amount_column: str
    rows: int
    amount: Decimal
    negative: int


def controls() -> dict[str, Control]:
    with (EXPENSE / "CONTROL_TOTALS.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    found = {}
    for line in lines:
        path = EXPENSE / line["set"] / line["file"]
        if path.parent in (BIRMINGHAM, CALDERDALE):
            found[path.name] = Control(
                path,
                line["amount_column"],
                int(line["data_rows"]),
                Decimal(line["amount_sum"]),
                int(line["negative_rows"]),
            )
    return found


CONTROLS = controls() if EXPENSE.is_dir() else {}
PROCESSED = sorted(CONTROLS.keys() - {"2020-02-card.csv"})


@dataclass(frozen=True)
class Run:
    """The platform after one run over all files."""

    platform: Platform
    results: list[Result]

    def numbers(self) -> dict[str, int]:
        """File name → batch."""
        return {result.batch.file_name: result.batch.id for result in self.results if not result.duplicate}

    def per_batch(self, sql: str) -> dict[int, tuple[int, Decimal, int]]:
        return {row[0]: row[1:] for row in ask(self.platform, sql, "spending")[1]}


def platform_with(folder: Path, files: list[Path]) -> Path:
    """The councils' project in `folder`, with `files` waiting in its ingress folder."""
    shutil.copytree(Path(__file__).parent / "councils", folder)
    waiting = folder / "ingress" / "spending" / "cards"
    waiting.mkdir(parents=True)
    for file in files:
        shutil.copy2(file, waiting / file.name)
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = platform_with(
        tmp_path_factory.mktemp("councils") / "project", [control.path for control in CONTROLS.values()]
    )
    project = load_project(folder)
    with opened(project) as platform:
        apply(platform)
        yield Run(platform, run(platform, in_order(project)))


def test_every_month_passes_whatever_its_headers(done: Run) -> None:
    assert {result.batch.state for result in done.results} == {"done"}
    assert sorted(done.numbers()) == PROCESSED


def test_the_same_bytes_under_another_name_are_recognised(done: Run) -> None:
    (again,) = [result for result in done.results if result.duplicate]
    assert again.batch.file_name == "2019-02-card.csv"
    arrivals = done.platform.connection.execute(
        "SELECT regexp_replace(path, '.*/', ''), duplicate FROM assay.delivery WHERE batch_id = %s ORDER BY id",
        (again.batch.id,),
    ).fetchall()
    assert arrivals == [("2019-02-card.csv", False), ("2020-02-card.csv", True)]


def amount_of(file: str, table: str) -> str:
    """The column that carries the control total's amount: Birmingham billed in its own column from 2017 on."""
    if file.endswith(".csv"):
        return "net_amount"
    staged = "billed_gross" if CONTROLS[file].amount_column == "BILLING GROSS AMT" else "original_gross"
    return staged if table == "staging" else "gross_amount"


@pytest.mark.parametrize("file", PROCESSED)
def test_rows_amounts_and_refunds_equal_the_control_totals_in_every_store(done: Run, file: str) -> None:
    control, number = CONTROLS[file], done.numbers()[file]
    source = "calderdale" if file.endswith(".csv") else "birmingham"
    expected = (control.rows, control.amount, control.negative)

    def measured(amount: str, relation: str) -> tuple[Any, ...]:
        sql = f"SELECT count(*), sum({amount}), count(*) FILTER (WHERE {amount} < 0) FROM {relation}"
        return ask(done.platform, sql, "spending")[1][0]

    staged = measured(amount_of(file, "staging"), f"staging.{source} WHERE _batch = {number}")
    operational = measured(amount_of(file, "operational"), f"operational.expense_line WHERE _batch = {number}")
    analytical = measured(
        "w.amount",
        "analytical.expense_wide AS w JOIN operational.expense_line AS l ON l.line_key = w.line_key "
        f"WHERE l._batch = {number}",
    )
    assert staged == operational == analytical == expected


@pytest.mark.parametrize("file", PROCESSED)
def test_the_reconciliation_kept_with_the_batch_says_the_same(done: Run, file: str) -> None:
    tallies = {tally.store: tally for tally in records.tallies(done.platform.connection, done.numbers()[file])}
    staged, final = amount_of(file, "staging"), amount_of(file, "operational")
    kept = {(tally.rows, tally.sums[staged]) for name, tally in tallies.items() if name in ("delivered", "readable")}
    line = tallies["operational.expense_line"]
    assert kept == {(line.rows, line.sums[final])} == {(CONTROLS[file].rows, CONTROLS[file].amount)}


def test_the_analytical_months_equal_an_independent_sum_of_the_delivered_cells(done: Run) -> None:
    expected: dict[date, list[Any]] = {}
    for file in PROCESSED:
        for spent_on, amount in delivered_lines(file):
            month = expected.setdefault(spent_on.replace(day=1), [0, Decimal(0)])
            month[0] += 1
            month[1] += amount
    _, found = ask(
        done.platform,
        "SELECT month, sum(lines)::BIGINT, sum(amount) FROM analytical.expense_by_month GROUP BY month",
        "spending",
    )
    assert {month: [lines, amount] for month, lines, amount in found} == expected


def test_nothing_is_left_or_invented_outside_the_batches(done: Run) -> None:
    (row,) = ask(done.platform, "SELECT count(*), count(DISTINCT line_key) FROM analytical.expense_wide", None)[1]
    assert row == (sum(CONTROLS[file].rows for file in PROCESSED),) * 2


@pytest.mark.parametrize("file", PROCESSED)
def test_lineage_leads_to_the_delivered_cell(done: Run, file: str) -> None:
    control, number = CONTROLS[file], done.numbers()[file]
    step = max(1, control.rows // 40)
    names, rows = row_origins(
        done.platform, "operational.expense_line", f"_batch = {number} AND _row % {step} = 0", None
    )
    assert len(rows) >= 30
    digest = hashlib.sha256(control.path.read_bytes()).hexdigest()
    cells = delivered_table(file)
    header = [str(name).strip() for name in cells[0]]
    for row in (dict(zip(names, values, strict=True)) for values in rows):
        assert (row["file"], digest[: len(row["sha256"])]) == (file, row["sha256"])
        delivered = dict(zip(header, cells[row["row"] - 1], strict=True))
        amount = Decimal(str(delivered[control.amount_column]))
        assert row["net_amount" if file.endswith(".csv") else "gross_amount"] == amount
        if file.endswith(".csv"):
            assert (row["sheet"], row["line_key"]) == (None, f"calderdale/{delivered['Transaction number']}")
            assert row["spent_on"].isoformat() == delivered["Transaction Date"]
        else:
            assert row["sheet"] == CalamineWorkbook.from_path(control.path).sheet_names[0]
            assert row["spent_on"] == delivered["TRANS DATE"]
            assert row["employee_code"].endswith(str(delivered["CARD NUMBER"])[-4:])


def test_an_unrelated_file_is_rejected_and_the_report_names_the_missing_columns(done: Run) -> None:
    platform = done.platform
    pipeline = platform.project.zones["spending"].pipelines["cards"]
    before = ask(platform, "SELECT count(*) FROM staging.birmingham", None)[1]
    (result,) = ingest(platform, pipeline, [BIRMINGHAM / UNRELATED], "birmingham")
    assert result.batch.state == "rejected"
    report = " ".join(
        f"{finding.message} {finding.expected}"
        for _, finding in records.findings(platform.connection, result.batch.id)
    )
    for column in ("TRANS DATE", "ORIGINAL GROSS AMT", "MERCHANT NAME", "CARD NUMBER", "Directorate"):
        assert column in report
    assert ask(platform, "SELECT count(*) FROM staging.birmingham", None)[1] == before


@pytest.fixture
def two_months(tmp_path: Path) -> Iterator[Platform]:
    files = [BIRMINGHAM / AUGUST, BIRMINGHAM / SEPTEMBER, CALDERDALE / "2021-11-card.csv"]
    project = load_project(platform_with(tmp_path / "project", files))
    with opened(project) as platform:
        apply(platform)
        run(platform, in_order(project))
        yield platform


def periods(platform: Platform) -> dict[str, tuple[int, Decimal]]:
    _, rows = ask(
        platform,
        "SELECT l.period, count(*), sum(w.amount) FROM analytical.expense_wide AS w "
        "JOIN operational.expense_line AS l ON l.line_key = w.line_key WHERE l.council = 'birmingham' GROUP BY 1",
        None,
    )
    return {row[0]: row[1:] for row in rows}


def test_a_corrected_workbook_replaces_its_own_period_with_the_days_of_the_next_month(
    two_months: Platform, tmp_path: Path
) -> None:
    before = periods(two_months)
    cells = delivered_table(SEPTEMBER)
    beyond = sum(row[0] >= date(2017, 10, 1) for row in cells[1:])
    assert beyond > 0 and before["2017-09"][0] == len(cells) - 1
    kept = [cells[0], *cells[101:]]  # the first hundred lines were wrong, the sender says
    pipeline = two_months.project.zones["spending"].pipelines["cards"]
    (result,) = ingest(two_months, pipeline, [written(kept, tmp_path / "publish-spend-corrected.xls")], None)
    assert (result.batch.state, result.batch.period) == ("done", "2017-09")
    at = [str(name) for name in cells[0]].index("BILLING GROSS AMT")
    amount = sum((Decimal(str(row[at])) for row in kept[1:]), Decimal(0))
    assert periods(two_months) == {"2017-08": before["2017-08"], "2017-09": (len(kept) - 1, amount)}
    _, october = ask(
        two_months,
        "SELECT coalesce(sum(lines), 0)::BIGINT FROM analytical.expense_by_month WHERE month = DATE '2017-10-01'",
        None,
    )
    assert october == [(sum(row[0] >= date(2017, 10, 1) for row in kept[1:]),)]


def test_a_late_line_is_added_and_a_corrected_one_takes_the_place_of_its_key(
    two_months: Platform, tmp_path: Path
) -> None:
    header, first, second, *_ = delivered_table("2021-11-card.csv")
    at = {name: position for position, name in enumerate(header)}
    first[at["Net Amount"]], second[at["Transaction number"]] = "-1.25", "999999"
    path = tmp_path / "2022-01-card.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, first, second])
    pipeline = two_months.project.zones["spending"].pipelines["cards"]
    (result,) = ingest(two_months, pipeline, [path], None)
    assert result.batch.state == "done"
    number = first[at["Transaction number"]]
    _, rows = ask(
        two_months,
        "SELECT line_key, amount FROM analytical.expense_wide "
        f"WHERE line_key IN ('calderdale/{number}', 'calderdale/999999') ORDER BY 1",
        None,
    )
    assert rows == [(f"calderdale/{number}", Decimal("-1.25")),
                    ("calderdale/999999", Decimal(second[at["Net Amount"]]))]  # fmt: skip
    _, count = ask(two_months, "SELECT count(*) FROM analytical.expense_wide WHERE council = 'calderdale'", None)
    assert count == [(CONTROLS["2021-11-card.csv"].rows + 1,)]


def delivered_table(file: str) -> list[list[Any]]:
    """The cells of a delivered file, read by nothing of ours; the header is row 1."""
    path = CONTROLS[file].path
    if file.endswith(".csv"):
        with path.open(encoding="utf-8", newline="") as opened_file:
            return list(csv.reader(opened_file))
    sheets = CalamineWorkbook.from_path(path)
    return sheets.get_sheet_by_name(sheets.sheet_names[0]).to_python(skip_empty_area=False)


def delivered_lines(file: str) -> Iterator[tuple[date, Decimal]]:
    header, *rows = delivered_table(file)
    names = [str(name).strip() for name in header]
    when = names.index("Transaction Date" if file.endswith(".csv") else "TRANS DATE")
    amount = names.index(CONTROLS[file].amount_column)
    for row in rows:
        day = date.fromisoformat(row[when]) if isinstance(row[when], str) else row[when]
        yield day, Decimal(str(row[amount]))


def written(cells: list[list[Any]], path: Path) -> Path:
    """An .xls workbook of these cells, dates as dates."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for number, row in enumerate(cells):
        for position, value in enumerate(row):
            if isinstance(value, date):
                sheet.write(number, position, value, day)
            else:
                sheet.write(number, position, value)
    book.save(str(path))
    return path
