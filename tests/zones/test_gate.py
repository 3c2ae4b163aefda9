"""The steward's gate in pipeline.yaml: a word, or a mapping; what is wrong is said with its line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from assay.errors import Misconfigured
from assay.pipelines.gate_check import check_gates
from assay.zones.gate import Gate, span
from assay.zones.project import load_project
from assay.zones.schemas import json_schemas
from shop_project import Shop

MAPPING = """steward:
  default: on_finding
  kinds: {personal_data: always, amount_not_zero: never}
  four_eyes: false
  remind_after: 2 days
  escalate_after: 1 week
  escalate_to: [head@example.org]
"""


def gate(shop: Shop, text: str) -> Gate:
    shop.edit("pipeline.yaml", "steward: never\n", text)
    project = load_project(shop.root)
    check_gates(project)
    return project.zones["shop"].pipelines["sales"].gate


@pytest.mark.parametrize("word", ["always", "on_finding", "never"])
def test_one_word_is_the_default_of_a_gate(standing: Shop, word: str) -> None:
    assert gate(standing, f"steward: {word}\n") == Gate(word)  # type: ignore[arg-type]  # the words of the parameters


def test_no_gate_lets_pass(standing: Shop) -> None:
    assert gate(standing, "") == Gate("never")


def test_a_mapping_says_it_by_kind_and_rule_and_whom_to_tell_when(standing: Shop) -> None:
    kinds = {"personal_data": "always", "amount_not_zero": "never"}
    assert gate(standing, MAPPING) == Gate(
        "on_finding", kinds, False, timedelta(days=2), timedelta(weeks=1), ("head@example.org",)
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("steward: sometimes\n", 2, "always, on_finding, never"),
        ("steward:\n  defalt: always\n", 3, "defalt"),
        ("steward:\n  kinds: {rule: maybe}\n", 3, "maybe"),
        ("steward:\n  remind_after: tomorrow\n", 3, "remind_after"),
        ("steward:\n  escalate_to: [x]\n", 2, "escalate_after"),
        ("steward:\n  kinds:\n    personal_dat: always\n", 4, "personal_dat"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(standing: Shop, text: str, line: int, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        gate(standing, text)
    assert (caught.value.where or "").endswith(f"pipeline.yaml:{line}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "length"), [("1 minute", timedelta(minutes=1)), ("36 hours", timedelta(hours=36))]
)
def test_a_span_of_time(text: str, length: timedelta) -> None:
    assert span(text) == length


@pytest.mark.parametrize("text", ["", "2", "0 days", "-1 day", "two days", "2days", "1 day "])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(ValueError):
        span(text)


def test_editors_offer_the_word_and_the_mapping() -> None:
    steward = json_schemas()["pipeline"]["properties"]["steward"]
    assert [sorted(option) for option in steward["anyOf"]] == [["enum"], ["$ref"]]
