"""assay contract check: the gate on a file, without a platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONTRACT = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: card
status: active
schema:
  - name: card
    quality:
      - {name: positive, type: custom, engine: assay, implementation: amount > 0, customProperties: [%s]}
    customProperties:
      - {property: drift, value: {new_column: hold}}
      - {property: reader, value: {encoding: cp1252}}
    properties:
      - {name: day, physicalName: Day, logicalType: date, required: true}
      - {name: amount, physicalName: Amount, logicalType: number, physicalType: "decimal(12,2)"}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "card.odcs.yaml"
    path.write_text(CONTRACT % "{property: action, value: quarantine}")
    return path


def call(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "assay.cli", "contract", "check", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("Day,Amount\n2026-01-05,1.50\n", 0, "file.csv was accepted: 1 row."),
        ("Day,Amount\n2026-01-05,x\n", 3, "Amount (column B): 1 cell does not fit"),
        ("Day,Amount,More\n2026-01-05,1,2\n", 4, 'Column C "More" is not in the contract'),
        ("Day,Amount\n2026-01-05,-1\n", 0, "1 row breaks the rule positive and is set aside"),
        ("Day,Amount\nnever,1\n2026-01-05,-1\n", 3, "breaks the rule positive"),
        ("", 3, "There is no row of data"),
    ],
)
def test_the_exit_code_says_what_would_become_of_the_file(
    tmp_path: Path, contract: Path, text: str, code: int, words: str
) -> None:
    (tmp_path / "file.csv").write_text(text)
    done = call("file.csv", "--contract", contract, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert words in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"file.csv", "card.odcs.yaml"}, "nothing is left behind"


def test_the_report_is_there_as_json_and_the_file_is_returned(tmp_path: Path, contract: Path) -> None:
    (tmp_path / "file.csv").write_text("Day,Amount\n2026-01-05,x\n2026-01-06,2\n")
    done = call("file.csv", "--contract", contract, "--json", "--return", "back.csv", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == 3
    report = told["report"]
    assert (report["outcome"], report["rows_total"], report["rows_affected"]) == ("rejected", 2, 1)
    (problem,) = report["groups"][0]["problems"]
    assert (problem["kind"], problem["column"], problem["cells"][0]["place"]) == ("type_mismatch", "Amount", "B2")
    assert told["returned"]["form"] == "rows"
    assert len((tmp_path / "back.csv").read_text().splitlines()) == 2


def test_options_stand_in_the_place_of_the_contracts_hints(tmp_path: Path, contract: Path) -> None:
    (tmp_path / "file.txt").write_bytes("Day\tAmount\n2026-01-05\t1\n".encode("utf-16-le"))
    plain = call("file.txt", "--contract", contract, cwd=tmp_path)
    assert plain.returncode == 3
    done = call("file.txt", "--contract", contract, "--encoding", "utf-16-le", "--delimiter", "\\t", cwd=tmp_path)
    assert done.returncode == 0


def test_a_mistake_in_the_call_is_told_without_a_trace(tmp_path: Path, contract: Path) -> None:
    (tmp_path / "file.csv").write_text("Day,Amount\n2026-01-05,1\n")
    missing = call("none.csv", "--contract", contract, cwd=tmp_path)
    assert missing.returncode == 1 and "there is no such file" in missing.stderr
    header = call("file.csv", "--contract", contract, "--header-row", "0", cwd=tmp_path)
    assert header.returncode == 2 and "--header-row" in header.stderr
    dataset = call("file.csv", "--contract", contract, "--dataset", "cards", cwd=tmp_path)
    assert dataset.returncode == 2 and "xpected: card" in dataset.stderr


def test_no_database_is_imported_for_it(tmp_path: Path, contract: Path) -> None:
    (tmp_path / "file.csv").write_text("Day,Amount\n2026-01-05,1\n")
    probe = (
        "import sys; from assay.cli import assay\n"
        "assay.main(['contract', 'check', 'file.csv', '--contract', 'card.odcs.yaml'], standalone_mode=False)\n"
        "print(sorted({'psycopg', 'pyiceberg', 'sqlalchemy', 'openpyxl'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
