"""assay sql: every store but landing, of any zone, and nothing but reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.errors import AssayError, Misconfigured, Usage
from assay.pipelines.platform import Platform
from assay.pipelines.query import ask
from shop_project import Shop


@pytest.fixture(scope="module")
def platform(standing_shop: Shop) -> Iterator[Platform]:
    """A second zone with a source of the same name, and a publication."""
    standing_shop.write("zones/annex/zone.yaml", (
        "title: Annex\nowner: owner@example.org\n"
        "publications: {codes: {dataset: operational.goods, columns: [code]}}\n"
    ))  # fmt: skip
    for name in ("pipeline.yaml", "contracts/till.odcs.yaml", "operational/goods.odcs.yaml", "conform/till/goods.sql"):
        text = (standing_shop.root / "zones/shop/sales" / name).read_text()
        standing_shop.write(f"zones/annex/sales/{name}", text)
    with standing_shop.opened() as opened:
        from assay.pipelines.plan import apply

        apply(opened)
        yield opened


@pytest.mark.parametrize(
    ("statement", "zone", "rows"),
    [
        ("SELECT count(*) FROM staging.till", "shop", 4),
        ("SELECT count(*) FROM readable.till", "shop", 5),
        ("SELECT count(*) FROM quarantine.till", "shop", 1),
        ("SELECT count(*) FROM operational.sale", None, 4),
        ("SELECT count(*) FROM analytical.by_month", None, 3),
        ("SELECT count(*) FROM shop.readable.till", None, 5),
        ("SELECT count(*) FROM annex.readable.till", None, 0),
        ("SELECT count(*) FROM annex.published.codes", None, 0),
        ("SELECT count(*) FROM shop.operational.goods g LEFT JOIN annex.operational.goods a USING (code)", None, 2),
        ("WITH x AS (SELECT * FROM operational.sale) SELECT count(*) FROM x", None, 4),
    ],
)
def test_every_store_of_any_zone_can_be_asked(platform: Platform, statement: str, zone: str | None, rows: int) -> None:
    assert ask(platform, statement, zone)[1] == [(rows,)]


def test_a_publication_shows_its_columns_only(platform: Platform) -> None:
    assert ask(platform, "SELECT * FROM annex.published.codes", None)[0] == ["code"]


def test_a_name_that_several_zones_have_must_be_written_in_full(platform: Platform) -> None:
    with pytest.raises(Usage) as caught:
        ask(platform, "SELECT * FROM readable.till", None)
    assert caught.value.expected == "annex.readable.till or shop.readable.till"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT * FROM landing.till", "nobody reads"),
        ("SELECT * FROM shop.landing.till", "nobody reads"),
        ("SELECT * FROM operational.sal", "no zone has operational.sal"),
        ("SELECT * FROM shp.operational.sale", "no zone shp"),
        ("SELECT * FROM sale", "is not a table"),
        ("SELECT * FROM pg.shop.sale", "no store is called shop"),
        ("SELECT * FROM assay.batch", "no store is called assay"),
        ("SELECT * FROM information_schema.tables", "no store is called information_schema"),
        ("SELECT * FROM 'secret.csv'", "is not a table"),
        ("SELECT * FROM read_csv('secret.csv')", "read_csv"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text"),
        ("SELECT * FROM glob('*')", "glob"),
        ("SELECT * FROM duckdb_settings()", "duckdb_settings"),
        ("SELECT * FROM postgres_query('pg', 'SELECT 1')", "postgres_query"),
        ("SELECT getenv('HOME') AS h", "getenv"),
        ("SELECT * FROM query('SELECT 1')", "query"),
        ("DELETE FROM operational.sale", "DELETE"),
        ("COPY (SELECT 1) TO 'x.csv'", "COPY"),
        ("CREATE TABLE x AS SELECT 1", "CREATE"),
        ("SELECT 1 AS a; DROP TABLE shop.sale", "2 statements"),
        ("ATTACH 'x.db'", "ATTACH"),
        ("PRAGMA version", "PRAGMA"),
        ("INSTALL httpfs", "INSTALL|COMMAND|cannot be read"),
        ("SELECT nosuch FROM operational.sale", "nosuch"),
    ],
)
def test_nothing_else_can_be_read_and_nothing_changed(platform: Platform, statement: str, said: str) -> None:
    with pytest.raises((Misconfigured, Usage)) as caught:
        ask(platform, statement, None)
    assert any(one in caught.value.what for one in said.split("|"))


def test_every_table_function_that_the_engine_has_is_refused(platform: Platform) -> None:
    """By name, whatever it is called: a table is a table of a store, and nothing else stands in a FROM."""
    from assay.engines.duckdb import connect

    with platform.scratch() as scratch, connect(Path(scratch)) as engine:
        names = {str(row[0]) for row in engine.rows(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'table'"
        )}  # fmt: skip
    assert len(names) > 50
    for name in sorted(names - {"unnest"}):
        with pytest.raises(AssayError):
            ask(platform, f"SELECT * FROM {name}()", None)
