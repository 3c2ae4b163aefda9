"""Findings → verdict: a pure decision about a batch, as a value on which the runner acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assay.findings import Finding, worst

Steward = Literal["always", "on_finding", "never"]


@dataclass(frozen=True)
class Approved:
    """The data may go on; `findings` are remarks."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Held:
    """A steward must look first."""

    why: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """Nothing of the batch may go on."""

    findings: tuple[Finding, ...]


Verdict = Approved | Held | Rejected


def verdict(findings: Sequence[Finding], steward: Steward = "never") -> Verdict:
    """What becomes of a batch: an error rejects it; a finding that holds, or the pipeline's setting, holds it."""
    found = tuple(findings)
    if worst(found) == "error":
        return Rejected(found)
    holding = [finding for finding in found if finding.holds]
    if holding:
        more = f" (and {len(holding) - 1} more)" if len(holding) > 1 else ""
        return Held(f"{holding[0].message}{more}", found)
    if steward == "always":
        return Held("every batch of this pipeline is looked at", found)
    if steward == "on_finding" and worst(found) == "warning":
        return Held("the rules found something", found)
    return Approved(found)
