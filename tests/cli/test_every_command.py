"""Every command: its help, its JSON, its exit code, and the next thing to type."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from assay.cli import assay
from assay.pipelines.platform import Platform
from assay.zones.project import load_project
from shop_project import OWNER, TILL, Shop

#: Every command with arguments that work in the shop; a command without a row fails the test below.
CALLS = {
    "init": "init {new}",
    "schema": "schema",
    "plan": "plan",
    "apply": "apply",
    "zone explain": "zone explain shop",
    "contract infer": "contract infer {file}",
    "contract diff": "contract diff {contract} {contract}",
    "contract check": "contract check {file} --contract {contract}",
    "ingest": "ingest {file} --zone shop --pipeline sales",
    "run": "run shop/sales",
    "up": "up",
    "retry": "retry",
    "status": "status",
    "batch list": "batch list",
    "batch show": "batch show {held}",
    "batch return": "batch return {broken} -o {new}.returned.xlsx",
    "review list": "review list",
    "review show": "review show {shown}",
    "review release": 'review release {held} --reason "checked"',
    "review reject": 'review reject {other} --reason "wrong month"',
    "quarantine list": "quarantine list",
    "quarantine show": "quarantine show 1",
    "quarantine export": "quarantine export 1 -o {new}.xlsx",
    "replay": "replay {broken}",
    "rebuild": "rebuild shop.analytical.by_month",
    "withdraw": "withdraw 1 --reason mistake",
    "sql": 'sql "SELECT * FROM operational.sale"',
    "lineage": "lineage analytical.by_month --where \"goods = 'tea'\"",
    "publication list": "publication list",
    "publication show": "publication show shop.goods",
    "subscription request": "subscription request shop.goods --purpose 'a study' --until 2999-12-31",
    "subscription list": "subscription list --state requested",
    "subscription show": "subscription show 1",
    "subscription approve": "subscription approve 1 --reason 'a good purpose'",
    "subscription refuse": "subscription refuse 2 --reason 'not settled'",
    "subscription revoke": "subscription revoke 3 --reason 'another purpose'",
    "subscription expire": "subscription expire 4 --reason 'done'",
    "subscription cancel": "subscription cancel 6 --reason 'the count is done'",
    "subscription verify": "subscription verify 5",
    "login": "login",
    "logout": "logout",
    "whoami": "whoami",
    "account add": "account add steward --without-password",
    "account list": "account list",
    "account password": "account password steward --password-stdin",
    "account disable": "account disable steward",
    "token create": 'token create --label "nightly" --zone shop --action deliver',
    "token list": "token list",
    "token revoke": "token revoke 1",
    "access explain": "access explain owner@example.org read shop.operational.sale",
    "access matrix": "access matrix --zone shop",
    "audit list": "audit list --outcome done",
    "audit export": "audit export {new}.chain.jsonl",
    "keys show": "keys show",
    "keys rotate": "keys rotate --zone shop",
    "verify audit": "verify audit",
    "maintain": "maintain",
    "doctor": "doctor",
}


#: What the shop offers, and whom a test acts as: the owner decides on subscriptions.
PUBLISHING = "publications: {goods: {dataset: operational.goods}, sale: {dataset: operational.sale}}\n"


#: Commands that go on until they are told to end: `tests/orchestration` reads their JSON, line by line.
ENDLESS = {"up"}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that is not a group, by its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(assay))


@pytest.fixture(scope="module")
def held(standing_shop: Shop) -> dict[str, str]:
    """The module's shop with a steward's gate, two held batches and one rejected."""
    from assay.pipelines.landing import pipeline_of
    from assay.pipelines.plan import apply
    from assay.pipelines.run import ingest

    standing_shop.edit("pipeline.yaml", "steward: never", "steward: always")
    standing_shop.write("zones/shop/zone.yaml", f"title: Shop\nowner: {OWNER}\nstewards: [deliverer]\n" + PUBLISHING)
    names = {"held": "20", "other": "30", "shown": "35", "file": "40", "broken": "50"}
    for name, number in names.items():
        text = "nonsense\n1\n" if name == "broken" else TILL.replace("\n1,", f"\n{number},")
        (standing_shop.root / f"till-{name}.csv").write_text(text)
    with pytest.MonkeyPatch.context() as patch, standing_shop.opened() as _:
        patch.setenv("ASSAY_USER", "deliverer")
        with standing_shop.opened() as platform:
            apply(platform)
            files = [standing_shop.root / f"till-{name}.csv" for name in ("held", "other", "shown", "broken")]
            done = ingest(platform, pipeline_of(platform, "shop", "sales"), files, None)
            subscribe(platform)
    assert [one.batch.state for one in done] == ["held", "held", "held", "rejected"]
    numbers = dict(zip(("held", "other", "shown", "broken"), (str(one.batch.id) for one in done), strict=True))
    new = standing_shop.root.parent / f"{standing_shop.root.name}-new"
    contract = standing_shop.root / "zones/shop/sales/contracts/till.odcs.yaml"
    file = standing_shop.root / "till-file.csv"
    return {**numbers, "file": str(file), "new": str(new), "contract": str(contract)}


def subscribe(platform: Platform) -> None:
    """Five users ask for what the shop offers; the last three are granted it. Its owner asks for something else."""
    from assay.pipelines.grants import decide, request
    from assay.pipelines.subscriptions import publication_of

    offered = publication_of(platform.project, "shop.goods")
    for number in range(1, 6):
        asked = request(platform, offered, "user", f"user{number}@example.org", "a study")
        assert asked.id == number
        if number > 2:
            decide(platform, number, "granted", "a good purpose")
    assert request(platform, publication_of(platform.project, "shop.sale"), "user", OWNER, "to count").id == 6


def call(shop: Shop, words: str, *, user: str = OWNER) -> Result:
    """Runs a command in the shop's folder."""
    before = Path.cwd()
    os.chdir(shop.root)
    try:
        runner = CliRunner(env={"ASSAY_USER": user})
        return runner.invoke(assay, shlex.split(words), prog_name="assay", input="fifteen letters or more\n")
    finally:
        os.chdir(before)


def test_every_command_has_a_row() -> None:
    assert COMMANDS.keys() <= CALLS.keys()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ENDLESS])
def test_every_command_prints_json_and_nothing_else_to_stdout(
    standing_shop: Shop, held: dict[str, str], name: str
) -> None:
    result = call(standing_shop, CALLS[name].format(**held) + " --json")
    assert result.exit_code in (0, 3, 4), result.output
    json.loads(result.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_command_is_explained_and_help_ends_with_an_example_that_parses(name: str) -> None:
    command = COMMANDS[name]
    assert "--json" in {flag for option in command.params for flag in option.opts}
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts}"
    _check_example([*name.split(), "--help"], name)


GROUPS = sorted({name.split()[0] for name in COMMANDS if " " in name})


@pytest.mark.parametrize("words", [[], *([name] for name in GROUPS)], ids=str)
def test_help_of_a_group_ends_with_an_example_that_parses(words: list[str]) -> None:
    _check_example([*words, "--help"], None)


def _check_example(words: list[str], name: str | None) -> None:
    last = CliRunner().invoke(assay, words).stdout.strip().splitlines()[-1]
    assert last.startswith("Example: assay ")
    example = shlex.split(last.removeprefix("Example: assay "))
    found = next(one for one in COMMANDS if example[: len(one.split())] == one.split())
    assert name is None or found == name
    command = COMMANDS[found]
    given, _, _ = command.make_parser(click.Context(command)).parse_args(example[len(found.split()) :])
    assert {one.name for one in command.params if one.required} <= given.keys()


@pytest.mark.parametrize(
    ("words", "code", "last"),
    [
        ("stauts", 2, "Next: assay --help"),
        ("status --bogus", 2, "Next: assay status --help"),
        ("ingest nothing.csv --zone shop --pipeline sales", 1, "Next: check the name and deliver it again"),
        ("batch show 99999", 1, "Next: assay batch list"),
        ("batch list --state heldd", 2, "Next: assay batch --help"),
        ('sql "DELETE FROM operational.sale"', 2, "Next: assay sql --help"),
        ("lineage operational.sal", 2, "Next: add --zone NAME"),
        ("zone explain shp", 2, "Next: assay zone --help"),
        ("init .", 2, "Next: assay init with another folder"),
        ("batch show {broken}", 0, "once it is corrected"),
    ],
)
def test_a_failure_has_its_exit_code_and_ends_with_the_next_step(
    standing_shop: Shop, held: dict[str, str], words: str, code: int, last: str
) -> None:
    command = [sys.executable, "-m", "assay.cli", *shlex.split(words.format(**held))]
    done = subprocess.run(command, cwd=standing_shop.root, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stderr.strip().splitlines()[-1].endswith(last)
    assert "Traceback" not in done.stderr


def test_an_error_is_json_too_where_json_is_asked_for(standing_shop: Shop) -> None:
    for words in ("sql 'DELETE FROM x' --json", "status --bogus --json", "zone explain shp --json"):
        command = [sys.executable, "-m", "assay.cli", *shlex.split(words)]
        done = subprocess.run(command, cwd=standing_shop.root, capture_output=True, text=True)
        assert done.returncode in (1, 2)
        assert json.loads(done.stdout).keys() >= {"error", "what", "where", "expected", "next"}


def test_a_rejected_delivery_exits_with_3_and_a_held_one_with_4(standing_shop: Shop, held: dict[str, str]) -> None:
    broken = standing_shop.root / "till-broken-too.csv"
    broken.write_text("nonsense\n2\n")
    assert call(standing_shop, f"ingest {broken} --zone shop --pipeline sales").exit_code == 3
    waiting = standing_shop.root / "till-waiting.csv"
    waiting.write_text(TILL.replace("\n1,", "\n60,"))
    result = call(standing_shop, f"ingest {waiting} --zone shop --pipeline sales")
    assert result.exit_code == 4
    assert "assay review show" in result.stderr.splitlines()[-1]


def test_who_delivered_a_batch_does_not_release_it(standing_shop: Shop, held: dict[str, str]) -> None:
    from assay.errors import Denied

    text = TILL.replace("\n1,", "\n70,")
    (standing_shop.root / "till-own.csv").write_text(text)
    made = call(standing_shop, "ingest till-own.csv --zone shop --pipeline sales --json", user="deliverer")
    number = json.loads(made.stdout)[0]["batch"]
    refused = call(standing_shop, f"review release {number} --reason mine", user="deliverer")
    assert isinstance(refused.exception, Denied) and refused.exception.exit_code == 5


def test_status_says_what_waits_for_whom(standing_shop: Shop, held: dict[str, str]) -> None:
    people = f"title: Shop\nowner: {OWNER}\nstewards: [s@example.org, deliverer]\n"
    standing_shop.write("zones/shop/zone.yaml", people + PUBLISHING)
    (standing_shop.root / "till-status.csv").write_text(TILL.replace("\n1,", "\n80,"))
    call(standing_shop, "apply")
    call(standing_shop, "ingest till-status.csv --zone shop --pipeline sales", user="deliverer")
    result = call(standing_shop, "status")
    line = next(line for line in result.stdout.splitlines() if "till-status.csv" in line)
    assert "shop/sales" in line and line.endswith("s@example.org, deliverer")


def test_a_batch_shows_its_reconciliation_and_its_decision(standing_shop: Shop, held: dict[str, str]) -> None:
    (standing_shop.root / "till-shown.csv").write_text(TILL.replace("\n1,", "\n90,"))
    made = call(standing_shop, "ingest till-shown.csv --zone shop --pipeline sales --json", user="deliverer")
    number = json.loads(made.stdout)[0]["batch"]
    call(standing_shop, f'review release {number} --reason "counted by hand"')
    shown = call(standing_shop, f"batch show {number}").stdout
    assert "shop.till 1.2.0" in shown
    assert f"release by {OWNER}" in shown and "counted by hand" in shown
    assert "operational.sale" in shown and "9.00" in shown
    traced = call(standing_shop, "lineage operational.sale --where \"number = '90'\"").stdout
    assert f"{OWNER}: counted by hand" in traced


def test_sql_prints_csv_and_says_how_many_rows_a_limit_hides(standing_shop: Shop) -> None:
    query = 'sql "SELECT i AS n, NULL AS nothing, chr(44) AS comma FROM (SELECT unnest(range(5)) AS i) ORDER BY n"'
    result = call(standing_shop, f"{query} --csv --limit 2")
    assert result.stdout == 'n,nothing,comma\n0,,","\n1,,","\n'
    assert "3 more rows" in result.stderr


def test_zone_explain_names_the_line_or_the_default_of_every_setting(standing_shop: Shop) -> None:
    found = json.loads(call(standing_shop, "zone explain shop --json").stdout)
    settings = {(one["part"], one["key"]): (one["value"], one["origin"]) for one in found}
    place = "zones/shop/sales/pipeline.yaml"
    assert settings["pipeline sales", "sources.till.load.mode"] == ("upsert", f"{place}:6")
    assert settings["pipeline sales", "sources.till.reader.encoding"] == (None, "default")
    assert settings["pipeline sales", "ingress"] == ("ingress/shop/sales", "default")
    assert settings["contract by_month", "refresh"][0] == {"by": ["month"]}
    assert settings["target local", "postgres"][0] == "****"


def test_doctor_says_whether_postgresql_quotes_rows_in_its_log(filled: Shop, postgres: tuple[str, str]) -> None:
    from urllib.parse import urlsplit

    import psycopg

    name = urlsplit(load_project(filled.root).target.postgres).path.lstrip("/")
    checks = {one["name"]: one for one in json.loads(call(filled, "doctor --json").stdout)}
    assert checks["its log"]["result"] == "ok"
    with psycopg.connect(f"{postgres[1]}/{name}", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET log_error_verbosity = verbose".encode())
    checks = {one["name"]: one for one in json.loads(call(filled, "doctor --json").stdout)}
    assert checks["its log"]["result"] == "look" and "log_error_verbosity = terse" in checks["its log"]["next"]


def test_doctor_finds_a_file_of_the_lake_that_is_missing(filled: Shop) -> None:
    file = next((filled.root / "data/lake/shop/readable/till/data").glob("*.parquet"))
    file.unlink()
    result = call(filled, "doctor")
    assert result.exit_code == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("lake"))
    assert "FAILED" in line and file.name in line
