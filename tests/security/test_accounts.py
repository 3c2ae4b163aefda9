"""Accounts and tokens in a real PostgreSQL: only hashes are kept, and what ended stays ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from assay.errors import Denied, NotFound, Usage
from assay.security import accounts, tokens
from assay.security.principals import TokenScope, User
from assay.stores.database import Connection, connect

PASSWORD = "correct horse battery staple"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def database_url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def tx(database_url: str) -> Iterator[Connection]:
    """A connection whose changes are undone."""
    with connect(database_url) as connection:
        yield connection
        connection.rollback()


def test_the_right_password_lets_in_and_every_other_answer_is_the_same(tx: Connection) -> None:
    accounts.add_account(tx, "anna@example.org", PASSWORD, "root")
    accounts.add_account(tx, "service", None, "root")
    accounts.add_account(tx, "gone@example.org", PASSWORD, "root")
    accounts.disable(tx, "gone@example.org")
    assert accounts.authenticated(tx, "anna@example.org", PASSWORD).name == "anna@example.org"
    said = set()
    for name, password in (
        ("anna@example.org", PASSWORD + "r"), ("anna@example.org", ""), ("nobody", PASSWORD), ("service", ""),
        ("service", "nobody has this password"), ("gone@example.org", PASSWORD), ("Anna@example.org", PASSWORD),
    ):  # fmt: skip
        with pytest.raises(Denied) as caught:
            accounts.authenticated(tx, name, password)
        said.add(str(caught.value))
    assert len(said) == 1


def test_no_password_and_no_token_is_kept(tx: Connection) -> None:
    accounts.add_account(tx, "anna@example.org", PASSWORD, "root")
    secret, _ = tokens.issue(tx, User("anna@example.org"), kind="token", label="ci", lasting=HOUR, by="anna")
    kept = str(tx.execute("SELECT * FROM assay.account").fetchall()) + str(
        tx.execute("SELECT * FROM assay.api_token").fetchall()
    )
    assert PASSWORD not in kept and secret not in kept and secret.removeprefix(tokens.PREFIX) not in kept
    assert "$argon2id$" in kept


def test_a_hash_of_lower_cost_is_renewed_at_the_next_login(tx: Connection) -> None:
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    accounts.add_account(tx, "anna", PASSWORD, "root")
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024),)).hash(PASSWORD)
    tx.execute("UPDATE assay.account SET password_hash = %s", (weak,))
    accounts.authenticated(tx, "anna", PASSWORD)
    assert tx.execute("SELECT password_hash <> %s FROM assay.account", (weak,)).fetchone() == (True,)


@pytest.mark.parametrize("password", ["", "short", "x" * 14, "x" * 1001])
def test_a_password_is_long_and_not_endless(tx: Connection, password: str) -> None:
    with pytest.raises(Usage, match="characters"):
        accounts.add_account(tx, "anna", password, "root")


@pytest.mark.parametrize("name", ["", " ", "anna ", "a\nb"])
def test_a_name_is_what_can_be_read(tx: Connection, name: str) -> None:
    with pytest.raises(Usage):
        accounts.add_account(tx, name, PASSWORD, "root")


def test_names_that_differ_by_case_are_one_name(tx: Connection) -> None:
    accounts.add_account(tx, "anna@example.org", PASSWORD, "root")
    with pytest.raises(Usage, match="already"):
        accounts.add_account(tx, "Anna@Example.org", PASSWORD, "root")


def test_another_password_ends_the_logins_and_not_the_tokens(tx: Connection) -> None:
    accounts.add_account(tx, "anna", PASSWORD, "root")
    login, _ = tokens.issue(tx, User("anna"), kind="session", label="login", lasting=HOUR, by="anna")
    program, _ = tokens.issue(tx, User("anna"), kind="token", label="ci", lasting=HOUR, by="anna")
    accounts.set_password(tx, "anna", PASSWORD + "!")
    with pytest.raises(Denied, match="revoked"):
        tokens.holder(tx, login, account_needed=True)
    assert tokens.holder(tx, program, account_needed=True)[0].name == "anna"
    with pytest.raises(Denied):
        accounts.authenticated(tx, "anna", PASSWORD)


def test_a_closed_account_has_no_tokens_and_stays_in_the_list(tx: Connection) -> None:
    accounts.add_account(tx, "anna", PASSWORD, "root")
    secret, _ = tokens.issue(tx, User("anna"), kind="token", label="ci", lasting=HOUR, by="anna")
    accounts.disable(tx, "anna")
    with pytest.raises(Denied):
        tokens.holder(tx, secret, account_needed=False)
    # Even one that was made afterwards, or escaped the revocation.
    later, _ = tokens.issue(tx, User("anna"), kind="token", label="ci", lasting=HOUR, by="anna")
    with pytest.raises(Denied, match="no open account"):
        tokens.holder(tx, later, account_needed=False)
    assert [(one.name, one.disabled_at is None) for one in accounts.accounts(tx)] == [("anna", False)]
    with pytest.raises(Usage, match="already"):
        accounts.add_account(tx, "anna", PASSWORD, "root")


def test_an_account_that_is_not_there_is_named_with_the_nearest(tx: Connection) -> None:
    accounts.add_account(tx, "anna@example.org", PASSWORD, "root")
    with pytest.raises(NotFound) as caught:
        accounts.disable(tx, "ana@example.org")
    assert caught.value.expected == "anna@example.org"


def test_a_token_stands_for_its_user_within_its_scope(tx: Connection) -> None:
    scope = TokenScope(frozenset({"finance"}), frozenset({"deliver"}))
    user = User("anna", frozenset({"Sales"}), scope)
    secret, made = tokens.issue(tx, user, kind="token", label="ci", lasting=HOUR, by="root")
    found, token = tokens.holder(tx, secret, account_needed=False)
    assert (found.name, found.scope, token.id, token.created_by) == ("anna", scope, made.id, "root")
    assert found.groups == frozenset(), "a program does not keep the groups of a moment"
    session, _ = tokens.issue(tx, user, kind="session", label="login", lasting=HOUR, by="anna")
    assert tokens.holder(tx, session, account_needed=False)[0].groups == {"Sales"}


def test_an_empty_scope_is_not_an_open_one(tx: Connection) -> None:
    user = User("anna", scope=TokenScope(frozenset(), frozenset()))
    secret, _ = tokens.issue(tx, user, kind="token", label="ci", lasting=HOUR, by="root")
    found, _ = tokens.holder(tx, secret, account_needed=False)
    assert not found.scope.covers("read", "finance")


@pytest.mark.parametrize("secret", ["", "assay_", "assay_" + "x" * 43, "'; DROP TABLE assay.account; --"])
def test_an_unknown_token_is_refused(tx: Connection, secret: str) -> None:
    with pytest.raises(Denied, match="not known"):
        tokens.holder(tx, secret, account_needed=False)


def test_a_token_ends_by_itself_or_by_hand(tx: Connection) -> None:
    expired, token = tokens.issue(tx, User("anna"), kind="token", label="ci", lasting=HOUR, by="anna")
    past = "UPDATE assay.api_token SET expires_at = clock_timestamp() - interval '1 second' WHERE id = %s"
    tx.execute(past.encode(), (token.id,))
    with pytest.raises(Denied, match="expired"):
        tokens.holder(tx, expired, account_needed=False)
    revoked, token = tokens.issue(tx, User("anna"), kind="token", label="ci", lasting=HOUR, by="anna")
    assert tokens.revoke(tx, token.id).state == "revoked"
    with pytest.raises(Denied, match="revoked"):
        tokens.holder(tx, revoked, account_needed=False)
    with pytest.raises(NotFound):
        tokens.revoke(tx, 10**9)


def test_a_token_without_an_account_counts_only_where_none_is_needed(tx: Connection) -> None:
    secret, _ = tokens.issue(tx, User("anna"), kind="session", label="login", lasting=HOUR, by="anna")
    assert tokens.holder(tx, secret, account_needed=False)
    with pytest.raises(Denied, match="no open account"):
        tokens.holder(tx, secret, account_needed=True)


@pytest.mark.parametrize("lasting", [timedelta(0), timedelta(days=-1), timedelta(days=367)])
def test_a_token_lasts_some_time_and_not_for_ever(tx: Connection, lasting: timedelta) -> None:
    with pytest.raises(Usage):
        tokens.issue(tx, User("anna"), kind="token", label="ci", lasting=lasting, by="anna")
