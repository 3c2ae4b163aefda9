"""What is said of a batch to somebody who sees some of its cells."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from assay.batch import ColumnProfile, Profile, Tally
from assay.findings import Cell, Finding
from assay.security.classes import CLASSES
from assay.stewardship.kinds import KINDS
from assay.stewardship.masking import (
    ALL,
    MASK,
    OF_STRUCTURE,
    Cells,
    masked_detail,
    masked_finding,
    masked_profile,
    masked_tally,
)

FIELDS = {
    "goods": frozenset({"internal"}), "pay": frozenset({"restricted"}), "mail": frozenset({"internal", "personal"}),
}  # fmt: skip
SOME = Cells(FIELDS, frozenset({"public", "internal"}))
CANARY = "Quimby"


def finding(kind: str, field: str | None) -> Finding:
    cells = (Cell(3, "C", CANARY, "Card"),)
    return Finding(kind, f"it is {CANARY}", field=field, expected=f"not {CANARY}", cells=cells)


def test_cells_are_shown_to_those_who_see_each_class_of_their_field() -> None:
    assert SOME.shows("goods") and not SOME.shows("pay") and not SOME.shows("mail")
    assert not SOME.shows(None) and not SOME.shows("pay, goods"), "of no field, or of several: all must be seen"
    assert SOME.hidden == {"restricted", "personal"}
    assert Cells(FIELDS, frozenset(CLASSES)).shows(None) and ALL.shows("anything")


@given(st.sampled_from([kind.name for kind in KINDS]), st.sampled_from(["pay", "mail", None, "unknown"]))
def test_a_finding_about_a_hidden_field_keeps_its_place_and_loses_its_cells(kind: str, field: str | None) -> None:
    masked = masked_finding(finding(kind, field), SOME)
    (cell,) = masked.cells
    assert (cell.row, cell.column, cell.sheet, cell.found) == (3, "C", "Card", MASK)
    if kind not in OF_STRUCTURE:
        assert CANARY not in str(masked)


def test_a_finding_about_a_field_that_is_seen_stays_as_it_is() -> None:
    assert masked_finding(finding("type_mismatch", "goods"), SOME) == finding("type_mismatch", "goods")
    assert masked_finding(finding("key_violation", None), ALL) == finding("key_violation", None)


def test_sums_and_categories_of_hidden_columns_are_left_out() -> None:
    tally = masked_tally(Tally("clean", 1, {"pay": Decimal(7), "goods": Decimal(1)}), SOME)
    assert (tally.rows, tally.sums) == (1, {"goods": Decimal(1)})
    columns = {name: ColumnProfile(1, Decimal(7), {CANARY: 1}) for name in FIELDS}
    profile = masked_profile(Profile(1, "f", "s", columns), SOME)
    assert profile.columns["goods"] == columns["goods"]
    assert profile.columns["pay"] == profile.columns["mail"] == ColumnProfile(1)


def test_what_a_segment_noted_is_its_numbers_where_cells_are_hidden() -> None:
    detail = {"rows": 3, "what": CANARY, "by_month": {"month": [CANARY, CANARY]}, "contract": {"id": "x"}, "no": None}
    assert masked_detail(detail, SOME) == {
        "rows": 3, "what": MASK, "by_month": {"month": 2}, "contract": {"id": "x"}, "no": None,
    }  # fmt: skip
    assert masked_detail(detail, ALL) == detail
