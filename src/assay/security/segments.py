"""Which stores each segment touches in its own zone: the two ends that `flow.py` draws, and what belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reach:
    """The stores that a segment reads and writes."""

    reads: frozenset[str]
    writes: frozenset[str]


#: `approve` and `clean` set rows aside; the SQL of `conform` and `denormalize` may name the zone's own tables.
REACH: Final = {
    "land": Reach(frozenset({"ingress"}), frozenset({"landing"})),
    "approve": Reach(frozenset({"landing"}), frozenset({"readable", "quarantine"})),
    "clean": Reach(frozenset({"readable"}), frozenset({"clean", "quarantine"})),
    "conform": Reach(frozenset({"clean", "operational", "analytical"}), frozenset({"operational"})),
    "denormalize": Reach(frozenset({"clean", "operational", "analytical"}), frozenset({"analytical"})),
}
NOTHING: Final = Reach(frozenset(), frozenset())


def reach(segment: str) -> Reach:
    """What the segment of that name touches; nothing, where there is no such segment."""
    return REACH.get(segment, NOTHING)
