"""A batch beside its source's history: what is ordinary stays quiet, what is far out is said in words."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.batch import ColumnProfile, Profile
from assay.stewardship.history import Earlier, compare
from assay.zones.model import ChecksFile

CHECKS = ChecksFile()


NUMBERS = count()


def profile(rows: int, total: str = "0", nulls: int = 0, fingerprint: str = "", **kinds: int) -> Profile:
    fingerprint = fingerprint or f"another {next(NUMBERS)}"
    columns = {"amount": ColumnProfile(nulls, Decimal(total)), "kind": ColumnProfile(0, None, kinds)}
    return Profile(rows, fingerprint, "s", columns)


def history(*profiles: Profile, months: bool = False) -> list[Earlier]:
    return [
        Earlier(number, f"file-{number}.csv", f"2025-{number:02}" if months else None, one)
        for number, one in enumerate(profiles, start=1)
    ]


def kinds(now: Profile, past: list[Earlier], checks: ChecksFile = CHECKS) -> dict[str, str]:
    return {finding.kind: finding.message for finding in compare(now, past, checks)}


YEAR = [4_900, 4_200, 5_600, 4_700, 5_100, 4_600, 5_300, 4_850, 5_000, 4_400, 5_500, 4_950]


def test_a_short_month_is_said_with_what_is_usual() -> None:
    found = kinds(profile(3_002), history(*(profile(rows) for rows in YEAR), months=True))
    assert found == {"unusual_rows": "3,002 rows; the last 12 months had 4,200 to 5,600"}


@pytest.mark.parametrize("rows", [4_300, 4_900, 5_600, 5_900])
def test_an_ordinary_month_is_quiet(rows: int) -> None:
    assert kinds(profile(rows), history(*(profile(rows) for rows in YEAR))) == {}


def test_sums_nulls_and_categories_have_their_words() -> None:
    past = history(*(profile(100, "1000.00", 2, meals=60, travel=40) for _ in range(6)))
    found = kinds(profile(100, "5000.00", 30, meals=50, lodging=50), past)
    assert found == {
        "unusual_sum": "column amount sums to 5,000.00; the last 6 batches had 1,000.00 to 1,000.00",
        "unusual_nulls": "column amount is empty in 30.0% of the rows; the last 6 batches had 2.0% to 2.0%",
        "unusual_categories": 'no row has "travel" in kind; each of the last 6 batches had',
    }


def test_too_short_a_history_says_nothing() -> None:
    assert kinds(profile(1), history(*(profile(100) for _ in range(4)))) == {}


def test_the_same_rows_once_more_hold_the_batch_and_name_the_earlier_one() -> None:
    (finding,) = compare(profile(10, fingerprint="f"), history(profile(10, fingerprint="f")), CHECKS)
    assert (finding.kind, finding.holds) == ("duplicate_content", True)
    assert finding.message == "all 10 rows stood in batch 1 (file-1.csv) already"
    off = ChecksFile(duplicates="off")
    assert not compare(profile(10, fingerprint="f"), history(profile(10, fingerprint="f")), off)
    other = Profile(10, "f", "another engine", {})
    assert not compare(other, history(profile(10, fingerprint="f")), CHECKS)


@given(st.integers(1, 10**9), st.integers(5, 12))
def test_what_was_always_so_is_never_odd(rows: int, length: int) -> None:
    assert compare(profile(rows, "12.50"), history(*(profile(rows, "12.50") for _ in range(length))), CHECKS) == ()


@given(st.lists(st.integers(100, 10_000), min_size=5, max_size=12), st.integers(1, 50_000), st.integers(2, 1_000))
def test_what_is_odd_does_not_depend_on_the_unit(past: list[int], now: int, factor: int) -> None:
    def told(times: int) -> bool:
        return "unusual_rows" in kinds(profile(now * times), history(*(profile(rows * times) for rows in past)))

    assert told(1) == told(factor)


@given(st.permutations(YEAR), st.integers(1, 10_000))
def test_what_is_odd_does_not_depend_on_the_order_of_the_history(order: list[int], now: int) -> None:
    told = kinds(profile(now), history(*(profile(rows) for rows in order)))
    assert told == kinds(profile(now), history(*(profile(rows) for rows in YEAR)))
