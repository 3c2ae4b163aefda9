"""Real months beside each other: ordinary ones are quiet, a delivery that broke off is not.

The contracts are those of the journey of the two councils; the files stay where they are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.batch import Profile
from assay.engines.duckdb import connect
from assay.segments.examine import examine
from assay.segments.profile import profile
from assay.stewardship.history import Earlier, compare
from assay.zones.contract import Contract, load_contract
from assay.zones.model import ChecksFile, ReaderHints

ROOT = Path(__file__).parents[3]
EXPENSE = ROOT / "shared" / "data" / "expense"
CONTRACTS = Path(__file__).parents[1] / "journeys" / "councils" / "zones" / "spending" / "cards" / "contracts"

pytestmark = pytest.mark.skipif(not EXPENSE.is_dir(), reason="the shared data folder is missing")


@dataclass(frozen=True)
class Month:
    """A delivered file's profile, and that of its first tenth."""

    whole: Profile
    tenth: Profile


Months = dict[str, Month]


def profiles(files: Sequence[Path], contract: Contract, folder: Path) -> Months:
    found = {}
    for number, file in enumerate(files):
        scratch = folder / str(number)
        scratch.mkdir()
        with connect(scratch) as engine:
            rows = examine(file, contract, ReaderHints(), engine, scratch).rows
            whole = profile(engine, rows, contract.fields)
            first = f"(SELECT * FROM {rows} ORDER BY _row LIMIT {whole.rows // 10})"
            found[file.name] = Month(whole, profile(engine, first, contract.fields))
    return found


@pytest.fixture(scope="module")
def birmingham(tmp_path_factory: pytest.TempPathFactory) -> Months:
    files = sorted((EXPENSE / "birmingham_pcard").glob("*.xls"))
    contract = load_contract(CONTRACTS / "birmingham.odcs.yaml")
    return profiles(files, contract, tmp_path_factory.mktemp("birmingham"))


@pytest.fixture(scope="module")
def calderdale(tmp_path_factory: pytest.TempPathFactory) -> Months:
    files = sorted((EXPENSE / "calderdale_card" / "clean").glob("*.csv"))
    contract = load_contract(CONTRACTS / "calderdale.odcs.yaml")
    return profiles(files, contract, tmp_path_factory.mktemp("calderdale"))


def others(months: Months, name: str) -> list[Earlier]:
    return [
        Earlier(n, other, None, one.whole) for n, (other, one) in enumerate(months.items(), start=1) if other != name
    ]


def odd(now: Profile, history: list[Earlier]) -> dict[str, str]:
    return {finding.kind: finding.message for finding in compare(now, history, ChecksFile())}


def test_every_real_month_has_a_usual_number_of_rows(
    birmingham: Months, calderdale: Months
) -> None:
    for months, known in ((birmingham, 7), (calderdale, 10)):
        assert len(months) == known
        said = {name: odd(one.whole, others(months, name)) for name, one in months.items()}
        assert [name for name, words in said.items() if "unusual_rows" in words] == []


def test_a_month_cut_to_a_tenth_is_loud(birmingham: Months) -> None:
    for name, one in birmingham.items():
        words = odd(one.tenth, others(birmingham, name))
        assert words["unusual_rows"].startswith(f"{one.whole.rows // 10} rows; the last 6 batches had "), name


def test_where_months_differ_twentyfold_only_a_tenth_of_the_smallest_is_loud(calderdale: Months) -> None:
    """Calderdale's files span seven years and 96 to 1,937 rows: a tenth of a large month is an ordinary small one."""
    loud = {name: odd(one.tenth, others(calderdale, name)).get("unusual_rows") for name, one in calderdale.items()}
    assert loud["2015-01-card.csv"] is None and calderdale["2015-01-card.csv"].tenth.rows == 111
    assert loud["2021-11-card.csv"] == "9 rows; the last 9 batches had 189 to 1,937"


def test_the_month_that_was_published_twice_is_recognised(calderdale: Months) -> None:
    said = {name: odd(one.whole, others(calderdale, name)) for name, one in calderdale.items()}
    assert [name for name, words in said.items() if "duplicate_content" in words] == [
        "2019-02-card.csv", "2020-02-card.csv",
    ]  # fmt: skip
