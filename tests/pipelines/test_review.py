"""The steward's gate: what is shown, what is decided upon, and what can no longer be released."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assay.batch import Batch
from assay.catalog import events, records
from assay.errors import Denied, NotFound, Usage
from assay.pipelines.door import Door
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.review import decide, remind, review, waiting
from assay.pipelines.run import ingest
from assay.stores.database import connect, transaction
from assay.zones.project import load_project
from shop_project import TILL, Shop

ZONE = "title: Shop\nowner: owner@example.org\nstewards: [steward]\n"
TABLES = "batch delivery segment_run finding tally profile touched decision configuration".split()
GATE = "steward: {default: always, remind_after: 2 days, escalate_after: 5 days, escalate_to: [head]}"


@pytest.fixture
def gated(filled: Shop) -> Iterator[Platform]:
    """The shop with a gate at which every batch is held, seen by its steward."""
    filled.write("zone.yaml", ZONE)
    filled.edit("pipeline.yaml", "steward: never", GATE)
    with filled.opened() as platform:
        apply(platform)
        yield seen_by(platform, "steward")


def seen_by(platform: Platform, name: str) -> Platform:
    """The same platform as somebody else uses it."""
    return replace(platform, actor=name, identified=None)


def mine(platform: Platform) -> list[int]:
    """The batches that wait for who asks, as `review list --mine` finds them."""
    door = Door(platform, "review list")
    found = waiting(door.platform, sight=door.sight()) if door.sight().zones else []
    return [one.batch.id for one in found if one.is_for(door.user.name) and door.may_decide(one.batch)]


def deliver(platform: Platform, name: str, text: str = TILL, by: str = "clerk") -> Batch:
    path = platform.project.root / name
    path.write_text(text)
    clerk = seen_by(platform, by)
    (result,) = ingest(clerk, pipeline_of(clerk, "shop", "sales"), [path], None)
    return result.batch


def more(first: int, amount: str = "2.50") -> str:
    return f"No.,Sold on,Goods,Amount,Note\n{first},2025-01-03,tea,{amount},\n{first + 1},2025-03-04,jam,0.00,\n"


def wait(platform: Platform, number: int, days: float) -> None:
    """Lets a batch have waited for so long."""
    platform.connection.execute(
        "UPDATE assay.batch SET moved_at = clock_timestamp() - make_interval(secs => %s) WHERE id = %s",
        (days * 86400, number),
    )


def test_a_held_batch_is_shown_with_all_that_speaks_for_and_against_it(gated: Platform) -> None:
    batch = deliver(gated, "till-2.csv", more(2, "9.00"))
    (one,) = waiting(gated)
    assert (one.batch.id, one.why, one.stewards) == (
        batch.id, "every batch of this pipeline is looked at", ("steward",)
    )  # fmt: skip
    found = review(gated, batch.id)
    assert [finding.rule for _, finding in found.findings] == ["amount_not_zero"]
    assert found.set_aside == (("clean", "amount_not_zero", 1),)
    assert [(tally.store, tally.rows) for tally in found.tallies][:1] == [("delivered", 2)]
    assert [number for number, *_ in found.history] == [1]
    assert found.sample.rows[0][0] == "2" and len(found.sample.rows) == 1
    effects = {effect.table: effect for effect in found.effects}
    assert (effects["sale"].added, effects["sale"].changed) == (0, 1)
    before = ask(gated, "SELECT amount FROM operational.sale WHERE number = '2'", "shop")[1]
    assert str(before[0][0]) == "3.50", "what was tried left no trace"
    assert decide(gated, batch.id, "release", "seen", evidence=found.evidence).batch.state == "done"
    (decision,) = records.decisions(gated.connection, batch.id)
    assert (decision["decided_by"], decision["evidence"]) == ("steward", found.evidence)
    (event,) = events.of_batch(gated.connection, batch.id, ["released"])
    assert event.body == {"by": "steward", "reason": "seen", "evidence": found.evidence}


def test_a_release_that_a_key_would_refuse_is_told_before(gated: Platform) -> None:
    twice = "No.,Sold on,Goods,Amount,Note\n8,2025-01-03,tea,1.00,\n8,2025-01-03,tea,2.00,\n"
    batch = deliver(gated, "till-twice.csv", twice)
    found = review(gated, batch.id)
    assert found.effects == () and "share a value of the key" in str(found.refusal)


def test_a_decision_upon_evidence_that_has_changed_is_refused_and_says_what_changed(gated: Platform) -> None:
    batch = deliver(gated, "till-2.csv", more(20))
    shown = review(gated, batch.id).evidence
    (gated.project.root / "zones/shop/zone.yaml").write_text(ZONE.replace("Shop", "Shops"))
    later = replace(gated, project=load_project(gated.project.root))
    apply(later)
    with pytest.raises(Usage, match="changed: configuration") as caught:
        decide(later, batch.id, "release", "seen", evidence=shown)
    assert "review show" in str(caught.value.next)
    assert records.batch(later.connection, batch.id).state == "held"
    assert records.decisions(later.connection, batch.id) == []
    assert decide(later, batch.id, "release", "seen").batch.state == "done"


def test_who_delivered_it_decides_only_where_four_eyes_are_not_asked_for(gated: Platform) -> None:
    batch = deliver(gated, "till-2.csv", more(20), by="steward")
    assert mine(gated) == []
    with pytest.raises(Denied, match="Nobody decides on a batch that he delivered"):
        Door(gated, "review release").batch(batch.id)
    pipeline = gated.project.root / "zones/shop/sales/pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("{default", "{four_eyes: false, default"))
    alone = replace(gated, project=load_project(gated.project.root))
    apply(alone)
    assert mine(alone) == [batch.id]
    assert Door(alone, "review release").batch(batch.id) == batch
    assert decide(alone, batch.id, "release", "mine").batch.state == "done"


def test_mine_are_those_that_wait_for_me(gated: Platform) -> None:
    batch = deliver(gated, "till-2.csv", more(20))
    assert mine(gated) == [batch.id] and mine(seen_by(gated, "visitor")) == []
    assert waiting(gated, zone="elsewhere") == []


def test_a_batch_that_a_correction_replaced_can_only_be_rejected(gated: Platform) -> None:
    first = deliver(gated, "till-2.csv", more(20))
    second = deliver(gated, "till-2 (corrected).csv", more(20, "2.75"))
    assert second.replaces == first.id
    assert {one.batch.id: one.replaced_by for one in waiting(gated)} == {first.id: second.id, second.id: None}
    with pytest.raises(Usage, match=f"replaced by batch {second.id}"):
        decide(gated, first.id, "release", "late")
    assert decide(gated, second.id, "release", "right").batch.state == "done"
    assert decide(gated, first.id, "reject", "corrected").batch.state == "rejected"


@pytest.mark.parametrize(
    ("mode", "period", "blocked"),
    [
        ("{mode: snapshot}", "", True),
        ("{mode: replace, by: [month]}", "2025-01", True),
        ("{mode: replace, by: [month]}", "2025-02", False),
        ("{mode: upsert}", "2025-01", False),
    ],
)
def test_a_held_whole_or_period_that_a_later_one_overtook_can_only_be_rejected(
    gated: Platform, mode: str, period: str, blocked: bool
) -> None:
    """A whole is of the source, or of one period; where files only add to each other none overtakes another."""
    pipeline = gated.project.root / "zones/shop/sales/pipeline.yaml"
    text = pipeline.read_text().replace("{mode: upsert}", mode)
    told = "" if mode == "{mode: snapshot}" else "\n    period: {from: file_name, pattern: '([0-9]{4}-[0-9]{2})'}"
    pipeline.write_text(text + told.lstrip("\n") if text.endswith("\n") else text + told)
    changed = replace(gated, project=load_project(gated.project.root))
    apply(changed)
    held = deliver(changed, "till-2025-01-a.csv", more(30))
    later = deliver(changed, f"till-{period or '2025-01'}-b.csv", more(40))
    assert decide(changed, later.id, "release", "newer").batch.state == "done"
    if blocked:
        with pytest.raises(Usage, match=f"replaced by batch {later.id}"):
            decide(changed, held.id, "release", "older")
    else:
        assert decide(changed, held.id, "release", "older").batch.state == "done"


def test_reminders_and_the_escalation_are_told_once_by_however_many_services(gated: Platform) -> None:
    batch = deliver(gated, "till-2.csv", more(20))
    assert remind(gated) == []
    wait(gated, batch.id, 6)
    told: list[int] = []
    connections = [connect(gated.url, autocommit=True) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda c=c: told.append(len(remind(replace(gated, connection=c)))))
        for c in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert sorted(told) == [0, 0, 0, 2]
    found = events.of_batch(gated.connection, batch.id, ["reminded", "escalated"])
    assert [(event.kind, event.body) for event in found] == [
        ("reminded", {"step": 3, "to": ["steward"]}),
        ("escalated", {"step": 1, "to": ["head"]}),
    ]
    (one,) = waiting(gated)
    assert (one.reminders, one.escalated_to) == (3, ("head",))
    assert one.is_for("head")
    wait(gated, batch.id, 8.5)
    assert [(due.kind, due.step) for due in remind(gated)] == [("reminded", 4)]
    decide(gated, batch.id, "reject", "too late")
    wait(gated, batch.id, 30)
    assert remind(gated) == []


def test_what_does_not_wait_is_not_shown_and_not_decided(gated: Platform, tmp_path: Path) -> None:
    for act in (lambda: review(gated, 1), lambda: decide(gated, 1, "release", "x")):
        with pytest.raises(NotFound, match="does not wait for a steward: it is done"):
            act()


def test_a_steward_may_be_on_holiday_for_weeks_while_assay_is_upgraded(gated: Platform) -> None:
    """The metadata go back to the shape that the version before had, with what it would have held, and forward."""
    from alembic import command
    from alembic.config import Config

    import assay.catalog.migrate as migrating
    from assay.stores.database import lend

    batch = deliver(gated, "till-2.csv", more(20))
    wait(gated, batch.id, 30)
    connection = gated.connection
    with transaction(connection) as tx:
        tx.execute("ALTER SCHEMA assay RENAME TO newer")
        tx.execute("CREATE SCHEMA assay")
        for table in ("iceberg_tables", "iceberg_namespace_properties"):  # the lake's catalog is nobody's to migrate
            tx.execute(f"ALTER TABLE newer.{table} SET SCHEMA assay".encode())
            tx.execute(f"DROP POLICY owner ON {table}; DROP POLICY zone ON {table}".encode())
        config = Config()
        config.set_main_option("script_location", str(Path(migrating.__file__).parent / "migrations"))
        config.attributes["connection"] = lend(tx)
        command.upgrade(config, "0003")
        for table in TABLES:
            columns = tx.execute(
                "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns "
                "WHERE table_schema = 'assay' AND table_name = %s",
                (table,),
            ).fetchone()
            assert columns is not None
            tx.execute(
                f"INSERT INTO assay.{table} ({columns[0]}) OVERRIDING SYSTEM VALUE "
                f"SELECT {columns[0]} FROM newer.{table}".encode()
            )
            tx.execute(
                "SELECT setval(pg_get_serial_sequence(%s, a.attname), (SELECT max(id) FROM assay.batch) + 1000) "
                "FROM pg_attribute AS a WHERE a.attrelid = %s::regclass AND a.attidentity <> ''",
                (f"assay.{table}", f"assay.{table}"),
            )
        tx.execute("DROP SCHEMA newer CASCADE")
    assert migrating.current(connection) == "0003"
    with Shop(gated.project.root).opened() as restarted:
        assert migrating.current(restarted.connection) == migrating.HEAD
        steward = replace(restarted, actor="steward")
        (one,) = waiting(steward)
        assert one.waited.days == 30 and one.why == "every batch of this pipeline is looked at"
        assert [due.kind for due in remind(steward)] == ["reminded", "escalated"]
        shown = review(steward, batch.id)
        assert decide(steward, batch.id, "release", "back again", evidence=shown.evidence).batch.state == "done"
        rows = ask(steward, "SELECT count(*) FROM operational.sale WHERE number = '20'", "shop")[1]
        assert rows == [(1,)]
