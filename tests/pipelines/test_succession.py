"""Which earlier batch a new delivery corrects: the rule as a table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.batch import Batch, State
from assay.pipelines.succession import plain_name, replaced_by


def batch(number: int, file_name: str, period: str | None = None, state: State = "rejected") -> Batch:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Batch(number, "z", "p", "s", file_name, 1, "00", state, "anna", when, "v", period)


WAITING = [
    batch(3, "card-2025-03.xlsx", "2025-03"),
    batch(5, "card-2025-04.xlsx", "2025-04", "held"),
    batch(6, "Card 2025-03_corrected.xlsx", "2025-03"),
    batch(8, "2025.csv"),
]


@pytest.mark.parametrize(
    ("file_name", "period", "by_period", "wanted"),
    [
        # the same name, however it was sent again: the newest one counts
        ("card-2025-03.xlsx", "2025-03", True, 6),
        ("card-2025-03.xlsx", "2025-03", False, 6),
        ("CARD_2025-03 (1).XLSX", None, False, 6),
        ("card-2025-03-v2.csv", None, False, 6),
        ("card-2025-03.returned.xlsx", None, False, 6),
        ("card-2025-04 - Copy (2).xlsx", None, False, 5),
        ("card 2025-04 FINAL v3.xlsx", None, False, 5),
        ("2025.csv.gz", None, False, 8),
        # another name for the same period: only where a file is the whole of its period
        ("march cards.xlsx", "2025-03", True, 6),
        ("march cards.xlsx", "2025-03", False, None),
        # another file
        ("card-2025-05.xlsx", "2025-05", True, None),
        ("card-2025-0.xlsx", None, True, None),
        ("renewed.csv", None, True, None),
    ],
)
def test_a_delivery_replaces(file_name: str, period: str | None, by_period: bool, wanted: int | None) -> None:
    found = replaced_by(file_name, period, WAITING, by_period=by_period)
    assert (found.id if found else None) == wanted


def test_without_a_waiting_batch_nothing_is_replaced() -> None:
    assert replaced_by("card-2025-03.xlsx", "2025-03", [], by_period=True) is None


@pytest.mark.parametrize("name", ["final.csv", "v2.csv", "copy.xlsx", "(1).csv", ".csv", "renew.csv", "neu.csv"])
def test_a_name_is_never_cut_down_to_nothing(name: str) -> None:
    assert plain_name(name)
    assert plain_name(name) != plain_name("card.csv")


def test_months_in_names_stay_apart() -> None:
    names = [f"card-2025-{month:02d}.xlsx" for month in range(1, 13)] + ["card 12.csv", "card 13.csv", "card.2025.csv"]
    assert len({plain_name(name) for name in names}) == len(names)
