"""A mistake in a project's files is answered with file, line, what was expected and the nearest known word."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.errors import Misconfigured
from assay.examples.expenses import write_example
from assay.zones.project import load_project

ZONE = "zones/corporate_finance"
PIPELINE = f"{ZONE}/expenses"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_example(tmp_path)
    return tmp_path


def refused(project: Path) -> list[Misconfigured]:
    """Every problem that loading the project names."""
    with pytest.raises(Misconfigured) as caught:
        load_project(project)
    return list(caught.value.problems or (caught.value,))


#: file, the text that stands there, what it becomes, how far below it the named line is, words of the message.
MISTAKES = [
    pytest.param("assay.yaml", "postgres:", "postgress:", 0, ["unknown key", "postgres?"], id="unknown key, platform"),
    pytest.param("assay.yaml", "postgres: embedded", "postgres: 7", 0, ["postgres", "string", "7"], id="wrong type"),
    pytest.param("assay.yaml", "name:", "nam:", 0, ["the key name is missing"], id="missing key"),
    pytest.param(f"{ZONE}/zone.yaml", "owner:", "ownr:", 0, ["unknown key ownr", "owner?"], id="unknown key, zone"),
    pytest.param(
        f"{ZONE}/zone.yaml", "purpose:", "porpoise:", 0, ["unknown key", "purpose?"], id="unknown key within a list"
    ),
    pytest.param(
        f"{ZONE}/zone.yaml", "reference.currency,", "reference.curency,", 0,
        ["nobody publishes", "reference.currency"], id="subscription to nothing",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "steward: never", "steward: sometimes", 0,
        ["steward", "always, on_finding, never", "sometimes"], id="unknown word",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "mode: upsert", "mode: upset", 0, ["mode", "'upsert'", "upset"], id="unknown mode"
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "load: {mode: upsert}", "lode: {mode: upsert}", 0, ["unknown key", "load?"],
        id="unknown key of a source",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "files: [\"ledger-*.csv\"]", "files: ledger-*.csv", 0, ["files", "list"],
        id="a text for a list",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "by: [period]", "by: [perriod]", 0, ["columns perriod", "period"],
        id="replace by a column that no table has",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "precedence: [ledger", "precedence: [leger", 0, ["leger", "ledger"],
        id="precedence of an unknown source",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "  card:\n", "  card:\n    contract: contracts/crd.odcs.yaml\n", 1,
        ["contracts/crd.odcs.yaml", "does not exist", "contracts/card.odcs.yaml"], id="a contract that does not exist",
    ),
    pytest.param(
        f"{PIPELINE}/contracts/card.odcs.yaml", "physicalName: Date", "physicalNam: Date", 0,
        ["unknown key physicalNam", "physicalName?"], id="unknown key of a contract",
    ),
    pytest.param(
        f"{PIPELINE}/contracts/card.odcs.yaml", "logicalType: date\n", "logicalType: dat\n", 0,
        ["logicalType dat is not known", "date"], id="unknown type",
    ),
    pytest.param(
        f"{PIPELINE}/contracts/card.odcs.yaml", "decimal(14,2)", "decimal(99,2)", 0,
        ["decimal(99,2) is not a decimal", "p up to 38"], id="a decimal that is none",
    ),
    pytest.param(
        f"{PIPELINE}/contracts/card.odcs.yaml", "value: halt", "value: hold", -4,
        ["the action hold does not fit", "halt"], id="unknown action",
    ),
    pytest.param(
        f"{PIPELINE}/operational/expense_line.odcs.yaml", "to: merchant.code", "to: merchnt.code", 0,
        ["the table merchnt, which does not exist", "merchant"], id="a key to a table that does not exist",
    ),
    pytest.param(
        f"{PIPELINE}/pipeline.yaml", "title: Expenses", "title: [Expenses", 1, ["the YAML cannot be read"],
        id="broken YAML",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("file", "right", "wrong", "below", "words"), MISTAKES)
def test_a_mistake_is_named_with_its_place_and_the_nearest_word(
    project: Path, file: str, right: str, wrong: str, below: int, words: list[str]
) -> None:
    path = project / file
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    line = text[: text.index(right)].count("\n") + 1 + below
    named = [problem for problem in refused(project) if problem.file == str(path)]
    assert line in {problem.line for problem in named}, [str(problem) for problem in named]
    said = [str(problem) for problem in named if problem.line == line]
    assert any(all(word in one for word in words) for one in said), said


@pytest.mark.parametrize(
    ("file", "named", "words"),
    [
        (f"{ZONE}/zone.yaml", f"{ZONE}/zone.yaml", "there is no such file"),
        (f"{PIPELINE}/pipeline.yaml", f"{PIPELINE}/pipeline.yaml", "there is no such file"),
        (f"{PIPELINE}/contracts/ledger.odcs.yaml", f"{PIPELINE}/pipeline.yaml", "of source ledger does not exist"),
        (f"{PIPELINE}/analytical/expense_wide.sql", f"{PIPELINE}/analytical/expense_wide.sql", "cannot be read"),
        (f"{PIPELINE}/operational/merchant.odcs.yaml", f"{PIPELINE}/conform/card/merchant.sql",
         "there is no canonical table merchant"),
    ],
)  # fmt: skip
def test_a_missing_file_is_named(project: Path, file: str, named: str, words: str) -> None:
    (project / file).unlink()
    said = [str(problem) for problem in refused(project) if problem.file == str(project / named)]
    assert any(words in one for one in said), said


LEDGER, CARD = f"{PIPELINE}/contracts/ledger.odcs.yaml", f"{PIPELINE}/contracts/card.odcs.yaml"
CURRENCIES = "zones/reference/codes/contracts/currencies.odcs.yaml"


@pytest.mark.parametrize("files", [(LEDGER, CARD, CURRENCIES), (f"{ZONE}/zone.yaml", LEDGER, CURRENCIES)])
def test_every_mistake_is_told_at_once(project: Path, files: tuple[str, ...]) -> None:
    for file in files:
        path = project / file
        path.write_text("colour: blue\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert {problem.file for problem in refused(project)} == {str(project / file) for file in files}
