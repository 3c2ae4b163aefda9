"""What a steward was shown of a batch, as a fingerprint: a decision refers to exactly that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from assay.batch import Profile, Tally
from assay.findings import Finding

#: The parts of the evidence, in the order of the fingerprint's groups.
PARTS = ("findings", "reconciliation", "profile", "contract", "configuration", "held since")
_DIGITS = 6


@dataclass(frozen=True)
class Evidence:
    """Everything that speaks for or against releasing a batch.

    `contract` is the fingerprint of the contract that approved it, `configuration` the version under which it would
    go on, `held_since` when it came to the gate.
    """

    findings: tuple[Finding, ...]
    tallies: tuple[Tally, ...]
    profile: Profile | None
    contract: str | None
    configuration: str
    held_since: datetime

    @property
    def fingerprint(self) -> str:
        """A group of hexadecimal digits per part, so that two fingerprints tell in which parts they differ."""
        parts: tuple[Any, ...] = (
            [finding.to_dict() for finding in self.findings],
            [tally.to_dict() for tally in self.tallies],
            None if self.profile is None else self.profile.to_dict(),
            self.contract,
            self.configuration,
            self.held_since.astimezone(UTC).isoformat(),
        )
        return "-".join(_digest(part) for part in parts)


def changed(shown: str, present: str) -> Sequence[str]:
    """The parts in which two fingerprints differ; all of them where `shown` is none that this version makes."""
    before, now = shown.strip().split("-"), present.split("-")
    if len(before) != len(now):
        return PARTS
    return [name for name, was, is_now in zip(PARTS, before, now, strict=True) if was != is_now]


def _digest(part: Any) -> str:
    text = json.dumps(part, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
