"""A pipeline starts after another one, after a publication, and by its schedule: what waits is taken in, what reads
the changes is made anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.orchestration.conftest import Service, deliver, soon, states

from assay.catalog import events, subscriptions
from assay.errors import Misconfigured, Unavailable
from assay.orchestration.triggers import fire
from assay.pipelines.grants import decide, request
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.run import ingest, run
from assay.pipelines.subscriptions import publication_of
from assay.segments import denormalize
from shop_project import FILES, TILL, Shop

#: A pipeline without rows of its own to conform: its one table counts the sales of the other pipeline.
COUNTED = """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: {zone}.counted
status: active
schema:
  - name: counted
    properties:
      - {{name: goods, logicalType: string, required: true}}
      - {{name: lines, logicalType: integer, required: true}}
"""
NOTES = FILES["zones/shop/sales/contracts/till.odcs.yaml"].replace("shop.till", "notes").replace("till", "notes")


def counting(shop: Shop, zone: str, triggers: str, select: str) -> None:
    folder = f"zones/{zone}/count"
    shop.write(f"{folder}/pipeline.yaml", f'title: Count\n{triggers}sources:\n  notes:\n    files: ["notes*.csv"]\n')
    shop.write(f"{folder}/contracts/notes.odcs.yaml", NOTES)
    shop.write(f"{folder}/analytical/counted.odcs.yaml", COUNTED.format(zone=zone))
    shop.write(f"{folder}/analytical/counted.sql", select)


def counted(platform: Platform, zone: str) -> dict[str, int]:
    return dict(ask(platform, "SELECT goods, lines FROM analytical.counted", zone)[1])


def deliver_by_hand(shop: Shop, platform: Platform, text: str = TILL, name: str = "till-1.csv") -> None:
    path = shop.root / name
    path.write_text(text)
    (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [path], None)
    assert result.batch.state == "done"


def refreshed(platform: Platform) -> list[str]:
    found = platform.connection.execute("SELECT body ->> 'why' FROM assay.event WHERE kind = 'refreshed' ORDER BY id")
    return [str(row[0]) for row in found]


@pytest.fixture
def following(shop: Shop) -> Shop:
    """A pipeline of the same zone that follows the sales."""
    select = "SELECT goods, count(*) AS lines FROM operational.sale GROUP BY goods\n"
    counting(shop, "shop", "triggers: [{after: sales}]\n", select)
    with shop.opened() as platform:
        apply(platform)
        fire(platform)
    return shop


@pytest.fixture
def subscribed(shop: Shop) -> Shop:
    """A pipeline of another zone that follows what the first one publishes."""
    offer = "publications:\n  sale: {dataset: operational.sale, auto_approve: {zones: [reader]}}\n"
    shop.write("zones/shop/zone.yaml", FILES["zones/shop/zone.yaml"] + offer)
    want = "subscriptions:\n  - {publication: shop.sale, purpose: to count}\n"
    shop.write("zones/reader/zone.yaml", f"title: Reader\nowner: r@example.org\n{want}")
    select = "SELECT goods, count(*) AS lines FROM shop.published.sale GROUP BY goods\n"
    counting(shop, "reader", "triggers: [{after_publication: shop.sale}]\n", select)
    with shop.opened() as platform:
        apply(platform)
        fire(platform)
    return shop


def test_a_pipeline_that_follows_another_is_brought_up_to_date(following: Shop) -> None:
    with following.opened() as platform:
        deliver_by_hand(following, platform)
        assert counted(platform, "shop") == {}
        fire(platform)
        assert counted(platform, "shop") == {"tea": 3, "salt": 1}
        assert refreshed(platform) == ["after shop/sales"]
        fire(platform)
        assert len(refreshed(platform)) == 1


def test_many_batches_start_a_pipeline_once(following: Shop) -> None:
    with following.opened() as platform:
        for number in range(3):
            deliver_by_hand(following, platform, TILL.replace("\n1,", f"\n{number + 10},"), f"till-{number}.csv")
        fire(platform)
        assert refreshed(platform) == ["after shop/sales"]


def test_a_publication_whose_rows_changed_starts_its_subscriber(subscribed: Shop) -> None:
    with subscribed.opened() as platform:
        deliver_by_hand(subscribed, platform)
        fire(platform)
        assert counted(platform, "reader") == {"tea": 3, "salt": 1}
        assert refreshed(platform) == ["publication shop.sale"]


def test_a_publication_starts_its_subscriber_from_the_grant_to_the_revocation(subscribed: Shop) -> None:
    with subscribed.opened() as platform:
        (one,) = subscriptions.listed(platform.connection)
        decide(platform, one.id, "revoked", "for now")
        deliver_by_hand(subscribed, platform)
        fire(platform)
        assert counted(platform, "reader") == {} and refreshed(platform) == []
        again = request(platform, publication_of(platform.project, "shop.sale"), "zone", "reader", "to count")
        assert again.state == "granted"
        fire(platform)
        assert counted(platform, "reader") == {"tea": 3, "salt": 1}
        failed = platform.connection.execute("SELECT 1 FROM assay.event WHERE kind = 'failed'")
        assert failed.fetchall() == []


def test_a_publication_whose_rows_did_not_change_starts_nobody(subscribed: Shop) -> None:
    with subscribed.opened() as platform:
        deliver_by_hand(subscribed, platform)
        fire(platform)
        deliver_by_hand(subscribed, platform, TILL + "6,2025-02-03,tea,0.00,\n", "till-2.csv")  # a rule sets it aside
        fire(platform)
        assert refreshed(platform) == ["publication shop.sale"]


def test_what_waits_is_taken_in_when_a_pipeline_starts(following: Shop) -> None:
    path = deliver(following, "notes-1.csv", folder="ingress/shop/count")
    path.write_text(TILL)
    with following.opened() as platform:
        deliver_by_hand(following, platform)
        fire(platform)
    assert states(following) == {"till-1.csv": "done", "notes-1.csv": "landed"}


def test_a_mistake_in_one_pipelines_sql_is_told_and_stops_no_other(
    following: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with following.opened() as platform:
        deliver_by_hand(following, platform)
        def fail(*_: object, **__: object) -> None:
            raise Misconfigured("the SQL did not run: Conversion Error: 'Jane'", file="counted.sql")

        with monkeypatch.context() as patch:
            patch.setattr(denormalize, "recompute", fail)
            fire(platform)
        fire(platform)
        failed = platform.connection.execute("SELECT pipeline, body FROM assay.event WHERE kind = 'failed'").fetchall()
    ((pipeline, body),) = failed
    assert pipeline == "count" and body["words"] == "Misconfigured in counted.sql"
    assert "Jane" not in f"{body} {caplog.text}"


def test_what_is_unavailable_is_tried_again(following: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with following.opened() as platform:
        deliver_by_hand(following, platform)
        def fail(*_: object, **__: object) -> None:
            raise Unavailable("the disk is full")

        with monkeypatch.context() as patch, pytest.raises(Unavailable):
            patch.setattr(denormalize, "recompute", fail)
            fire(platform)
        fire(platform)
        assert counted(platform, "shop") == {"tea": 3, "salt": 1}


def test_where_arrival_starts_nothing_the_schedule_takes_files_in(
    shop: Shop, start: Callable[..., Service]
) -> None:
    triggers = 'triggers: [{arrival: false}, {cron: "0 0 1 1 *"}]\n'
    shop.edit("pipeline.yaml", "steward: never\n", f"steward: never\n{triggers}")
    deliver(shop, "till-1.csv")
    with shop.opened() as platform:
        apply(platform)
        service = start()
        service.says("ready")
        soon(lambda: platform.connection.execute("SELECT 1 FROM assay.schedule_run").fetchone(), service.text)
        soon(lambda: platform.connection.execute("SELECT 1 FROM assay.event_reader").fetchone(), service.text)
        assert states(shop) == {}
        assert [line for line in service.said if "watching" in line["message"]] == []
        platform.connection.execute("UPDATE assay.schedule_run SET due_at = clock_timestamp() - interval '2 years'")
        soon(lambda: states(shop) == {"till-1.csv": "done"}, service.text)
        service.says("starts: schedule 0 0 1 1 * UTC")


def test_run_takes_in_what_waits_whatever_the_triggers(shop: Shop) -> None:
    shop.edit("pipeline.yaml", "steward: never\n", "steward: never\ntriggers: [{arrival: false}]\n")
    deliver(shop, "till-1.csv")
    with shop.opened() as platform:
        apply(platform)
        events.unread(platform.connection, "somebody")
        assert len(run(platform, [pipeline_of(platform, "shop", "sales")])) == 1
