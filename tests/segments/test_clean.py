"""The rules of a contract, judged in one pass over the rows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.engines.duckdb import Engine, connect, literal
from assay.errors import Misconfigured
from assay.segments.rules import bad_row, judge
from assay.zones.contract import Contract, Rule

RULES = (
    Rule("not_zero", "quarantine", "condition", condition="amount <> 0"),
    Rule("small", "quarantine", "condition", condition="amount < 50"),
    Rule("usual", "warn", "condition", condition="abs(amount) < 10"),
    Rule("named", "warn", "null", fields=("who",)),
    Rule("known", "warn", "invalid", fields=("who",), valid_values=("a", "b")),
)


def contract(*rules: Rule) -> Contract:
    return Contract(Path("contract.yaml"), "c", "1", "active", "c", (), rules=rules)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


def readable(engine: Engine, rows: list[tuple[int | None, str | None]]) -> None:
    values = ", ".join(
        f"({'NULL' if amount is None else amount}, {literal(who)}, {number})"
        for number, (amount, who) in enumerate(rows, start=2)
    )
    engine.run(
        "CREATE OR REPLACE TEMP TABLE readable (amount BIGINT, who VARCHAR, _row BIGINT, _sheet VARCHAR)"
    )
    if rows:
        engine.run(f"INSERT INTO readable (amount, who, _row) VALUES {values}")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.one_of(st.none(), st.integers(-60, 60)), st.sampled_from([None, "a", "b", "c"]))))
def test_one_pass_counts_what_each_rule_counts_alone(
    rows: list[tuple[int | None, str | None]], engine: Engine
) -> None:
    readable(engine, rows)
    found = judge(engine, contract(*RULES), numeric=["amount"])
    before, aside = found.before, found.set_aside
    alone = {rule: engine.row(f"SELECT count(*) FROM readable WHERE {bad_row(rule)}")[0] for rule in RULES}
    any_broken = " OR ".join(str(bad_row(rule)) for rule in RULES)
    assert found.rows_broken == engine.row(f"SELECT count(*) FROM readable WHERE {any_broken}")[0]
    # Unknown is not zero and not below fifty: such a row is set aside too.
    bad = [amount for amount, _ in rows if amount is None or amount == 0 or amount >= 50]
    assert (before.rows, before.sums["amount"]) == (len(rows), Decimal(sum(amount or 0 for amount, _ in rows)))
    assert (aside.rows, aside.sums["amount"]) == (len(bad), Decimal(sum(amount or 0 for amount in bad)))
    assert {finding.rule: finding.count for finding in found.findings} == {r.name: n for r, n in alone.items() if n}
    assert [name for name, _ in found.aside] == [r.name for r in RULES[:2] if alone[r]]


def test_a_condition_that_does_not_run_is_named_with_its_line(engine: Engine) -> None:
    readable(engine, [(1, "a")])
    wrong = Rule("year", "warn", "condition", condition="CAST(who AS BIGINT) > 2000", line=17)
    with pytest.raises(Misconfigured, match="rule year") as caught:
        judge(engine, contract(*RULES, wrong), numeric=["amount"])
    assert caught.value.where == "contract.yaml:17"
