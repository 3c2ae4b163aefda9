"""What a segment hands to the runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assay.batch import Profile, Tally
from assay.findings import Finding
from assay.stores.database import Connection


@dataclass(frozen=True)
class Outcome:
    """A finished movement that nobody sees yet.

    `commit` makes it visible; it runs in the transaction that also records the findings, the reconciliation
    lines (`tallies`; `late_tallies` are known only once `commit` ran), the rows' profile and the batch's new state.
    """

    commit: Callable[[Connection], None]
    findings: tuple[Finding, ...] = ()
    tallies: tuple[Tally, ...] = ()
    late_tallies: list[Tally] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)
    period: str | None = None
    profile: Profile | None = None
