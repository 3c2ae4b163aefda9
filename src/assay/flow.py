"""The map: stores in order, the segments with their two ends, the gate.

    ingress ─land▶ landing ─approve▶ readable ─clean▶ clean ─[steward]─conform▶ operational ─denormalize▶ analytical

`pipelines/run.py` walks this table; a test compares it with the folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assay.batch import State

STORES: Final = ("ingress", "landing", "readable", "clean", "operational", "analytical")


@dataclass(frozen=True)
class Movement:
    """A segment: the store it reads, the store it writes, and the batch's state before and after."""

    segment: str
    source: str
    target: str
    before: State | None
    after: State


SEGMENTS: Final = (
    Movement("land", "ingress", "landing", None, "landed"),
    Movement("approve", "landing", "readable", "landed", "readable"),
    Movement("clean", "readable", "clean", "readable", "clean"),
    Movement("conform", "clean", "operational", "released", "conformed"),
    Movement("denormalize", "operational", "analytical", "conformed", "done"),
)

#: The steward's gate stands between this state and the next segment.
GATE: Final[State] = "clean"


def movement_from(state: State) -> Movement | None:
    """The segment that takes a batch on from `state`, or None where it rests or waits."""
    return next((movement for movement in SEGMENTS if movement.before == state), None)


def movement(segment: str) -> Movement:
    """The segment of that name."""
    return next(entry for entry in SEGMENTS if entry.segment == segment)
