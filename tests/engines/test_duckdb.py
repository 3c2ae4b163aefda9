"""The engine's connections, and its errors as ours."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.engines import duckdb as engines
from assay.engines.duckdb import EngineFailed, connect
from assay.errors import Unavailable


@pytest.mark.parametrize(
    "place",
    [
        *(f"postgresql://somebody:{word}@127.0.0.1:1/nothing" for word in ("hunter2", "hun%40ter2", "hun@ter2")),
        *(f"host=127.0.0.1 port=1 user=x password={word}" for word in ("hunter2", r"'hun \' ter2'", "h@ter2")),
    ],
)
def test_a_postgres_that_is_not_there_is_unavailable_and_its_password_is_not_printed(
    tmp_path: Path, place: str
) -> None:
    with connect(tmp_path) as engine, pytest.raises(Unavailable) as caught:
        engine.attach_postgres(place)
    assert str(caught.value).startswith("PostgreSQL did not answer: co")
    # The chain of causes is printed with a trace: the engine's own exception must not be in it.
    said = "".join(traceback.format_exception(caught.value))
    assert "ter2" not in said and "somebody" not in said.replace('f"postgresql://somebody', "")


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


def test_when_the_next_statement_cannot_be_given_those_that_run_are_stopped(tmp_path: Path) -> None:
    endless = "SELECT count(*) FROM range(10000000) AS a(i), range(10000000) AS b(i) WHERE a.i + b.i = 1"

    def given() -> Iterator[str]:
        yield endless
        raise ValueError("no more")

    with connect(tmp_path, threads=2) as engine:
        with pytest.raises(ValueError, match="no more"):
            engine.side_by_side(given())
        assert engine.threads == 2


def test_a_statement_runs_on_the_thread_that_gives_it(tmp_path: Path) -> None:
    """With threads of the engine's own, the one that waits would keep a core busy with asking."""
    with connect(tmp_path, threads=2) as engine:
        asked = "SELECT current_setting('threads')"
        assert engine.side_by_side([asked, asked]) == [1, 1]
        assert engine.threads == 2


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    """The engine's own cache of files tells contents apart by time and size alone; ours must not have it."""
    with connect(tmp_path) as engine:
        assert engine.rows("SELECT current_setting('enable_external_file_cache')") == [(False,)]
        file = tmp_path / "rows.parquet"
        for number in range(20):
            engine.run(f"COPY (SELECT {number} AS n, i FROM range(100) t(i)) TO '{file}' (FORMAT parquet)")
            os.utime(file, (1, 1))
            assert engine.rows(f"SELECT min(n), max(n), count(*) FROM read_parquet('{file}')") == [
                (number, number, 100)
            ]


@pytest.mark.parametrize("ready", [False, True])
def test_an_engine_with_postgres_loads_nothing_else_that_is_not_signed(
    ready: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one after the first, which does not check the signature of the extension for PostgreSQL again."""
    monkeypatch.setattr(engines, "_ready", None)
    content = bytearray(engines._postgres_extension().read_bytes())
    content[-1] ^= 1  # the signature stands at the end
    stranger = tmp_path / "stranger.duckdb_extension"
    stranger.write_bytes(content)
    with connect(tmp_path, postgres=True) as engine:
        engine.load_postgres()
    if ready:
        engines.keep_ready()
    for _ in range(2):
        with connect(tmp_path, postgres=True) as engine:
            loaded = "SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'postgres_scanner'"
            assert engine.rows(loaded) == [(True,)]
            with pytest.raises(EngineFailed, match="signature is either missing or invalid"):
                engine.run(f"LOAD '{stranger}'")
            for opening in ("SET allow_unsigned_extensions = true", "PRAGMA allow_unsigned_extensions = true"):
                with pytest.raises(EngineFailed):
                    engine.run(opening)
            engine.run("RESET allow_unsigned_extensions")
            with pytest.raises(EngineFailed, match="signature is either missing or invalid"):
                engine.run(f"LOAD '{stranger}'")


def test_a_file_in_place_of_the_extension_is_checked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_ready", None)
    with connect(tmp_path, postgres=True) as engine:
        engine.load_postgres()
    changed = tmp_path / "postgres_scanner.duckdb_extension"
    changed.write_bytes(engines._postgres_extension().read_bytes()[:-1] + b"\0")
    monkeypatch.setattr(engines, "_postgres_extension", lambda: changed)
    with pytest.raises(EngineFailed, match="signature"), connect(tmp_path, postgres=True):
        pass


def test_an_engine_that_was_ready_is_new_and_has_the_limits_of_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_ready", None)
    engines.keep_ready()
    seen = []
    for number in range(3):
        (folder := tmp_path / str(number)).mkdir()
        with engines.connect(folder, memory_limit=f"{number + 1}00MB", threads=1) as engine:
            settings = "current_setting('temp_directory'), current_setting('memory_limit'), current_setting('threads')"
            seen.append(engine.row(f"SELECT {settings}, current_setting('enable_external_file_cache')"))
            assert engine.rows("SELECT table_name FROM duckdb_tables()") == []
            engine.run("CREATE TABLE left_behind AS SELECT 1 AS a")
    assert [one[0] for one in seen] == [str(tmp_path / f"{number}/spill") for number in range(3)]
    assert len({one[1] for one in seen}) == 3 and {one[2:] for one in seen} == {(1, False)}
