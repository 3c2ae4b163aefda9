"""`decide` answers as the tables of docs/explanation/permissions.md say, by an oracle that was written from them."""

from __future__ import annotations

import random

import pytest
from tests.security.oracle import Facts
from tests.security.worlds import Question, expected, questions, random_question, random_world, small_worlds, world

from assay.security.decide import decide

#: Questions to one random world, before another is drawn.
PER_WORLD = 100


def _disagreement(facts: Facts, made: object, question: Question) -> str | None:
    found = decide(made, *question)  # type: ignore[arg-type]
    wanted = expected(facts, question)
    return None if found.allowed == wanted else f"{question}: {found}, the tables say {wanted}; {facts}"


def _small(*, pairs: bool) -> tuple[int, int]:
    asked = allowed = 0
    for facts in small_worlds(pairs=pairs):
        made = world(facts)
        for question in questions(facts):
            problem = _disagreement(facts, made, question)
            assert problem is None, problem
            asked += 1
            allowed += expected(facts, question)
    return asked, allowed


def _drawn(count: int, seed: int) -> tuple[int, int]:
    lot = random.Random(seed)
    allowed = 0
    for _ in range(count // PER_WORLD):
        facts = random_world(lot)
        made = world(facts)
        for _ in range(PER_WORLD):
            question = random_question(lot, facts)
            problem = _disagreement(facts, made, question)
            assert problem is None, problem
            allowed += expected(facts, question)
    return count, allowed


def test_every_question_about_small_worlds_is_answered_as_the_tables_say() -> None:
    asked, allowed = _small(pairs=False)
    assert asked > 50_000 and 0.05 < allowed / asked < 0.5


def test_questions_drawn_by_lot_are_answered_as_the_tables_say() -> None:
    asked, allowed = _drawn(20_000, seed=1)
    assert 0.05 < allowed / asked < 0.6


@pytest.mark.slow
def test_every_set_of_roles_decides_as_the_tables_say() -> None:
    asked, _ = _small(pairs=True)
    assert asked > 390_000


@pytest.mark.slow
def test_a_million_questions_drawn_by_lot_are_answered_as_the_tables_say() -> None:
    _drawn(1_000_000, seed=2)
