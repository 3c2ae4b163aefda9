"""What becomes of a batch, by its findings and the pipeline's setting: one readable table."""

from __future__ import annotations

import pytest

from assay.findings import Finding
from assay.stewardship.verdict import Approved, Held, Rejected, Steward, verdict

ERROR = Finding("type_mismatch", "bad")
WARNING = Finding("rule", "odd", severity="warning")
REMARK = Finding("left_out_rows", "said", severity="info")
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
    found = verdict(findings, steward)
    assert isinstance(found, kind)
    assert found.findings == findings
