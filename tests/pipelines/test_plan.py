"""plan shows every difference between the files and the stores; apply carries all of them out, or none."""

from __future__ import annotations

from typing import Any

import pytest

from assay.catalog import records
from assay.errors import Misconfigured
from assay.pipelines.comparing import Plan
from assay.pipelines.plan import apply, plan
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from shop_project import Shop

SALE, TILL_CONTRACT, BY_MONTH = "sale.odcs.yaml", "till.odcs.yaml", "by_month.odcs.yaml"
NOTE = "      - {name: note, logicalType: string}\n"


def words(found: Plan) -> list[str]:
    return [change.words for change in found.changes]


def planned(shop: Shop) -> Plan:
    with shop.opened() as platform:
        return plan(platform)


def applied(shop: Shop, *allowed: str) -> Plan:
    with shop.opened() as platform:
        return apply(platform, allowed_losses=frozenset(allowed))


def refused(shop: Shop) -> Misconfigured:
    with pytest.raises(Misconfigured) as caught:
        planned(shop)
    return caught.value


def state(platform: Platform) -> dict[str, Any]:
    """All that a configuration makes: columns, keys, indexes, lake tables with their metadata, configurations."""
    queries = {
        "columns": "SELECT table_schema, table_name, column_name, data_type, numeric_precision, is_nullable "
        "FROM information_schema.columns WHERE table_schema = 'shop' ORDER BY 1, 2, 3",
        "keys": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace::regnamespace::text = 'shop' ORDER BY 1",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1",
        "lake": "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables ORDER BY 1, 2",
        "configurations": "SELECT version FROM assay.configuration ORDER BY id",
    }
    return {name: platform.connection.execute(query.encode()).fetchall() for name, query in queries.items()}


def test_a_first_plan_creates_the_zone_its_tables_and_its_lake(shop: Shop) -> None:
    found = planned(shop)
    assert words(found) == [
        "create zone shop",
        "create table shop.goods",
        "create table shop.sale",
        "create table shop.readable.till",
        "create table shop.quarantine.till",
        "create table shop.clean.till",
        "create table shop.analytical.by_month",
    ]
    assert {change.effect for change in found.changes} == {"create"}
    sale = "\n".join(step.text for step in found.changes[2].steps)
    assert '"amount" numeric(12,2) NOT NULL' in sale
    assert 'CONSTRAINT "sale_goods_fkey" FOREIGN KEY ("goods") REFERENCES "shop"."goods" ("code")' in sale
    assert 'CREATE INDEX "sale_month_index" ON "shop"."sale" ("month")' in sale


def test_planning_changes_nothing(shop: Shop) -> None:
    with shop.opened() as platform:
        before = state(platform)
        plan(platform)
        assert state(platform) == before


def test_applying_twice_changes_nothing(shop: Shop) -> None:
    applied(shop)
    with shop.opened() as platform:
        before = state(platform)
        assert apply(platform).changes == ()
        assert state(platform) == before


def test_a_new_column_and_wider_types_reach_postgresql_and_the_lake_and_keep_the_rows(filled: Shop) -> None:
    filled.edit(TILL_CONTRACT, "decimal(12,2)", "decimal(14,2)")
    filled.edit(TILL_CONTRACT, NOTE.replace("note,", "note, physicalName: Note,"), "")
    filled.write(
        "zones/shop/sales/contracts/till.odcs.yaml",
        (filled.root / "zones/shop/sales/contracts/till.odcs.yaml").read_text()
        + "      - {name: note, physicalName: Note, logicalType: string}\n"
        + "      - {name: place, logicalType: string, customProperties: [{property: mayBeAbsent, value: true}]}\n",
    )
    filled.edit(SALE, "decimal(12,2)", "decimal(16,4)")
    filled.edit(SALE, NOTE, NOTE + "      - {name: place, logicalType: string}\n")
    filled.edit("sale.sql", "note FROM", "note, place FROM")
    filled.edit(BY_MONTH, "decimal(14,2)", "decimal(18,2)")
    found = applied(filled)
    assert set(words(found)) == {
        "widen column shop.sale.amount from numeric(12,2) to numeric(16,4)",
        "add column shop.sale.place text",
        *(f"add column shop.{store}.till.place text" for store in ("readable", "clean", "quarantine")),
        *(
            f"widen column shop.{store}.till.amount from decimal(12,2) to decimal(14,2)"
            for store in ("readable", "clean", "quarantine")
        ),
        "widen column shop.analytical.by_month.amount from decimal(14,2) to decimal(18,2)",
    }
    assert planned(filled).changes == ()
    with filled.opened() as platform:
        for table in ("operational.sale", "staging.till"):
            _, rows = ask(platform, f"SELECT sum(amount)::VARCHAR, count(place) FROM {table}", "shop")
            assert rows[0][0].startswith("9.00") and rows[0][1] == 0
        _, rows = ask(platform, "SELECT typeof(amount) FROM analytical.by_month LIMIT 1", "shop")
        assert rows == [("DECIMAL(18,2)",)]


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        (SALE, "decimal(12,2)", "decimal(9,2)", "shop.sale.amount is numeric(12,2) in the database"),
        (SALE, "{name: note, logicalType: string}", "{name: note, logicalType: integer}", "is text in the database"),
        (BY_MONTH, "decimal(14,2)", "decimal(14,4)", "shop.analytical.by_month.amount is decimal(14,2)"),
        (TILL_CONTRACT, "decimal(12,2)", "decimal(9,2)", "shop.readable.till.amount is decimal(12,2)"),
    ],
)
def test_a_narrower_type_is_refused_with_file_and_line(
    standing: Shop, file: str, before: str, after: str, said: str
) -> None:
    standing.edit(file, before, after)
    error = refused(standing)
    first = error.problems[0] if error.problems else error
    assert said in first.what
    assert first.file is not None and first.file.endswith(file)
    text = (standing.root / first.file).read_text().splitlines()
    assert first.line is not None and after in text[first.line - 1]


def test_a_column_that_leaves_the_contract_is_dropped_only_when_named(filled: Shop) -> None:
    filled.edit(SALE, NOTE, "")
    filled.edit("sale.sql", ", note FROM", " FROM")
    assert planned(filled).losing == ("drop column shop.sale.note",)
    assert planned(filled).changes[0].note == "2 values"
    with filled.opened() as platform:
        before = state(platform)
        with pytest.raises(Misconfigured) as caught:
            apply(platform, allowed_losses=frozenset({"drop column shop.sale.nte"}))
        assert "nothing is called drop column shop.sale.nte" in caught.value.what
        assert '--allow "drop column shop.sale.note"' in str(caught.value.next)
        assert state(platform) == before
    applied(filled, "drop column shop.sale.note")
    assert planned(filled).changes == ()


def test_a_lake_column_that_returns_must_have_the_type_that_its_files_have(filled: Shop) -> None:
    note = "      - {name: note, physicalName: Note, logicalType: string}\n"
    filled.edit(TILL_CONTRACT, note, "")
    filled.edit("sale.sql", "note FROM", "NULL AS note FROM")
    applied(filled, *(f"drop column shop.{store}.till.note" for store in ("readable", "clean", "quarantine")))
    contract = filled.root / "zones/shop/sales/contracts/till.odcs.yaml"
    text = contract.read_text()
    contract.write_text(text + note.replace("string", "integer"))
    assert "shop.readable.till.note is string in the files" in str(refused(filled).problems[0])
    contract.write_text(text + note)
    assert "add column shop.readable.till.note text" in words(planned(filled))


def test_a_deleted_contract_drops_its_table_only_when_named(filled: Shop) -> None:
    filled.remove(BY_MONTH)
    filled.remove("by_month.sql")
    assert planned(filled).losing == ("drop table shop.analytical.by_month",)
    assert planned(filled).changes[-1].note == "3 rows"
    folder = filled.root / "data/lake/shop/analytical/by_month"
    assert folder.is_dir()
    applied(filled, "drop table shop.analytical.by_month")
    assert not folder.exists()
    assert planned(filled).changes == ()


def test_tables_that_point_to_each_other_go_together(filled: Shop) -> None:
    for name in (BY_MONTH, "by_month.sql", "sale.sql", SALE, "goods.sql", "goods.odcs.yaml"):
        filled.remove(name)
    losing = planned(filled).losing
    assert set(losing) == {"drop table shop.goods", "drop table shop.sale", "drop table shop.analytical.by_month"}
    applied(filled, *losing)
    with filled.opened() as platform:
        assert state(platform)["columns"] == []


def test_a_removed_zone_is_one_losing_change(filled: Shop) -> None:
    import shutil

    shutil.rmtree(filled.root / "zones/shop")
    found = planned(filled)
    assert found.losing == ("drop zone shop",)
    assert "operational.sale (4 rows)" in str(found.changes[0].note)
    assert "quarantine.till (1 rows)" in str(found.changes[0].note)
    applied(filled, "drop zone shop")
    with filled.opened() as platform:
        after = state(platform)
    assert after["columns"] == [] and after["lake"] == []
    assert planned(filled).changes == ()


def test_other_schemas_of_a_shared_database_are_left_alone(shop: Shop) -> None:
    with shop.opened() as platform:
        platform.connection.execute("CREATE SCHEMA payroll; CREATE TABLE payroll.salary (amount int)")
        apply(platform)
        assert plan(platform).changes == ()


def test_a_zone_cannot_take_a_schema_that_holds_other_tables(shop: Shop) -> None:
    with shop.opened() as platform:
        platform.connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.sale (amount int)")
    error = refused(shop)
    assert "cannot be called shop" in error.what and str(error.file).endswith("zone.yaml")


@pytest.mark.parametrize("name", ["assay", "public", "operational", "pg"])
def test_a_zone_cannot_have_a_name_that_means_something_else(shop: Shop, name: str) -> None:
    (shop.root / "zones/shop").rename(shop.root / "zones" / name)
    assert f"cannot be called {name}" in refused(shop).what


def test_a_column_may_become_optional(filled: Shop) -> None:
    filled.edit(SALE, "physicalType: 'decimal(12,2)', required: true", "physicalType: 'decimal(12,2)'")
    assert words(applied(filled)) == ["let column shop.sale.amount be empty"]
    with filled.opened() as platform:
        assert ("shop", "sale", "amount", "numeric", 12, "YES") in state(platform)["columns"]


def test_a_column_may_become_required_only_when_every_row_has_it(filled: Shop) -> None:
    filled.edit(SALE, "{name: note, logicalType: string}", "{name: note, logicalType: string, required: true}")
    error = refused(filled)
    assert "2 rows have no value" in error.what and error.line is not None
    with filled.opened() as platform:
        platform.connection.execute("UPDATE shop.sale SET note = '' WHERE note IS NULL")
    assert words(applied(filled)) == ["require column shop.sale.note"]
    assert planned(filled).changes == ()


def test_a_new_required_column_is_refused_over_rows_and_added_to_an_empty_table(filled: Shop) -> None:
    filled.edit(SALE, NOTE, NOTE + "      - {name: place, logicalType: string, required: true}\n")
    filled.edit("sale.sql", "note FROM", "note, 'x' AS place FROM")
    assert "the table holds 4 rows without it" in refused(filled).what
    with filled.opened() as platform:
        platform.connection.execute("DELETE FROM shop.sale")
    assert words(applied(filled)) == ["add column shop.sale.place text"]


def test_a_unique_key_is_added_where_it_holds_and_dropped_again(filled: Shop) -> None:
    filled.edit(SALE, "month, logicalType: string, required", "month, logicalType: string, unique: true, required")
    error = refused(filled)
    assert "1 of its values stand in several rows" in error.what
    filled.edit(SALE, "string, unique: true, required", "string, required")
    filled.edit(SALE, "{name: note, logicalType: string}", "{name: note, logicalType: string, unique: true}")
    assert words(applied(filled)) == ["add unique key (note) to shop.sale"]
    filled.edit(SALE, "string, unique: true}", "string}")
    assert words(applied(filled)) == ["drop unique key (note) of shop.sale"]
    assert planned(filled).changes == ()


def test_a_primary_key_changes_though_a_foreign_key_stands_on_the_old_one(filled: Shop) -> None:
    filled.edit(BY_MONTH, "{by: [month]}", "full")
    goods = "goods.odcs.yaml"
    filled.edit(
        goods,
        "{name: code, logicalType: string, primaryKey: true, required: true}",
        "{name: code, logicalType: string, unique: true, required: true}\n"
        "      - {name: kind, logicalType: string, primaryKey: true}",
    )
    with filled.opened() as platform:
        platform.connection.execute("DELETE FROM shop.sale; DELETE FROM shop.goods")
    filled.edit("goods.sql", "AS code", "AS code, goods AS kind")
    found = applied(filled)
    assert "drop primary key (code) of shop.goods" in words(found)
    assert "make anew shop.sale: foreign key (goods) to goods (code)" in words(found)
    assert planned(filled).changes == ()


def test_a_new_foreign_key_must_hold_for_the_rows_that_stand(standing: Shop) -> None:
    standing.edit(SALE, "{name: note, logicalType: string}", (
        "{name: note, logicalType: string, relationships: [{type: foreignKey, to: goods.code}]}"
    ))  # fmt: skip
    assert "2 rows name something that shop.goods lacks" in refused(standing).what


def test_every_problem_is_shown_at_once(standing: Shop) -> None:
    standing.edit(SALE, "decimal(12,2)", "decimal(9,2)")
    standing.edit(SALE, "{name: note, logicalType: string}", "{name: note, logicalType: string, required: true}")
    assert len(refused(standing).problems) == 2


def test_a_failure_midway_leaves_everything_as_it_was(filled: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of the configuration is the last statement; PostgreSQL and the lake have changed by then."""
    filled.edit(SALE, NOTE, NOTE + "      - {name: place, logicalType: string}\n")
    filled.edit("sale.sql", "note FROM", "note, NULL AS place FROM")
    filled.edit(BY_MONTH, "decimal(14,2)", "decimal(18,2)")
    seen: list[Any] = []

    def fail(tx: Any, *_: Any) -> None:
        found = tx.execute("SELECT count(*) FROM information_schema.columns WHERE column_name = 'place'")
        seen.append(found.fetchone())
        raise RuntimeError("killed")

    with filled.opened() as platform:
        before = state(platform)
        with monkeypatch.context() as patch:
            patch.setattr(records, "add_configuration", fail)
            with pytest.raises(RuntimeError):
                apply(platform)
        assert seen == [(1,)]
        assert state(platform) == before
        assert set(words(apply(platform))) == {
            "add column shop.sale.place text",
            "widen column shop.analytical.by_month.amount from decimal(14,2) to decimal(18,2)",
        }


def test_a_connection_that_dies_midway_leaves_everything_as_it_was(
    filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.edit(SALE, NOTE, NOTE + "      - {name: place, logicalType: string}\n")
    filled.edit("sale.sql", "note FROM", "note, NULL AS place FROM")

    def die(tx: Any, *_: Any) -> None:
        with filled.opened() as other:
            other.connection.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))
        tx.execute("SELECT 1")

    with filled.opened() as platform:
        before = state(platform)
    with filled.opened() as platform, monkeypatch.context() as patch:
        patch.setattr(records, "add_configuration", die)
        with pytest.raises(Exception, match="run the same command again|did not answer"):
            apply(platform)
    with filled.opened() as platform:
        assert state(platform) == before


def test_a_view_of_somebody_else_stops_a_change_with_its_name(filled: Shop) -> None:
    from assay.stores.database import DatabaseFailed

    filled.edit(SALE, "decimal(12,2)", "decimal(16,2)")
    with filled.opened() as platform:
        platform.connection.execute("CREATE VIEW public.report AS SELECT amount FROM shop.sale")
        with pytest.raises(DatabaseFailed, match="could not widen column shop.sale.amount"):
            apply(platform)


def test_the_record_of_a_configuration_names_its_changes(shop: Shop) -> None:
    applied(shop)
    with shop.opened() as platform:
        row = platform.connection.execute("SELECT version, changes FROM assay.configuration").fetchone()
    assert row is not None and row[0] == platform.project.version
    assert "create table shop.sale" in row[1]


def test_apply_does_not_change_tables_under_a_pipeline_at_work(
    filled: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.errors import Unavailable
    from assay.pipelines import plan as room
    from assay.pipelines.run import turn

    monkeypatch.setattr(room, "WAIT_SECONDS", 1)
    with filled.opened() as other:
        filled.edit(SALE, "decimal(12,2)", "decimal(16,2)")
        with filled.opened() as platform, turn(other, "shop", "sales"):
            before = state(platform)
            with pytest.raises(Unavailable, match="shop/sales is at work"):
                apply(platform)
            assert state(platform) == before
    with filled.opened() as platform:
        assert len(apply(platform).changes) == 1
