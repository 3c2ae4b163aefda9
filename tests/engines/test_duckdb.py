"""The engine's connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.engines.duckdb import EngineFailed, connect


def test_statements_side_by_side_see_the_same_database_and_give_their_first_values(tmp_path: Path) -> None:
    with connect(tmp_path, threads=2) as engine:
        engine.run("CREATE TABLE numbers AS SELECT * FROM range(10) AS t(i)")
        assert engine.side_by_side([f"SELECT {n} * sum(i) FROM numbers" for n in range(4)]) == [0, 45, 90, 135]


def test_when_one_statement_fails_the_others_are_stopped(tmp_path: Path) -> None:
    """The other would take hours."""
    endless = "SELECT count(*) FROM range(10000000) AS a(i), range(10000000) AS b(i) WHERE a.i + b.i = 1"
    with connect(tmp_path, threads=2) as engine:
        with pytest.raises(EngineFailed):
            engine.side_by_side([endless, "SELECT error('no') FROM range(3000000)"])
        assert engine.row("SELECT 1") == (1,)
