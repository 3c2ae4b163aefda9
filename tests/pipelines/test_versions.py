"""A batch goes on under the configuration that it began with where the stores take it, and starts anew where not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.catalog import events, queue, records
from assay.errors import Misconfigured, Unavailable
from assay.pipelines import versions
from assay.pipelines.landing import pipeline_of, take
from assay.pipelines.plan import apply, plan
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.review import decide
from assay.pipelines.run import advance, run, work_off
from assay.pipelines.worker import at_work
from assay.stores.iceberg import Iceberg
from assay.zones.project import load_bare, load_project
from shop_project import FILES, TILL, Shop

PLAIN_NOTE = "{name: note, logicalType: string}"


def landed(shop: Shop, platform: Platform, name: str = "till-1.csv", text: str = TILL) -> int:
    path = shop.root / name
    path.write_text(text)
    source = pipeline_of(platform, "shop", "sales").sources["till"]
    taken = take(platform, source, path)
    assert taken is not None
    return taken[0].id


def changed(shop: Shop, platform: Platform, losing: frozenset[str] = frozenset()) -> Platform:
    """The platform after the project's files, as they lie now, were applied."""
    later = replace(platform, project=load_project(shop.root))
    apply(later, allowed_losses=losing)
    return later


def one_segment(platform: Platform, number: int) -> None:
    """Takes a batch through one segment, as a service that is told to end does."""
    with at_work(platform) as worker:
        lease = queue.claim(platform.connection, worker.name, number=number)
        assert lease is not None
        answers = iter([False, True])
        advance(platform, lease, stopping=lambda: next(answers))


def kinds(platform: Platform, number: int) -> list[str]:
    return [event.kind for event in events.of_batch(platform.connection, number)]


def finish(platform: Platform, number: int) -> str:
    with at_work(platform) as worker:
        return work_off(platform, worker, number).batch.state


def notes(platform: Platform) -> set[str | None]:
    return {row[0] for row in ask(platform, "SELECT note FROM operational.sale", "shop")[1]}


def test_a_batch_under_way_goes_on_under_the_configuration_that_it_began_with(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)
        one_segment(platform, number)
        assert records.batch(platform.connection, number).state == "readable"
        shop.edit("conform/till/sale.sql", "goods, amount, note", "goods, amount, 'changed' AS note")
        later = changed(shop, platform)
        assert finish(later, number) == "done"
        assert records.batch(platform.connection, number).config_version == platform.project.version
        assert notes(later) == {None, "gift", "refund"}
        following = landed(shop, later, "till-2.csv", TILL.replace("gift", "present"))
        assert finish(later, following) == "done" and "changed" in notes(later)
        assert "restarted" not in kinds(later, number)


def test_a_batch_starts_anew_where_the_tables_have_changed(shop: Shop) -> None:
    """The contract has one column more: what was typed before lacks it."""
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)
        one_segment(platform, number)
        kind = "\n      - {name: kind, logicalType: string, required: true}"
        shop.edit("operational/sale.odcs.yaml", PLAIN_NOTE, PLAIN_NOTE + kind)
        shop.edit("conform/till/sale.sql", "amount, note FROM", "amount, note, 'cash' AS kind FROM")
        later = changed(shop, platform)
        assert finish(later, number) == "done"
        (event,) = events.of_batch(later.connection, number, ["restarted"])
        assert event.body == {
            "from": platform.project.version, "to": later.project.version,
            "why": "operational.sale is another table now",
        }  # fmt: skip
        assert {row[0] for row in ask(later, "SELECT kind FROM operational.sale", "shop")[1]} == {"cash"}
        assert len(ask(later, "SELECT * FROM staging.till", "shop")[1]) == 4, "rows of the first attempt stayed"
        assert [entry["segment"] for entry in records.runs(later.connection, number)] == [
            "land", "approve", "clean", "conform", "denormalize",
        ]  # fmt: skip


def test_what_an_earlier_attempt_set_aside_goes_when_a_batch_starts_anew(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)
        with at_work(platform) as worker:
            lease = queue.claim(platform.connection, worker.name, number=number)
            assert lease is not None
            answers = iter([False, False, True])
            advance(platform, lease, stopping=lambda: next(answers))
        assert records.batch(platform.connection, number).state == "clean"
        shop.edit("contracts/till.odcs.yaml", "amount <> 0", "amount <> 99")
        shop.edit("contracts/till.odcs.yaml", "'decimal(12,2)'", "'decimal(10,2)'")
        later = replace(platform, project=load_project(shop.root))
        with at_work(platform) as worker:
            lease = queue.claim(platform.connection, worker.name, number=number)
            assert lease is not None
            _, batch = versions.for_batch(later, records.batch(platform.connection, number), lease)
        assert batch.state == "landed" and batch.config_version == later.project.version
        for store in ("readable", "quarantine"):
            files = Iceberg(platform.connection, platform.data).files(f"shop.{store}", "till", number)
            assert files == [], store
        assert records.tallies(platform.connection, number) == []


def test_a_batch_that_failed_goes_on_under_the_configuration_that_mends_it(shop: Shop) -> None:
    shop.write("conform/till/sale.sql", "SELECT number, nonsense(sold_on) AS month, goods, amount, note FROM batch\n")
    with shop.opened() as platform:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("assay.pipelines.sql_check.check_sql", lambda project: None)
            apply(platform)
        number = landed(shop, platform)
        with pytest.raises(Misconfigured):
            finish(platform, number)
        failure = queue.failure(platform.connection, number)
        assert failure is not None and failure.parked and failure.segment == "conform"
        shop.write("conform/till/sale.sql", FILES["zones/shop/sales/conform/till/sale.sql"])
        later = changed(shop, platform)
        assert finish(later, number) == "done"
        (event,) = events.of_batch(later.connection, number, ["restarted"])
        assert event.body["why"] == "the batch failed under it"


def test_what_was_unavailable_is_no_reason_to_start_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)

        def full(*_: object) -> None:
            raise Unavailable("the disk is full")

        with monkeypatch.context() as patch, pytest.raises(Unavailable):
            patch.setattr("assay.pipelines.run.move", full)
            finish(platform, number)
        shop.edit("conform/till/sale.sql", "goods, amount, note", "goods, amount, 'changed' AS note")
        later = changed(shop, platform)
        assert finish(later, number) == "done"
        assert "restarted" not in kinds(later, number) and "changed" not in notes(later)


def test_a_held_batch_is_released_into_the_configuration_that_it_began_with(shop: Shop) -> None:
    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    with shop.opened() as opened:
        platform = replace(opened, actor="deliverer")
        apply(platform)
        number = landed(shop, platform)
        assert finish(platform, number) == "held"
        shop.edit("conform/till/sale.sql", "goods, amount, note", "goods, amount, 'changed' AS note")
        later = replace(changed(shop, platform), actor="steward")
        assert decide(later, number, "release", "looked at").batch.state == "done"
        assert "changed" not in notes(later)


def test_analytical_tables_are_computed_as_the_present_configuration_says(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)
        one_segment(platform, number)
        shop.edit("analytical/by_month.sql", "count(*) AS lines", "count(*) + 100 AS lines")
        later = changed(shop, platform)
        assert finish(later, number) == "done"
        assert all(row[0] > 100 for row in ask(later, "SELECT lines FROM analytical.by_month", "shop")[1])


def test_a_batch_of_a_pipeline_that_is_gone_waits_for_a_person_with_the_reason(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)
        one_segment(platform, number)
        for name in FILES:
            if name.startswith("zones/shop/sales/"):
                (shop.root / name).unlink()
        later = replace(platform, project=load_project(shop.root))
        apply(later, allowed_losses=frozenset(plan(later).losing))
        with pytest.raises(Exception, match="till|exist"):
            finish(later, number)
        failure = queue.failure(later.connection, number)
        assert failure is not None and failure.parked


def test_the_present_configuration_is_read_from_what_was_applied_not_from_files_at_work(shop: Shop) -> None:
    with shop.opened() as platform:
        bare = replace(platform, project=load_bare(shop.root))
        assert versions.present(bare) is None
        apply(platform)
        shop.edit("pipeline.yaml", "title: Sales", "title: Unfinished")
        found = versions.present(bare)
        assert found is not None and found.project.version == platform.project.version
        pipeline = found.project.zones["shop"].pipelines["sales"]
        assert pipeline.title == "Sales" and pipeline.ingress == shop.root / "ingress/shop/sales"
        assert versions.present(found) is found
        later = replace(platform, project=load_project(shop.root))
        apply(later)
        again = versions.present(found)
        assert again is not None and again.project.version == later.project.version
        pipeline = again.project.zones["shop"].pipelines["sales"]
        assert again.project.folder == shop.root
        assert pipeline.title == "Unfinished" and pipeline.ingress == shop.root / "ingress/shop/sales"


def test_run_takes_on_what_another_configuration_left(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
        number = landed(shop, platform)
        one_segment(platform, number)
        shop.edit("pipeline.yaml", "title: Sales", "title: Sales again")
        later = changed(shop, platform)
        (result,) = run(later, [pipeline_of(later, "shop", "sales")])
        assert result.batch.id == number and result.batch.state == "done"
