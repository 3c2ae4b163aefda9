"""Findings → verdict: a pure decision about a batch, as a value on which the runner acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.findings import Finding, worst
from assay.zones.gate import OPEN, Gate


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


def verdict(findings: Sequence[Finding], gate: Gate = OPEN) -> Verdict:
    """What becomes of a batch: an error rejects it; a finding that holds, or the pipeline's gate, holds it.

    What the gate says of a kind of finding, or of a rule, goes before what the finding itself asks for.
    """
    found = tuple(findings)
    if worst(found) == "error":
        return Rejected(found)
    holding = [finding for finding in found if _holds(finding, gate)]
    if holding:
        more = f" (and {len(holding) - 1} more)" if len(holding) > 1 else ""
        return Held(f"{holding[0].message}{more}", found)
    if gate.default == "always":
        return Held("every batch of this pipeline is looked at", found)
    return Approved(found)


def _holds(finding: Finding, gate: Gate) -> bool:
    word = gate.kinds.get(finding.rule or "") or gate.kinds.get(finding.kind)
    if word is None:
        return finding.holds or (gate.default == "on_finding" and finding.severity == "warning")
    return word == "always" or (word == "on_finding" and finding.severity == "warning")
