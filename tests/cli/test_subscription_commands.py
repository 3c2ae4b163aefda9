"""Asking and deciding by command: who may, who is told what, and what both sides see."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from tests.cli.test_every_command import call
from tests.pipelines.test_grants import OFFER, READER, offer

from assay.errors import Denied, Misconfigured, NotFound, Usage
from shop_project import Shop

OWNER, READS = "owner@example.org", "r@example.org"


@pytest.fixture
def two(shop: Shop) -> Shop:
    """A zone that asks for what another one offers."""
    offer(shop, OFFER + "  secret: {dataset: operational.goods, consumers: [shop]}\n")
    for name, text in READER.items():
        shop.write(name, text)
    assert call(shop, "apply", user=OWNER).exit_code == 0
    return shop


def said(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_owner_sees_the_request_in_status_decides_and_both_sides_see_why(two: Shop) -> None:
    waits = call(two, "status", user=OWNER)
    line = next(line for line in waits.stdout.splitlines() if "shop.sale" in line)
    assert line.split("  ")[-1] == "to compare" and "zone reader" in line and "requested" in line
    assert waits.stderr.splitlines()[-1] == "Next: assay subscription show 1"
    call(two, "subscription approve 1 --reason 'they compare' --until 2999-12-31", user=OWNER)
    for user in (OWNER, READS):
        (one,) = said(call(two, "subscription list --json", user=user))
        assert (one["state"], one["by"], one["reason"]) == ("granted", OWNER, "they compare")
        assert one["until"].startswith("3000-01-01")
    history = said(call(two, "subscription show 1 --json", user=READS))["history"]
    assert [step["state"] for step in history] == ["requested", "granted"]
    assert "subscriptions" in said(call(two, "status --json", user=READS))


def test_only_the_owner_of_the_publishing_zone_decides(two: Shop) -> None:
    for decision in ("approve", "refuse", "revoke", "expire"):
        refused = call(two, f"subscription {decision} 1 --reason mine", user=READS)
        assert isinstance(refused.exception, Denied)
    assert said(call(two, "subscription list --json", user=OWNER))[0]["state"] == "requested"
    denied = said(call(two, "audit list --outcome deny --action publish --json", user=OWNER))
    assert {one["actor"] for one in denied} == {READS}


def test_a_stranger_learns_of_nothing(two: Shop) -> None:
    assert said(call(two, "subscription list --json", user="stranger")) == []
    assert said(call(two, "publication list --json", user="stranger")) == []
    for words in ("subscription show 1", "subscription approve 1 --reason x", "publication show shop.sale"):
        assert isinstance(call(two, words, user="stranger").exception, NotFound)


def test_what_is_offered_to_others_alone_is_answered_like_what_is_not_there(two: Shop) -> None:
    assert [one["publication"] for one in said(call(two, "publication list --json", user=READS))] == ["shop.sale"]
    assert len(said(call(two, "publication list --json", user=OWNER))) == 2
    answers = [
        str(call(two, f"{words} shop.{name}{more}", user=READS).exception).replace(name, "x")
        for words, more in (("publication show", ""), ("subscription request", " --for reader --purpose p"))
        for name in ("secret", "nought")
    ]
    assert answers[0] == answers[1] and answers[2] == answers[3]


def test_a_publication_shows_its_columns_and_its_subscribers_to_its_owner(two: Shop) -> None:
    shown = call(two, "publication show shop.sale", user=OWNER).stdout
    assert "number" in shown and "goods" in shown and "amount" not in shown and "zone reader" in shown


def test_a_zone_asks_anew_only_for_what_its_file_subscribes_to(two: Shop) -> None:
    call(two, "subscription refuse 1 --reason no", user=OWNER)
    again = said(call(two, "subscription request shop.sale --for reader --purpose please --json", user=READS))
    assert again["state"] == "requested" and again["id"] == 2
    assert isinstance(
        call(two, "subscription request shop.sale --for shop --purpose x", user=OWNER).exception, Misconfigured
    )
    assert isinstance(
        call(two, "subscription request shop.sale --for reader --purpose x", user="stranger").exception, Denied
    )


def test_a_user_asks_for_himself_and_not_for_others(two: Shop) -> None:
    mine = said(call(two, "subscription request shop.sale --purpose study --json", user="u@example.org"))
    assert (mine["kind"], mine["subscriber"]) == ("user", "u@example.org")
    assert [one["id"] for one in said(call(two, "subscription list --json", user="u@example.org"))] == [mine["id"]]
    other = call(two, "subscription request shop.sale --for-user v@example.org --purpose x", user="u@example.org")
    assert isinstance(other.exception, Denied)


def test_a_user_cancels_his_own_and_nobody_elses(two: Shop) -> None:
    mine = said(call(two, "subscription request shop.sale --purpose study --json", user="u@example.org"))["id"]
    unknown = call(two, "subscription cancel 99 --reason x", user="v@example.org").exception
    for user in ("v@example.org", READS, OWNER):
        other = call(two, f"subscription cancel {mine} --reason x", user=user).exception
        assert isinstance(other, NotFound) and str(other).replace(f" {mine} ", " 99 ") == str(unknown)
    done = call(two, f"subscription cancel {mine} --reason 'it is finished'", user="u@example.org")
    assert done.exit_code == 0 and done.stderr == ""
    for user in ("u@example.org", OWNER):
        one = said(call(two, f"subscription show {mine} --json", user=user))
        assert (one["state"], one["by"], one["reason"]) == ("cancelled", "u@example.org", "it is finished")
    again = call(two, f"subscription cancel {mine} --reason x", user="u@example.org").exception
    assert isinstance(again, Usage) and "is cancelled and cannot become cancelled" in str(again)


def test_the_owner_of_the_subscribing_zone_cancels_for_it_and_is_told_of_the_line_in_its_file(two: Shop) -> None:
    call(two, "subscription approve 1 --reason 'they compare'", user=OWNER)
    offer(two, "stewards: [s@example.org]\n" + OFFER)
    assert call(two, "apply", user=OWNER).exit_code == 0
    assert said(call(two, "subscription list --json", user="s@example.org"))[0]["id"] == 1
    for user, answer in (("stranger", NotFound), ("s@example.org", NotFound), ("a@example.org", Denied)):
        assert isinstance(call(two, "subscription cancel 1 --reason x", user=user).exception, answer), user
    done = call(two, "subscription cancel 1 --reason 'we compare no more'", user=READS)
    assert done.exit_code == 0 and "cancelled" in done.stdout
    told, last = done.stderr.splitlines()
    assert told.startswith("zone.yaml of reader still subscribes to shop.sale") and last.endswith("then assay apply")
    assert "reader has cancelled shop.sale, to which zone.yaml still subscribes" in call(two, "plan", user=READS).stdout
    assert "cancelled" not in call(two, "plan", user="s@example.org").stdout
    denied = said(call(two, "audit list --outcome deny --action publish --json", user=READS))
    assert [one["actor"] for one in denied] == ["a@example.org"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("subscription approve 1 --reason x --until 2001-01-01", "2001-01-02 has passed"),
        ("subscription revoke 1 --reason x", "is requested and cannot become revoked"),
        ("subscription verify 1", "is requested: it opens nothing"),
        ("subscription list --state grantd", "there is no state grantd"),
        ("subscription request shop.sale --for reader --for-user u --purpose x", "for a zone or for a user"),
    ],
)
def test_a_mistake_is_said_in_words(two: Shop, words: str, what: str) -> None:
    refused = call(two, words, user=OWNER).exception
    assert isinstance(refused, Usage) and what in str(refused)


def test_a_grant_can_be_verified_by_hand(two: Shop) -> None:
    call(two, "subscription approve 1 --reason 'they compare'", user=OWNER)
    found = said(call(two, "subscription verify 1 --json", user=OWNER))
    assert found["state"] == "granted" and found["verified_at"]
