"""Who is to be told that a batch still waits: a pure decision about what is held, what was told and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from assay.zones.gate import Gate

Telling = Literal["reminded", "escalated"]


@dataclass(frozen=True)
class Waiting:
    """A held batch: since when, under which gate, whom it waits for, and the last reminder that was told (0: none).

    `above` are those who are told when it waits for too long.
    """

    batch: int
    since: datetime
    gate: Gate
    stewards: tuple[str, ...]
    above: tuple[str, ...]
    reminders: int = 0
    escalated: bool = False


@dataclass(frozen=True)
class Due:
    """Somebody is to be told: the `step`-th reminder to the stewards, or the one escalation."""

    batch: int
    kind: Telling
    step: int
    to: tuple[str, ...]


def due(held: Iterable[Waiting], now: datetime) -> list[Due]:
    """What must be told now. Of several reminders that were missed only the last is."""
    found: list[Due] = []
    for one in held:
        waited = now - one.since
        if one.gate.remind_after is not None:
            step = waited // one.gate.remind_after
            if step > one.reminders:
                found.append(Due(one.batch, "reminded", step, one.stewards))
        if one.gate.escalate_after is not None and waited >= one.gate.escalate_after and not one.escalated:
            found.append(Due(one.batch, "escalated", 1, one.above))
    return found
