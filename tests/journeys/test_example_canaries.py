"""Secrets and personal data planted in the example come out in no log, event, message, report, record or name."""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import oidc_provider_mock
import psycopg
import pytest
import requests
from openpyxl import load_workbook
from openpyxl.comments import Comment
from openpyxl.worksheet.worksheet import Worksheet
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.cli.test_every_command import call
from tests.pipelines.telling.servers import Posted, certificate, mail_server, receiver

from assay import log
from assay.errors import AssayError
from assay.examples.expenses import write_example
from assay.examples.expenses.generate import generate
from assay.findings import masked
from assay.pipelines import observe
from assay.pipelines.telling.telemetry import Telemetry
from assay.security import permissions, secrets
from assay.security.classes import classes_of
from assay.security.sessions import remembered, session_file
from assay.stewardship.masking import MASK
from assay.zones.project import load_project
from shop_project import OWNER, Shop

#: What no contract of the example keeps, or what its pattern refuses; each would be seen at once.
NAME, IBAN, MAIL = "Quimby-Zephyrine", "IE29QZQZ93115212345678", "qz99@qz.example"
#: Everybody's number: the generator's own begin with E0.
NUMBERS = re.compile(rb"(?<![0-9A-Za-z])E9[0-9]{3}(?![0-9A-Za-z])", re.IGNORECASE)
PERSONAL = re.compile(rb"|".join([NUMBERS.pattern, *(one.encode() for one in (NAME, IBAN, MAIL))]), re.IGNORECASE)
#: Cells that members of the zone see: a report may hold them; what is told to other programs may not.
MERCHANT, TYPO = "Zanzibarium Kiosk", "qzmuch"

STEWARD, ENGINEER, ANALYST = (f"finance.{role}@example.org" for role in ("steward", "engineer", "analyst"))
#: Who delivers, and who runs and audits the platform.
OFFICE, ADMINISTRATOR, AUDITOR, STRANGER = (
    f"{name}@example.org" for name in ("office", "administrator", "auditor", "stranger")
)
SEEING = {
    STEWARD: "steward", ENGINEER: "engineer", ANALYST: "analyst", ADMINISTRATOR: "administrator", AUDITOR: "auditor",
    STRANGER: "stranger", OWNER: "owner",
}  # fmt: skip

SETTINGS = """
    mail:
      host: 127.0.0.1
      port: {port}
      from: assay@example.org
      user: assay
      password: ${{QZ_MAIL}}
      domain: example.org
    lineage: {{url: "${{QZ_LINEAGE}}", token: "file:{token}"}}
  signed:
    data: .assay
    postgres: ${{QZ_POSTGRES}}
    identity: oidc
    oidc: {{issuer: "{issuer}", client_id: assay, client_secret: "${{QZ_OIDC}}"}}
administrators: [{administrator}]
auditors: [{auditor}]
"""
NOTIFY = """
notify:
  - {on: [rejected, held, released, done, failed], to: [owner, steward, deliverer]}
  - {on: [rejected, held, released, done, failed], webhook: "${QZ_HOOK}"}
  - {on: [rejected], webhook: "file:%s"}
"""


@dataclass
class Said:
    """All that came out, by where; what a command says, by who called it and how."""

    shop: Shop
    folder: Path
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def call(self, words: str, user: str) -> str:
        """Runs a command and keeps what it says, with what would become of its error."""
        result = call(self.shop, words, user=user)
        error = result.exception
        assert error is None or isinstance(error, AssayError | SystemExit), (user, words, error)
        told = f"{vars(error)}" if error is not None and not isinstance(error, SystemExit) else ""
        self.calls.append((user, words, f"{result.output}{error if told else ''}{told}"))
        return result.stdout

    def keep(self, place: str, *texts: object) -> None:
        """Keeps what came out elsewhere."""
        self.places[place] = "\n".join([self.places.get(place, ""), *map(str, texts)])


class Heard(logging.Handler):
    """What the log is told at any level, with all that a record carries."""

    def __init__(self, said: Said) -> None:
        super().__init__(logging.DEBUG)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.keep("log", record.getMessage(), record.__dict__)


# --- what is delivered -----------------------------------------------------------------------------------------


def numbered(text: str) -> str:
    """The text with a canary in the place of every employee number."""
    return re.sub(r"\bE0(\d{3})\b", r"E9\1", text)


def card(path: Path, change: Callable[[Worksheet, int], None]) -> None:
    """Plants canaries in a workbook's every row, and where no contract looks; `change` gets the first row of data."""
    book = load_workbook(path)
    sheet = book["Lines"]
    for row in sheet.iter_rows():
        for cell in row:
            if isinstance(cell.value, str):
                cell.value = 0 if cell.value.startswith("=SUM") else numbered(cell.value)
    top = next(row for row in range(1, 9) if sheet.cell(row, 2).value in ("Card holder", "Employee"))
    sheet.cell(1, 4, f"made by {NAME}")
    sheet.cell(top + 1, 4, MERCHANT)
    sheet.cell(top + 2, 2).comment = Comment(f"{NAME}, {IBAN}", NAME)
    sheet.cell(sheet.max_row, 2, NAME)
    change(sheet, top + 1)
    aside = book.create_sheet("Private")
    aside.append([NAME, IBAN, MAIL])
    aside.sheet_state = "hidden"
    book.properties.creator = NAME
    book.save(path)


def ledger(text: str, change: Callable[[list[str]], list[str]]) -> str:
    """Plants canaries in an export's every row; `change` gets the header and the rows."""
    rows = put(numbered(text).splitlines(), 1, 4, MERCHANT)
    return "\n".join(change(rows)) + "\n"


def put(rows: list[str], place: int, column: int, value: str) -> list[str]:
    """The rows with another cell in one of them."""
    cells = rows[place].split(";")
    cells[column] = value
    return [*rows[:place], ";".join(cells), *rows[place + 1 :]]


def remarked(rows: list[str]) -> list[str]:
    """The rows with a column that no contract knows."""
    return [f"{rows[0]};Remark", *(f"{row};{NAME} {IBAN} {MAIL}" for row in rows[1:])]


LEDGERS: dict[str, Callable[[list[str]], list[str]]] = {
    "2025-01": lambda rows: put(rows, 3, 7, "0,00"),
    "2025-02": lambda rows: remarked([rows[0].replace("Supplier", "Vendor"), *rows[1:]]),
    "2025-03": lambda rows: rows[1:],
    "2025-04": lambda rows: [*rows, f"{rows[1]};{NAME};{IBAN}", f'0400001;"{NAME}'],
    "2025-05": lambda rows: [*rows, put(rows, 1, 7, "9,99")[1]],
    "2025-06": lambda rows: put(rows, 2, 8, "QZX"),
    "2025-07": lambda rows: put(put(rows, 2, 2, f"{NAME} {IBAN}"), 4, 7, TYPO),
    "2025-08": lambda rows: [rows[0], rows[1].replace(MERCHANT, "\udce9" + NAME), *rows[2:]],
    "2025-09": lambda rows: rows,
}
#: Where each delivery comes to rest, in the order of their names.
STATES = {
    "card-2025-01.xlsx": "done", "card-2025-02.xlsx": "held", "card-2025-03.xlsx": "rejected",
    "card-2025-12.xlsx": "rejected", "ledger-2025-01.csv": "done", "ledger-2025-02.csv": "rejected",
    "ledger-2025-03.csv": "rejected", "ledger-2025-04.csv": "rejected", "ledger-2025-05.csv": "rejected",
    "ledger-2025-06.csv": "rejected", "ledger-2025-07.csv": "rejected", "ledger-2025-08.csv": "rejected",
    "ledger-2025-09.csv": "readable",
}  # fmt: skip


def deliver(root: Path) -> None:
    """A year's first months, some of them broken in a way of their own, with canaries in all of them."""
    generate(root, lines=900)
    ingress = root / "ingress/corporate_finance/expenses"
    text = (ingress / "ledger-2025-01.csv").read_text("utf-8")
    for path in ingress.iterdir():
        if path.name not in ("card-2025-01.xlsx", "card-2025-02.xlsx", "card-2025-12.xlsx"):
            path.unlink()

    def usual(sheet: Worksheet, first: int) -> None:
        for row in range(first, sheet.max_row):
            sheet.cell(row, 6, 12.5)
        sheet.cell(first + 2, 6, 0)

    def unusual(sheet: Worksheet, first: int) -> None:
        usual(sheet, first)
        sheet.cell(first + 4, 6, 6000)

    def broken(sheet: Worksheet, first: int) -> None:
        sheet.cell(first - 1, 12, "Remark")
        sheet.cell(first, 12, f"to {IBAN}, ask {MAIL}")
        sheet.cell(first + 1, 2, f"{NAME} {IBAN}")
        sheet.cell(first + 2, 6, TYPO)

    card(ingress / "card-2025-01.xlsx", usual)
    card(ingress / "card-2025-02.xlsx", unusual)
    card(ingress / "card-2025-12.xlsx", broken)
    (ingress / "card-2025-03.xlsx").write_text(f"no workbook: {NAME} E9001 {IBAN}\n")
    for month, change in LEDGERS.items():
        made = ledger(text, change)
        (ingress / f"ledger-{month}.csv").write_bytes(made.encode("utf-8", "surrogateescape"))
    (ingress / "ledger-2025-09.csv").rename(root / "ledger-2025-09.csv")
    (ingress / "staff.csv").write_text(f"nobody expects it\n{NAME};E9001;{IBAN};{MAIL}\n")


# --- the example at work ---------------------------------------------------------------------------------------


def configure(shop: Shop, **settings: object) -> None:
    """Somebody in each role, a gate for unusual amounts, and every kind of secret, by reference."""
    write_example(shop.root, OWNER)
    settings_file = shop.root / "assay.yaml"
    text = settings_file.read_text("utf-8")
    assert "postgres: embedded" in text
    text = text.replace("postgres: embedded", "postgres: ${QZ_POSTGRES}")
    people = {"administrator": ADMINISTRATOR, "auditor": AUDITOR}
    settings_file.write_text(text.rstrip() + SETTINGS.format(**people, **settings), "utf-8")
    zone = "zones/corporate_finance/zone.yaml"
    shop.edit(zone, f"engineers: [{ENGINEER}]", f"engineers: [{ENGINEER}, {OFFICE}]")
    shop.write(zone, (shop.root / zone).read_text("utf-8") + NOTIFY % settings["hook"])
    shop.edit("zones/reference/zone.yaml", "stewards:", f"engineers: [{OFFICE}]\nstewards:")
    pipeline = "zones/corporate_finance/expenses/pipeline.yaml"
    shop.edit(pipeline, "steward: never", "steward: {default: never, kinds: {amount_is_usual: always}}")


@pytest.fixture(scope="module")
def said(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    """The example with canaries, taken from its ingress folders to the end, and all that came out on the way."""
    folder = tmp_path_factory.mktemp("canaries")
    shop = Shop(folder / "project")
    shop.root.mkdir()
    found = Said(shop, folder / "new")
    found.folder.mkdir()
    url = database()
    password = urlsplit(url).password
    assert password is not None
    token, hook = folder / "token", folder / "hook"
    token.write_text("qz-lineage-token\n")
    found.secrets |= {password, "p@ss word", "qz-lineage-token", "qz-lineage-place", "qz-hook", "qz-lost-hook",
                      "qz-of-the-client", "fifteen letters or more"}  # fmt: skip
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    heard = Heard(found)
    with (
        pytest.MonkeyPatch.context() as patch,
        mail_server(certificate(folder)) as mails,
        receiver() as hooks,
        receiver() as lineage,
        receiver() as lost,
        oidc_provider_mock.run_server_in_thread(require_nonce=True) as provider,
    ):
        issuer = f"http://localhost:{provider.server_port}"
        claims = {"email": OWNER, "email_verified": True}
        requests.put(f"{issuer}/users/owner", json=claims, timeout=10).raise_for_status()
        patch.setenv("SSL_CERT_FILE", str(folder / "server.pem"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("QZ_POSTGRES", url)
        patch.setenv("QZ_MAIL", "p@ss word")
        patch.setenv("QZ_OIDC", "qz-of-the-client")
        patch.setenv("QZ_HOOK", f"{hooks.url}/qz-hook")
        patch.setenv("QZ_LINEAGE", f"{lineage.url}/qz-lineage-place")
        patch.setattr(secrets, "_known", set())
        patch.setattr("webbrowser.open", by_browser)
        hook.write_text(f"{lost.url}/qz-lost-hook")
        lost.answer, lineage.answer = 404, 503
        configure(shop, port=mails.port, token=token, hook=hook, issuer=issuer)
        deliver(shop.root)
        observe.use(Telemetry("brindlemark/local", SimpleSpanProcessor(spans), metrics))
        logging.getLogger("assay").addHandler(heard)
        try:
            work(found, url, lineage)
            look(found)
        finally:
            logging.getLogger("assay").removeHandler(heard)
            log.stop()
            observe.use(None)
        assert mails.taken and hooks.documents and lineage.documents and lost.headers and not lost.documents
        assert all(one["authorization"] == "Bearer qz-lineage-token" for one in lineage.headers)
        found.keep("mails", *(in_the_clear(mail) for mail in mails.taken))
        found.keep("webhooks", *hooks.documents)
        found.keep("lineage", *lineage.documents)
    found.keep("spans", *(span.to_json() for span in spans.get_finished_spans()))
    data = metrics.get_metrics_data()
    assert data is not None
    found.keep("metrics", data.to_json())
    with psycopg.connect(url) as connection:
        for (table,) in connection.execute(RECORDS).fetchall():
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            found.keep("records", *(f"{table} {row}" for row in rows))
    (written,) = tmp_path_factory.getbasetemp().glob("server[0-9]/postgres/log")
    found.keep("the log of PostgreSQL", written.read_text("utf-8", "replace"))
    yield found


#: Every table outside the zones' own schemas.
RECORDS = """
SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
WHERE table_type = 'BASE TABLE'
AND table_schema NOT IN ('pg_catalog', 'information_schema', 'corporate_finance', 'reference') ORDER BY 1
"""


def in_the_clear(mail: EmailMessage) -> str:
    """A mail with its parts decoded."""
    return "\n".join([str(mail), *(str(part.get_content()) for part in mail.walk() if not part.is_multipart())])


def by_browser(url: str) -> None:
    """The owner logs in at the provider, and is sent back to the command that waits."""

    def visit() -> None:
        answer = requests.post(url, data={"sub": "owner"}, allow_redirects=False, timeout=10)
        requests.get(answer.headers["location"], timeout=10)

    threading.Thread(target=visit).start()


def work(said: Said, url: str, lineage: Posted) -> None:
    """From `apply` to the last decision, each by somebody whose work it is, with the log as JSON."""
    shop = said.shop
    said.call("--log json apply --json", ADMINISTRATOR)
    said.call("--log json run --json", OFFICE)
    said.call("status --json", OWNER)
    lineage.answer = 201
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE assay.event_reader SET retry_at = NULL")
    clean = "zones/corporate_finance/expenses/clean/ledger.sql"
    shop.edit(clean, "    mcc,", "    employee_no::INTEGER::VARCHAR AS mcc,")
    said.call("--log json apply --json", ENGINEER)
    place = "--zone corporate_finance --pipeline expenses"
    said.call(f"--log json ingest ledger-2025-09.csv {place} --json", OFFICE)
    shutil.move(shop.root / "ledger-2025-09.csv", shop.root / "ingress")
    said.call("--log json retry --json", ENGINEER)
    said.call("--log json account add helper --password-stdin --json", ADMINISTRATOR)
    made = said.call("token create --label nightly --json", ANALYST)
    said.calls.pop()  # shown this once, to whom it belongs
    said.secrets.add(json.loads(made)["token"])
    said.call("--log json login --target signed --json", OWNER)
    session = remembered(session_file(shop.root, "signed"))
    assert session is not None
    said.secrets.add(session)
    for words in ("whoami", "status", "doctor", "zone explain corporate_finance"):
        said.call(f"--log text {words} --target signed", OWNER)
    said.call("--log json keys rotate --zone corporate_finance --json", ADMINISTRATOR)
    said.call("--log json maintain --json", ADMINISTRATOR)
    said.call("subscription request reference.country --purpose study --json", OWNER)



#: What everybody calls afterwards, by the name of the command; `{one}` is the number of each batch in turn.
LOOKS = {
    "plan": "plan", "zone explain": "zone explain corporate_finance", "status": "status", "batch list": "batch list",
    "batch show": "batch show {one}", "batch return": "batch return {one} -o {new}", "review list": "review list",
    "review show": "review show {held}", "quarantine list": "quarantine list",
    "quarantine show": "quarantine show {one}", "quarantine export": "quarantine export {one} -o {new}.xlsx",
    "replay": "replay {one}", "rebuild": "rebuild corporate_finance.analytical.expense_by_month",
    "withdraw": "withdraw {done} --reason mistake", "publication list": "publication list",
    "publication show": "publication show reference.country", "subscription list": "subscription list",
    "subscription show": "subscription show 1", "whoami": "whoami", "account list": "account list",
    "token list": "token list", "access explain": f"access explain {STEWARD} see corporate_finance.readable.card",
    "access matrix": "access matrix --zone corporate_finance", "audit list": "audit list --limit 1000",
    "audit export": "audit export {new}.jsonl", "keys show": "keys show", "verify audit": "verify audit",
    "doctor": "doctor", "lineage": 'lineage operational.expense_line --where "month IS NOT NULL"',
    "sql": 'sql "SELECT * FROM {table}"',
}  # fmt: skip
#: What `work` calls, what only reads the user's own files, and what changes roles, keys and states.
ELSEWHERE = frozenset({
    "apply", "run", "ingest", "retry", "login", "account add", "token create", "subscription request", "keys rotate",
    "maintain", "review release", "review reject", "init", "schema", "up", "contract infer", "contract diff",
    "contract check", "logout", "account password", "account disable", "token revoke", "subscription approve",
    "subscription refuse", "subscription revoke", "subscription expire", "subscription verify",
    "subscription cancel",
})  # fmt: skip
#: Where somebody sees the cells that he may see: the owner all, the steward those of the batch that is held.
SHOWN = {OWNER: ("quarantine show", "lineage", "sql"), STEWARD: ("quarantine show", "sql")}
#: A question that stumbles on a cell, and conditions that name one: neither is repeated anywhere.
PRYING = (
    'sql "SELECT employee_no::INTEGER FROM operational.expense_line"',
    'lineage operational.expense_line --where "employee_no = \'E9001\'"',
)


def look(said: Said) -> None:
    """Everybody calls every command that reports, about every batch."""
    batches = {one["file_name"]: one for one in json.loads(said.call("batch list --json", OWNER))}
    said.batches = batches
    held, done = (batches[name]["id"] for name in ("card-2025-02.xlsx", "card-2025-01.xlsx"))
    numbers = [one["id"] for one in batches.values() if one["zone"] == "corporate_finance"]
    telling = [held, done, *(batches[name]["id"] for name in ("card-2025-12.xlsx", "ledger-2025-09.csv"))]
    for user in SEEING:
        for name, words in LOOKS.items():
            several = numbers if name == "batch show" and user in (OWNER, ENGINEER) else telling
            several = telling[:1] if user in (ADMINISTRATOR, STRANGER) else several
            for number in several if "{one}" in words else [0]:
                table = "operational.expense_line" if user in (OWNER, ANALYST) else "quarantine.card"
                made = words.format(
                    one=number, held=held, done=done, table=table, new=said.folder / f"{SEEING[user]}-{number}"
                )
                said.call(f"{made} --json", user)
    for words in ("batch show {held}", "review show {held}", "quarantine show {done}", "status", "audit list"):
        for user in SEEING:
            said.call(words.format(held=held, done=done), user)
    for user in (STEWARD, ENGINEER, ANALYST):
        for words in PRYING:
            said.call(words, user)
    said.call(f"--log json review reject {held} --reason 'another month' --json", STEWARD)
    said.call(f"batch return {batches['card-2025-12.xlsx']['id']} -o {said.folder}/office-12 --json", OFFICE)



# --- what came out ---------------------------------------------------------------------------------------------


def personal(text: str | bytes) -> set[bytes]:
    """The canaries of persons in a text."""
    return {one.group() for one in PERSONAL.finditer(text if isinstance(text, bytes) else text.encode())}


def named(words: str) -> str:
    """The name of the command that is called."""
    plain = re.sub(r"^--log \w+ ", "", words)
    return max((name for name in permissions.COMMANDS if f"{plain} ".startswith(f"{name} ")), key=len)


def test_every_command_is_called_or_left_to_other_tests() -> None:
    assert LOOKS.keys() | ELSEWHERE == permissions.COMMANDS.keys() and not LOOKS.keys() & ELSEWHERE


def test_every_field_that_is_more_than_internal_was_planted(said: Said) -> None:
    sources = load_project(said.shop.root).zones["corporate_finance"].sources
    more = {
        (name, one.name) for name, source in sources.items() for one in source.contract.fields
        if classes_of(one) - {"public", "internal"}
    }  # fmt: skip
    assert more == {("card", "employee_no"), ("ledger", "employee_no")}
    ingress = said.shop.root / "ingress/corporate_finance/expenses"
    assert all(personal(b"".join(contents(path))) for path in ingress.iterdir())


def test_the_deliveries_went_every_way(said: Said) -> None:
    found = {name: one["state"] for name, one in said.batches.items() if one["zone"] == "corporate_finance"}
    assert found == STATES


@pytest.mark.parametrize(
    "place", ["log", "mails", "webhooks", "lineage", "spans", "metrics", "records", "the log of PostgreSQL"]
)
def test_nothing_that_is_kept_or_told_holds_a_canary(said: Said, place: str) -> None:
    assert said.places[place].strip() and not personal(said.places[place])
    assert not [one for one in said.secrets if one in said.places[place]]


@pytest.mark.parametrize("place", ["log", "lineage", "spans", "metrics", "the log of PostgreSQL"])
def test_what_is_told_to_programs_holds_no_cell_at_all(said: Said, place: str) -> None:
    assert MERCHANT not in said.places[place] and TYPO not in said.places[place]


def test_a_message_shows_the_cells_that_it_may_show_and_masks_the_others(said: Said) -> None:
    for place in ("mails", "webhooks"):
        assert TYPO in said.places[place] and MASK in said.places[place]


@pytest.mark.parametrize("user", [*SEEING, OFFICE])
def test_no_command_shows_a_canary_to_somebody_who_may_not_see_it(said: Said, user: str) -> None:
    calls = [(words, text) for who, words, text in said.calls if who == user]
    assert calls
    for words, text in calls:
        assert not [one for one in said.secrets if one in text], words
        if named(words) not in SHOWN.get(user, ()):
            assert not personal(text), words


def test_cells_are_masked_and_reports_show_their_shape(said: Said) -> None:
    """What the test looks for is there to be seen."""
    told = {(user, words): text for user, words, text in said.calls}
    held, done, broken = (said.batches[f"card-2025-{month}.xlsx"]["id"] for month in ("02", "01", "12"))
    assert personal(told[OWNER, f"quarantine show {done}"])
    assert personal(told[STEWARD, f"quarantine show {held} --json"])
    for user in (STEWARD, ENGINEER):
        assert MASK in told[user, f"quarantine show {done}"] and not personal(told[user, f"quarantine show {done}"])
    statement = 'sql "SELECT * FROM operational.expense_line" --json'
    assert MASK in told[ANALYST, statement] and personal(told[OWNER, statement])
    shape = masked(f"{NAME} {IBAN}")
    assert shape in told[OWNER, f"batch show {broken} --json"] and shape in said.places["records"]
    assert shape not in told[AUDITOR, f"batch show {broken} --json"]


def test_a_batch_that_failed_keeps_no_value_in_its_record(said: Said) -> None:
    assert "Conversion Error in column employee_no; the value is not kept" in said.places["records"]


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and of a packed one those of its members."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            yield from (packed.read(name) for name in packed.namelist())


def test_no_file_of_the_platform_holds_or_is_named_by_a_canary(said: Said) -> None:
    """The lake holds rows, which is what it is for, and nothing of a secret."""
    root = said.shop.root
    files = [path for path in root.rglob("*") if path.is_file()]
    landed = [path for path in files if path.is_relative_to(root / ".assay/landing")]
    assert len(landed) > 2 * len(STATES)
    for path in files:
        name = str(path.relative_to(root))
        assert not personal(name) and not any(one in name for one in said.secrets), name
        held = b"\n".join(contents(path))
        assert not any(one.encode() in held for one in said.secrets), name
        if not name.startswith(("ingress/", "corrected/", ".assay/lake/")):
            assert not personal(held), name
    assert not any(zipfile.is_zipfile(path) for path in landed)


def test_files_that_leave_are_masked_and_the_sender_gets_his_own(said: Said) -> None:
    left = {path: b"\n".join(contents(path)) for path in said.folder.iterdir()}
    who = {path.name.partition("-")[0] for path, held in left.items() if personal(held)}
    assert who == {"owner", "office", "steward"}, "the steward's is of the batch that is held"
    assert any(path.name.startswith("engineer-") and MASK.encode() in held for path, held in left.items())
    assert not [one for one in said.secrets for held in left.values() if one.encode() in held]
