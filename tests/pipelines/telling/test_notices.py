"""Messages: who gets which, once, what stands in them, and what happens when a server does not take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from servers import Mails, Posted, mail_server
from servers import certificate as make_certificate

from assay.catalog import notifications
from assay.cli import assay
from assay.errors import Misconfigured
from assay.pipelines import movement, review
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.run import Result, ingest
from assay.pipelines.telling.tell import tell
from assay.zones.project import load_project
from shop_project import OWNER, TILL, Shop

ZONE = """\
title: Shop
owner: owner@example.org
stewards: [anna@example.org, ben]
notify:
"""
BAD = TILL.replace("2.50", "much")


@pytest.fixture(autouse=True)
def deliverer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are delivered by carol, whoever runs the tests."""
    monkeypatch.setenv("ASSAY_USER", "carol")


def setting(shop: Shop, mails: Mails, notify: str, more: str = "") -> Shop:
    server = f"{{host: 127.0.0.1, port: {mails.port}, security: none, from: assay@example.org{more}}}"
    shop.edit("assay.yaml", "{data: data,", f"{{data: data, mail: {server},")
    shop.write("zone.yaml", ZONE + notify)
    return shop


def take_in(shop: Shop, text: str = TILL, name: str = "till-9.csv") -> Result:
    (shop.root / name).write_text(text)
    with shop.opened() as platform:
        apply(platform)
        return ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / name], None)[0]


def body(mails: Mails) -> str:
    return str(mails.taken[-1].get_content()).replace("\r\n", "\n")


def due(platform: Platform) -> None:
    platform.connection.execute("UPDATE assay.notification SET next_at = clock_timestamp()")


def states(shop: Shop) -> list[tuple[Any, ...]]:
    with shop.opened() as platform:
        return platform.connection.execute(
            "SELECT recipient, state, attempts, error FROM assay.notification ORDER BY id"
        ).fetchall()


def test_a_rejection_is_mailed_to_those_who_asked_with_the_report(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, "  - {on: [rejected], to: [steward, owner, deliverer, data@example.org]}\n",
            ", domain: example.net")  # fmt: skip
    take_in(shop, BAD)
    assert mails.recipients == [
        "anna@example.org", "ben@example.net", "owner@example.org", "carol@example.net", "data@example.org",
    ]  # fmt: skip
    mail = mails.taken[-1]
    assert (mail["From"], mail["Subject"]) == ("assay@example.org", "[shop] till-9.csv was rejected")
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Message-ID"].endswith("@example.org>")
    text = body(mails)
    assert text.startswith("till-9.csv was not accepted, and nothing of it was taken in: 1 kind of problem")
    assert 'column "Amount"' in text and "D2: much" in text and "Pipeline:  Sales (Shop)" in text
    assert "Next: assay batch show" in text


def test_what_nobody_asked_for_is_not_told(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, "  - {on: [held, released], to: [owner]}\n")
    take_in(shop, BAD)
    take_in(shop, TILL, "till-10.csv")  # it passes the gate without a steward
    assert mails.taken == [] and states(shop) == []


def test_an_entry_may_be_of_some_pipelines_only(shop: Shop, mails: Mails) -> None:
    notify = "  - {on: [rejected], to: [owner], pipelines: [sales]}\n"
    setting(shop, mails, notify)
    take_in(shop, BAD)
    assert mails.recipients == ["owner@example.org"]
    shop.write("zone.yaml", ZONE + notify.replace("sales", "sale"))
    with pytest.raises(Misconfigured, match="the pipeline sale, which does not exist") as caught:
        load_project(shop.root)
    assert caught.value.line == 5 and caught.value.expected == "sales"


def test_an_event_is_told_once_to_each_however_often_it_is_asked_for_and_told(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, "  - {on: [rejected], to: [owner, owner@example.org]}\n  - {on: [rejected], to: [owner]}\n")
    take_in(shop, BAD)
    with shop.opened() as platform:
        platform.connection.execute("UPDATE assay.event_reader SET transaction = '0', id = 0")
        assert tell(platform) == 0
    assert mails.recipients == ["owner@example.org"]


def test_a_sensitive_value_is_in_no_message(shop: Shop, mails: Mails, posted: Posted) -> None:
    shop.edit(
        "contracts/till.odcs.yaml", "physicalType: 'decimal(12,2)', required: true",
        "physicalType: 'decimal(12,2)', required: true, classification: confidential",
    )  # fmt: skip
    setting(shop, mails, f"  - {{on: [rejected], to: [owner]}}\n  - {{on: [rejected], webhook: '{posted.url}'}}\n")
    take_in(shop, BAD)
    assert "D2: ****" in body(mails)
    assert "much" not in str(mails.taken[0]) + json.dumps(posted.documents)


def test_a_held_batch_is_told_and_its_release_names_who_and_why(
    shop: Shop, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    setting(shop, mails, "  - {on: [held, released, done], to: [deliverer]}\n", ", domain: example.net")
    number = take_in(shop).batch.id
    assert mails.taken[-1]["Subject"] == "[shop] till-9.csv waits for a steward"
    monkeypatch.setenv("ASSAY_USER", "anna")
    with shop.opened() as platform:
        review.decide(platform, number, "release", "counted\nby hand")
    released, done = mails.taken[1:]
    assert released["Subject"] == "[shop] till-9.csv was released"
    assert "By:        anna" in released.get_content() and "Reason:    counted\\nby hand" in released.get_content()
    assert done["Subject"] == "[shop] till-9.csv is through"


def test_an_escalation_goes_to_those_above_the_stewards(shop: Shop, mails: Mails) -> None:
    from assay.catalog import events

    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    setting(shop, mails, "  - {on: [reminded, escalated], to: [steward]}\n", ", domain: example.net")
    batch = take_in(shop).batch
    with shop.opened() as platform:
        events.add(platform.connection, "reminded", batch=batch, body={"step": 1, "to": ["anna@example.org", "ben"]})
        events.add(platform.connection, "escalated", batch=batch, body={"step": 1, "to": ["owner@example.org"]})
        tell(platform)
    assert mails.recipients == ["anna@example.org", "ben@example.net", "owner@example.org"]
    assert body(mails).startswith("till-9.csv has waited for a steward since 20")


def test_a_failure_is_told_without_the_words_that_may_hold_a_value(
    shop: Shop, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(shop, mails, "  - {on: [failed], to: [owner]}\n")

    def fail(*_: object) -> None:
        raise Misconfigured("the SQL did not run: could not convert 'Jane'", file="clean/till.sql", line=3)

    monkeypatch.setattr(movement, "_prepare", fail)
    with pytest.raises(Misconfigured):
        take_in(shop)
    assert mails.taken[-1]["Subject"] == "[shop] till-9.csv cannot go on: approve failed"
    assert "approve failed with till-9.csv: Misconfigured in clean/till.sql:3." in body(mails)
    assert "Jane" not in body(mails)


def test_what_is_late_is_told_to_those_who_can_do_something(shop: Shop, mails: Mails, posted: Posted) -> None:
    from assay.catalog import events

    setting(
        shop, mails,
        "  - {on: [late], to: [owner, deliverer]}\n"
        f"  - {{on: [late], webhook: '{posted.url}', pipelines: [sales]}}\n",
    )  # fmt: skip
    body = {"dataset": "the file for till", "due": "2025-03-01 09:00 UTC", "last": None, "missed": 1}
    with shop.opened() as platform:
        apply(platform)
        events.add(platform.connection, "late", zone="shop", pipeline="sales", body=body)
        assert tell(platform) == 2
    assert mails.recipients == ["owner@example.org"]
    text = str(mails.taken[0].get_content())
    assert text.startswith("the file for till was due at 2025-03-01 09:00 UTC and has not come; none has come yet.")
    assert (posted.documents[0]["late"], posted.documents[0]["batch"]) == (body, None)


def test_a_webhook_is_posted_the_facts(shop: Shop, mails: Mails, posted: Posted) -> None:
    setting(shop, mails, f"  - {{on: [rejected], webhook: '{posted.url}'}}\n")
    take_in(shop, BAD)
    (told,) = posted.documents
    assert told["text"].startswith("till-9.csv was not accepted")
    assert (told["event"]["kind"], told["zone"]["title"], told["batch"]["file"]) == ("rejected", "Shop", "till-9.csv")
    assert told["report"]["groups"][0]["problems"][0]["kind"] == "type_mismatch"
    assert posted.headers[0]["idempotency-key"]


def test_a_webhook_of_the_environment_is_written_nowhere(
    shop: Shop, mails: Mails, posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(shop, mails, "  - {on: [rejected], webhook: '${OPS_HOOK}'}\n")
    take_in(shop, BAD)
    assert states(shop) == [("${OPS_HOOK}", "waiting", 1, "the environment variable OPS_HOOK is not set")]
    monkeypatch.setenv("OPS_HOOK", posted.url)
    with shop.opened() as platform:
        due(platform)
        assert tell(platform) == 1
    assert len(posted.documents) == 1
    assert states(shop) == [("${OPS_HOOK}", "sent", 2, None)]


def test_templates_of_the_zone_make_the_mail_and_the_json(shop: Shop, mails: Mails, posted: Posted) -> None:
    (shop.root / "zones/shop/mail.txt").write_text("{{ batch.file }} / {{ report.groups | length }}\n")
    (shop.root / "zones/shop/hook.json").write_text('{"summary": {{ summary | tojson }}}')
    setting(
        shop, mails,
        "  - {on: [rejected], to: [owner], template: mail.txt}\n"
        f"  - {{on: [rejected], webhook: '{posted.url}', template: hook.json}}\n",
    )  # fmt: skip
    take_in(shop, BAD)
    assert body(mails) == "till-9.csv / 1\n"
    assert list(posted.documents[0]) == ["summary"]


def test_a_change_of_a_template_is_a_change_of_the_configuration(shop: Shop, mails: Mails) -> None:
    (shop.root / "zones/shop/mail.txt").write_text("one")
    setting(shop, mails, "  - {on: [rejected], to: [owner], template: mail.txt}\n")
    before = load_project(shop.root).version
    (shop.root / "zones/shop/mail.txt").write_text("two")
    assert load_project(shop.root).version != before


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ batch.password }}", "has no attribute 'password'"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "cannot be filled"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_template_that_cannot_be_filled_is_seen_and_stops_no_other_message(
    shop: Shop, mails: Mails, template: str, told: str
) -> None:
    (shop.root / "zones/shop/mail.txt").write_text(template)
    setting(
        shop, mails,
        "  - {on: [rejected], to: [owner], template: mail.txt}\n  - {on: [rejected], to: [data@example.org]}\n",
    )  # fmt: skip
    take_in(shop, BAD)
    assert mails.recipients == ["data@example.org"]
    (recipient, state, attempts, error), _ = states(shop)
    assert (recipient, state, attempts) == ("owner@example.org", "waiting", 1) and told in error


def test_a_template_that_is_broken_is_refused_before_it_is_needed(shop: Shop, mails: Mails) -> None:
    (shop.root / "zones/shop/mail.txt").write_text("one\n{% if %}")
    setting(shop, mails, "  - {on: [rejected], to: [owner], template: mail.txt}\n")
    with shop.opened() as platform, pytest.raises(Misconfigured, match="the template cannot be read") as caught:
        apply(platform)
    assert caught.value.line == 2


def test_a_template_outside_of_the_zone_is_refused(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, "  - {on: [rejected], to: [owner], template: ../../assay.yaml}\n")
    with pytest.raises(Misconfigured, match="does not lie in the project"):
        load_project(shop.root)


def test_a_mail_that_is_not_taken_now_is_sent_later_and_one_never_wanted_is_given_up(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, "  - {on: [rejected], to: [owner, data@example.org]}\n")
    mails.answers = ["451 later", "550 never"]
    take_in(shop, BAD)
    assert states(shop) == [
        ("owner@example.org", "waiting", 1, "the mail server answered 451"),
        ("data@example.org", "given_up", 1, "the mail server answered 550"),
    ]
    with shop.opened() as platform:
        assert tell(platform) == 0, "not before its time"
        due(platform)
        assert tell(platform) == 1
    assert mails.recipients == ["owner@example.org"]


def test_a_mail_server_that_is_away_fails_no_command_and_shows_in_status_and_doctor(shop: Shop, mails: Mails) -> None:
    with mail_server() as gone:
        setting(shop, gone, "  - {on: [rejected], to: [owner]}\n")
    take_in(shop, BAD)
    ((_, state, attempts, error),) = states(shop)
    assert (state, attempts) == ("waiting", 1) and error.startswith("the mail server did not answer")
    shown = CliRunner(env={"ASSAY_USER": OWNER}).invoke(assay, ["status", "--project", str(shop.root)]).stdout
    line = next(line for line in shown.splitlines() if "owner@example.org" in line)
    assert "rejected" in line and "did not answer" in line
    looked = CliRunner(env={"ASSAY_USER": OWNER}).invoke(assay, ["doctor", "--project", str(shop.root)]).stdout
    assert "look" in next(line for line in looked.splitlines() if line.startswith("messages"))


def test_a_role_that_nobody_has_and_a_name_without_an_address_are_seen(shop: Shop, mails: Mails) -> None:
    setting(shop, mails, "  - {on: [rejected], to: [steward, deliverer]}\n")
    shop.edit("zone.yaml", "stewards: [anna@example.org, ben]\n", "")
    take_in(shop, BAD)
    assert [(name, state) for name, state, _, _ in states(shop)] == [
        ("steward of shop", "given_up"), ("carol", "given_up"),
    ]  # fmt: skip


def test_a_process_that_dies_before_it_sends_leaves_the_message_to_the_next(shop: Shop, mails: Mails) -> None:
    from assay.pipelines.telling import notices

    setting(shop, mails, "  - {on: [rejected], to: [owner]}\n")
    with mail_server() as gone:
        shop.edit("assay.yaml", f"port: {mails.port}", f"port: {gone.port}")
    take_in(shop, BAD)
    shop.edit("assay.yaml", f"port: {gone.port}", f"port: {mails.port}")
    with shop.opened() as platform:
        due(platform)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(notices.mail, "send", interrupted)
            tell(platform)
    with shop.opened() as platform:
        assert tell(platform) == 1
    assert mails.recipients == ["owner@example.org"]


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_message_is_in_the_hands_of_one_process_at_a_time(shop: Shop, mails: Mails) -> None:
    from assay.stores.database import transaction

    setting(shop, mails, "  - {on: [rejected], to: [owner]}\n")
    mails.answers = ["451 later"]
    take_in(shop, BAD)
    with shop.opened() as first, shop.opened() as second:
        due(first)
        with transaction(first.connection) as tx:
            assert notifications.next_waiting(tx) is not None
            assert tell(second) == 0
        assert tell(second) == 1


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that this process trusts, and its key."""
    place, key = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", place)
    return place, key


def test_mails_go_encrypted_with_a_login_where_the_server_asks_for_it(
    shop: Shop, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "p@ss word")
    with mail_server(certificate) as mails:
        setting(shop, mails, "  - {on: [rejected], to: [owner]}\n", ", user: assay, password: '${MAIL_PASSWORD}'")
        shop.edit("assay.yaml", "security: none", "security: starttls")
        take_in(shop, BAD)
        assert (mails.encrypted, mails.logins) == ([True], ["assay"])
        monkeypatch.setenv("MAIL_PASSWORD", "wrong")
        take_in(shop, BAD + "\n", "till-10.csv")
    assert states(shop)[-1][1:] == ("waiting", 1, "the mail server refused the login (535)")


def test_a_server_whose_certificate_is_not_trusted_gets_no_mail(
    shop: Shop, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server(certificate) as mails:
        setting(shop, mails, "  - {on: [rejected], to: [owner]}\n")
        shop.edit("assay.yaml", "security: none", "security: starttls")
        take_in(shop, BAD)
        assert mails.taken == []
    assert states(shop)[0][1] == "waiting"


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        ("  - {on: [rejected]}\n", "`to` or `webhook`"),
        ("  - {on: [rejected], to: [owner], webhook: 'https://example.org/'}\n", "`to` or `webhook`"),
        ("  - {on: [rejected], to: [stewart]}\n", "stewart is neither an address nor one of"),
        ("  - {on: [rejectd], to: [owner]}\n", "notify.0.on.0"),
        ("  - {on: [rejected], webhook: 'https://user:pass@example.org/'}\n", "notify.0.webhook"),
        ("  - {on: [rejected], to: [owner], template: nothing.txt}\n", "the template file cannot be read"),
    ],
)
def test_an_entry_that_cannot_be_carried_out_is_refused(shop: Shop, notify: str, told: str) -> None:
    shop.write("zone.yaml", ZONE + notify)
    with pytest.raises(Misconfigured) as caught:
        load_project(shop.root)
    assert told in caught.value.what and caught.value.line is not None
