"""Housekeeping: rows stay what they are, files that somebody needs stay where they are, the rest goes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from assay.catalog import events, records, upkeep
from assay.errors import Misconfigured, NotFound, Unavailable, Usage
from assay.pipelines import maintain as housekeeping
from assay.pipelines.landing import pipeline_of
from assay.pipelines.maintain import _alone, due, maintain, tidy
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask, asked
from assay.pipelines.replay import replay
from assay.pipelines.run import ingest
from assay.pipelines.trace import origins
from assay.pipelines.upkeep import orphans as removing
from assay.pipelines.upkeep.retention import runs
from assay.pipelines.upkeep.scope import Step
from assay.pipelines.withdraw import withdraw
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.stores.lake_use import in_use, used_since
from assay.stores.landing import keep
from holdings import counted
from shop_project import TILL, Shop

#: Tables whose rows housekeeping must not change.
TABLES = (
    "readable.till", "staging.till", "quarantine.till", "operational.sale", "operational.goods", "analytical.by_month"
)  # fmt: skip


@contextmanager
def kept(shop: Shop, grace: str = "0 hours", zone: str = "") -> Iterator[Platform]:
    """The platform under settings that leave no grace, so that what may go goes at once."""
    text = (shop.root / "assay.yaml").read_text().partition("maintain:")[0]
    (shop.root / "assay.yaml").write_text(f"{text}maintain: {{grace: {grace}}}\n")
    shop.write(
        "zones/shop/zone.yaml", f"title: Shop\nowner: o@example.org\nretention: {{snapshots: 0 hours{zone}}}\n"
    )
    with shop.opened() as platform:
        apply(platform)
        yield platform


def deliver(platform: Platform, shop: Shop, number: int, text: str | None = None) -> int:
    file = shop.root / f"till-{number}.csv"
    file.write_text(text or TILL.replace("\n1,", f"\n{100 + number},"))
    (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [file], None)
    assert result.batch.state == "done", result
    return result.batch.id


def content(platform: Platform) -> dict[str, Counter[Any]]:
    return counted(platform, TABLES)


def files(platform: Platform, store: str, name: str = "till") -> list[str]:
    return Iceberg(platform.connection, platform.data).files(f"shop.{store}", name)


def on_disk(platform: Platform, *folders: str) -> set[Path]:
    places = [platform.data / folder for folder in folders or ("lake", "landing")]
    return {path for place in places for path in place.rglob("*") if path.is_file()}


def steps(report: housekeeping.Report, task: str) -> dict[str, Step]:
    return {step.subject: step for step in report.steps if step.task == task}


def aged(path: Path) -> Path:
    """The file as it would be after an hour."""
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    return path


def age_batches(platform: Platform, numbers: list[int], days: int) -> None:
    platform.connection.execute(
        "UPDATE assay.batch SET moved_at = moved_at - make_interval(days => %s), "
        "delivered_at = delivered_at - make_interval(days => %s) WHERE id = ANY(%s)",
        (days, days, numbers),
    )


def test_small_files_become_one_and_every_row_stays(filled: Shop) -> None:
    with kept(filled) as platform:
        for number in range(2, 12):
            deliver(platform, filled, number)
        before = content(platform)
        said = maintain(platform)
        assert not said.failed and content(platform) == before
        compacted = steps(said, "compact")
        for store in ("readable", "clean", "quarantine"):
            assert len(files(platform, store)) == 1
            one = compacted[f"shop.{store}.till"]
            assert (one.files_before, one.files_after) == (11, 1)
        assert said.bytes_freed > 0
        again = maintain(platform)
        assert [step for step in again.steps if step.task in ("compact", "expire")] == []


def test_tables_that_recent_batches_crowded_are_tidied_between_the_runs(
    filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept(filled) as platform:
        assert tidy(platform) == ()
        for number in range(2, 12):
            deliver(platform, filled, number)
        assert tidy(platform) == ()
        monkeypatch.setattr("assay.pipelines.upkeep.compact.FILES_CROWDED", 10)
        before, last = content(platform), upkeep.last(platform.connection)
        with filled.opened() as other, _alone(other):
            assert tidy(platform) == ()  # another process is at it
        done = {step.subject: (step.files_before, step.files_after) for step in tidy(platform)}
        assert done == {f"shop.{store}.till": (11, 1) for store in ("clean", "quarantine", "readable")}
        assert content(platform) == before
        assert upkeep.last(platform.connection) == last  # it is not the run that the schedule waits for
        assert tidy(platform) == ()


def test_rows_written_before_the_columns_changed_are_put_together_as_they_are_read(filled: Shop) -> None:
    """A column that came later is empty in older rows, one that left is gone, a wider decimal holds both."""
    contract = "zones/shop/sales/contracts/till.odcs.yaml"
    with kept(filled) as platform:
        for number in range(2, 7):
            deliver(platform, filled, number)
    filled.edit(contract, "decimal(12,2)", "decimal(16,2)")
    filled.edit(
        contract, "{name: note, physicalName: Note, logicalType: string}",
        "{name: colour, physicalName: Colour, logicalType: string}",
    )  # fmt: skip
    filled.edit("sale.sql", "amount, note", "amount, colour AS note")
    filled.edit("zones/shop/sales/operational/sale.odcs.yaml", "decimal(12,2)", "decimal(16,2)")
    filled.edit("zones/shop/sales/analytical/by_month.odcs.yaml", "decimal(14,2)", "decimal(18,2)")
    filled.edit("by_month.sql", "DECIMAL(14, 2)", "DECIMAL(18, 2)")
    with filled.opened() as platform:
        gone = [f"drop column shop.{store}.till.note" for store in ("readable", "clean", "quarantine")]
        apply(platform, allowed_losses=frozenset(gone))
        text = TILL.replace("Note", "Colour").replace("2.50,", "12345678901.25,red")
        for number in range(7, 12):
            deliver(platform, filled, number, text.replace("\n1,", f"\n{100 + number},"))
        before = content(platform)
        maintain(platform, only=["compact"])
        assert content(platform) == before and len(files(platform, "readable")) == 1
        columns, _ = ask(platform, "SELECT * FROM readable.till", None)
        assert "colour" in columns and "note" not in columns


def test_files_that_were_refreshed_lately_stay_apart(filled: Shop) -> None:
    """Each holds one value of the refresh columns: it is about to be replaced as a whole."""
    with kept(filled) as platform:
        months = "".join(f"{200 + year},{2000 + year}-01-05,tea,1.00,\n" for year in range(12))
        deliver(platform, filled, 2, TILL + months)
        before = content(platform)
        fresh = files(platform, "analytical", "by_month")
        assert "shop.analytical.by_month" not in steps(maintain(platform), "compact")
        for file in fresh:
            os.utime(file, (time.time() - 2 * 86400, time.time() - 2 * 86400))
        step = steps(maintain(platform), "compact")["shop.analytical.by_month"]
        assert step.files_before == len(fresh) and step.files_after == 1
        assert content(platform) == before
        deliver(platform, filled, 3, TILL.replace("\n1,", "\n300,"))
        assert content(platform)["analytical.by_month"] != before["analytical.by_month"]
        ((lines,),) = ask(platform, "SELECT sum(lines) FROM analytical.by_month", None)[1]
        assert ((lines,),) == tuple(ask(platform, "SELECT count(*) FROM operational.sale", None)[1])


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(filled: Shop) -> None:
    with kept(filled, zone=", readable: 1 day, landing: 1 day") as platform:
        numbers = [1, *(deliver(platform, filled, number) for number in range(2, 12))]
        age_batches(platform, numbers, 3)
        before, there = content(platform), on_disk(platform)
        said = maintain(platform, dry_run=True)
        assert {step.task for step in said.steps} >= {"compact", "expire", "retention"}
        landing = next(step for step in said.steps if step.words.startswith("landing: 1 day"))
        assert "10 batches would give up" in landing.words and "replayed from approve no more" in landing.words
        assert (content(platform), on_disk(platform)) == (before, there)
        assert upkeep.last(platform.connection) is None and upkeep.removals(platform.connection, numbers) == []


def planted(platform: Platform) -> set[Path]:
    """What killed processes leave, an hour later: of tables that are and that are no more, and of landing."""
    lake, landing = platform.data / "lake/shop", platform.data / "landing/shop"
    names = [
        lake / "readable/till/data/99-approve-dead.parquet",
        lake / "readable/till/metadata/00099-dead.metadata.json",
        lake / "analytical/by_month/metadata/snap-1-dead.avro",
        lake / "analytical/dropped/data/1-denormalize-dead.parquet",
        landing / "heads/ab/.0123.part",
        landing / "bodies/ab/abdead",
        landing / "ab" / ("ab" + "0" * 62),
    ]
    for path in names:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left behind")
        aged(path)
    return set(names)


def test_exactly_the_files_that_nothing_needs_are_removed(filled: Shop) -> None:
    with kept(filled) as platform:
        maintain(platform)
        before, there = content(platform), on_disk(platform)
        orphans = planted(platform)
        said = maintain(platform, only=["orphans"])
        assert on_disk(platform) == there and content(platform) == before
        assert said.bytes_freed == len(orphans) * len(b"left behind")
        assert not (platform.data / "lake/shop/analytical/dropped").exists()


def test_a_file_waits_until_its_grace_is_over(filled: Shop) -> None:
    with kept(filled) as platform:
        maintain(platform)
    with kept(filled, grace="24 hours") as platform:
        orphans = planted(platform)
        for _ in range(2):
            said = maintain(platform, only=["orphans"])
            assert said.bytes_freed == 0 and all(path.exists() for path in orphans)
            assert "4 more when their grace is over" in steps(said, "orphans")["lake/shop"].words
        platform.connection.execute("UPDATE assay.loose_file SET since = since - interval '25 hours'")
        maintain(platform, only=["orphans"])
        assert not any(path.exists() for path in orphans)


def test_what_somebody_reads_stays_until_he_is_done(filled: Shop) -> None:
    with kept(filled) as platform, filled.opened() as other:
        for number in range(2, 12):
            deliver(platform, filled, number)
        expected = Counter(ask(platform, "SELECT * FROM readable.till", None)[1])
        old = {str(aged(Path(path))) for path in files(platform, "readable")}
        with asked(other, "SELECT * FROM readable.till", None) as (_, rows):
            said = maintain(platform)
            assert len(files(platform, "readable")) == 1
            assert all(Path(path).exists() for path in old)
            assert "more when their grace is over" in steps(said, "orphans")["lake/shop"].words
            assert Counter(rows) == expected
        maintain(platform)
        assert not any(Path(path).exists() for path in old)


def test_what_somebody_prepares_stays_until_he_commits_or_dies(filled: Shop) -> None:
    with kept(filled) as platform, filled.opened() as worker:
        with worker.scratch():
            prepared = Iceberg(worker.connection, worker.data).new_file("shop.readable", "till", "2-approve")
            prepared.write_bytes(b"not yet part of the table")
            maintain(platform, only=["orphans"])
            maintain(platform, only=["orphans"])
            assert prepared.exists()
        aged(prepared)
        maintain(platform, only=["orphans"])
        assert not prepared.exists()


def test_a_file_that_a_living_process_may_have_made_is_not_even_marked(filled: Shop) -> None:
    """A mark must mean that nobody can come to know the file: it outlives the process that might commit it."""
    with kept(filled) as platform, filled.opened() as worker, in_use(worker.connection):
        prepared = Iceberg(worker.connection, worker.data).new_file("shop.readable", "till", "2-approve")
        prepared.write_bytes(b"not yet part of the table")
        maintain(platform, only=["orphans"])
        later = datetime.now(UTC) + timedelta(hours=1)
        assert str(prepared) not in upkeep.loose_before(platform.connection, "/", later)


def test_bytes_that_are_delivered_again_just_now_are_not_removed(filled: Shop) -> None:
    """A delivery that found the bytes there relies on them although no record says so yet."""
    with kept(filled, zone=", landing: 1 day") as platform, filled.opened() as other:
        deliver(platform, filled, 2)
        first = records.batch(platform.connection, 1)
        age_batches(platform, [1], 3)
        maintain(platform, only=["retention"])
        other.connection.execute("SET lock_timeout = '200ms'")
        with transaction(platform.connection) as tx:
            keep(tx, "shop", first.sha256)
            said = maintain(other, only=["orphans"])
            assert said.failed and "somebody else holds" in said.steps[-1].words
        assert platform.landing.has("shop", first.sha256)
        assert not maintain(other, only=["orphans"]).failed
        assert not platform.landing.has("shop", first.sha256)


def test_a_batch_that_comes_while_files_are_listed_loses_nothing(
    filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables have files that the list does not have, and lead no more to some that it has."""
    with kept(filled) as platform, filled.opened() as other:
        numbers = count(2)

        def after_the_list(connection: Any) -> datetime | None:
            deliver(other, filled, next(numbers))
            return used_since(connection)

        monkeypatch.setattr(removing, "used_since", after_the_list)
        said = maintain(platform, only=["expire", "orphans"])
        assert not said.failed, said
        assert len(content(platform)["readable.till"]) == 5 * (next(numbers) - 1)
        monkeypatch.undo()
        before = content(platform)
        assert not maintain(platform).failed and content(platform) == before


def test_the_files_of_another_database_are_not_taken_for_orphans(filled: Shop, new_shop: Any) -> None:
    with kept(filled) as platform:
        maintain(platform)
        there = on_disk(platform)
        stranger = new_shop()
        text = (stranger.root / "assay.yaml").read_text().replace("data: data", f"data: {platform.data}")
        (stranger.root / "assay.yaml").write_text(text + "maintain: {grace: 0 hours}\n")
        with stranger.opened() as theirs:
            apply(theirs)
            for one in (theirs, platform):
                said = maintain(one, only=["orphans"])
                assert said.failed and "files of 1 other databases" in said.steps[0].words
        assert there <= on_disk(platform)


def test_a_folder_that_was_moved_loses_nothing(filled: Shop) -> None:
    """The tables know their files by their old place, which a link keeps alive."""
    with kept(filled) as platform:
        maintain(platform)
        before, there = content(platform), len(on_disk(platform))
    new = filled.root.parent / f"{filled.root.name}-moved"
    (filled.root / "data").rename(new)
    (filled.root / "data.keys").rename(f"{new}.keys")
    (filled.root / "data").symlink_to(new)
    with filled.opened() as platform:
        assert platform.data == new
        said = maintain(platform, only=["orphans"])
        assert not said.failed and said.bytes_freed == 0
        assert len(on_disk(platform)) == there and content(platform) == before


def test_a_table_that_lies_elsewhere_keeps_every_file_of_its_zone(filled: Shop) -> None:
    with kept(filled) as platform:
        orphans = planted(platform)
        folder = platform.data / "lake/shop/clean"
        folder.rename(platform.data / "elsewhere")
        said = maintain(platform, only=["orphans"])
        assert said.failed and all(path.exists() for path in orphans if "lake" in path.parts)


def test_configurations_that_no_batch_goes_on_with_are_removed(filled: Shop) -> None:
    with kept(filled) as platform:
        deliver(platform, filled, 2)
        now = platform.project.version
        first = records.batch(platform.connection, 1).config_version
        platform.connection.execute("UPDATE assay.batch SET state = 'held', config_version = 'held' WHERE id = 2")
        root = platform.data / "configurations"
        for name in (now, first, "held", ".left-by-a-killed-process"):
            (root / name / "zones").mkdir(parents=True)
            aged(root / name)
        assert first != now
        maintain(platform, only=["orphans"])
        assert {path.name for path in root.iterdir()} == {now, "held"}


def test_staged_rows_past_their_retention_go_and_their_record_stays(filled: Shop) -> None:
    rules = ", readable: 30 days, clean: 60 days, quarantine: 2 years, findings: 30 days"
    with kept(filled, zone=rules) as platform:
        numbers = [1, *(deliver(platform, filled, number) for number in range(2, 6))]
        age_batches(platform, numbers[:3], 40)
        before = content(platform)
        said = maintain(platform)
        assert not said.failed
        after = content(platform)
        gone = Counter({row: n for row, n in before["readable.till"].items() if row[-3] in numbers[:3]})
        assert after["readable.till"] == before["readable.till"] - gone and gone
        assert {k: v for k, v in after.items() if k != "readable.till"} == {
            k: v for k, v in before.items() if k != "readable.till"
        }
        found = [(r.batch, r.store, r.rule) for r in upkeep.removals(platform.connection, numbers)]
        for number in numbers[:3]:
            assert (number, "readable", "readable: 30 days") in found
            assert (number, "findings", "findings: 30 days") in found
        assert not any(store in ("clean", "quarantine", "landing") for _, store, _ in found)
        entries = platform.connection.execute("SELECT detail FROM assay.audit WHERE action = 'retention'").fetchall()
        assert {entry["store"] for (entry,) in entries} == {"readable", "findings"}
        (told,) = [e for e in events_of(platform, "removed") if e.body["store"] == "readable"]
        assert told.body["batches"] == numbers[:3] and told.body["rule"] == "readable: 30 days"
        assert all(not one.cells for _, one in records.findings(platform.connection, 1))
        assert any(one.cells for _, one in records.findings(platform.connection, numbers[-1]))
        assert maintain(platform, only=["retention"]).steps == ()


def events_of(platform: Platform, kind: str) -> list[events.Event]:
    found = platform.connection.execute(
        "SELECT id, transaction::text::bigint, at, kind, zone, pipeline, batch_id, segment, body "
        "FROM assay.event WHERE kind = %s ORDER BY id",
        (kind,),
    )
    return [events.Event(*row) for row in found]


def test_a_gold_row_whose_delivered_file_is_gone_still_leads_to_its_record(filled: Shop) -> None:
    with kept(filled, zone=", landing: 7 years") as platform:
        deliver(platform, filled, 2, TILL.replace("2.50", "2.75").replace("5,2025", "9,2025"))
        old = records.batch(platform.connection, 1)
        age_batches(platform, [1], 8 * 366)
        assert platform.landing.has("shop", old.sha256)
        maintain(platform)
        assert not platform.landing.has("shop", old.sha256)
        found = origins(platform, "operational.sale", "number = '3'", None)
        evidence = {one.batch: one for one in found.evidence.values()}
        assert found.total == 1 and len(evidence) == 1
        traced = origins(platform, "readable.till", None, None).evidence[1]
        assert traced.sha256 == old.sha256 and traced.landing_removed_at is not None
        with pytest.raises(NotFound, match="was removed on") as refused:
            replay(platform, 1)
        assert "deliver the same file once more" in str(refused.value)
        again = filled.root / "till-1.csv"
        os.utime(again, (1, 1))
        ((result),) = ingest(platform, pipeline_of(platform, "shop", "sales"), [again], None)
        assert result.duplicate and platform.landing.has("shop", old.sha256)
        assert replay(platform, 1).batch.state == "done"
        maintain(platform)
        assert platform.landing.has("shop", old.sha256), "the new batch needs it"


def test_what_retention_took_is_not_taken_for_nothing(filled: Shop) -> None:
    """A replay or a rebuild that found no rows would take the rows that stand for rows that were never delivered."""
    with kept(filled, zone=", readable: 1 day, clean: 1 day") as platform:
        numbers = [1, *(deliver(platform, filled, number) for number in range(2, 4))]
        age_batches(platform, numbers[:1], 10)
        maintain(platform)
        before = content(platform)
        for start in ("clean", "conform"):
            with pytest.raises(Usage, match="rows of batch 1 were removed on"):
                replay(platform, 1, start=start)  # type: ignore[arg-type]  # both are starts
        with pytest.raises(Usage, match="the clean rows of 1 batches that goods, sale are made of"):
            withdraw(platform, [numbers[1]], "delivered by mistake")
        assert content(platform) == before
        assert replay(platform, 1).batch.state == "done"
        assert withdraw(platform, [numbers[1]], "delivered by mistake")


def test_nothing_is_taken_from_a_batch_that_is_still_needed(filled: Shop) -> None:
    """Held, replaced by one under way, or the latest of its source."""
    rules = ", landing: 1 day, readable: 1 day, clean: 1 day"
    with kept(filled, zone=rules) as platform:
        numbers = [1, *(deliver(platform, filled, number) for number in range(2, 6))]
        age_batches(platform, numbers, 10)
        platform.connection.execute("UPDATE assay.batch SET state = 'held' WHERE id = %s", (numbers[0],))
        platform.connection.execute(
            "UPDATE assay.batch SET state = 'released', replaces_batch_id = %s WHERE id = %s", (numbers[1], numbers[2])
        )
        before = content(platform)
        maintain(platform)
        removed = {r.batch for r in upkeep.removals(platform.connection, numbers)}
        assert removed == {numbers[3]}
        left = {row[-3] for row in content(platform)["readable.till"]}
        assert left == set(numbers) - {numbers[3]} and before != content(platform)


def test_staged_rows_that_other_sql_reads_stay(filled: Shop) -> None:
    filled.write(
        "zones/shop/sales/analytical/notes.odcs.yaml",
        "version: 1.0.0\napiVersion: v3.1.0\nkind: DataContract\nid: shop.notes\nstatus: active\nschema:\n"
        "  - name: notes\n    properties:\n      - {name: lines, logicalType: integer, required: true}\n",
    )
    filled.write("zones/shop/sales/analytical/notes.sql", "SELECT count(*) AS lines FROM staging.till\n")
    with kept(filled, zone=", clean: 1 day, readable: 1 day") as platform:
        numbers = [1, *(deliver(platform, filled, number) for number in range(2, 4))]
        age_batches(platform, numbers, 10)
        said = maintain(platform, only=["retention"])
        words = [step.words for step in said.steps]
        assert "clean: 1 day: kept, since analytical.notes reads staging.till" in words
        assert {r.store for r in upkeep.removals(platform.connection, numbers)} == {"readable"}


@pytest.mark.parametrize(
    ("chosen", "among", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], [(1, 3)]),
        ([1, 3], [1, 2, 3], [(1, 1), (3, 3)]),
        ([5, 9], [1, 5, 9, 12], [(5, 9)]),
        ([], [1], []),
    ],
)
def test_batches_come_in_ranges(chosen: list[int], among: list[int], expected: list[tuple[int, int]]) -> None:
    assert runs(chosen, among) == expected


def test_old_events_go_once_every_reader_has_passed_them(filled: Shop) -> None:
    with kept(filled) as platform:
        connection = platform.connection

        def events_left() -> int:
            row = connection.execute("SELECT count(*) FROM assay.event WHERE batch_id = 1").fetchone()
            assert row is not None
            return int(row[0])

        connection.execute("UPDATE assay.event SET at = at - interval '1 year'")
        connection.execute("INSERT INTO assay.event_reader (name, transaction, id) VALUES ('slow', '1'::xid8, 0)")
        assert events_left() > 0
        maintain(platform, only=["vacuum"])
        assert events_left() > 0, "a reader has not passed them"
        connection.execute("DELETE FROM assay.event_reader")
        connection.execute("UPDATE assay.batch SET state = 'held' WHERE id = 1")
        maintain(platform, only=["vacuum"])
        assert events_left() > 0, "their batch is not at rest"
        connection.execute("UPDATE assay.batch SET state = 'done' WHERE id = 1")
        maintain(platform, only=["vacuum"])
        assert events_left() == 0


def test_a_table_with_many_dead_rows_is_vacuumed(filled: Shop) -> None:
    with kept(filled) as platform:
        connection = platform.connection
        connection.execute("INSERT INTO assay.zone_turn (zone) SELECT 'z' || i FROM generate_series(1, 1000) AS i")
        connection.execute("DELETE FROM assay.zone_turn WHERE zone LIKE 'z%'")
        connection.execute("SELECT pg_stat_force_next_flush()")
        assert "assay.zone_turn" in steps(maintain(platform, only=["vacuum"]), "vacuum")
        row = connection.execute(
            "SELECT vacuum_count, analyze_count FROM pg_stat_user_tables WHERE relname = 'zone_turn'"
        ).fetchone()
        assert row == (1, 1)


def test_only_one_process_keeps_house_at_a_time(filled: Shop) -> None:
    with kept(filled) as platform, filled.opened() as other:
        other.connection.execute("SELECT pg_advisory_lock(%s)", (housekeeping._KEY,))
        with pytest.raises(Unavailable, match="another process is at housekeeping"):
            maintain(platform)
        assert not due(platform, datetime.now(UTC))
        other.connection.execute("SELECT pg_advisory_unlock(%s)", (housekeeping._KEY,))
        assert not maintain(platform).failed


def test_it_is_due_when_it_has_not_begun_since_or_was_cut_short(filled: Shop) -> None:
    with kept(filled) as platform:
        before = datetime.now(UTC)
        assert due(platform, before)
        maintain(platform, only=["vacuum"])
        assert not due(platform, before) and due(platform, datetime.now(UTC) + timedelta(minutes=1))
        platform.connection.execute("UPDATE assay.maintenance SET finished_at = NULL")
        assert due(platform, before)


def test_one_zone_is_kept_without_the_others_and_an_unknown_one_is_said(filled: Shop) -> None:
    with kept(filled) as platform:
        with pytest.raises(Usage, match="there is no zone shp"):
            maintain(platform, zone="shp")
        orphans = planted(platform)
        stranger = platform.data / "lake/other/readable/x/data/1.parquet"
        stranger.parent.mkdir(parents=True)
        stranger.write_bytes(b"x")
        aged(stranger)
        maintain(platform, zone="shop")
        assert not any(path.exists() for path in orphans) and stranger.exists()
        maintain(platform)
        assert not stranger.exists() and not (platform.data / "lake/other").exists()


def test_a_configuration_that_was_not_applied_removes_nothing(filled: Shop) -> None:
    filled.write("zones/shop/zone.yaml", "title: Shop\nowner: o@example.org\nretention: {landing: 0 days}\n")
    with filled.opened() as platform, pytest.raises(Misconfigured, match="differs from the one that was applied"):
        maintain(platform)


def test_a_table_that_cannot_be_read_is_told_and_the_other_tasks_go_on(filled: Shop) -> None:
    with kept(filled) as platform:
        row = platform.connection.execute(
            "SELECT metadata_location FROM iceberg_tables WHERE table_namespace = 'shop.clean'"
        ).fetchone()
        assert row is not None
        Path(row[0].removeprefix("file://")).unlink()
        said = maintain(platform)
        assert said.failed and {step.task for step in said.steps if step.failed} == {"compact", "expire", "orphans"}
        assert upkeep.last(platform.connection) is not None


def test_the_retention_of_a_pipeline_goes_before_that_of_its_zone(filled: Shop) -> None:
    from assay.zones.project import load_project

    filled.write(
        "zones/shop/zone.yaml",
        "title: Shop\nowner: o@example.org\nretention: {landing: 7 years, readable: 90 days}\n",
    )
    text = (filled.root / "zones/shop/sales/pipeline.yaml").read_text()
    filled.write("zones/shop/sales/pipeline.yaml", text + "retention: {readable: null, clean: 1 month}\n")
    found = load_project(filled.root).zones["shop"].pipelines["sales"].retention
    assert (found.landing, found.readable, found.clean) == ("7 years", None, "1 month")
    filled.write("zones/shop/sales/pipeline.yaml", text + "retention: {readable: soon}\n")
    with pytest.raises(Misconfigured, match="retention.readable"):
        load_project(filled.root)
