"""Who is told when: a pure function of what waits, what was told, and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stewardship.reminders import Due, Waiting, due
from assay.zones.gate import Gate

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
GATE = Gate(remind_after=timedelta(days=2), escalate_after=timedelta(days=5))
ONE = Waiting(7, SINCE, GATE, ("steward",), ("owner",))
REMINDED, ESCALATED = Due(7, "reminded", 1, ("steward",)), Due(7, "escalated", 1, ("owner",))


@pytest.mark.parametrize(
    ("waiting", "days", "told"),
    [
        (ONE, 1.9, []),
        (ONE, 2, [REMINDED]),
        (replace(ONE, reminders=1), 3.9, []),
        (replace(ONE, reminders=1), 4, [replace(REMINDED, step=2)]),
        (ONE, 20, [replace(REMINDED, step=10), ESCALATED]),
        (replace(ONE, reminders=2), 5, [ESCALATED]),
        (replace(ONE, reminders=2, escalated=True), 5, []),
        (replace(ONE, gate=Gate()), 999, []),
    ],
)
def test_each_step_is_told_once_and_missed_ones_only_as_the_last(
    waiting: Waiting, days: float, told: list[Due]
) -> None:
    assert due([waiting], SINCE + timedelta(days=days)) == told


@given(st.lists(st.floats(0, 40), max_size=30))
def test_looked_at_whenever_a_step_is_never_told_twice(days: list[float]) -> None:
    now, told = ONE, []
    for day in sorted(days):
        for one in due([now], SINCE + timedelta(days=day)):
            told.append((one.kind, one.step))
            now = replace(now, reminders=one.step) if one.kind == "reminded" else replace(now, escalated=True)
    assert len(set(told)) == len(told)
    if max(days, default=0) >= 5:
        assert ("escalated", 1) in told
