"""How many rows have something wrong, and what a finding shows of the cells in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engines.duckdb import Engine, connect
from assay.segments.exact import Examination
from assay.segments.examine import examine
from assay.segments.rules import judge
from assay.zones.contract import Contract, Drift, Field, Rule
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

TEXT, WHOLE = FieldType("string"), FieldType("integer")
SECRET = Field("card", TEXT, ("card",), required=True, classification="restricted")
COUNT = Field("n", WHOLE, ("n",), required=True)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


def contract(*fields: Field, rules: tuple[Rule, ...] = (), **drift: Any) -> Contract:
    return Contract(Path("c.yaml"), "c", "1", "active", "c", fields, rules=rules, drift=Drift(**drift))


def look(engine: Engine, folder: Path, text: str, wanted: Contract, **hints: Any) -> Examination:
    path = folder / "file.csv"
    path.write_text(text)
    return examine(path, wanted, ReaderHints(**hints), engine, folder)


ROW = st.tuples(st.sampled_from(["1", "x", ""]), st.sampled_from(["2", "y", ""]), st.sampled_from(["", ",more"]))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_each_row_with_something_wrong_counts_once(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    wanted = contract(Field("a", WHOLE, ("a",)), Field("b", WHOLE, ("b",), required=True))
    text = "a,b\n" + "".join(f"{a},{b}{more}\n" for a, b, more in rows)
    found = look(engine, tmp_path_factory.mktemp("rows"), text, wanted)
    filled = [row for row in rows if any(row)]
    wrong = [row for row in filled if row[0] == "x" or row[1] in ("", "y") or row[2]]
    assert (found.rows_total, found.rows_affected) == (len(filled), len(wrong))


def test_the_quick_pass_counts_the_same_rows(engine: Engine, tmp_path: Path) -> None:
    found = look(engine, tmp_path, "card,n\na,1\nb,2\n", contract(SECRET, COUNT))
    assert (found.way, found.rows_total, found.rows_affected) == ("quick", 2, 0)
    assert [(column.field, column.letter, column.header) for column in found.columns] == [
        ("card", "A", "card"), ("n", "B", "n"),
    ]  # fmt: skip


def shown(found: Examination) -> str:
    return json.dumps([finding.to_dict() for finding in found.findings])


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        # a file without its header: the first row of data stands where the header is looked for
        ("topsecret,1\ntopsecret,2\n", {}),
        # rows that are left out, or take part in no column
        ("card,n\ntopsecret,1\ntopsecret,2\n", {"skip": ("^top",)}),
        ("card,n\nA,1\ntopsecret,\n", {"group_rows": "card"}),
        ("card,n\nA,x\ntopsecret,y\n", {}),
    ],
)
def test_no_finding_shows_a_text_of_a_sensitive_column(
    engine: Engine, tmp_path: Path, text: str, hints: dict[str, Any]
) -> None:
    found = look(engine, tmp_path, text, contract(SECRET, COUNT), **hints)
    assert found.findings and "topsecret" not in shown(found)


def test_undeclared_rows_show_the_first_text_where_its_column_is_not_sensitive(engine: Engine, tmp_path: Path) -> None:
    text = "note,card,n\n,A,1\nTotal,,\n"
    wanted = contract(Field("note", TEXT, ("note",)), SECRET, COUNT)
    (finding,) = look(engine, tmp_path, text, wanted).findings
    assert [(cell.column, cell.found) for cell in finding.cells] == [("A", "Total")]
    hidden = contract(Field("note", TEXT, ("note",), classification="pii"), SECRET, COUNT)
    (finding,) = look(engine, tmp_path, text, hidden).findings
    assert [(cell.column, cell.found) for cell in finding.cells] == [("A", "Xxxxx")]


def test_rules_mask_the_values_of_sensitive_fields(engine: Engine, tmp_path: Path) -> None:
    rules = (
        Rule("known", "quarantine", "invalid", ("card",), valid_values=("A",)),
        Rule("largest", "warn", "sql", ("card",), query="SELECT max(card) FROM {object}"),
        Rule("small", "warn", "condition", condition="n < 5"),
    )
    wanted = contract(SECRET, COUNT, rules=rules)
    found = look(engine, tmp_path, "card,n\ntopsecret,9\nA,1\n", wanted)
    engine.run(f"CREATE OR REPLACE TEMP VIEW readable AS SELECT * FROM {found.rows}")
    judgement = judge(engine, wanted)
    assert [finding.rule for finding in judgement.findings] == ["known", "largest", "small"]
    assert "topsecret" not in json.dumps([finding.to_dict() for finding in judgement.findings])
    assert engine.row(f"SELECT count(*) FROM readable WHERE {judgement.broken}") == (1,)
    assert [rule for rule, _ in judgement.aside] == ["known"]
    assert [finding.rule for finding in judge(engine, wanted, whole=False).findings] == ["known", "small"]
