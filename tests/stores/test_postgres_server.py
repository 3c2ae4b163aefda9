"""The embedded server: who shares it, what stops it, what it survives."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

import assay
from assay.errors import Unavailable
from assay.stores import postgres_server
from assay.stores.postgres_server import running

SOURCES = str(Path(assay.__file__).parents[1])
CLIENT = """
import sys
from pathlib import Path
from assay.stores.postgres_server import running
with running(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """pytest's folder is closed to other accounts: as root this is the hard case."""
    folder = tmp_path / "pg"
    yield folder
    _until(lambda: not _servers(folder / "data"))


def _until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _servers(data: Path) -> list[int]:
    """The living processes whose working folder is the cluster: postmaster and backends."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.path.samefile(process / "cwd", data):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _kept(folder: Path) -> bool:
    """Whether a keeper lives."""
    fd = os.open(folder / "keeper.lock", os.O_RDWR)
    try:
        return not postgres_server._try(fd, postgres_server.fcntl.LOCK_EX)
    finally:
        os.close(fd)


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _interpreter(identity: dict[str, Any]) -> str | None:
    """A Python that the account may run: a virtual environment may lead to one under root's home."""
    for candidate in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        try:
            said = subprocess.run(
                [candidate, "-c", "import sys; print(sys.version_info >= (3, 11))"],
                check=False,
                capture_output=True,
                text=True,
                **identity,
            )
        except OSError:
            continue
        if said.stdout.strip() == "True":
            return candidate
    return None


def _client(folder: Path, uid: int | None = None) -> tuple[subprocess.Popen[str], str]:
    identity: dict[str, Any] = (
        {} if uid is None else {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}
    )
    interpreter = sys.executable if uid is None else _interpreter(identity)
    if interpreter is None:
        pytest.skip("no Python 3.11 that an ordinary user may run")
    packages = str(postgres_server._binaries().parents[2])
    process = subprocess.Popen(
        [interpreter, "-c", CLIENT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{SOURCES}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        **identity,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _end(process: subprocess.Popen[str], *, kill: bool = False) -> None:
    if kill:
        process.kill()
    process.communicate()


def _fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def _answer(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
        return row and row[0]


def test_starts_answers_and_stops_keeping_the_data(folder: Path) -> None:
    with running(folder) as url:
        _fill(url)
        with psycopg.connect(url) as connection:
            shown = connection.execute(
                "SELECT current_setting('data_checksums'), datlocprovider, datlocale, current_setting('fsync'),"
                " current_setting('synchronous_commit') FROM pg_database WHERE datname = 'assay'"
            ).fetchone()
        assert shown == ("on", "b", "C.UTF-8", "on", "on")
        assert _kept(folder)
    _until(lambda: not _kept(folder))
    assert not _servers(folder / "data")
    assert not (folder / "data" / "postmaster.pid").exists()
    with running(folder) as again:
        assert again == url
        assert _answer(again) == 42


def test_secrets_are_private_and_parents_untouched(folder: Path) -> None:
    before = stat.S_IMODE(folder.parent.stat().st_mode)
    with running(folder) as url:
        assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "log").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) == before
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1" and parts.path == "/assay" and parts.username == "assay"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host="127.0.0.1", port=parts.port, user="assay", dbname="assay", password="wrong")
        assert parts.password and parts.password not in (folder / "log").read_text()


def test_the_log_says_what_failed_and_quotes_neither_rows_nor_statements(folder: Path) -> None:
    with running(folder) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE person (name text PRIMARY KEY, age integer NOT NULL)")
        connection.execute("INSERT INTO person VALUES ('Quimby', 1)")
        for values in ("'Quimby', 2", "'Quimby Two', NULL"):
            with pytest.raises(psycopg.IntegrityError, match="Quimby"):
                connection.execute(f"INSERT INTO person VALUES ({values})".encode())
        written = (folder / "log").read_text()
    assert 'violates unique constraint "person_pkey"' in written and "violates not-null constraint" in written
    assert "Quimby" not in written


def test_listens_on_loopback_only(folder: Path) -> None:
    with running(folder) as url:
        port = urlsplit(url).port
        listening = [
            fields[1]
            for table in ("tcp", "tcp6")
            for fields in (line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])
            if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port
        ]
        assert listening == [f"0100007F:{port:04X}"]
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_two_processes_share_one_server(folder: Path) -> None:
    first, url = _client(folder)
    second, same = _client(folder)
    assert url == same
    server = _postmaster(folder)
    _end(first)
    time.sleep(0.3)
    assert _postmaster(folder) == server and _kept(folder)
    _fill(same)
    _end(second)
    _until(lambda: not _kept(folder))
    assert not _servers(folder / "data")


def test_processes_that_start_together_share_one_server(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(3)
    ]
    urls = {client.stdout.readline() for client in clients if client.stdout}
    assert len(urls) == 1 and "postgresql://" in urls.pop()
    for client in clients:
        _end(client)
    _until(lambda: not _kept(folder))


def test_a_killed_client_leaves_nothing(folder: Path) -> None:
    client, url = _client(folder)
    _fill(url)
    _end(client, kill=True)
    _until(lambda: not _kept(folder))
    assert not _servers(folder / "data")
    with running(folder) as again:
        assert _answer(again) == 42


def test_children_of_a_client_do_not_hold_the_server(folder: Path) -> None:
    with running(folder):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        forked = os.fork()
        if not forked:
            time.sleep(60)
            os._exit(0)
    try:
        _until(lambda: not _kept(folder))
    finally:
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)
        child.kill()
        child.wait()


def test_a_killed_postmaster_recovers_with_its_data(folder: Path) -> None:
    with running(folder) as url:
        _fill(url)
        os.kill(_postmaster(folder), signal.SIGKILL)
        # Others may come while the first still believes in the dead server.
        with running(folder) as again:
            assert _answer(again) == 42
        assert _answer(again) == 42


def test_a_killed_keeper_is_replaced(folder: Path) -> None:
    with running(folder) as url:
        _fill(url)
        server = _postmaster(folder)
        status = Path(f"/proc/{server}/status").read_text()
        keeper = int(status.split("PPid:")[1].split()[0])
        os.kill(keeper, signal.SIGKILL)
        _until(lambda: not _kept(folder))
        with running(folder) as again:
            assert again == url and _postmaster(folder) == server
            assert _kept(folder)
    _until(lambda: not _kept(folder))
    assert not _servers(folder / "data")


def test_a_stale_pid_of_another_program_is_no_obstacle(folder: Path) -> None:
    with running(folder) as url:
        _fill(url)
    _until(lambda: not _kept(folder))
    pid_file = folder / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/elsewhere\n0\n1\n\n127.0.0.1\n0 0\nready\n")
    if os.geteuid() == 0:
        owner = (folder / "data").stat()
        os.chown(pid_file, owner.st_uid, owner.st_gid)
    with running(folder) as again:
        assert _answer(again) == 42


def test_a_taken_port_is_chosen_again(folder: Path) -> None:
    with running(folder) as url:
        port = urlsplit(url).port
    _until(lambda: not _kept(folder))
    with postgres_server.socket.socket() as other:
        other.setsockopt(postgres_server.socket.SOL_SOCKET, postgres_server.socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with running(folder) as again:
            assert urlsplit(again).port != port
            psycopg.connect(again).close()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with running(folder):
        pass
    _until(lambda: not _kept(folder))
    with open(folder / "data" / "postgresql.conf", "a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(Unavailable) as raised, running(folder):
        pass
    assert "no_such_setting" in str(raised.value) and str(folder / "log") in str(raised.value)


def test_a_missing_package_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="not installed"), running(folder):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")
def test_root_runs_it_as_an_unprivileged_account(folder: Path) -> None:
    with running(folder):
        owner = (folder / "data").stat().st_uid
        assert owner == pwd.getpwnam("nobody").pw_uid
        assert Path(f"/proc/{_postmaster(folder)}").stat().st_uid == owner
        assert folder.stat().st_uid == 0
    with (
        pytest.raises(Unavailable, match="no_such_account"),
        running(folder.parent / "other", user="no_such_account"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_runs_it_directly() -> None:
    uid = pwd.getpwnam("nobody").pw_uid
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, uid, -1)
        folder = Path(name) / "pg"
        client, url = _client(folder, uid)
        _fill(url)
        assert (folder / "password").stat().st_uid == uid
        _end(client, kill=True)
        _until(lambda: not _kept(folder))
        assert not _servers(folder / "data")
