"""A batch: one delivered file on its way, its states, and the moves between them.

The state is where the batch rests, so a crash leaves it in the last store that it reached completely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

State = Literal[
    "landed", "readable", "clean", "held", "released", "conformed", "done", "rejected", "replaced",
    "withdrawn",
]

#: Every state, in the order in which a batch comes through them.
STATES: tuple[State, ...] = get_args(State)

#: The moves a batch can make; a state without an entry is final.
MOVES: dict[State, frozenset[State]] = {
    "landed": frozenset({"readable", "rejected"}),
    # Back to `landed`: anew under another configuration, where the one that it began with does not fit any more.
    "readable": frozenset({"clean", "rejected", "landed"}),
    "clean": frozenset({"held", "released", "rejected", "landed"}),
    "held": frozenset({"released", "rejected"}),
    "released": frozenset({"conformed", "rejected", "landed"}),
    "conformed": frozenset({"done"}),
    # A replay of the same bytes takes the place of a batch that had come to rest; withdrawing takes its effect back.
    "done": frozenset({"replaced", "withdrawn"}),
    "rejected": frozenset({"replaced"}),
}

#: Where a batch rests for good, unless a replay takes its place.
FINAL: frozenset[State] = frozenset({"done", "rejected", "replaced", "withdrawn"})

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


@dataclass(frozen=True)
class ColumnProfile:
    """What one column of a batch holds: how many nulls, the sum of a measure, the share of each category."""

    nulls: int
    total: Decimal | None = None
    categories: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """What the rows of a batch look like, to compare it with others.

    `fingerprint` is the same for the same rows in any order, whatever the file's name, format or bytes; only
    fingerprints of one `scheme` compare.
    """

    rows: int
    fingerprint: str
    scheme: str
    columns: Mapping[str, ColumnProfile]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; sums as text, so that no digit is lost."""
        columns = {
            name: {**asdict(one), "total": None if one.total is None else str(one.total)}
            for name, one in self.columns.items()
        }
        return {"rows": self.rows, "fingerprint": self.fingerprint, "scheme": self.scheme, "columns": columns}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Profile:
        """The inverse of `to_dict`."""
        columns = {
            name: ColumnProfile(
                one["nulls"], None if one["total"] is None else Decimal(one["total"]), one["categories"]
            )
            for name, one in values["columns"].items()
        }
        return Profile(values["rows"], values["fingerprint"], values["scheme"], columns)
