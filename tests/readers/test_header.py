"""A header is found by its structure, wherever it stands, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from assay.readers.grid import Grid, GridBuilder, Kind
from assay.readers.header import find_header

DATA = (("Roads", "2025-01-31", "12.50"), ("Parks", "2025-02-01", "7.00"), ("Health", "2025-02-02", "1.00"))


def grid(*rows: Sequence[str]) -> Grid:
    builder = GridBuilder()
    for number, row in enumerate(rows, start=1):
        builder.add(number, row, [Kind.TEXT if cell else Kind.EMPTY for cell in row])
    return builder.build()


def test_a_header_in_the_first_row_is_found() -> None:
    found = find_header(grid(("Team", "Day", "Amount"), *DATA))
    assert found is not None
    assert (found.row, found.rows, found.names) == (1, 1, ("Team", "Day", "Amount"))


@pytest.mark.parametrize(
    "above",
    [
        (("Spending 2025", "", ""),),
        (("", "", ""), ("Report", "", ""), ("", "", "")),
        (("Updated", "06/08/2025 02:00", ""),),
        (("Total", "", "20.50"),),
    ],
    ids=["title", "blank rows", "update line", "total"],
)
def test_rows_above_a_header_are_passed_over(above: tuple[tuple[str, ...], ...]) -> None:
    found = find_header(grid(*above, ("Team", "Day", "Amount"), *DATA))
    assert found is not None and found.row == len(above) + 1


@pytest.mark.parametrize("name", ["n1", "Q1", "2024", "1st", "No. 2", "C"])
def test_names_with_digits_are_names(name: str) -> None:
    found = find_header(grid(("Team", "Day", name), *DATA))
    assert found is not None and found.names[2] == name


@pytest.mark.parametrize("cell", ["12", "-£2.50", "(1.50)", "5 %", "1.234,56", "31/01/2025", "2025-01-31", "R$ 5"])
def test_a_row_with_a_number_or_a_date_is_no_header(cell: str) -> None:
    assert find_header(grid(("Team", "Day", cell), ("Roads", "x", cell))) is None


def test_a_row_that_repeats_itself_is_no_header() -> None:
    found = find_header(grid(("x", "x", "x"), ("Team", "Day", "Amount"), *DATA))
    assert found is not None and found.row == 2


def test_two_rows_give_one_name_of_the_group_and_the_column() -> None:
    rows = [("Party", "Travel", "", "Total"), ("", "Air", "Road", "Total"), ("North", "1.0", "2.0", "3.0")]
    found = find_header(grid(*rows, ("South", "1.0", "2.0", "3.0")))
    assert found is not None
    assert (found.row, found.rows) == (2, 2)
    assert found.names == ("Party", "Travel Air", "Travel Road", "Total")


def test_a_row_may_be_named() -> None:
    table = grid(("a", "b", "c"), ("Team", "Day", "Amount"), *DATA)
    found = find_header(table, 2)
    assert found is not None and found.names == ("Team", "Day", "Amount")
    assert find_header(table, 99) is None


def test_an_empty_sheet_has_no_header() -> None:
    assert find_header(grid()) is None
