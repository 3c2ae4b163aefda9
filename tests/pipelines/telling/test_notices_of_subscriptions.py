"""Messages of subscriptions: each side is told what the other one did, and of neither more than it may know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers import Mails, Posted
from tests.pipelines.test_grants import OFFER, READER, only

from assay.catalog import notifications
from assay.pipelines.grants import cancel, decide, request, verify_due
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.subscriptions import publication_of
from assay.pipelines.telling.tell import tell
from shop_project import Shop

PUBLISHER = "title: Shop\nowner: owner@example.org\n"
ASKED = "notify:\n  - {on: [requested, cancelled], to: [owner]}\n"
DECIDED = "  - {on: [granted, refused, revoked, expired], to: [subscriber]}\n"


def setting(shop: Shop, mails: Mails, publisher: str = "", reader: str = "", offer: str = OFFER) -> None:
    """The shop offers its sales and a zone `reader` asks for them; each has its own `notify`."""
    server = f"{{host: 127.0.0.1, port: {mails.port}, security: none, from: assay@example.org}}"
    shop.edit("assay.yaml", "{data: data,", f"{{data: data, mail: {server},")
    for name, text in READER.items():
        shop.write(name, text)
    shop.write("zones/shop/zone.yaml", PUBLISHER + offer + publisher)
    shop.write("zones/reader/zone.yaml", READER["zones/reader/zone.yaml"] + reader)
    with shop.opened() as platform:
        apply(platform)


def sent(mails: Mails) -> list[tuple[str, str]]:
    return list(zip(mails.recipients, (str(one["Subject"]) for one in mails.taken), strict=True))


def ask_as(platform: Platform, user: str, purpose: str = "a study") -> int:
    return request(platform, publication_of(platform.project, "shop.sale"), "user", user, purpose).id


def undelivered(platform: Platform, zone: str) -> list[tuple[str, str]]:
    return [(one.event, one.recipient) for one in notifications.undelivered(platform.connection, [zone])]


def test_the_owner_is_told_who_asks_and_the_subscriber_what_was_decided(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, ASKED + DECIDED)
    assert sent(mails) == [("owner@example.org", "[shop] shop.sale is asked for by zone reader")]
    text = str(mails.taken[0].get_content())
    assert text.startswith("shop.sale is asked for by zone reader; the owner decides.")
    assert "Publication: shop.sale" in text and "Purpose:     to compare" in text and "Pipeline" not in text
    assert "Reason" not in text and "Next: assay subscription show 1" in text
    with shop.opened() as platform:
        decide(platform, 1, "granted", "they compare")
        decide(platform, 1, "revoked", "they\ncompare no more")
        assert tell(platform) == 0, "each once"
    assert sent(mails)[1:] == [
        ("r@example.org", "[shop] shop.sale is granted to zone reader"),
        ("r@example.org", "[shop] shop.sale is revoked from zone reader"),
    ]
    assert "Reason:    they\\ncompare no more" in mails.taken[-1].get_content()


def test_a_user_is_told_of_his_request_and_no_message_names_him(shop: Shop, mails: Mails, posted: Posted) -> None:
    hook = f"  - {{on: [requested, refused, cancelled, expired], webhook: '{posted.url}'}}\n"
    setting(shop, mails, ASKED + DECIDED + hook)
    del mails.taken[:], mails.recipients[:], posted.documents[:]
    with shop.opened() as platform:
        decide(platform, ask_as(platform, "u@example.org"), "refused", "not settled yet")
        cancel(platform, ask_as(platform, "u@example.org"), "no need")
        number = ask_as(platform, "u@example.org")
        decide(platform, number, "granted", "now it is")
        platform.connection.execute(
            "UPDATE assay.subscription SET until = clock_timestamp() - interval '1 second' WHERE id = %s", (number,)
        )
        verify_due(platform)
        tell(platform)
    words = [(to, subject.removeprefix("[shop] shop.sale ").partition(" a user")[0]) for to, subject in sent(mails)]
    assert words == [
        ("owner@example.org", "is asked for by"), ("u@example.org", "is refused to"),
        ("owner@example.org", "is asked for by"), ("owner@example.org", "is cancelled by"),
        ("owner@example.org", "is asked for by"), ("u@example.org", "is granted to"),
        ("u@example.org", "has expired for"),
    ]  # fmt: skip
    assert [one["event"]["kind"] for one in posted.documents] == [
        "requested", "refused", "requested", "cancelled", "requested", "expired",
    ]  # fmt: skip
    assert posted.documents[1]["subscription"] == {
        "id": 2, "publication": "shop.sale", "subscriber": "a user", "purpose": "a study", "until": None,
    }  # fmt: skip
    assert (posted.documents[1]["reason"], posted.documents[1]["by"]) == ("not settled yet", None)
    texts = json.dumps(posted.documents) + "".join(str(one.get_content()) for one in mails.taken)
    assert "u@example" not in texts


def test_the_subscribing_zone_asks_for_itself_and_is_not_told_what_it_asked(
    shop: Shop, mails: Mails, posted: Posted
) -> None:
    every = "requested, granted, refused, revoked, expired, broken, ended, cancelled"
    setting(shop, mails, reader=f"notify:\n  - {{on: [{every}], to: [owner]}}\n"
                                f"  - {{on: [{every}], webhook: '{posted.url}'}}\n")  # fmt: skip
    with shop.opened() as platform:
        ask_as(platform, "u@example.org")
        assert mails.taken == [] and posted.documents == []
        decide(platform, 1, "granted", "they compare")
    assert sent(mails) == [("r@example.org", "[shop] shop.sale is granted to zone reader")]
    assert posted.documents[0]["text"] == "shop.sale is granted to zone reader."


def test_what_does_not_get_through_is_shown_to_the_zone_that_asked_for_it(shop: Shop, mails: Mails) -> None:
    hook = "notify:\n  - {on: [granted], webhook: '${NOT_SET}'}\n"
    setting(shop, mails, "notify:\n  - {on: [granted], to: [steward]}\n", hook)
    with shop.opened() as platform:
        decide(platform, 1, "granted", "they compare")
        assert undelivered(platform, "shop") == [("granted", "steward of shop")]
        assert undelivered(platform, "reader") == [("granted", "${NOT_SET}")]


def test_what_is_granted_at_once_waits_for_nobody(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, ASKED + DECIDED, offer=OFFER.replace("]}", "], auto_approve: {zones: [reader]}}"))
    assert sent(mails) == [("r@example.org", "[shop] shop.sale is granted to zone reader")]


def test_why_a_grant_is_broken_stands_in_no_message(shop: Shop, mails: Mails, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.pipelines import grants

    setting(shop, mails, "notify:\n  - {on: [broken], to: [owner, subscriber]}\n")
    monkeypatch.setattr(grants._Trial, "problem", lambda *_: "it cannot be read: could not convert 'Jane'")
    with shop.opened() as platform:
        decide(platform, 1, "granted", "they compare")
        assert only(platform).state == "broken"
    assert mails.recipients == ["owner@example.org", "r@example.org"]
    text = str(mails.taken[0].get_content())
    assert "Jane" not in text and text.startswith("shop.sale cannot be read by zone reader until the grant is mended")


def test_the_platform_may_ask_for_all_zones(shop: Shop, mails: Mails) -> None:
    notify = "notify:\n  - {on: [requested, refused], to: [owner, subscriber]}\n"
    shop.edit("assay.yaml", "name: shop\n", "name: shop\n" + notify)
    setting(shop, mails)
    with shop.opened() as platform:
        decide(platform, 1, "refused", "no need is seen")
    assert mails.recipients == ["owner@example.org", "r@example.org"] * 2


def test_every_state_of_a_subscription_can_be_told() -> None:
    from typing import get_args

    from assay.catalog.subscriptions import STATES
    from assay.pipelines.telling.messages import _NEXT, _SUBJECTS
    from assay.zones.model import Notable

    told: set[Any] = set(get_args(Notable))
    assert set(STATES) <= told and _SUBJECTS.keys() == told and set(STATES) <= _NEXT.keys()
