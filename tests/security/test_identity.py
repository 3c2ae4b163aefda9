"""Who acts on a target: by the operating system, by an account, by single sign-on; through the command line."""

from __future__ import annotations

import json
import shlex
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import oidc_provider_mock
import pytest
import requests
from click.testing import CliRunner, Result

from assay.cli import assay
from assay.errors import Denied, Usage
from assay.pipelines.plan import apply
from assay.pipelines.platform import opened
from assay.security import identity, secrets, sessions
from assay.security.principals import User
from assay.zones.project import load_project
from shop_project import Shop

PASSWORD = "correct horse battery staple"
PEOPLE = """
administrators: [root@example.org]
groups:
  Buyers:
    zones: {shop: [analyst]}
"""


class Terminal:
    """A person at a terminal, with a home of his own."""

    def __init__(self, shop: Shop, home: Path) -> None:
        self.shop, self.home = shop, home

    def run(self, words: str, *, password: str = PASSWORD, **environment: str) -> Result:
        """Runs a command on the shop; a failure that assay raised is in `exception`."""
        runner = CliRunner(env={"XDG_STATE_HOME": str(self.home), "ASSAY_TOKEN": None, **environment})
        command = [*shlex.split(words), "--project", str(self.shop.root)]
        return runner.invoke(assay, command, input=f"{password}\n", prog_name="assay")

    def gives(self, words: str, **more: str) -> dict[str, object]:
        """The JSON that a command prints."""
        done = self.run(f"{words} --json", **more)
        assert done.exit_code == 0, (done.output, done.exception)
        found: dict[str, object] = json.loads(done.stdout)
        return found


def with_identity(shop: Shop, lines: str) -> Shop:
    """The shop with more settings of its target, and people, applied."""
    shop.people(PEOPLE)
    shop.edit("assay.yaml", "local: {", f"local: {{{lines}, ")
    with opened(load_project(shop.root), user=User("root@example.org")) as platform:
        apply(platform)
    return shop


@pytest.fixture
def accounts(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A shop whose target asks for accounts, and nobody has one."""
    monkeypatch.setattr(secrets, "_known", set())
    return Terminal(with_identity(shop, "identity: accounts"), tmp_path)


def test_without_a_login_nothing_is_opened(accounts: Terminal) -> None:
    for words in ("status", "batch list", "plan"):
        refused = accounts.run(words)
        assert isinstance(refused.exception, Denied) and refused.exception.next == "assay login"
    assert isinstance(accounts.run("status", ASSAY_USER="root@example.org").exception, Denied)


def test_the_first_account_is_an_administrators_and_then_it_takes_one(accounts: Terminal) -> None:
    refused = accounts.run("account add anna@example.org --password-stdin")
    assert isinstance(refused.exception, Denied)
    assert accounts.gives("account add root@example.org --password-stdin")["name"] == "root@example.org"
    assert isinstance(accounts.run("account add root@example.org --password-stdin").exception, Denied)
    accounts.gives("login --user root@example.org --password-stdin")
    accounts.gives("account add anna@example.org --password-stdin")
    accounts.gives("login --user anna@example.org --password-stdin")
    assert isinstance(accounts.run("account list").exception, Denied)
    assert accounts.gives("whoami")["user"] == "anna@example.org"


def test_a_login_lasts_until_it_is_ended_and_its_file_is_private(accounts: Terminal) -> None:
    accounts.gives("account add root@example.org --password-stdin")
    wrong = accounts.run("login --user root@example.org --password-stdin", password="another long password")
    assert isinstance(wrong.exception, Denied)
    assert not list(accounts.home.rglob("*.json"))
    accounts.gives("login --user root@example.org --password-stdin")
    assert accounts.run("status").exit_code == 0
    (file,) = accounts.home.rglob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = file.read_text()
    assert accounts.gives("logout") == {"logged_out": True}
    assert isinstance(accounts.run("status").exception, Denied)
    file.write_text(kept)  # somebody had copied it
    assert isinstance(accounts.run("status").exception, Denied)


def test_a_token_acts_for_its_user_and_makes_no_other(accounts: Terminal) -> None:
    accounts.gives("account add root@example.org --password-stdin")
    accounts.gives("login --user root@example.org --password-stdin")
    accounts.gives("account add nightly --without-password")
    secret = str(accounts.gives("token create --label ci --for nightly --zone shop --action inspect")["token"])
    accounts.gives("logout")
    shown = accounts.gives("whoami", ASSAY_TOKEN=secret)
    assert shown["user"] == "nightly" and shown["token"]["zones"] == ["shop"]  # type: ignore[index]
    assert isinstance(accounts.run("token create --label more", ASSAY_TOKEN=secret).exception, Denied)
    wrong = accounts.run("status", ASSAY_TOKEN="assay_nonsense")
    assert isinstance(wrong.exception, Denied) and "nonsense" not in str(wrong.exception)


def test_a_user_gives_himself_another_password_after_a_login_only(accounts: Terminal) -> None:
    accounts.gives("account add root@example.org --password-stdin")
    accounts.gives("login --user root@example.org --password-stdin")
    accounts.gives("account add anna --password-stdin")
    program = str(accounts.gives("token create --label ci --for anna")["token"])
    accounts.gives("login --user anna --password-stdin")
    assert isinstance(accounts.run("account password root@example.org --password-stdin").exception, Denied)
    change = "account password anna --password-stdin"
    assert isinstance(accounts.run(change, password="of somebody else", ASSAY_TOKEN=program).exception, Denied)
    accounts.gives(change, password="a second long password")
    accounts.gives("login --user anna --password-stdin", password="a second long password")


def test_others_tokens_are_not_there_for_who_may_not_end_them(accounts: Terminal) -> None:
    accounts.gives("account add root@example.org --password-stdin")
    accounts.gives("login --user root@example.org --password-stdin")
    number = accounts.gives("token create --label mine")["id"]
    accounts.gives("account add anna --password-stdin")
    accounts.gives("login --user anna --password-stdin")
    said = {str(accounts.run(f"token revoke {one}").exception).replace(str(one), "N") for one in (number, 10**6)}
    assert said == {"there is no token N\nNext: assay token list"}
    assert {one["user"] for one in accounts.gives("token list")} == {"anna"}  # type: ignore[index]
    assert isinstance(accounts.run("token list --all").exception, Denied)


def test_a_scope_of_nothing_known_is_refused_with_the_nearest(accounts: Terminal) -> None:
    refused = accounts.run("token create --label x --action deliver --action inspekt")
    assert isinstance(refused.exception, Usage) and refused.exception.expected == "inspect"


@pytest.fixture
def signed_on(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A shop whose target asks for single sign-on at a provider that knows Anna, a buyer."""
    monkeypatch.setattr(secrets, "_known", set())
    with oidc_provider_mock.run_server_in_thread() as server:
        issuer = f"http://localhost:{server.server_port}"
        claims = {"email": "anna@example.org", "email_verified": True, "groups": ["Buyers"]}
        requests.put(f"{issuer}/users/anna", json=claims, timeout=10).raise_for_status()
        oidc = f"{{issuer: '{issuer}', client_id: assay, client_secret: '${{CLIENT_SECRET}}', session_hours: 1}}"
        yield Terminal(with_identity(shop, f"identity: oidc, oidc: {oidc}"), tmp_path)


def _browser(url: str) -> bool:
    def visit() -> None:
        requests.post(url, data={"sub": "anna"}, timeout=10)

    threading.Thread(target=visit).start()
    return True


def test_who_signs_on_in_the_browser_has_the_roles_of_his_groups(
    signed_on: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", _browser)
    monkeypatch.setenv("CLIENT_SECRET", "of the client")
    shown = signed_on.gives("login")
    assert shown["user"] == "anna@example.org" and shown["roles"] == ["analyst of shop"]
    assert signed_on.gives("whoami")["roles"] == ["analyst of shop"]
    assert signed_on.run("status").exit_code == 0
    program = str(signed_on.gives("token create --label ci")["token"])
    assert signed_on.gives("whoami", ASSAY_TOKEN=program)["roles"] == []


def test_a_secret_that_is_not_there_is_said_before_the_browser_opens(
    signed_on: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIENT_SECRET", raising=False)
    monkeypatch.setattr("webbrowser.open", lambda url: pytest.fail("the browser was opened"))
    assert "CLIENT_SECRET is not set" in str(signed_on.run("login").exception)


def test_on_a_laptop_the_operating_system_says_who_one_is(shop: Shop, tmp_path: Path) -> None:
    local = Terminal(shop, tmp_path)
    for words in ("whoami", "login"):
        assert local.gives(words, ASSAY_USER="owner@example.org")["roles"] == [
            "administrator of the platform", "auditor of the platform", "owner of shop"
        ]  # fmt: skip
    assert identity.local_name()


def test_a_broken_session_file_is_no_login(tmp_path: Path) -> None:
    for number, text in enumerate(("", "{", "[]", '{"token": 1}', "\xff")):
        file = tmp_path / f"{number}.json"
        file.write_bytes(text.encode("latin-1"))
        assert sessions.remembered(file) is None
