"""What becomes of a batch, by its findings and the pipeline's setting: one readable table."""

from __future__ import annotations

import pytest

from assay.findings import Finding
from assay.stewardship.verdict import Approved, Held, Rejected, verdict
from assay.zones.gate import Gate, Steward

ERROR = Finding("type_mismatch", "bad")
WARNING = Finding("rule", "odd", severity="warning")
REMARK = Finding("left_out_rows", "said", severity="info")
RULE = Finding("rule", "odd", severity="warning", rule="big_amount")
HOLDS = Finding("duplicate_content", "seen before", severity="warning", holds=True)


@pytest.mark.parametrize(
    ("findings", "steward", "kind"),
    [
        ((), "never", Approved),
        ((), "on_finding", Approved),
        ((), "always", Held),
        ((REMARK,), "on_finding", Approved),
        ((WARNING,), "never", Approved),
        ((WARNING,), "on_finding", Held),
        ((HOLDS,), "never", Held),
        ((REMARK, HOLDS), "on_finding", Held),
        ((HOLDS, ERROR), "never", Rejected),
        ((ERROR,), "always", Rejected),
    ],
)
def test_each_kind_of_finding_has_its_verdict(findings: tuple[Finding, ...], steward: Steward, kind: type) -> None:
    found = verdict(findings, Gate(steward))
    assert isinstance(found, kind)
    assert found.findings == findings


@pytest.mark.parametrize(
    ("finding", "gate", "kind"),
    [
        (WARNING, Gate("never", {"rule": "always"}), Held),
        (REMARK, Gate("never", {"left_out_rows": "always"}), Held),
        (REMARK, Gate("never", {"left_out_rows": "on_finding"}), Approved),
        (WARNING, Gate("on_finding", {"rule": "never"}), Approved),
        (HOLDS, Gate("never", {"duplicate_content": "never"}), Approved),
        (HOLDS, Gate("always", {"duplicate_content": "never"}), Held),
        (RULE, Gate("on_finding", {"rule": "always", "big_amount": "never"}), Approved),
        (RULE, Gate("never", {"rule": "never", "big_amount": "on_finding"}), Held),
        (ERROR, Gate("never", {"type_mismatch": "never"}), Rejected),
    ],
)
def test_what_is_said_of_a_kind_or_a_rule_goes_before_the_default(finding: Finding, gate: Gate, kind: type) -> None:
    assert isinstance(verdict([finding], gate), kind)
