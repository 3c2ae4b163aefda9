"""A connection of a user: what he sees, how it comes, what it may cost, and what is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import assay
from assay.engines.masks import hashed
from assay.errors import AssayError, Denied, Misconfigured, Unavailable, Usage
from assay.pipelines.grants import decide, request
from assay.pipelines.plan import apply, plan
from assay.pipelines.subscriptions import publication_of
from assay.security.audit import entries
from assay.security.mask_keys import mask_key
from assay.serving.client import Connection
from assay.zones.project import load_project
from serving.hidden import ANALYST, CANARY, OWNER, STEWARD, ZONE, as_user, hiding
from shop_project import Shop


@pytest.fixture(scope="module")
def hidden(new_shop: Callable[[], Shop]) -> Shop:
    return hiding(new_shop)


@pytest.fixture
def ask(hidden: Shop) -> Iterator[Callable[..., list[tuple[object, ...]]]]:
    """Asks as somebody, under the zone.yaml that stands."""

    def asked(user: str, statement: str, zone: str | None = None) -> list[tuple[object, ...]]:
        with as_user(hidden, user) as platform, Connection(platform) as connection:
            return list(connection.sql(statement, zone=zone).rows())

    yield asked
    change(hidden, "zones/shop/zone.yaml", ZONE)


def change(hidden: Shop, name: str, text: str) -> None:
    """Writes a file of the project and applies it."""
    hidden.write(name, text)
    with as_user(hidden, OWNER) as platform:
        apply(platform)


def access(hidden: Shop, lines: str) -> None:
    change(hidden, "zones/shop/zone.yaml", f"{ZONE.partition('access:')[0]}access:\n{lines}")


def test_a_change_counts_when_it_is_applied(hidden: Shop, ask: Callable[..., object]) -> None:
    hidden.write("zones/shop/zone.yaml", ZONE.partition("access:")[0])
    assert ask(ANALYST, SALES) == [("1", "****"), ("2", "****"), ("4", "****")]
    with as_user(hidden, ANALYST) as platform, Connection(platform) as connection:
        assert len(list(connection.sql(SALES).rows())) == 3
        apply(platform)
        assert len(list(connection.sql(SALES).rows())) == 4


SALES = "SELECT number, note FROM operational.sale ORDER BY number"


def test_the_owner_sees_what_is_there(ask: Callable[..., object]) -> None:
    assert ask(OWNER, SALES) == [
        ("1", f"{CANARY} gift"), ("2", f"{CANARY} gift"), ("3", f"{CANARY} refund"), ("4", None)
    ]  # fmt: skip


def test_an_analyst_sees_the_rows_and_cells_that_access_shows_him(ask: Callable[..., object]) -> None:
    assert ask(ANALYST, SALES) == [("1", "****"), ("2", "****"), ("4", "****")]
    assert ask(ANALYST, "SELECT sum(lines) FROM analytical.by_month") == [(3,)]


@pytest.mark.parametrize("mask", ["partial", "hash", "null", "redact"])
def test_each_mask_hides_the_cell_and_keeps_the_type(
    mask: str, hidden: Shop, ask: Callable[..., list[tuple[object, ...]]]
) -> None:
    access(hidden, f"  - {{role: analyst, dataset: operational.sale, masks: {{note: {mask}}}}}\n")
    key = mask_key(hidden.root / "data", load_project(hidden.root).target.keys, "shop")
    expected = {
        "partial": ["****gift", "****gift", "****fund", None],
        "hash": [hashed(f"{CANARY} {word}", key) for word in ("gift", "gift", "refund")] + [None],
        "null": [None] * 4,
        "redact": ["****"] * 4,
    }[mask]
    assert [note for _, note in ask(ANALYST, SALES)] == expected
    assert ask(ANALYST, "DESCRIBE operational.sale")[4] == ("note", "VARCHAR", "masked")


def test_a_hash_joins_within_the_zone_and_tells_nothing_outside(hidden: Shop, ask: Callable[..., object]) -> None:
    access(
        hidden,
        "  - {role: analyst, dataset: operational.sale, masks: {goods: hash}}\n"
        "  - {role: analyst, dataset: operational.goods, masks: {code: hash}}\n",
    )
    joined = "SELECT count(*) FROM operational.sale JOIN operational.goods ON goods = code"
    assert ask(ANALYST, joined) == [(4,)]
    guesses = "SELECT count(*) FROM operational.goods WHERE code IN ('tea', md5('tea'), sha256('tea'))"
    assert ask(ANALYST, guesses) == [(0,)]


def test_who_has_several_roles_sees_what_each_of_them_sees(hidden: Shop, ask: Callable[..., object]) -> None:
    head = ZONE.replace(f"analysts: [{ANALYST}]", f"analysts: [{ANALYST}, {STEWARD}]").partition("access:")[0]
    more = (
        "access:\n  - {role: analyst, dataset: operational.sale, rows: \"goods = 'tea'\", masks: {amount: 'null'}}\n"
        "  - {role: steward, dataset: operational.sale, rows: \"goods = 'salt'\", masks: {note: redact}}\n"
    )
    hidden.write("zones/shop/zone.yaml", head + more)
    change(
        hidden, "zones/shop/policies/stewards.cedar",
        '@id("stewards-read-sales")\n@because("Stewards compare with what is there.")\n'
        'permit (principal in Role::"shop/steward", action in [Action::"read", Action::"see"], '
        'resource == Dataset::"shop/operational/sale");\n',
    )  # fmt: skip
    try:
        seen = ask(STEWARD, "SELECT number, amount, note FROM operational.sale ORDER BY number")
    finally:
        (hidden.root / "zones/shop/policies/stewards.cedar").unlink()
    assert seen == [
        ("1", None, f"{CANARY} gift"), ("2", None, f"{CANARY} gift"), ("3", Decimal("-8471.00"), "****"),
        ("4", None, None),
    ]  # fmt: skip


def test_a_class_that_somebody_does_not_see_is_masked_without_a_word_in_access(
    hidden: Shop, ask: Callable[..., object]
) -> None:
    access(hidden, "  - {role: analyst, dataset: operational.goods, rows: 'true'}\n")
    name = "zones/shop/sales/operational/sale.odcs.yaml"
    before = (hidden.root / name).read_text()
    change(hidden, name, before.replace("{name: note, ", "{name: note, classification: restricted, "))
    try:
        assert ask(ANALYST, SALES) == [("1", "****"), ("2", "****"), ("3", "****"), ("4", "****")]
        assert ask(OWNER, SALES)[0] == ("1", f"{CANARY} gift")
    finally:
        change(hidden, name, before)


def test_a_condition_that_fails_for_a_row_hides_it_and_tells_nothing(hidden: Shop, ask: Callable[..., object]) -> None:
    access(hidden, "  - {role: analyst, dataset: operational.sale, rows: \"CAST(note AS DATE) IS NULL\"}\n")
    assert ask(ANALYST, SALES) == [("4", None)]


def test_a_granted_publication_is_read_and_nothing_beside_it(ask: Callable[..., object]) -> None:
    assert ask(ANALYST, "SELECT * FROM annex.published.codes") == [("tea",)]
    with pytest.raises(Denied):
        ask(STEWARD, "SELECT * FROM annex.published.codes")


def test_a_publication_shows_its_rows_and_masks_until_the_grant_is_revoked(hidden: Shop) -> None:
    with as_user(hidden, "otto@example.org") as owner:
        asked = request(owner, publication_of(owner.project, "annex.some"), "user", "uma@example.org", "a study")
        asking = "SELECT * FROM annex.published.some"
        with as_user(hidden, "uma@example.org") as platform, Connection(platform) as connection:
            with pytest.raises(Denied):
                connection.sql(asking)
            decide(owner, asked.id, "granted", "a good purpose")
            assert list(connection.sql(asking).rows()) == [("tea", "****nnex")]
            assert list(connection.sql("SHOW TABLES").rows())[0][0] == "annex.published.some"
            decide(owner, asked.id, "revoked", "the study is over")
            with pytest.raises(Denied):
                connection.sql(asking)


def test_tables_are_listed_and_described_as_somebody_sees_them(ask: Callable[..., list[tuple[str, ...]]]) -> None:
    assert [name for name, _, _ in ask(ANALYST, "SHOW TABLES")] == [
        "shop.operational.goods", "shop.operational.sale", "shop.analytical.by_month", "annex.published.codes"
    ]  # fmt: skip
    assert [name for name, _, _ in ask(STEWARD, "show tables;")] == [
        "shop.readable.till", "shop.staging.till", "shop.quarantine.till"
    ]  # fmt: skip
    assert ask(ANALYST, "DESCRIBE analytical.by_month")[0] == ("month", "VARCHAR", "shown")


def test_a_near_name_is_offered_only_where_it_may_be_read(ask: Callable[..., object]) -> None:
    for user, near in ((ANALYST, "operational.sale"), (STEWARD, None)):
        with pytest.raises(Denied) as caught:
            ask(user, "SELECT * FROM operational.sales")
        assert (caught.value.expected == near) == (near is not None)


def test_a_name_that_several_zones_of_his_have_must_be_written_in_full(
    hidden: Shop, ask: Callable[..., object]
) -> None:
    annex = (hidden.root / "zones/annex/zone.yaml").read_text()
    change(hidden, "zones/annex/zone.yaml", annex + f"analysts: [{ANALYST}]\n")
    try:
        with pytest.raises(Usage) as caught:
            ask(ANALYST, "SELECT count(*) FROM operational.goods")
        assert caught.value.expected == "annex.operational.goods or shop.operational.goods"
        assert ask(ANALYST, "SELECT count(*) FROM operational.sale", "annex") == [(1,)]
    finally:
        change(hidden, "zones/annex/zone.yaml", annex)


def test_every_decision_is_on_the_audit_chain(hidden: Shop) -> None:
    with as_user(hidden, ANALYST) as platform, Connection(platform) as connection:
        list(connection.sql("SELECT 1 FROM operational.sale, operational.goods").rows())
        with pytest.raises(Denied):
            connection.sql("SELECT * FROM operational.goods, annex.operational.sale")
        with pytest.raises(Denied):
            connection.sql("SELECT * FROM nowhere.operational.sale")
        found = entries(platform.connection, actor=ANALYST, limit=5)
    assert [(one.outcome, one.resource, one.zone) for one in reversed(found)] == [
        ("allow", "shop.operational.sale", "shop"), ("allow", "shop.operational.goods", "shop"),
        ("allow", "shop.operational.goods", "shop"), ("deny", "annex.operational.sale", "annex"),
        ("deny", "nowhere.operational.sale", None),
    ]  # fmt: skip
    assert found[-1].detail == {"door": "sql", "masked": ["note", "_row"], "filtered": True}


def test_answers_come_as_arrow_and_as_rows_of_pythons_values(hidden: Shop) -> None:
    with assay.connect(hidden.root, user=ANALYST) as connection:
        table = connection.sql("SELECT number, amount FROM operational.sale ORDER BY 1").arrow()
        assert table.schema.types == [pa.string(), pa.decimal128(12, 2)]
        assert table.num_rows == 3
        answer = connection.sql("SELECT sum(1) AS n, INTERVAL 2 DAY AS i, [1, 2] AS l, NULL AS x FROM operational.sale")
        assert answer.columns == ["n", "i", "l", "x"]
        ((n, span, numbers, nothing),) = answer.rows()
        assert (n, type(n), span.days, numbers, nothing) == (3, int, 2, [1, 2], None)
        with pytest.raises(Usage):
            list(answer.rows())


def test_frames_of_pandas_and_polars_come_where_they_are_installed(hidden: Shop) -> None:
    with assay.connect(hidden.root, user=ANALYST) as connection:
        for name, method in (("pandas", "pandas"), ("polars", "polars")):
            answer = connection.sql("SELECT number FROM operational.sale ORDER BY 1")
            try:
                __import__(name)
            except ImportError:
                with pytest.raises(Usage, match="not installed"):
                    getattr(answer, method)()
            else:
                assert list(getattr(answer, method)()["number"]) == ["1", "2", "4"]


def test_a_large_answer_comes_in_pieces_and_may_be_left(hidden: Shop) -> None:
    with assay.connect(hidden.root, user=ANALYST) as connection:
        assert sum(1 for _ in connection.sql("SELECT range FROM range(300_000)").rows()) == 300_000
        answer = connection.sql("SELECT range FROM range(100_000_000)")
        assert next(answer.rows()) == (0,)
        answer.close()
        with pytest.raises(Unavailable, match="larger than"):
            list(connection.sql("SELECT range FROM range(10_000_000)", bytes_most=1 << 20).batches())
        assert list(connection.sql("SELECT 1").rows()) == [(1,)]


def test_two_answers_may_be_read_side_by_side(hidden: Shop) -> None:
    with assay.connect(hidden.root, user=ANALYST) as connection:
        first = connection.sql("SELECT number FROM operational.sale ORDER BY 1").rows()
        second = connection.sql("SELECT code FROM operational.goods").rows()
        assert (next(first), next(second), next(first)) == (("1",), ("tea",), ("2",))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    ],
)
def test_a_question_that_does_not_end_is_ended(statement: str, hidden: Shop) -> None:
    with as_user(hidden, ANALYST) as platform, Connection(platform, seconds=1) as connection:
        since = time.monotonic()
        with pytest.raises(Unavailable):
            list(connection.sql(statement).rows())
        assert time.monotonic() - since < 30  # far from never
        assert list(connection.sql("SELECT 1").rows()) == [(1,)]


def test_files_of_a_question_are_gone_when_it_is_answered(hidden: Shop) -> None:
    scratch = hidden.root / "data/scratch"
    with as_user(hidden, ANALYST) as platform, Connection(platform) as connection:
        list(connection.sql("SELECT * FROM operational.sale").rows())
        assert list(scratch.rglob("*.parquet")) == []
    assert list(scratch.iterdir()) == []


def test_the_process_of_a_question_knows_no_secret(hidden: Shop) -> None:
    """What it is told leads to no password: neither in its environment nor in what it is handed."""
    with as_user(hidden, OWNER) as platform, Connection(platform) as connection:
        connection.warm()
        (process,) = connection._idle
        told = Path(f"/proc/{process._child.pid}/environ").read_bytes() + Path(
            f"/proc/{process._child.pid}/cmdline"
        ).read_bytes()
        password = platform.url.partition("://")[2].partition("@")[0].partition(":")[2]
        assert password and password.encode() not in told


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("  - {role: analyst, dataset: operational.sal, rows: 'true'}\n", "operational.sal, which does not exist"),
        ("  - {role: analyst, dataset: operational.sale, masks: {nothing: 'null'}}\n", "no column nothing"),
        ("  - {role: analyst, dataset: operational.sale, masks: {amount: hash}}\n", "hash does not mask"),
        ("  - {role: analyst, dataset: operational.sale, masks: {amount: partial}}\n", "partial does not mask"),
        ("  - {role: analyst, dataset: operational.sale}\n", "`rows` or `masks`"),
        ("  - {role: guest, dataset: operational.sale, rows: 'true'}\n", "role"),
        ("  - {role: analyst, dataset: landing.till, rows: 'true'}\n", "dataset"),
        ("  - {role: analyst, dataset: operational.sale, rows: 'secret = 1'}\n", "secret"),
        ("  - {role: analyst, dataset: operational.sale, rows: 'amount > (SELECT 1)'}\n", "subquery"),
        ("  - {role: analyst, dataset: operational.sale, rows: 'sum(amount) > 1'}\n", "other rows"),
        ("  - {role: analyst, dataset: operational.sale, rows: 'true', masks: {}}\n" * 2, "twice"),
    ],
)
def test_plan_refuses_access_that_does_not_fit(lines: str, said: str, hidden: Shop) -> None:
    hidden.write("zones/shop/zone.yaml", f"{ZONE.partition('access:')[0]}access:\n{lines}")
    try:
        with pytest.raises(Misconfigured) as caught, as_user(hidden, OWNER) as platform:
            plan(platform)
        assert said in " ".join([str(caught.value), *map(str, caught.value.problems)])
    finally:
        hidden.write("zones/shop/zone.yaml", ZONE)


def test_nobody_acts_as_another_where_users_log_in(hidden: Shop) -> None:
    with pytest.raises(Usage), assay.connect(hidden.root, token="x"):
        pass
    name = hidden.root / "assay.yaml"
    before = name.read_text()
    name.write_text(before.replace("{data:", "{identity: accounts, data:"))
    try:
        with pytest.raises(Usage, match="nobody acts as another"), assay.connect(hidden.root, user=ANALYST):
            pass
        with pytest.raises(AssayError), assay.connect(hidden.root, token="not a token"):
            pass
    finally:
        name.write_text(before)
