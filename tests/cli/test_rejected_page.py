"""The example on the page for senders is what the commands really print and write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "when-a-file-is-rejected.md"
CONTRACT = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: card
status: active
schema:
  - name: card
    properties:
      - name: day
        physicalName: Day
        logicalType: date
        logicalTypeOptions: {format: dd/MM/yyyy}
        required: true
      - {name: holder, physicalName: Card holder, required: true}
      - {name: amount, physicalName: Amount, logicalType: number, physicalType: "decimal(12,2)"}
"""


def test_the_example_of_the_page_is_true(tmp_path: Path) -> None:
    delivered, returned, command, printed = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    (tmp_path / "march.csv").write_text(delivered)
    (tmp_path / "card.odcs.yaml").write_text(CONTRACT)
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", *command.split()[1:]],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, printed)
    assert (tmp_path / "march.returned.csv").read_text() == returned
