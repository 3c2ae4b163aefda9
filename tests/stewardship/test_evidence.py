"""A decision refers to what was shown: the fingerprint differs when anything of it does, and says what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from assay.batch import ColumnProfile, Profile, Tally
from assay.findings import Cell, Finding
from assay.stewardship.evidence import PARTS, Evidence, changed

PROFILE = Profile(3, "f", "1", {"amount": ColumnProfile(0, Decimal("1.50"))})
SHOWN = Evidence(
    (Finding("rule", "odd", severity="warning", cells=(Cell(2, "B", "x"),)),),
    (Tally("clean", 3, {"amount": Decimal("1.50")}),),
    PROFILE,
    "abc",
    "v1",
    datetime(2026, 3, 1, 12, tzinfo=UTC),
)
OTHERS = {
    "findings": replace(SHOWN, findings=(replace(SHOWN.findings[0], cells=(Cell(3, "B", "x"),)),)),
    "reconciliation": replace(SHOWN, tallies=(Tally("clean", 3, {"amount": Decimal("1.51")}),)),
    "profile": replace(SHOWN, profile=replace(PROFILE, rows=4)),
    "contract": replace(SHOWN, contract=None),
    "configuration": replace(SHOWN, configuration="v2"),
    "held since": replace(SHOWN, held_since=SHOWN.held_since + timedelta(microseconds=1)),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_counts_and_is_named_when_it_changed(part: str) -> None:
    assert changed(SHOWN.fingerprint, OTHERS[part].fingerprint) == [part]


def test_the_same_evidence_has_the_same_fingerprint_whatever_the_clock_s_zone() -> None:
    there = replace(SHOWN, held_since=SHOWN.held_since.astimezone(timezone(timedelta(hours=5))))
    assert there.fingerprint == SHOWN.fingerprint and changed(SHOWN.fingerprint, there.fingerprint) == []


def test_what_is_no_fingerprint_differs_in_everything() -> None:
    assert changed("nonsense", SHOWN.fingerprint) == PARTS
