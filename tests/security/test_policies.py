"""The shipped policies: valid, explained, the same for every zone, and none without effect."""

from __future__ import annotations

import random

import cedarpy
import pytest
from cedarpy import pst
from tests.security.worlds import expected, questions, random_question, random_world, small_worlds, world

from assay.security import cedar
from assay.security import decide as deciding
from assay.security.decide import decide

#: Guards against a grant to a segment, which `zone_policies` refuses before it comes so far.
NEVER_ALONE = {"segments-stay-home", "within-token"}


def test_the_policies_fit_the_schema() -> None:
    for name, text in cedar.shipped():
        assert cedar.schema_errors(text) == [], name


def test_every_policy_has_a_name_and_says_what_it_is_for() -> None:
    found = [one for name, text in cedar.shipped() for one in cedar.described(text, name)]
    assert len({one.id for one in found}) == len(found) > 15
    for one in found:
        assert one.because.endswith("."), one.id


def test_the_policies_name_no_zone_and_no_person() -> None:
    for _, text in cedar.shipped():
        for policy in cedar.parsed(text):
            for entity in pst.entity_uids(policy):
                assert str(entity.type) in ("Action", "FieldClass") or str(entity) in (
                    'Role::"auditor"', 'Role::"administrator"',
                )  # fmt: skip


@pytest.mark.parametrize("left_out", sorted(cedar.shipped_policies().keys() - NEVER_ALONE))
def test_the_oracle_notices_when_a_policy_is_missing(left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for _, file in cedar.shipped() for text in _texts(file)]
    text = "\n".join(text for text in texts if f'@id("{left_out}")' not in text)
    smaller = cedarpy.PolicySet.from_str(text)
    assert len(smaller) == len(cedar.shipped_policies()) - 1
    monkeypatch.setattr(cedar, "policy_set", lambda own: smaller.with_added_str("\n".join(own)) if own else smaller)
    deciding._decided.cache_clear()
    try:
        assert _disagrees()
    finally:
        deciding._decided.cache_clear()


def _texts(file: str) -> list[str]:
    return [f'@id("{part}' for part in file.split('@id("')[1:]]


def _disagrees() -> bool:
    lot = random.Random(3)
    for _ in range(400):
        facts = random_world(lot)
        made = world(facts)
        for _ in range(50):
            question = random_question(lot, facts)
            if decide(made, *question).allowed != expected(facts, question):
                return True
    return any(
        decide(made, *question).allowed != expected(facts, question)
        for facts in small_worlds(pairs=False)
        for made in [world(facts)]
        for question in questions(facts)
    )
