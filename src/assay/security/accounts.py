"""Local accounts: a name and a password, of which only an argon2id hash is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from assay.errors import Denied, NotFound, Usage, nearest
from assay.stores.database import Connection

if TYPE_CHECKING:
    from pwdlib import PasswordHash

#: Shorter passwords are refused (NIST SP 800-63B-4 asks for 15 where a password is the only factor).
PASSWORD_LENGTH: Final = 15
#: Longer ones too: hashing must not become a way to keep the machine busy.
PASSWORD_LENGTH_MOST: Final = 1000

_COLUMNS = "name, password_hash IS NOT NULL, created_by, created_at, disabled_at"


@dataclass(frozen=True)
class Account:
    """A user of the platform; one without a password acts by tokens only."""

    name: str
    has_password: bool
    created_by: str
    created_at: datetime
    disabled_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """The account as JSON-ready values."""
        return vars(self).copy()


def add_account(connection: Connection, name: str, password: str | None, by: str) -> Account:
    """Makes an account.

    Raises `Usage` for a name that is taken, in whatever case, and for a password that is too short.
    """
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise Usage("an account needs a name without blanks around it", expected="a name as in zone.yaml")
    hashed = None if password is None else _hashed(password)
    row = connection.execute(
        "INSERT INTO assay.account (name, password_hash, created_by) VALUES (%s, %s, %s) "
        f"ON CONFLICT (lower(name)) DO NOTHING RETURNING {_COLUMNS}".encode(),
        (name, hashed, by),
    ).fetchone()
    if row is None:
        raise Usage(f"there is an account {name} already", next="assay account list")
    return Account(*row)


def set_password(connection: Connection, name: str, password: str) -> None:
    """Gives an account another password; what was logged in with the old one is logged out.

    Raises `NotFound`, and `Usage` for a password that is too short.
    """
    hashed = _hashed(password)
    with connection.transaction():
        account_named(connection, name)
        connection.execute("UPDATE assay.account SET password_hash = %s WHERE name = %s", (hashed, name))
        connection.execute(
            "UPDATE assay.api_token SET revoked_at = clock_timestamp() "
            "WHERE user_name = %s AND kind = 'session' AND revoked_at IS NULL",
            (name,),
        )


def disable(connection: Connection, name: str) -> None:
    """Closes an account and revokes its tokens; its name stays taken, so that records keep their meaning."""
    with connection.transaction():
        account_named(connection, name)
        connection.execute(
            "UPDATE assay.account SET disabled_at = coalesce(disabled_at, clock_timestamp()) WHERE name = %s", (name,)
        )
        connection.execute(
            "UPDATE assay.api_token SET revoked_at = clock_timestamp() WHERE user_name = %s AND revoked_at IS NULL",
            (name,),
        )


def accounts(connection: Connection) -> list[Account]:
    """All accounts, by name."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM assay.account ORDER BY name".encode()).fetchall()
    return [Account(*row) for row in rows]


def account_named(connection: Connection, name: str) -> Account:
    """The account of exactly that name; raises `NotFound` with the nearest."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM assay.account WHERE name = %s".encode(), (name,)).fetchone()
    if row is None:
        near = nearest(name, [account.name for account in accounts(connection)])
        raise NotFound(f"there is no account {name}", expected=near, next="assay account list")
    return Account(*row)


def authenticated(connection: Connection, name: str, password: str) -> Account:
    """The account of that name and password.

    Raises `Denied`, in the same words and after the same work whether the name or the password is wrong, or the
    account closed.
    """
    row = connection.execute(
        f"SELECT password_hash, {_COLUMNS} FROM assay.account WHERE name = %s".encode(), (name,)
    ).fetchone()
    hashed = row[0] if row is not None and row[0] is not None else _nobody()
    fits, newer = _hasher().verify_and_update(password[:PASSWORD_LENGTH_MOST], hashed)
    account = None if row is None else Account(*row[1:])
    if not fits or account is None or not account.has_password or account.disabled_at is not None:
        raise Denied("name and password do not fit an account", next="assay login")
    if newer is not None:  # the costs of hashing were raised since
        connection.execute("UPDATE assay.account SET password_hash = %s WHERE name = %s", (newer, name))
    return account


def _hashed(password: str) -> str:
    if not PASSWORD_LENGTH <= len(password) <= PASSWORD_LENGTH_MOST:
        raise Usage(f"the password has {len(password)} characters", expected=f"at least {PASSWORD_LENGTH}")
    return _hasher().hash(password)


@cache
def _hasher() -> PasswordHash:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


@cache
def _nobody() -> str:
    """A hash that stands for accounts that are not there, so that asking takes as long."""
    return _hasher().hash("nobody has this password")
