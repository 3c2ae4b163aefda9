"""What goes wrong at a user's hands: said plainly, with the exit code that is promised, and nothing half done.

Exit codes: 0 done, 1 failed, 2 usage, 3 rejected by the contract, 4 waits for a steward, 5 denied, 70 our own bug.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from xlwt.CompoundDoc import XlsDoc

import assay
from assay.catalog import records
from assay.cli import main
from assay.errors import Unavailable
from assay.examples.expenses.generate import generate
from assay.pipelines.platform import opened
from assay.pipelines.query import ask
from assay.readers.limits import read_limited
from assay.stores.database import server
from assay.stores.postgres_server import running
from assay.zones.project import ReaderHints, load_project
from shop_project import OWNER, PEOPLE, owned_example

SOURCES = str(Path(assay.__file__).parents[1])
TORTURE = Path(__file__).parents[3] / "shared" / "data" / "torture"
CODES = ("--zone", "reference", "--pipeline", "codes")
EXPENSES = ("--zone", "corporate_finance", "--pipeline", "expenses")
CURRENCIES = "code,name,minor_units,eur_rate\nEUR,Euro,2,1\n"


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


def fresh_project(folder: Path, kept: tuple[str, ...] = ()) -> Path:
    """The example with only those files waiting whose names begin like this."""
    folder.mkdir()
    owned_example(folder)
    generate(folder, lines=240)
    for path in (folder / "ingress").rglob("*.*"):
        if path.is_file() and not path.name.startswith(kept or ("no such",)):
            path.unlink()
    return folder


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An applied project with its server running, so that each command is quick."""
    folder = fresh_project(tmp_path_factory.mktemp("bad") / "project")
    with server("embedded", folder / ".assay"):
        shell(folder, "apply", expect=0)
        yield folder


@pytest.fixture
def call(applied: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `assay` with these words in the applied project, in this process."""

    def run(*words: str, folder: Path = applied) -> Said:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["assay", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return Said(int(stop.value.code or 0), out, err)

    return run


def shell(folder: Path, *words: str, expect: int | None = None, **options: Any) -> Said:
    """Runs `assay` as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": SOURCES, "PYTHONWARNINGS": "ignore", **options.pop("env", {})}
    command = [sys.executable, "-m", "assay.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, **options)
    assert "Traceback" not in done.stderr, done.stderr
    assert expect is None or done.returncode == expect, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def state(folder: Path) -> dict[str, Any]:
    """Counts of all that a batch could leave in the stores of the zone `reference`, and every batch's end."""
    project = load_project(folder)
    with opened(project) as platform:
        tables = [f"operational.{name}" for name in project.zones["reference"].operational]
        tables += [f"staging.{name}" for name in project.zones["reference"].sources]
        found: dict[str, Any] = {
            table: Counter(ask(platform, f"SELECT * FROM {table}", "reference")[1]) for table in tables
        }
        found["batches"] = Counter((b.file_name, b.state) for b in records.batches(platform.connection))
    return found


# -- the command itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["aply"], 2, "there is no command aply; do you mean apply?"),
        (["ingest"], 2, "Missing argument 'FILES...'"),
        (["ingest", "x.csv", "--zone", "reference"], 2, "Missing option '--pipeline'"),
        (["batch", "show", "seven"], 2, "'seven' is not a valid integer"),
        (["apply", "--tarqet", "local"], 2, "No such option"),
        (["run", "nowhere"], 2, "there is no zone nowhere\n  expected: corporate_finance, reference"),
        (["run", "reference/cods"], 1, "zone reference has no pipeline cods\n  expected: codes"),
        (["batch", "show", "999"], 1, "there is no batch 999\nNext: assay batch list"),
        (["apply", "--target", "locl"], 1, "there is no target locl\n  expected: local"),
        (["sql", "SELECT 1 AS a FROM operational.curency", "--zone", "reference"], 5, "expected: operational.currency"),
        (["sql", "SELEC 1"], 2, "your statement, line 1"),
        (["sql", "DROP TABLE operational.currency"], 2, "expected: one SELECT"),
        (["sql", "SELECT nope FROM operational.currency"], 2, 'column "nope" not found'),
        (["init", "."], 2, "is not empty\n  expected: a new or empty folder"),
    ],
)
def test_a_wrong_command_is_told_what_would_be_right(
    call: Callable[..., Said], words: list[str], code: int, said: str
) -> None:
    answer = call(*words)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_a_folder_without_a_project_is_told_how_to_begin_one(call: Callable[..., Said], tmp_path: Path) -> None:
    answer = call("run", folder=tmp_path)
    assert answer.code == 1
    assert f"there is no assay.yaml in {tmp_path} or above it" in answer.err
    assert answer.err.strip().endswith("assay init DIR --example expenses, or name the project with --project")


@pytest.mark.parametrize("words", [["run", "nowhere"], ["batch", "show", "999"], ["sql", "SELEC 1"]])
def test_with_json_the_error_is_json_on_stdout_and_the_exit_code_the_same(
    call: Callable[..., Said], words: list[str]
) -> None:
    answer = call(*words, "--json")
    assert answer.code == call(*words).code
    told = json.loads(answer.out)
    assert {"error", "what", "where", "expected", "next"} <= told.keys()
    assert answer.err == ""


def test_a_bug_of_assay_is_called_one_and_keeps_its_details_in_a_file(
    call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("assay.catalog.records.batches", broken)
    answer = call("batch", "list")
    assert answer.code == 70
    assert "assay itself failed: RuntimeError: wires crossed" in answer.err
    (name,) = re.findall(r"The details are in (\S+);", answer.err)
    assert "wires crossed" in Path(name).read_text()
    Path(name).unlink()


# -- delivered files ----------------------------------------------------------------------------------------------


def test_a_missing_file_is_named_and_the_files_beside_it_do_not_move(
    call: Callable[..., Said], applied: Path, tmp_path: Path
) -> None:
    before = state(applied)
    good = tmp_path / "currencies-good.csv"
    good.write_text(CURRENCIES)
    answer = call("ingest", str(good), str(tmp_path / "currencies-gone.csv"), *CODES)
    assert answer.code == 1
    assert f"{tmp_path / 'currencies-gone.csv'}: there is no such file" in answer.err
    assert "Next: check the name and deliver it again" in answer.err
    assert state(applied) == before


def test_a_folder_in_the_place_of_a_file_is_called_so(call: Callable[..., Said], tmp_path: Path) -> None:
    folder = tmp_path / "currencies.csv"
    folder.mkdir()
    answer = call("ingest", str(folder), *CODES)
    assert (answer.code, f"{folder}: this is not a file" in answer.err) == (1, True)


def test_a_file_that_no_source_expects_is_told_the_patterns(call: Callable[..., Said], tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("a\n1\n")
    answer = call("ingest", str(path), *CODES)
    assert answer.code == 2
    assert "no source expects a file named sales.csv" in answer.err
    assert "currencies: currencies*.csv" in answer.err
    assert "Next: name the source with --source" in answer.err


def workbook(tmp_path: Path) -> bytes:
    folder = fresh_project(tmp_path / "made", ("card-2025-01",))
    return (folder / "ingress/corporate_finance/expenses/card-2025-01.xlsx").read_bytes()


def rejected(call: Callable[..., Said], applied: Path, path: Path, where: tuple[str, ...]) -> str:
    """Delivers a file that must be refused, and gives what `batch show` says was found."""
    before = state(applied)
    answer = call("ingest", str(path), *where)
    assert answer.code == 3, answer
    (number,) = re.findall(r"Next: assay batch show (\d+)", answer.err)
    shown = call("batch", "show", number, "--json")
    assert shown.code == 0
    after = state(applied)
    assert after.pop("batches") - before.pop("batches") == Counter({(path.name, "rejected"): 1})
    assert after == before
    found = json.loads(shown.out)["findings"]
    assert found
    return json.dumps(found)


def test_an_empty_file_is_rejected(call: Callable[..., Said], applied: Path, tmp_path: Path) -> None:
    path = tmp_path / "currencies-empty.csv"
    path.write_bytes(b"")
    shown = rejected(call, applied, path, CODES)
    assert "the file has no row" in shown


def test_a_file_of_a_header_alone_is_rejected(call: Callable[..., Said], tmp_path: Path) -> None:
    # In a project of its own: the batch that the defect leaves behind would stop the other tests.
    folder = fresh_project(tmp_path / "project")
    shell(folder, "apply", expect=0)
    path = tmp_path / "currencies-header.csv"
    path.write_text(CURRENCIES.splitlines()[0] + "\n")
    answer = shell(folder, "ingest", str(path), *CODES)
    assert answer.code == 3
    assert "There is no row of data below the header" in shell(folder, "batch", "show", "1").out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("card-2025-01-text.xlsx", b"this is no workbook", "the file is text"),
        ("card-2025-01-zeros.xlsx", bytes(4096), "the file is text"),
        ("card-2025-01-cut.xlsx", None, "damaged archive"),
    ],
)
def test_a_workbook_that_cannot_be_opened_is_rejected(
    call: Callable[..., Said], applied: Path, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(workbook(tmp_path)[:3000] if content is None else content)
    shown = rejected(call, applied, path, EXPENSES)
    assert said in shown


def behind_a_password() -> bytes:
    """The container of an .xlsx that Excel protected: its content is one encrypted stream."""
    made = io.BytesIO()
    XlsDoc().save(made, bytes(8192))
    data = bytearray(made.getvalue())
    name = "EncryptedPackage".encode("utf-16-le") + bytes(2)
    entry = data.index("Workbook".encode("utf-16-le"))
    data[entry : entry + 64] = name.ljust(64, bytes(1))
    data[entry + 64 : entry + 66] = struct.pack("<H", len(name))
    return bytes(data)


def test_a_workbook_behind_a_password_is_rejected_and_said_to_be_one(
    call: Callable[..., Said], applied: Path, tmp_path: Path
) -> None:
    path = tmp_path / "card-2025-01-secret.xlsx"
    path.write_bytes(behind_a_password())
    assert "protected by a password" in rejected(call, applied, path, EXPENSES)


@pytest.mark.skipif(not TORTURE.is_dir(), reason="the shared data folder is missing")
@pytest.mark.parametrize("file", ["calamine/pass_protected.ods", "sheetjs/password_2002_40_dhsc.xls"])
def test_older_workbooks_behind_a_password_are_said_to_be_so_too(
    call: Callable[..., Said], applied: Path, tmp_path: Path, file: str
) -> None:
    path = tmp_path / f"card-2025-01-{Path(file).name}"
    path.write_bytes((TORTURE / file).read_bytes())
    assert "protected by a password" in rejected(call, applied, path, (*EXPENSES, "--source", "card"))


def test_a_corrected_delivery_of_a_rejected_file_goes_through(
    call: Callable[..., Said], applied: Path, tmp_path: Path
) -> None:
    path = tmp_path / "currencies-corrected.csv"
    path.write_text(CURRENCIES.replace(",1\n", ",one\n"))
    shown = rejected(call, applied, path, CODES)
    assert '"row": 2, "column": "D", "found": "one"' in shown and "decimal(12,6)" in shown
    path.write_text(CURRENCIES)
    assert call("ingest", str(path), *CODES).code == 0
    again = call("ingest", str(path), *CODES)
    assert (again.code, "same bytes as before" in again.out) == (0, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full_while_a_workbook_is_read_does_not_reject_the_delivery(tmp_path: Path) -> None:
    path = tmp_path / "card.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for number in range(3_000):
            sheet.write_row(number, 0, [f"text {number}"] * 8)
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        with pytest.raises(Unavailable, match="the disk is full"):
            read_limited(path, ReaderHints(format="excel"), small / "scratch")
    finally:
        subprocess.run(["umount", str(small)], check=True)


# -- the steward --------------------------------------------------------------------------------------------------


def test_a_held_batch_waits_with_code_4_and_its_deliverer_is_denied_with_code_5(tmp_path: Path) -> None:
    folder = fresh_project(tmp_path / "project", ("currencies",))
    zone = folder / "zones/reference/zone.yaml"
    zone.write_text(zone.read_text().replace(f"owner: {OWNER}\nstewards: [", "owner: ann\nstewards: [bob, "))
    pipeline = folder / "zones/reference/codes/pipeline.yaml"
    pipeline.write_text("steward: always\n" + pipeline.read_text())
    with server("embedded", folder / ".assay"):
        shell(folder, "apply", expect=0)
        waits = shell(folder, "run", expect=4, env={"ASSAY_USER": "ann"})
        assert 'Next: assay review show 1' in waits.err
        release = ("review", "release", "1", "--reason", "checked")
        denied = shell(folder, *release, expect=5, env={"ASSAY_USER": "ann"})
        assert "ann may not decide on batches of reference: Nobody decides on a batch that he delivered" in denied.err
        assert state(folder)["operational.currency"] == Counter()
        shell(folder, *release, expect=0, env={"ASSAY_USER": "bob"})
        assert state(folder)["batches"] == Counter({("currencies.csv", "done"): 1})


# -- the machine --------------------------------------------------------------------------------------------------


def test_a_postgres_that_is_down_is_said_and_the_same_command_works_when_it_is_up(tmp_path: Path) -> None:
    folder = fresh_project(tmp_path / "project", ("currencies",))
    (folder / "assay.yaml").write_text("name: away\ntargets:\n  local: {postgres: '${EXPENSES_DATABASE}'}\n" + PEOPLE)
    unset = shell(folder, "apply", expect=1)
    assert "the environment variable EXPENSES_DATABASE is not set" in unset.err
    unreadable = shell(folder, "apply", expect=1, env={"EXPENSES_DATABASE": "localhost and secret"})
    assert "expected: postgresql://user:password@host:port/database" in unreadable.err
    down = {"EXPENSES_DATABASE": "postgresql://somebody:secret@127.0.0.1:1/expenses"}
    answer = shell(folder, "apply", expect=1, env=down)
    assert "PostgreSQL did not answer" in answer.err and "Connection refused" in answer.err
    assert "Next: see that the server runs" in answer.err
    assert "secret" not in answer.err + unreadable.err
    with running(tmp_path / "elsewhere") as url:
        up = {"EXPENSES_DATABASE": url}
        shell(folder, "apply", expect=0, env=up)
        assert shell(folder, "run", expect=1, env=down).err == answer.err
        assert "done" in shell(folder, "run", expect=0, env=up).out


def test_two_processes_at_the_same_time_process_every_file_once(tmp_path: Path) -> None:
    folder = fresh_project(tmp_path / "project", ("currencies", "merchant_categories", "ledger-2025-0"))
    shell(folder, "apply", expect=0)
    environment = {**os.environ, "PYTHONPATH": SOURCES, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "assay.cli", "run", "--json"]
    both = [
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    told = {entry["file"] for out, _ in said for entry in json.loads(out)}  # by both, where each did a part
    waiting = {path.name for path in (folder / "ingress").rglob("*.csv")}
    assert told == waiting
    assert state(folder)["batches"] == Counter(dict.fromkeys(((name, "done") for name in waiting), 1))
    with opened(load_project(folder)) as platform:
        ended = platform.connection.execute("SELECT batch_id, count(*) FROM assay.event WHERE kind = 'done' GROUP BY 1")
        assert [count for _, count in ended] == [1] * len(waiting)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the stores hold when nothing goes wrong."""
    folder = fresh_project(tmp_path_factory.mktemp("well") / "project", ("currencies", "ledger-2025-01"))
    with server("embedded", folder / ".assay"):
        shell(folder, "apply", expect=0)
        shell(folder, "run", expect=0)
        return state(folder)


def test_a_file_size_limit_stops_a_run_and_the_same_command_finishes_it(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    folder = fresh_project(tmp_path / "project", ("currencies", "ledger-2025-01"))

    def limited(size: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    # The server keeps its freedom: it was started by this process.
    with server("embedded", folder / ".assay"):
        shell(folder, "apply", expect=0)
        for size in (16, 1500):
            answer = shell(folder, "run", expect=1, preexec_fn=limited(size))
            assert "the disk is full" in answer.out + answer.err
            assert "Next: free some space and run the same command again" in answer.err
        shell(folder, "run", expect=0)
        assert state(folder) == expected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A project whose data folder is a file system of its own, small enough to be filled."""
    folder = fresh_project(tmp_path / "project", ("currencies", "ledger-2025-01"))
    data = folder / ".assay"
    data.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", str(data)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this account may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=True)


def test_a_full_disk_stops_a_run_wherever_it_is_full_and_the_same_command_finishes_it(
    small_disk: Path, expected: dict[str, Any]
) -> None:
    data = small_disk / ".assay"
    shell(small_disk, "apply", expect=0)
    for left_bytes in (0, 120_000):
        with ballast(data, left_bytes):
            answer = shell(small_disk, "run")
        assert answer.code in (0, 1)
        if answer.code == 1:
            assert "disk is full" in answer.err or "PostgreSQL did not answer" in answer.err
            assert "Next: " in answer.err
    shell(small_disk, "run", expect=0)
    assert state(small_disk) == expected


class ballast:
    """Fills a file system but for some bytes, until the block ends."""

    def __init__(self, folder: Path, left_bytes: int) -> None:
        self.path, self.left_bytes = folder / "ballast", left_bytes

    def __enter__(self) -> None:
        status = os.statvfs(self.path.parent)
        with self.path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - self.left_bytes)

    def __exit__(self, *_: object) -> None:
        self.path.unlink()
