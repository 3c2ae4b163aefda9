"""assay contract infer and assay contract diff, as typed in a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.cli import assay
from assay.errors import Rejected, Usage
from assay.zones.contract import load_contract


def run(*arguments: object) -> Result:
    return CliRunner().invoke(assay, ["contract", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    lines = [f"A{n},2025-01-{n + 1:02d},{n}.50" for n in range(24)]
    made = []
    for month, part in (("01", lines[:12]), ("02", lines[12:])):
        made.append(tmp_path / f"card-2025-{month}.csv")
        made[-1].write_text("\n".join(["Invoice no,Booked on,Amount", *part]) + "\n")
    return made


def test_infer_prints_a_contract_to_stdout_and_the_next_step_to_stderr(files: list[Path], tmp_path: Path) -> None:
    result = run("infer", *files)
    assert result.exit_code == 0
    out = tmp_path / "printed.odcs.yaml"
    out.write_text(result.stdout)
    assert [str(field.type) for field in load_contract(out).fields] == ["text", "date", "decimal(12,2)"]
    assert "card-2025-02.csv: 12 rows" in result.stdout
    assert result.stderr.startswith("Next: judge the guesses")
    assert 'files: ["card-*.csv"]' in result.stderr
    assert "load: {mode: upsert}  # by invoice_no" in result.stderr


def test_infer_writes_a_new_file_named_as_the_dataset_and_never_over_an_old_one(
    files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "contracts" / "card_line.odcs.yaml"
    assert run("infer", *files, "-o", out).exit_code == 0
    assert load_contract(out).dataset == "card_line"
    before = out.read_text()
    result = run("infer", *files, "-o", out)
    assert isinstance(result.exception, Usage)
    assert out.read_text() == before


def test_infer_tells_every_guess_as_json(files: list[Path]) -> None:
    value = json.loads(run("infer", *files, "--json", "--name", "card").stdout)
    amount = next(field for field in value["fields"] if field["name"] == "amount")
    assert (value["name"], amount["type"]) == ("card", "decimal(12,2)")
    assert amount["guesses"][0]["what"] == "logicalType"
    assert "24 cells are numbers" in amount["guesses"][0]["evidence"]
    assert value["keys"][0]["value"] == ["invoice_no"]
    assert value["contract"].startswith("# A proposal")


@pytest.mark.parametrize("arguments", [("--name", "Card Lines"), ("--delimiter", ";;")], ids=["name", "delimiter"])
def test_infer_refuses_an_option_that_cannot_be_meant(files: list[Path], arguments: tuple[str, str]) -> None:
    assert isinstance(run("infer", *files, *arguments).exception, Usage)


def test_infer_says_which_sheet_names_there_are(tmp_path: Path) -> None:
    import xlsxwriter

    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("Lines")
        sheet.write_row(0, 0, ["Team", "Amount"])
        sheet.write_row(1, 0, ["Roads", 2.5])
    error = run("infer", path, "--sheet", "Line").exception
    assert isinstance(error, Rejected)
    assert '"Lines"' in error.what and error.next == "name one of them with --sheet"
    assert run("infer", path, "--sheet", "Lines").exit_code == 0


def test_diff_exits_with_0_when_compatible_and_with_1_when_breaking(files: list[Path], tmp_path: Path) -> None:
    old, wider, narrower = (tmp_path / f"{name}.odcs.yaml" for name in ("old", "wider", "narrower"))
    text = run("infer", *files, "--name", "card").stdout
    old.write_text(text)
    wider.write_text(text.replace("decimal(12,2)", "decimal(14,2)").replace("version: 0.1.0", "version: 0.1.1"))
    narrower.write_text(text.replace("decimal(12,2)", "decimal(10,2)").replace("version: 0.1.0", "version: 0.2.0"))
    same, compatible, breaking = run("diff", old, old), run("diff", old, wider), run("diff", old, narrower)
    assert (same.exit_code, compatible.exit_code, breaking.exit_code) == (0, 0, 1)
    assert same.stdout == "the contracts say the same\n"
    assert "decimal(14,2)" in compatible.stdout
    told = json.loads(run("diff", old, narrower, "--json").stdout)
    assert (told["compatible"], [one["kind"] for one in told["differences"]]) == (False, ["type_narrowed"])
    assert told["differences"][0]["line"] is not None
