"""A source has its turn after those whose rows its rows refer to, and waits for no other."""

from __future__ import annotations

from pathlib import Path

from assay.examples.expenses import write_example
from assay.pipelines.order import in_order, source_order, source_rank
from assay.zones.project import load_project


def test_sources_that_do_not_refer_to_each_other_share_a_turn(tmp_path: Path) -> None:
    write_example(tmp_path)
    project = load_project(tmp_path)
    expenses = project.zones["corporate_finance"].pipelines["expenses"]
    assert {source_rank(expenses, name) for name in expenses.sources} == {0}
    codes = project.zones["reference"].pipelines["codes"]
    ranks = {name: source_rank(codes, name) for name in codes.sources}
    assert [ranks[name] for name in source_order(codes)] == sorted(ranks.values())
    for name, source in codes.sources.items():
        for table in source.conform:
            for key in codes.operational[table].contract.foreign_keys:
                filling = [other for other, one in codes.sources.items() if key.table in one.conform and other != name]
                assert all(ranks[other] < ranks[name] for other in filling)


def test_a_publisher_has_its_turn_before_its_subscribers(tmp_path: Path) -> None:
    write_example(tmp_path)
    assert [f"{one.zone}/{one.name}" for one in in_order(load_project(tmp_path))] == [
        "reference/codes",
        "corporate_finance/expenses",
    ]
