"""The walls between zones inside PostgreSQL, tried from within: by the role of a zone, against another zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.permissions.two_zones import deliver, two_zones

from assay.catalog.subscriptions import listed
from assay.errors import Misconfigured
from assay.pipelines.grants import decide, request, verify
from assay.pipelines.plan import apply, plan
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from assay.pipelines.subscriptions import publication_of
from assay.stores.database import Connection, connect, server, transaction
from assay.stores.postgres_owner import OWNER
from assay.stores.postgres_server import running
from assay.stores.zone_roles import acting_as, movements_role, roles_of
from shop_project import TILL, Shop

REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)
#: The records that the role of a zone has nothing to do with.
CLOSED = ("account", "api_token", "audit", "configuration", "decision", "delivery", "maintenance", "worker")


@contextmanager
def reading(platform: Platform, zone: str) -> Iterator[Connection]:
    """A session of the role that the engine logs in as."""
    with connect(platform.reader_url(zone), autocommit=True) as connection:
        yield connection


def refused(connection: Connection, statement: str) -> None:
    with pytest.raises(REFUSED):
        connection.execute(statement.encode())


# --- the role that reads -----------------------------------------------------------------------------------------


def test_the_engine_reads_the_canonical_tables_of_its_zone(platform: Platform) -> None:
    with reading(platform, "shop") as role:
        assert role.execute("SELECT count(*) FROM shop.sale").fetchone() == (4,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM desk.sale",
        "SELECT amount FROM desk.sale LIMIT 0",
        "SELECT * FROM desk.goods",
        "SELECT _batch FROM desk.goods",
        "SELECT g FROM desk.goods AS g",
        "TABLE assay.batch",
        "TABLE assay.finding",
        "TABLE assay.iceberg_tables",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('/etc/hostname')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY shop.sale TO '/tmp/stolen'",
        "INSERT INTO shop.goods (code) VALUES ('forged')",
        "UPDATE shop.sale SET amount = 0",
        "DELETE FROM shop.sale",
        "TRUNCATE shop.sale",
        "DROP TABLE shop.sale",
        "INSERT INTO desk.goods (code) VALUES ('forged')",
        "CREATE TABLE shop.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "SET session_replication_role = replica",
    ],
)
def test_whoever_reads_for_a_zone_reads_nothing_else_and_writes_nothing(platform: Platform, statement: str) -> None:
    with reading(platform, "shop") as role:
        refused(role, statement)


def test_nobody_climbs_by_set_role(platform: Platform) -> None:
    others = [roles_of(platform.connection, zone) for zone in ("shop", "desk")]
    higher = [name for one in others for name in (one.write, one.read)]
    higher += [OWNER, "assay", movements_role(platform.connection), "pg_read_all_data"]
    with reading(platform, "shop") as role:
        higher.remove(roles_of(role, "shop").read)
        for name in higher:
            refused(role, f'SET ROLE "{name}"')
            refused(role, f'SET SESSION AUTHORIZATION "{name}"')
            refused(role, f'GRANT "{name}" TO CURRENT_USER')
        refused(role, f'ALTER ROLE "{roles_of(role, "desk").read}" PASSWORD NULL')


def test_a_publication_is_read_by_its_columns(platform: Platform) -> None:
    with reading(platform, "shop") as role:
        assert role.execute("SELECT code FROM desk.goods ORDER BY 1").fetchall() == [("salt",), ("tea",)]
    with reading(platform, "desk") as role:
        refused(role, "SELECT code FROM shop.goods")


def test_a_subscription_that_ends_takes_its_columns_along(new_shop: Callable[[], Shop]) -> None:
    shop = two_zones(new_shop())
    shop.write("zones/shop/zone.yaml", "title: Shop\nowner: owner@example.org\n")
    for kind in ("odcs.yaml", "sql"):
        (shop.root / f"zones/shop/sales/analytical/beside.{kind}").unlink()
    with shop.opened() as platform:
        apply(platform, allowed_losses=frozenset(plan(platform).losing))
        with reading(platform, "shop") as role:
            refused(role, "SELECT code FROM desk.goods")


def test_a_decision_opens_and_closes_the_columns_at_once(new_shop: Callable[[], Shop]) -> None:
    shop = two_zones(new_shop())
    with shop.opened() as platform:
        offered = publication_of(platform.project, "desk.goods_list")
        (number,) = [one.id for one in listed(platform.connection) if one.publication == "goods_list"]
        decide(platform, number, "revoked", "enough")
        with reading(platform, "shop") as role:
            refused(role, "SELECT code FROM desk.goods")
        assert request(platform, offered, "zone", "shop", "once more").state == "granted"
        with reading(platform, "shop") as role:
            assert len(role.execute("SELECT code FROM desk.goods").fetchall()) == 2


def test_a_right_that_was_not_granted_breaks_the_subscription_until_it_is_gone(new_shop: Callable[[], Shop]) -> None:
    shop = two_zones(new_shop())
    with shop.opened() as platform:
        (one,) = [one for one in listed(platform.connection) if one.publication == "goods_list"]
        role = roles_of(platform.connection, "shop").read
        for wrong, right, why in (
            ("GRANT SELECT (_batch) ON desk.goods TO", "REVOKE SELECT (_batch) ON desk.goods FROM", "lets zone shop"),
            ("REVOKE SELECT (code) ON desk.goods FROM", "GRANT SELECT (code) ON desk.goods TO", "permission denied"),
        ):
            platform.connection.execute(f'{wrong} "{role}"'.encode())
            (broken,) = verify(platform, [one])
            assert broken.state == "broken" and why in broken.last.reason
            platform.connection.execute(f'{right} "{role}"'.encode())
            (one,) = verify(platform, [broken])
            assert one.state == "granted"


def test_what_a_publication_hides_is_not_for_the_role_that_reads_it(new_shop: Callable[[], Shop]) -> None:
    shop = two_zones(new_shop())
    shop.edit("zones/desk/zone.yaml", "goods_list: {", "goods_list: {rows: code <> 'salt', ")
    with shop.opened() as platform:
        for one in listed(platform.connection, open_only=True):
            decide(platform, one.id, "revoked", "its rows change")
        apply(platform)
        for name in ("goods_list", "months"):
            asked = request(platform, publication_of(platform.project, f"desk.{name}"), "zone", "shop", "to compare")
            assert asked.state == "granted", asked.last.reason
        with reading(platform, "shop") as role:
            refused(role, "SELECT code FROM desk.goods")
        (done,) = deliver(platform, "shop", shop.root / "till-9.csv", TILL.replace("\n1,", "\n9,"))
        assert done.batch.state == "done"
        assert [row[0] for row in ask(platform, "SELECT goods FROM analytical.beside", "shop")[1]] == ["tea"]


def test_names_are_all_that_the_catalogue_tells(platform: Platform) -> None:
    """As everywhere in PostgreSQL: it tells that a table is there and how many rows it is thought to have."""
    with reading(platform, "shop") as role:
        assert role.execute("SELECT to_regclass('desk.sale') IS NOT NULL").fetchone() == (True,)
        assert role.execute("SELECT count(*) FROM pg_stats WHERE schemaname = 'desk'").fetchone() == (0,)
        others = "SELECT count(*) FROM pg_stat_activity WHERE usename <> CURRENT_USER AND query NOT LIKE '<%'"
        assert role.execute(others.encode()).fetchone() == (0,)


# --- the role that writes ----------------------------------------------------------------------------------------


def test_a_movement_sees_the_records_of_its_zone_alone(platform: Platform) -> None:
    count = "SELECT count(*), count(*) FILTER (WHERE zone = 'shop') FROM assay.batch"
    with transaction(platform.connection) as tx:
        every, of_shop = tx.execute(count.encode()).fetchone() or (0, 0)
        findings = tx.execute("SELECT count(*) FROM assay.finding").fetchone()
        assert 0 < of_shop < every
        with acting_as(tx, "shop"):
            assert tx.execute(count.encode()).fetchone() == (of_shop, of_shop)
            namespaces = tx.execute("SELECT DISTINCT split_part(table_namespace, '.', 1) FROM iceberg_tables")
            assert namespaces.fetchall() == [("shop",)]
            assert tx.execute("SELECT array_agg(DISTINCT zone) FROM assay.zone_role").fetchone() == (["shop"],)
            seen = tx.execute("SELECT count(*) FROM assay.finding").fetchone()
            assert seen is not None and findings is not None and 0 < seen[0] < findings[0]
        assert tx.execute(count.encode()).fetchone() == (every, of_shop)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO assay.event (kind, zone, body) VALUES ('done', 'desk', '{}')",
        "INSERT INTO assay.event (kind, body) VALUES ('applied', '{}')",
        "INSERT INTO assay.finding (batch_id, segment, severity, kind, body) "
        "SELECT max(id), 'approve', 'error', 'x', '{}' FROM desk_batch",
        "INSERT INTO assay.tally (batch_id, store, rows, sums) SELECT max(id), 'x', 1, '{}' FROM desk_batch",
        "INSERT INTO assay.batch (zone, pipeline) VALUES ('shop', 'sales')",
        "DELETE FROM assay.batch",
        "UPDATE assay.batch SET zone = 'desk'",
        "UPDATE assay.batch SET delivered_by = 'somebody else'",
        "UPDATE iceberg_tables SET table_namespace = 'desk.clean'",
        "INSERT INTO assay.zone_role VALUES ('x', 'desk')",
        "UPDATE assay.zone_role SET zone = 'desk'",
        "SELECT * FROM desk.sale",
        "UPDATE desk.sale SET amount = 0",
        "DROP TABLE desk.sale",
        "CREATE TABLE desk.mine ()",
        "DROP SCHEMA shop CASCADE",
        "ALTER TABLE assay.batch DISABLE ROW LEVEL SECURITY",
        "DROP POLICY zone ON assay.batch",
        "CREATE ROLE mine",
        *(f"TABLE assay.{table}" for table in CLOSED),
    ],
)
def test_a_movement_writes_nothing_of_another_zone(platform: Platform, statement: str) -> None:
    tx = platform.connection
    with pytest.raises(psycopg.errors.InsufficientPrivilege), tx.transaction():
        tx.execute("CREATE TEMP TABLE desk_batch ON COMMIT DROP AS SELECT id FROM assay.batch WHERE zone = 'desk'")
        tx.execute("GRANT SELECT ON desk_batch TO PUBLIC")
        with acting_as(tx, "shop"):
            tx.execute(statement.encode())


@pytest.mark.parametrize(
    "statement", ["UPDATE assay.batch SET parked = true", "UPDATE iceberg_tables SET iceberg_type = 'x'"]
)
def test_rows_of_another_zone_are_not_there_to_be_changed(platform: Platform, statement: str) -> None:
    with transaction(platform.connection) as tx, tx.transaction(force_rollback=True):
        with acting_as(tx, "shop"):
            changed = tx.execute(statement.encode()).rowcount
        table = statement.split()[1]
        row = tx.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row is not None and 0 < changed < row[0]


def test_a_movement_whose_zone_has_no_role_stops(platform: Platform) -> None:
    with pytest.raises(Misconfigured, match="no role") as raised, transaction(platform.connection) as tx:
        with acting_as(tx, "nowhere"):
            pass
    assert raised.value.next is not None and "assay apply" in raised.value.next


# --- who does ordinary work --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_read_file('/etc/hostname')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER ROLE assay PASSWORD 'x'",
        "SET session_replication_role = replica",
        "SET ROLE assay",
        "TABLE pg_authid",
        "ALTER SYSTEM SET work_mem = '1GB'",
    ],
)
def test_ordinary_work_is_done_without_the_rights_of_a_superuser(platform: Platform, statement: str) -> None:
    assert platform.connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER").fetchone() == (
        False,
    )
    refused(platform.connection, statement)


def test_a_server_that_a_superuser_filled_is_handed_to_its_owner(tmp_path: Path) -> None:
    """An earlier version of assay did all its work as the superuser."""
    with running(tmp_path / "postgres") as url:
        with connect(url, autocommit=True) as superuser:
            superuser.execute(
                "CREATE SCHEMA assay; CREATE SCHEMA shop; CREATE TABLE assay.batch (id bigint GENERATED ALWAYS AS "
                "IDENTITY PRIMARY KEY, zone text); CREATE TABLE shop.sale (number text PRIMARY KEY); "
                "CREATE FUNCTION assay.one() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
                "INSERT INTO assay.batch (zone) VALUES ('shop')"
            )
        with server("embedded", tmp_path) as own:
            with connect(own, autocommit=True) as owner:
                assert owner.execute("SELECT CURRENT_USER::text, zone FROM assay.batch").fetchone() == (OWNER, "shop")
                owner.execute("ALTER TABLE shop.sale ADD COLUMN amount numeric; DROP FUNCTION assay.one()")
                owner.execute("INSERT INTO assay.batch (zone) VALUES ('desk'); CREATE SCHEMA desk")
            password = tmp_path / "postgres/owner.password"
            assert password.stat().st_mode & 0o077 == 0
            password.unlink()  # lost: another one is made
            with server("embedded", tmp_path) as again, connect(again, autocommit=True) as owner:
                assert again != own
                assert owner.execute("SELECT count(*) FROM assay.batch").fetchone() == (2,)


# --- bringing them up --------------------------------------------------------------------------------------------


def test_a_platform_of_an_earlier_version_gets_its_roles_and_nothing_else_changes(filled: Shop) -> None:
    with filled.opened() as platform:
        connection = platform.connection
        roles = roles_of(connection, "shop")
        connection.execute(
            f'REASSIGN OWNED BY "{roles.write}" TO CURRENT_USER; DROP OWNED BY "{roles.write}", "{roles.read}"; '
            f'DROP ROLE "{roles.write}", "{roles.read}"; DELETE FROM assay.zone_role'.encode()
        )
        (change,) = plan(platform).changes
        assert (change.effect, change.words) == ("change", "give zone shop its roles in PostgreSQL")
        assert not any("PASSWORD" in step.text for step in change.steps)
        apply(platform)
        assert plan(platform).changes == ()
        (result,) = deliver(platform, "shop", filled.root / "till-2.csv", TILL.replace("tea", "tee"))
        assert result.batch.state == "done"


def test_a_lost_secret_is_made_anew(filled: Shop) -> None:
    with filled.opened() as platform:
        secret = platform.project.target.keys / "postgres.secret"
        assert secret.stat().st_mode & 0o077 == 0
        secret.unlink()
        with pytest.raises(Misconfigured, match="secret"):
            platform.reader_url("shop")
        assert [change.words for change in plan(platform).changes] == ["let the reading role of zone shop log in anew"]
        apply(platform)
        assert plan(platform).changes == ()
        with reading(platform, "shop") as role:
            assert role.execute("SELECT 1").fetchone() == (1,)


def test_the_roles_of_a_zone_go_with_it(new_shop: Callable[[], Shop]) -> None:
    shop = two_zones(new_shop())
    with shop.opened() as platform:
        names = [name for one in [roles_of(platform.connection, "shop")] for name in (one.write, one.read)]
    for path in sorted((shop.root / "zones/shop").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (shop.root / "zones/shop").rmdir()
    with shop.opened() as platform:
        apply(platform, allowed_losses=frozenset(plan(platform).losing))
        left = platform.connection.execute("SELECT 1 FROM pg_roles WHERE rolname = ANY(%s)", (names,)).fetchall()
        assert left == []


def test_a_role_that_may_not_make_roles_is_said_before_anything_is_done(
    new_shop: Callable[[], Shop], database: Callable[[], str], tmp_path: Path
) -> None:
    with running(tmp_path / "server") as superuser:
        with connect(superuser, autocommit=True) as connection:
            connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'; ALTER DATABASE assay OWNER TO plain")
        shop = new_shop()
        url = make_conninfo(superuser, user="plain", password="plain")
        shop.write("assay.yaml", f"name: shop\ntargets:\n  local: {{data: data, postgres: '{url}'}}\n")
        with shop.opened() as platform, pytest.raises(Misconfigured, match="may not make roles") as raised:
            apply(platform)
        assert raised.value.next is not None and "ALTER ROLE plain CREATEROLE" in raised.value.next


def test_long_names_of_zones_have_roles_of_their_own(filled: Shop) -> None:
    with filled.opened() as platform:
        names = {
            name
            for zone in ("a" * 60, "a" * 59 + "b", "a" * 61)
            for role in [roles_of(platform.connection, zone)]
            for name in (role.read, role.write)
        }
    assert len(names) == 6 and all(len(name) <= 63 for name in names)
