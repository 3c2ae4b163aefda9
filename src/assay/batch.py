"""A batch: one delivered file on its way, its states, and the moves between them.

The state is where the batch rests, so a crash leaves it in the last store that it reached completely.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

State = Literal["landed", "readable", "clean", "held", "released", "conformed", "done", "rejected"]

#: The moves a batch can make; a state without an entry is final.
MOVES: dict[State, frozenset[State]] = {
    "landed": frozenset({"readable", "rejected"}),
    "readable": frozenset({"clean", "rejected"}),
    "clean": frozenset({"held", "released", "rejected"}),
    "held": frozenset({"released", "rejected"}),
    "released": frozenset({"conformed", "rejected"}),
    "conformed": frozenset({"done"}),
}

FINAL: frozenset[State] = frozenset({"done", "rejected"})

Origin = Literal["delivery", "replay"]


def may_move(before: State, after: State) -> bool:
    """Whether a batch may go from one state to another."""
    return after in MOVES.get(before, frozenset())


@dataclass(frozen=True)
class Batch:
    """One delivered file: identity, where it belongs, and how far it has come.

    A replay (`origin`) is the same bytes once more under the configuration of now; `replaces` names the batch
    whose place it takes.
    """

    id: int
    zone: str
    pipeline: str
    source: str
    file_name: str
    size_bytes: int
    sha256: str
    state: State
    delivered_by: str
    delivered_at: datetime
    config_version: str
    period: str | None = None
    origin: Origin = "delivery"
    replaces: int | None = None

    @property
    def label(self) -> str:
        """What people read: zone, pipeline, source and number."""
        return f"{self.zone}/{self.pipeline}, batch {self.id} ({self.source}, {self.file_name})"


@dataclass(frozen=True)
class Tally:
    """Rows and the sum of every numeric column in one store: a line of the reconciliation."""

    store: str
    rows: int
    sums: dict[str, Decimal]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; sums as text, so that no digit is lost."""
        return {"store": self.store, "rows": self.rows, "sums": {k: str(v) for k, v in self.sums.items()}}
