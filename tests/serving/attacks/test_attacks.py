"""Every attack of the corpus is refused or finds nothing, on a real platform of two zones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.errors import AssayError, Denied, Unavailable, Usage
from assay.serving.client import Connection
from serving.attacks.corpus import ATTACKS, Attack
from serving.hidden import ANALYST, CANARY, STRANGER, as_user, hiding
from shop_project import Shop


@pytest.fixture(scope="module")
def hidden(new_shop: Callable[[], Shop]) -> Shop:
    return hiding(new_shop)


@pytest.fixture(scope="module")
def connection(hidden: Shop) -> Iterator[Connection]:
    with as_user(hidden, ANALYST) as platform, Connection(platform, seconds=3) as opened:
        yield opened


@pytest.fixture(scope="module")
def places(hidden: Shop) -> dict[str, str]:
    lake = next(iter((hidden.root / "data/lake").rglob("*.parquet")))
    return {"file": str(hidden.root / "assay.yaml"), "lake": str(lake)}


def _written(attack: Attack, places: dict[str, str]) -> str:
    statement = attack.statement
    return statement.format(**places) if "{" in statement else statement


def _asked(connection: Connection, statement: str) -> tuple[str, AssayError | None]:
    """What the asker gets to read, and the error."""
    try:
        answer = connection.sql(statement)
        return repr([answer.columns, *answer.rows()]), None
    except AssayError as error:
        return f"{error} {error.to_dict()}", error


def test_the_corpus_is_large() -> None:
    assert len(ATTACKS) >= 250 and len({attack.statement for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.statement[:60].replace("\0", "NUL"))
def test_an_attack_fails(attack: Attack, connection: Connection, places: dict[str, str], hidden: Shop) -> None:
    said, error = _asked(connection, _written(attack, places))
    own = _written(attack, places)
    assert attack.statement.count(CANARY) or CANARY not in said
    assert "8471" not in said.replace(own, "") or "8471" in own
    assert "8472" not in said
    # No path of the machine is told but one that the asker wrote himself.
    assert str(hidden.root) not in said or str(hidden.root) in own
    if attack.expected == "refused":
        assert isinstance(error, Usage | Denied) and "did not run" not in error.what, said
    else:
        assert error is None or isinstance(error, Usage | Denied | Unavailable), said


def test_after_all_of_them_the_connection_answers(connection: Connection) -> None:
    assert list(connection.sql("SELECT count(*) FROM operational.sale").rows()) == [(3,)]


def test_a_stranger_is_told_the_same_of_what_is_there_and_what_is_not(hidden: Shop) -> None:
    with as_user(hidden, STRANGER) as platform, Connection(platform) as connection:
        told = set()
        names = ("shop.operational.sale", "shop.operational.sell", "shpo.operational.sale", "annex.published.codes")
        for name in names:
            said, error = _asked(connection, f"SELECT * FROM {name}")
            assert isinstance(error, Denied)
            told.add(said.replace(name, "NAME"))
        assert len(told) == 1
        assert list(connection.sql("SHOW TABLES").rows()) == []


def test_every_function_that_makes_rows_is_refused_unless_it_is_on_the_list(
    connection: Connection, tmp_path: Path
) -> None:
    from assay.engines.duckdb import connect
    from assay.engines.pure_functions import PURE_TABLES

    with connect(tmp_path) as engine:
        names = {str(row[0]) for row in engine.rows(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
        )}  # fmt: skip
    assert len(names) > 80
    for name in sorted(names - PURE_TABLES):
        with pytest.raises(Usage) as caught:
            connection.sql(f"SELECT * FROM {name}()")
        assert "not allowed" in caught.value.what or "cannot be read" in caught.value.what
