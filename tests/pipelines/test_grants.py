"""What a zone publishes is read by those whose subscription is granted, from the grant to the revocation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.errors import InsufficientPrivilege

from assay.catalog import events, queue, records
from assay.catalog import subscriptions as kept
from assay.catalog.subscriptions import Subscription
from assay.errors import AssayError, Misconfigured, NotFound, Usage
from assay.pipelines import grants
from assay.pipelines.grants import cancel, decide, request, verify, verify_due
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.run import Result, ingest, run
from assay.pipelines.subscriptions import publication_of
from assay.security.decide import decide as decided
from assay.security.principals import Segment, User
from assay.security.resources import publication
from assay.segments import conform
from assay.segments.relations import NotGranted
from assay.stores.database import connect, transaction
from shop_project import FILES, TILL, Shop

#: A zone whose one canonical table has for each line of a note what another zone says of its goods.
READER = {
    "zones/reader/zone.yaml": (
        "title: Reader\nowner: r@example.org\nanalysts: [a@example.org]\n"
        "subscriptions:\n  - {publication: shop.sale, purpose: to compare}\n"
    ),
    "zones/reader/notes/pipeline.yaml": 'title: Notes\nsteward: never\nsources:\n  note:\n    files: ["note*.csv"]\n',
    "zones/reader/notes/contracts/note.odcs.yaml": """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: reader.note
status: active
schema:
  - name: note
    properties:
      - {name: number, logicalType: string, required: true}
""",
    "zones/reader/notes/operational/known.odcs.yaml": """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: reader.known
status: active
schema:
  - name: known
    properties:
      - {name: number, logicalType: string, primaryKey: true, required: true}
      - {name: goods, logicalType: string}
""",
    "zones/reader/notes/conform/note/known.sql": (
        "SELECT b.number, s.goods FROM batch AS b LEFT JOIN shop.published.sale AS s ON s.number = b.number\n"
    ),
}
OFFER = "publications:\n  sale: {dataset: operational.sale, columns: [number, goods]}\n"


def offer(shop: Shop, text: str = OFFER) -> None:
    shop.write("zones/shop/zone.yaml", FILES["zones/shop/zone.yaml"] + text)


@pytest.fixture
def two(shop: Shop) -> Shop:
    """Two zones, of which one asks for what the other offers; the shop has sold something."""
    offer(shop)
    for name, text in READER.items():
        shop.write(name, text)
    return shop.fill()


def note(shop: Shop, platform: Platform, numbers: str = "1", name: str = "note-1.csv") -> Result:
    path = shop.root / name
    path.write_text("number\n" + "\n".join(numbers) + "\n")
    (result,) = ingest(platform, pipeline_of(platform, "reader", "notes"), [path], None)
    return result


def only(platform: Platform) -> Subscription:
    (found,) = kept.listed(platform.connection)
    return found


def known(platform: Platform) -> dict[str, str]:
    return dict(ask(platform, "SELECT number, goods FROM operational.known", "reader")[1])


def audited(platform: Platform) -> list[tuple[Any, ...]]:
    return platform.connection.execute(
        "SELECT action, resource, zone FROM assay.audit WHERE action LIKE 'subscription.%' "
        "ORDER BY seq"
    ).fetchall()


def test_what_zone_yaml_subscribes_to_is_asked_for_and_opens_nothing(two: Shop) -> None:
    with two.opened() as platform:
        one = only(platform)
        assert (one.state, one.name, one.to, one.purpose) == ("requested", "shop.sale", "zone reader", "to compare")
        with pytest.raises(NotGranted, match=r"shop\.sale is not granted to reader: requested"):
            note(two, platform)
        (batch,) = records.batches(platform.connection, zone="reader", pipeline="notes")
        failure = queue.failure(platform.connection, batch.id)
        assert batch.state == "released" and failure is not None and failure.parked
        assert failure.error["next"] == "assay subscription list"


def test_a_batch_that_waited_for_a_grant_goes_on_by_itself(two: Shop) -> None:
    with two.opened() as platform:
        with pytest.raises(NotGranted):
            note(two, platform)
        decide(platform, only(platform).id, "granted", "they compare")
        run(platform, [pipeline_of(platform, "reader", "notes")])
        assert known(platform) == {"1": "tea"}


def test_from_the_revocation_on_the_next_statement_fails(two: Shop) -> None:
    with two.opened() as platform:
        number = decide(platform, only(platform).id, "granted", "they compare").id
        assert note(two, platform).batch.state == "done"
        decide(platform, number, "revoked", "they do not any more")
        with pytest.raises(NotGranted, match="revoked"):
            note(two, platform, "2", "note-2.csv")
        assert known(platform) == {"1": "tea"}
        assert [one[0] for one in audited(platform)] == [
            "subscription.requested", "subscription.granted", "subscription.revoked",
        ]  # fmt: skip
        assert {one[1:] for one in audited(platform)} == {("shop.published.sale", "shop")}


def test_what_was_prepared_before_a_revocation_is_not_committed_after_it(
    two: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = conform.prepare
    with two.opened() as platform, two.opened() as owner:
        number = decide(platform, only(platform).id, "granted", "they compare").id

        def and_then_revoked(*args: Any, **kwargs: Any) -> Any:
            prepared = prepare(*args, **kwargs)
            decide(owner, number, "revoked", "at once")
            return prepared

        monkeypatch.setattr(conform, "prepare", and_then_revoked)
        with pytest.raises(NotGranted, match="revoked"):
            note(two, platform)
        assert known(platform) == {}


def test_a_revocation_waits_for_the_commit_that_reads_under_the_grant(two: Shop) -> None:
    with two.opened() as platform, two.opened() as owner:
        number = decide(platform, only(platform).id, "granted", "they compare").id
        revoking = threading.Thread(target=decide, args=(owner, number, "revoked", "at once"))
        with transaction(platform.connection) as tx:
            assert kept.standing(tx, "zone", "reader", keep=True) == {("shop", "sale"): "granted"}
            revoking.start()
            revoking.join(0.3)
            assert revoking.is_alive()
            assert kept.standing(tx, "zone", "reader") == {("shop", "sale"): "granted"}
        revoking.join()
        assert kept.standing(platform.connection, "zone", "reader") == {("shop", "sale"): "revoked"}


def test_what_was_refused_stays_so_over_every_apply_and_can_be_asked_for_anew(two: Shop) -> None:
    with two.opened() as platform:
        decide(platform, only(platform).id, "refused", "no need is seen")
        apply(platform)
        assert only(platform).state == "refused"
        again = request(platform, publication_of(platform.project, "shop.sale"), "zone", "reader", "for the audit")
        assert again.state == "requested"


def test_a_zone_that_asks_no_longer_ends_its_subscription_and_a_new_line_asks_anew(two: Shop) -> None:
    with two.opened() as platform:
        decide(platform, only(platform).id, "granted", "they compare")
    lines = READER["zones/reader/zone.yaml"].split("subscriptions:")[0]
    sql = "SELECT number, NULL::VARCHAR AS goods FROM batch\n"
    two.write("zones/reader/zone.yaml", lines)
    two.write("zones/reader/notes/conform/note/known.sql", sql)
    with two.opened() as platform:
        apply(platform)
        assert only(platform).state == "ended"
    two.write("zones/reader/zone.yaml", READER["zones/reader/zone.yaml"])
    with two.opened() as platform:
        apply(platform)
        assert [one.state for one in kept.listed(platform.connection)] == ["requested", "ended"]


def test_what_a_zone_cancels_closes_at_once_and_comes_back_only_when_it_is_asked_for(two: Shop) -> None:
    with two.opened() as platform:
        number = decide(platform, only(platform).id, "granted", "they compare").id
        assert note(two, platform).batch.state == "done"
        assert cancel(platform, number, "we compare no more").last.reason == "we compare no more"
        with pytest.raises(NotGranted, match="not granted to reader: cancelled"):
            note(two, platform, "2", "note-2.csv")
        assert known(platform) == {"1": "tea"}
        apply(platform)
        assert only(platform).state == "cancelled"
        assert audited(platform)[-1] == ("subscription.cancelled", "shop.published.sale", "shop")
        with connect(platform.reader_url("reader")) as role, pytest.raises(InsufficientPrivilege):
            role.execute("SELECT number FROM shop.sale")
    offer(two, OFFER.replace("]}", "], auto_approve: {zones: [reader]}}"))
    with two.opened() as platform:
        apply(platform)
        assert only(platform).state == "cancelled", "nor because it would be granted now"
        again = request(platform, publication_of(platform.project, "shop.sale"), "zone", "reader", "to compare again")
        assert again.state == "granted" and again.id != number


def test_what_a_user_cancels_he_reads_no_more(two: Shop) -> None:
    with two.opened() as platform:
        sale, user = publication("shop", "sale"), User("u@example.org")
        number = request(platform, publication_of(platform.project, "shop.sale"), "user", user.name, "a study").id
        decide(platform, number, "granted", "a good study")
        assert decided(platform.in_force.world(), user, "read", sale).allowed
        cancel(platform, number, "it is finished")
        assert not decided(platform.in_force.world(), user, "read", sale).allowed


@pytest.mark.parametrize(
    ("classes", "state"),
    [(("public", "public"), "granted"), (("public", "internal"), "requested"), (("public", "personal"), "requested")],
)
def test_auto_approve_by_class_asks_every_offered_column(shop: Shop, classes: tuple[str, str], state: str) -> None:
    path = shop.root / "zones/shop/sales/operational/sale.odcs.yaml"
    text = path.read_text().replace("- {name: number, ", f"- {{name: number, classification: {classes[0]}, ")
    text = text.replace("- name: goods\n", f"- name: goods\n        classification: {classes[1]}\n")
    path.write_text(text)
    offer(shop, OFFER.replace("]}", "], auto_approve: {classification: public}}"))
    for name, text in READER.items():
        shop.write(name, text)
    with shop.opened() as platform:
        apply(platform)
        one = only(platform)
        assert one.state == state
        assert (one.last.by, one.verified_at is not None) == (
            ("auto_approve", True) if state == "granted" else (platform.actor, False)
        )


def test_a_zone_that_may_not_ask_is_answered_as_if_nothing_were_there(two: Shop) -> None:
    def refusal() -> str:
        with pytest.raises(Misconfigured) as refused, two.opened():
            pass
        return str(refused.value)

    offer(two, OFFER.replace("]}", "], consumers: [shop]}"))
    hidden = refusal()
    offer(two, "")
    assert refusal() == hidden


def test_a_user_asks_for_himself_and_is_a_reader_once_granted(two: Shop) -> None:
    with two.opened() as platform:
        sale, user = publication("shop", "sale"), User("u@example.org")
        offered = publication_of(platform.project, "shop.sale")
        number = request(platform, offered, "user", user.name, "a study").id
        read = lambda: decided(platform.in_force.world(), user, "read", sale).allowed  # noqa: E731 - a name for the question
        assert not read()
        assert decide(platform, number, "granted", "it is a good study").verified_at is not None
        assert read()
        decide(platform, number, "expired", "it is done")
        assert not read()


def test_the_world_has_of_a_zone_what_is_granted_now(two: Shop) -> None:
    with two.opened() as platform:
        asked = lambda who: decided(  # noqa: E731 - a name for the question
            platform.in_force.world(), who, "read", publication("shop", "sale")
        ).allowed
        segment, analyst = Segment("reader", "conform"), User("a@example.org")
        assert not asked(segment) and not asked(analyst)
        number = decide(platform, only(platform).id, "granted", "they compare").id
        assert asked(segment) and asked(analyst) and not asked(User("s@example.org"))
        decide(platform, number, "revoked", "enough")
        assert not asked(segment) and not asked(analyst)


def test_an_end_in_the_past_is_refused_and_one_that_comes_expires(two: Shop) -> None:
    with two.opened() as platform:
        number = only(platform).id
        with pytest.raises(Usage, match="has passed"):
            decide(platform, number, "granted", "for a day", datetime.now(UTC) - timedelta(days=1))
        decide(platform, number, "granted", "for a day", datetime.now(UTC) + timedelta(days=1))
        platform.connection.execute("UPDATE assay.subscription SET until = clock_timestamp() - interval '1 minute'")
        with pytest.raises(NotGranted, match="expired"):
            note(two, platform)
        assert [one.state for one in verify_due(platform)] == ["expired"]
        assert verify_due(platform) == []


def test_a_grant_that_shows_something_else_than_agreed_is_broken_until_it_is_mended(two: Shop) -> None:
    with two.opened() as platform:
        number = decide(platform, only(platform).id, "granted", "they compare").id
        platform.connection.execute("ALTER TABLE shop.sale ALTER COLUMN goods TYPE varchar(9) USING goods")
        platform.connection.execute("ALTER TABLE shop.sale RENAME COLUMN goods TO wares")
        platform.connection.execute("UPDATE assay.subscription SET verified_at = NULL")
        (broken,) = verify_due(platform)
        assert broken.state == "broken" and "goods" in broken.last.reason and broken.last.by == grants.VERIFIER
        with pytest.raises(NotGranted, match="broken"):
            note(two, platform)
        platform.connection.execute("ALTER TABLE shop.sale RENAME COLUMN wares TO goods")
        (mended,) = verify(platform, [kept.subscription(platform.connection, number)])
        assert mended.state == "granted"
        told = platform.connection.execute(
            "SELECT body ->> 'state' FROM assay.event WHERE kind = 'subscription' ORDER BY id"
        )
        assert [row[0] for row in told] == ["requested", "granted", "broken", "granted"]


def test_a_grant_through_which_the_table_behind_can_be_read_is_broken(
    two: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = grants.published_select
    monkeypatch.setattr(
        grants, "published_select", lambda *args: select(*args).replace('"goods"', '"goods", "amount"')
    )
    with two.opened() as platform:
        monkeypatch.setattr(grants, "provide", lambda *_: None)
        request(platform, publication_of(platform.project, "shop.sale"), "user", "u@example.org", "a study")
        newest = kept.listed(platform.connection)[0]
        found = decide(platform, newest.id, "granted", "fine")
        assert found.state == "broken" and found.last.reason == "it shows amount, which is not offered"


def test_rows_and_cells_that_a_publication_hides_do_not_reach_the_subscribers_sql(shop: Shop) -> None:
    hidden = (
        "publications:\n  sale:\n    dataset: operational.sale\n    rows: \"goods <> 'salt'\"\n"
        "    masks: {note: redact, month: partial, number: hash, amount: 'null'}\n"
        "    auto_approve: {zones: [reader]}\n"
    )
    offer(shop, hidden)
    for name, text in READER.items():
        shop.write(name, text)
    peeking = (
        "SELECT b.number, (SELECT string_agg(s.goods || '|' || s.number || '|' || s.month || '|' || "
        "coalesce(s.note, '-') || '|' || coalesce(CAST(s.amount AS VARCHAR), '-'), ' ') FROM shop.published.sale AS s "
        "WHERE CASE WHEN s.goods = 'salt' THEN error('salt is there') ELSE true END) AS goods FROM batch AS b\n"
    )
    shop.write("zones/reader/notes/conform/note/known.sql", peeking)
    with shop.fill().opened() as platform:
        assert note(shop, platform).batch.state == "done"
        (seen,) = known(platform).values()
        lines = [line.split("|") for line in seen.split(" ")]
        assert {line[0] for line in lines} == {"tea"} and len(lines) == 3
        assert all(len(line[1]) == 32 for line in lines) and len({line[1] for line in lines}) == 3
        assert {line[2] for line in lines} == {"****"}
        assert {line[3] for line in lines} == {"****"} and {line[4] for line in lines} == {"-"}
        assert only(platform).state == "granted"


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("goods IN (SELECT code FROM operational.goods)", "subquery"),
        ("goods = 'tea'; DROP TABLE x", "condition"),
        ("wares = 'tea'", "no column"),
        ("count(*) > 1", "other rows"),
        ("month = strftime(today(), '%Y-%m')", "not always"),
        ("getenv('HOME') = goods", "getenv"),
    ],
)
def test_a_condition_that_asks_more_than_its_own_row_is_refused_by_plan(shop: Shop, rows: str, what: str) -> None:
    offer(shop, f'publications:\n  sale:\n    dataset: operational.sale\n    rows: "{rows}"\n')
    with pytest.raises(Misconfigured, match=what) as refused, shop.opened() as platform:
        apply(platform)
    assert "zone.yaml" in str(refused.value.where)


def outcome(shop: Shop, do: Callable[[Platform], object]) -> str:
    with shop.opened() as platform:
        try:
            return repr(do(platform))
        except AssayError as error:
            return str(error.to_dict())


def test_zones_are_islands_until_a_grant(new_shop: Callable[[], Shop]) -> None:
    """Whatever the other zone holds, one without a grant is answered the same."""
    answers = []
    for text in (TILL, TILL.replace("tea", "gin"), TILL.split("\n")[0] + "\n"):
        shop = new_shop()
        offer(shop)
        for name, content in READER.items():
            shop.write(name, content)
        with shop.opened() as platform:
            apply(platform)
            path = shop.root / "till-1.csv"
            path.write_text(text)
            ingest(platform, pipeline_of(platform, "shop", "sales"), [path], None)
        asked = [
            outcome(shop, lambda platform, shop=shop: note(shop, platform)),
            outcome(shop, lambda platform: publication_of(platform.project, "shop.goods", asking="reader")),
            outcome(shop, lambda platform: publication_of(platform.project, "shop.nothing", asking="reader")),
            outcome(shop, lambda platform: only(platform).state),
            outcome(shop, lambda platform: records.batches(platform.connection, zone="reader")[0].state),
        ]
        answers.append([answer.replace("shop.goods", "shop.X").replace("shop.nothing", "shop.X") for answer in asked])
        assert "requested" in asked[0] and answers[-1][1] == answers[-1][2]
    assert answers[0] == answers[1] == answers[2]


def test_a_publication_is_found_by_its_name_and_others_are_proposed(two: Shop) -> None:
    with two.opened() as platform, pytest.raises(NotFound) as refused:
        publication_of(platform.project, "shop.sales")
    assert refused.value.expected == "shop.sale"


def test_subscriptions_are_told_as_events(two: Shop) -> None:
    with two.opened() as platform:
        events.begin(platform.connection, ["somebody"])
        decide(platform, only(platform).id, "refused", "no")
        (told,) = [one for one in events.unread(platform.connection, "somebody") if one.kind == "subscription"]
        assert told.zone == "shop"
        assert (told.body["publication"], told.body["subscriber"], told.body["state"], told.body["reason"]) == (
            "sale", "reader", "refused", "no",
        )  # fmt: skip
