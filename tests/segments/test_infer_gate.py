"""The whole gate, readers and header included, accepts real files under the contract that was inferred from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.engines.duckdb import connect
from assay.segments.infer.propose import propose
from assay.zones.contract import load_contract
from assay.zones.contract_draft import to_yaml

gate = pytest.importorskip("assay.segments.examine", reason="the gate cannot be asked about a file by itself yet")
EXPENSE = Path(__file__).parents[3] / "shared" / "data" / "expense"
FEEDS = {
    "birmingham": "birmingham_pcard/publish*.xls",
    "calderdale": "calderdale_card/clean/20*4-1*.csv",
    "oxford": "oxford_pcard/*.csv",
    "manchester": "manchester_raw/*.csv",
    "senate": "br_senate_ceaps/*.csv",
    "members": "nz_members/*.xls*",
    "ministers": "nz_ministers/*.xls*",
}


@pytest.mark.skipif(not EXPENSE.is_dir(), reason="the shared data folder is missing")
@pytest.mark.parametrize("feed", FEEDS)
def test_the_gate_approves_every_file_under_its_own_proposal(tmp_path: Path, feed: str) -> None:
    files = sorted(EXPENSE.glob(FEEDS[feed]))
    out = tmp_path / "proposed.odcs.yaml"
    out.write_text(to_yaml(propose(files, tmp_path / "infer")), encoding="utf-8")
    contract = load_contract(out)
    for file in files:
        scratch = tmp_path / file.name
        scratch.mkdir()
        with connect(scratch) as engine:
            found = gate.examine(file, contract, contract.reader, engine, scratch).findings
        assert [(file.name, one.message) for one in found if one.severity == "error"] == []
