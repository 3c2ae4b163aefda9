"""The audit chain in PostgreSQL: one chain whoever writes, that only grows and stands or falls with what it records."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.cli import assay
from assay.errors import Misconfigured
from assay.pipelines import audit as audits
from assay.security.audit import Entry, append, chain, entries, head
from assay.security.checkpoints import SIGNING_KEY, ChainBroken, read_checkpoints, vouch
from assay.security.verify_chain import START, examine
from assay.stores.database import Connection, DatabaseFailed, connect, transaction
from shop_project import OWNER, TILL, Shop

Database = Callable[[], str]


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with connect(database(), autocommit=True) as found:
        yield found


def add(connection: Connection, **values: object) -> int:
    with transaction(connection) as tx:
        return append(tx, Entry("anna", "release", "batch/1", **{"outcome": "allow", **values}))  # type: ignore[arg-type]


def unguarded(connection: Connection, statement: str) -> None:
    """What somebody can do who owns the table."""
    with transaction(connection) as tx:
        tx.execute("ALTER TABLE assay.audit DISABLE TRIGGER audit_only_grows")
        tx.execute(statement.encode())
        tx.execute("ALTER TABLE assay.audit ENABLE ALWAYS TRIGGER audit_only_grows")


def test_entries_make_one_chain_and_are_read_as_they_were_written(connection: Connection) -> None:
    assert head(connection) == (0, START) and examine(chain(connection)).entries == 0
    before = datetime.now(UTC)
    detail = {"reason": "größer \"€\" \n\u2028 \U0001f600", "rows": 7, "none": None, "list": [True, {"b": 1, "a": -2}]}
    assert [add(connection, detail=detail), add(connection, zone="sales"), add(connection)] == [1, 2, 3]
    assert examine(chain(connection)).broken is None and examine(chain(connection)).entries == 3
    newest, zoned, first = entries(connection, limit=9)
    assert (first.detail, first.actor, first.outcome) == (detail, "anna", "allow")
    assert before - timedelta(seconds=5) <= first.at <= zoned.at <= newest.at
    assert entries(connection, zones=["sales"], limit=9) == [zoned]
    assert entries(connection, since=zoned.at, until=newest.at, limit=9) == [zoned]
    assert entries(connection, actor="bert", limit=9) == entries(connection, action="land", limit=9) == []
    assert entries(connection, outcome="allow", limit=2) == [newest, zoned]


def test_an_entry_stands_or_falls_with_its_transaction_and_leaves_no_gap(connection: Connection) -> None:
    add(connection)
    with pytest.raises(RuntimeError), transaction(connection) as tx:
        append(tx, Entry("anna", "release", "batch/2"))
        raise RuntimeError
    assert add(connection) == 2
    assert examine(chain(connection)).entries == 2


def test_a_detail_that_libraries_read_differently_is_refused(connection: Connection) -> None:
    with pytest.raises(ValueError, match="canonical"):
        add(connection, detail={"share": 0.5})
    assert head(connection) == (0, START)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE assay.audit SET actor = 'bert'",
        "DELETE FROM assay.audit",
        "DELETE FROM assay.audit WHERE false",
        "TRUNCATE assay.audit",
        "INSERT INTO assay.audit (SELECT * FROM assay.audit) ON CONFLICT (seq) DO UPDATE SET actor = 'bert'",
    ],
)
def test_the_database_refuses_everything_but_new_entries(connection: Connection, statement: str) -> None:
    add(connection)
    with pytest.raises(DatabaseFailed, match="only grows|permission denied"), transaction(connection) as tx:
        tx.execute(statement.encode())
    assert examine(chain(connection)).entries == 1


def test_a_superuser_who_calls_himself_a_replica_is_refused_too(
    connection: Connection, postgres: tuple[str, str]
) -> None:
    add(connection)
    with connect(f"{postgres[1]}/{connection.info.dbname}", autocommit=True) as superuser:
        with pytest.raises(DatabaseFailed, match="only grows"), transaction(superuser) as tx:
            tx.execute("SET LOCAL session_replication_role = replica; DELETE FROM assay.audit")
    assert examine(chain(connection)).entries == 1


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("UPDATE assay.audit SET actor = 'bert' WHERE seq = 3", 3),
        ("UPDATE assay.audit SET at = at + interval '1 microsecond' WHERE seq = 2", 2),
        ("UPDATE assay.audit SET at = 'infinity' WHERE seq = 2", 2),
        ("UPDATE assay.audit SET zone = '' WHERE seq = 4", 4),
        ("UPDATE assay.audit SET detail = detail || '{\"more\": 1.50}' WHERE seq = 5", 5),
        ("UPDATE assay.audit SET detail = '{\"n\": 1e400}' WHERE seq = 5", 5),
        ("UPDATE assay.audit SET hash = previous WHERE seq = 5", 5),
        ("UPDATE assay.audit SET seq = 60 WHERE seq = 6", 6),
        ("DELETE FROM assay.audit WHERE seq = 1", 1),
        ("UPDATE assay.audit SET seq = -seq WHERE seq IN (2, 3)", 1),
    ],
)
def test_what_the_tables_owner_changes_is_found(connection: Connection, statement: str, bad: int) -> None:
    for _ in range(7):
        add(connection)
    unguarded(connection, statement)
    broken = examine(chain(connection)).broken
    assert broken is not None and broken.seq == bad, broken


# --- several writers ------------------------------------------------------------------------------------------------


def write(url: str, number: int, count: int) -> None:
    with connect(url, autocommit=True) as connection:
        for each in range(count):
            add(connection, detail={"writer": number, "each": each})


def test_four_writers_at_once_make_one_chain(database: Database) -> None:
    url, count = database(), 50
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(url, number, count)) for number in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
        assert one.exitcode == 0
    with connect(url, autocommit=True) as connection:
        assert examine(chain(connection)).broken is None
        found = [entry.detail for entry in reversed(entries(connection, limit=1000))]
    for number in range(4):  # none lost, none doubled, each writer's in its order
        assert [one["each"] for one in found if one["writer"] == number] == list(range(count))


def test_writers_killed_midway_leave_no_gap(database: Database) -> None:
    url = database()
    context = multiprocessing.get_context("spawn")
    with connect(url, autocommit=True) as connection:
        for _ in range(3):
            before = head(connection)[0]
            writers = [context.Process(target=write, args=(url, number, 10**6)) for number in range(2)]
            for one in writers:
                one.start()
            deadline = time.monotonic() + 60
            while head(connection)[0] < before + 20:
                assert time.monotonic() < deadline
            for one in writers:
                assert one.pid is not None
                os.kill(one.pid, signal.SIGKILL)
                one.join()
            add(connection, detail={"alive": True})  # nobody holds the lock any more
            assert examine(chain(connection)).broken is None
            assert examine(chain(connection)).entries == head(connection)[0]


# --- checkpoints ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_signed_when_the_chain_has_grown(connection: Connection, tmp_path: Path) -> None:
    file, keys = tmp_path / "audit/checkpoints.jsonl", tmp_path / "keys"
    vouch(connection, file, keys)
    assert read_checkpoints(file) == [] and not keys.exists()
    for _ in range(2):
        add(connection)
        vouch(connection, file, keys)
        vouch(connection, file, keys)
    assert [one.seq for one in read_checkpoints(file)] == [1, 2]
    assert examine(chain(connection), read_checkpoints(file)).vouched == 2
    assert (keys / SIGNING_KEY).stat().st_mode & 0o777 == 0o600 and keys.stat().st_mode & 0o777 == 0o700
    assert (keys / ".gitignore").read_text().endswith("*\n")


def test_nothing_is_signed_that_does_not_continue_what_was_signed(connection: Connection, tmp_path: Path) -> None:
    file, keys = tmp_path / "checkpoints.jsonl", tmp_path / "keys"
    add(connection)
    vouch(connection, file, keys)
    unguarded(connection, "DELETE FROM assay.audit")
    add(connection, zone="forged")
    add(connection, zone="forged")
    with pytest.raises(ChainBroken, match="does not continue"):
        vouch(connection, file, keys)
    broken = examine(chain(connection), read_checkpoints(file)).broken
    assert broken is not None and broken.seq == 1


def test_a_line_that_a_killed_process_left_unfinished_is_taken_away(connection: Connection, tmp_path: Path) -> None:
    file, keys = tmp_path / "checkpoints.jsonl", tmp_path / "keys"
    add(connection)
    vouch(connection, file, keys)
    with file.open("ab") as stream:
        stream.write(b'{"at":"2025')
    assert len(read_checkpoints(file)) == 1
    add(connection)
    vouch(connection, file, keys)
    assert [one.seq for one in read_checkpoints(file)] == [1, 2]


def test_a_signing_key_that_is_gone_or_open_to_others_is_said(connection: Connection, tmp_path: Path) -> None:
    file, keys = tmp_path / "checkpoints.jsonl", tmp_path / "keys"
    add(connection)
    vouch(connection, file, keys)
    add(connection)
    (keys / SIGNING_KEY).chmod(0o640)
    with pytest.raises(Misconfigured, match="others on this machine"):
        vouch(connection, file, keys)
    (keys / SIGNING_KEY).unlink()
    with pytest.raises(Misconfigured, match="is gone"):
        vouch(connection, file, keys)


# --- what is recorded ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gated(new_shop: Callable[[], Shop]) -> Shop:
    """A shop with one batch done, and then two held, delivered by another."""
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.plan import apply
    from assay.pipelines.run import ingest

    shop = new_shop().fill()
    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    shop.edit("zone.yaml", "title: Shop\n", "title: Shop\nstewards: [deliverer]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_USER", "deliverer")
        with shop.opened() as platform:
            apply(platform)
            for number in ("20", "30"):
                file = shop.root / f"till-{number}.csv"
                file.write_text(TILL.replace("\n1,", f"\n{number},"))
                ingest(platform, pipeline_of(platform, "shop", "sales"), [file], None)
    return shop


def call(shop: Shop, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(assay, [*words, "--project", str(shop.root)], prog_name="assay")
    assert result.exit_code == code, result.output
    return result.stdout


def test_deliveries_decisions_and_changes_are_on_the_chain(gated: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ASSAY_USER", "deliverer")
        call(gated, "review", "release", "2", "--reason", "mine", code=1)
    call(gated, "review", "release", "2", "--reason", "counted")
    call(gated, "review", "reject", "3", "--reason", "wrong month")
    call(gated, "quarantine", "export", "1", "-o", str(gated.root / "aside.xlsx"))
    call(gated, "batch", "return", "1", "-o", str(gated.root / "returned.csv"))
    call(gated, "replay", "1", "--yes", code=4)
    with gated.opened() as platform:
        found = entries(platform.connection, limit=99)[::-1]
    done = [(one.actor, one.action, one.resource, one.outcome) for one in found if "command" not in one.detail]
    assert [one[1] for one in done[:5]] == ["apply", "land", "apply", "land", "land"]
    assert done[5:] == [
        (OWNER, "release", "batch/2", "allow"),
        (OWNER, "reject", "batch/3", "allow"),
        (OWNER, "quarantine.export", "batch/1", "allow"),
        (OWNER, "batch.return", "batch/1", "allow"),
        (OWNER, "replay", "batch/1", "done"),
    ]
    asked = [(one.detail["command"], one.action, one.outcome) for one in found if "command" in one.detail]
    assert asked == [
        ("review release", "decide", "deny"),
        ("review release", "decide", "allow"),
        ("review reject", "decide", "allow"),
        ("quarantine export", "inspect", "allow"),
        ("quarantine export", "read", "allow"),
        ("batch return", "return_file", "allow"),
        ("replay", "run", "allow"),
    ]
    refused = next(one for one in found if one.outcome == "deny")
    assert (refused.actor, refused.detail["batch"], refused.detail["policies"]) == ("deliverer", 2, ["four-eyes"])
    told = json.loads(call(gated, "verify", "audit", "--json"))
    assert told == {
        "intact": True, "entries": len(found), "vouched": len(found), "checkpoints": told["checkpoints"],
        "problem": None, "first_bad": None,
    }  # fmt: skip
    assert told["checkpoints"] >= 7


def test_audit_without_a_command_lists(gated: Shop) -> None:
    shown = call(gated, "audit", "--zone", "shop", "--action", "land", "--limit", "1")
    assert "till-30.csv" in shown and len(shown.splitlines()) == 2
    assert json.loads(call(gated, "audit", "--until", "2020-01-01", "--json")) == []
    assert "Example: assay audit" in CliRunner().invoke(assay, ["audit", "--help"]).stdout


def copies(folder: Path) -> list[str]:
    """The options that name what an export left in a folder."""
    return ["--checkpoints", f"{folder}/chain.checkpoints.jsonl", "--public-key", f"{folder}/chain.public.pem"]


def test_an_export_is_verified_without_a_platform(gated: Shop, tmp_path: Path) -> None:
    from assay.security import verify_chain

    into = tmp_path / "chain.jsonl"
    call(gated, "audit", "export", str(into))
    command = [sys.executable, verify_chain.__file__, str(into), *copies(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "are good" in done.stdout, done
    lines = into.read_text("utf-8").splitlines(keepends=True)
    into.write_text("".join(lines[:-1]), "utf-8")
    assert f"entry {len(lines)} is missing" in subprocess.run(command, capture_output=True, text=True).stdout
    result = CliRunner().invoke(assay, ["audit", "export", str(into), "--project", str(gated.root)])
    assert result.exit_code == 1 and "there already" in str(result.exception)


@pytest.fixture
def tampered(gated: Shop) -> Iterator[Connection]:
    """A connection to the shop's database that may change the chain; afterwards it is as it was."""
    with gated.opened() as platform, connect(platform.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT * FROM assay.audit")
        file = platform.checkpoints
        signed = file.read_bytes()
        yield connection
        unguarded(connection, "DELETE FROM assay.audit; INSERT INTO assay.audit SELECT * FROM kept; DROP TABLE kept")
        file.write_bytes(signed)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE assay.audit SET actor = 'bert' WHERE seq = 3", "entry 3 was changed"),
        ("DELETE FROM assay.audit WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM assay.audit WHERE seq >= 5", "entry 5 is missing"),
        ("DELETE FROM assay.audit", "entry 1 is missing"),
    ],
)
def test_verify_audit_names_the_first_bad_entry(
    gated: Shop, tampered: Connection, statement: str, words: str
) -> None:
    unguarded(tampered, statement)
    assert words in call(gated, "verify", "audit", code=1)
    assert json.loads(call(gated, "verify", "audit", "--json", code=1))["intact"] is False


def test_a_chain_made_anew_is_told_by_copies_that_were_kept_elsewhere(
    gated: Shop, tampered: Connection, tmp_path: Path
) -> None:
    call(gated, "audit", "export", str(tmp_path / "chain.jsonl"))
    call(gated, "verify", "audit", *copies(tmp_path))
    unguarded(tampered, "DELETE FROM assay.audit")
    add(tampered)
    with gated.opened() as platform:
        platform.checkpoints.unlink()  # the forger removes what was signed, and has his chain signed
        vouch(tampered, platform.checkpoints, platform.project.target.keys)
        assert audits.verify(platform).problem is None
    told = call(gated, "verify", "audit", *copies(tmp_path), code=1)
    assert "BROKEN: entry 2 is missing: the chain ends at 1" in told


def test_damaged_checkpoints_and_a_missing_public_key_are_told(gated: Shop, tampered: Connection) -> None:
    with gated.opened() as platform:
        file, public = platform.checkpoints, platform.project.target.keys / "audit.public.pem"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0].replace('"signature":"', '"signature":"AA') + "".join(lines[1:]))
    assert "signature" in call(gated, "verify", "audit", code=1)
    file.write_text("garbage\n" + "".join(lines))
    assert "checkpoints.jsonl:1" in call(gated, "verify", "audit", code=1)
    file.write_text("".join(lines))
    kept = public.read_bytes()
    public.unlink()
    assert "signatures cannot be checked" in call(gated, "verify", "audit", code=1)
    public.write_bytes(kept)
    assert "is intact" in call(gated, "verify", "audit")


def test_a_command_that_finds_the_chain_changed_says_so(gated: Shop, tampered: Connection) -> None:
    last, _ = head(tampered)
    unguarded(tampered, "DELETE FROM assay.audit WHERE seq >= 4")
    with pytest.raises(ChainBroken) as caught, gated.opened() as platform, transaction(platform.connection) as tx:
        platform.record(tx, "release", "batch/1", zone="shop")
        while head(tx)[0] <= last:
            platform.record(tx, "release", "batch/1", zone="shop")
    assert caught.value.next == "assay verify audit"
