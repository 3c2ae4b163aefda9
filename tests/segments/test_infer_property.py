"""What infer proposes, the gate accepts: for any table, every cell of it has the form of its proposed field."""

from __future__ import annotations

import csv
import datetime
import tempfile
from pathlib import Path
from typing import Any

import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.engines import forms
from assay.engines.duckdb import connect
from assay.errors import Rejected
from assay.readers import csv as delimited
from assay.readers.grid import Grid
from assay.readers.limits import read_limited
from assay.readers.locate import locate
from assay.segments.infer.propose import propose
from assay.zones.contract import Contract, load_contract
from assay.zones.contract_draft import to_yaml
from assay.zones.project import ReaderHints

HINTS = ReaderHints()
WORDS = st.sampled_from(
    ["Amount", "Date", "Supplier", "Net value", "Note", "Card no", "E-Mail", "Región", "a,b", 'say "x"']
)
NULLS = st.sampled_from(["", "-", "n/a", "NULL", " - ", "   "])
DAYS = st.dates(datetime.date(1990, 1, 1), datetime.date(2060, 12, 31))
MOMENTS = st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2060, 12, 31))
AMOUNTS = st.decimals(-10_000_000, 10_000_000, places=2, allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)


def _written(amount: Any, thousands: str, decimal: str) -> str:
    return f"{amount:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)


CELLS: dict[str, st.SearchStrategy[str]] = {
    "integer": st.integers(-(10**17), 10**17).map(str),
    "small": st.integers(0, 12).map(str),
    "code": st.integers(0, 9999).map(lambda number: f"{number:04d}"),
    "english": AMOUNTS.map(lambda amount: _written(amount, ",", ".")),
    "german": AMOUNTS.map(lambda amount: _written(amount, ".", ",")),
    "pounds": AMOUNTS.map(lambda amount: ("-" if amount < 0 else "") + "£" + _written(abs(amount), ",", ".")),
    "parentheses": AMOUNTS.map(lambda a: f"({_written(-a, '', '.')})" if a < 0 else _written(a, "", ".")),
    "float": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "iso": DAYS.map(str),
    "british": DAYS.map(lambda day: day.strftime("%d/%m/%Y")),
    "american": DAYS.map(lambda day: f"{day.month}/{day.day}/{day.year}"),
    "short": DAYS.map(lambda day: day.strftime("%d.%m.%y")),
    "named": DAYS.map(lambda day: day.strftime("%d-%b-%Y")),
    "compact": DAYS.map(lambda day: day.strftime("%Y%m%d")),
    "moment": MOMENTS.map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S")),
    "zoned": MOMENTS.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S+02:00")),
    "clock": MOMENTS.map(lambda moment: moment.strftime("%H:%M")),
    "yes": st.sampled_from(["Yes", "No", "yes"]),
    "percent": st.integers(0, 100).map(lambda number: f"{number} %"),
    "text": TEXTS,
    "digits": st.text("0123456789.,-+()e E/", max_size=10),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    headers = draw(st.lists(WORDS, min_size=2, max_size=5, unique=True))
    height = draw(st.integers(1, 25))
    columns = []
    for _ in headers:
        cells = CELLS[draw(st.sampled_from(sorted(CELLS)))]
        if draw(st.booleans()):
            cells = cells | NULLS
        if draw(st.integers(0, 5)) == 0:
            cells = cells | CELLS[draw(st.sampled_from(sorted(CELLS)))]
        columns.append(draw(st.lists(cells, min_size=height, max_size=height)))
    return headers, [list(row) for row in zip(*columns, strict=True)]


def refusals(contract: Contract, grid: Grid) -> list[str]:
    """What the gate would refuse: the header's findings, and cells that do not have the form of their field."""
    located: Any = locate((grid,), contract, HINTS)
    if isinstance(located, tuple):
        (located,) = located
    refused = [finding.message for finding in located.findings if finding.severity == "error"]
    with tempfile.TemporaryDirectory() as scratch, connect(Path(scratch)) as engine:
        engine.register("cells", located.grid.table)
        present = [f"NOT {forms.is_null(f, f'c{located.columns[f.name]}')}" for f in contract.fields]
        for field in contract.fields:
            text, kind = f"c{located.columns[field.name]}", f"k{located.columns[field.name]}"
            null = forms.is_null(field, text)
            bad = f"NOT {null} AND NOT coalesce({forms.fits(field, text, kind)}, false)"
            if field.required:
                bad = f"({bad}) OR {null} OR trim({text}) = ''"
            body = f"row > {located.header_row} AND ({' OR '.join(present)})"
            rows = engine.rows(f"SELECT row, {text} FROM cells WHERE {body} AND ({bad}) LIMIT 3")
            refused += [f"{field.name} as {field.type}: {row}" for row in rows]
    return refused


def proposed(path: Path, folder: Path) -> Contract:
    out = folder / "proposed.odcs.yaml"
    out.write_text(to_yaml(propose([path], folder / "scratch")), encoding="utf-8")
    return load_contract(out)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from([",", ";", "\t"]))
def test_the_gate_accepts_every_cell_of_a_csv_file_under_its_proposal(
    table: tuple[list[str], list[list[str]]], delimiter: str
) -> None:
    headers, rows = table
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "table.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows([headers, *rows])
        try:
            contract = proposed(path, folder)
        except Rejected:
            return  # Nothing but blanks, or no row that is a header: there is nothing to propose.
        dialect = delimited.detect(path, HINTS)
        grid = delimited.read(delimited.to_utf8(path, dialect, folder / "utf8"), dialect)
        assert refusals(contract, grid) == []


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.data())
def test_the_gate_accepts_every_cell_of_a_workbook_under_its_proposal(
    table: tuple[list[str], list[list[str]]], data: st.DataObject
) -> None:
    headers, rows = table
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "table.xlsx"
        with xlsxwriter.Workbook(str(path)) as book:
            sheet = book.add_worksheet("Data")
            day = book.add_format({"num_format": "d mmm yyyy"})
            for column, header in enumerate(headers):
                sheet.write_string(0, column, header)
            for number, row in enumerate(rows, start=1):
                for column, text in enumerate(row):
                    _write(sheet, number, column, text, data.draw(st.booleans()), day)
        try:
            contract = proposed(path, folder)
        except Rejected:
            return
        (grid,) = read_limited(path, HINTS, folder / "read")
        assert refusals(contract, grid) == []


def _write(sheet: Any, row: int, column: int, text: str, typed: bool, date: Any) -> None:
    """A cell as a spreadsheet may hold it: a text, or the number or date that it spells."""
    if typed and text.replace(".", "", 1).isdecimal() and len(text) < 12:
        sheet.write_number(row, column, float(text))
    elif typed and len(text) == 10 and text[4:5] == "-" and text[7:8] == "-" and text.replace("-", "").isdecimal():
        sheet.write_datetime(row, column, datetime.datetime.fromisoformat(text), date)
    else:
        sheet.write_string(row, column, text)
