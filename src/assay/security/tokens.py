"""Tokens: a secret that stands for a user, in some zones and for some actions, until it expires or is revoked.

A token for a program and the session of a login are the same thing. Only a hash of the secret is kept.
"""

from __future__ import annotations

import hashlib
import secrets as randomness
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from psycopg.types.json import Jsonb

from assay.errors import Denied, NotFound, Usage
from assay.security.principals import TokenScope, User
from assay.stores.database import Connection

#: What every token begins with, so that one that leaked is recognised.
PREFIX: Final = "assay_"
DAYS_MOST: Final = 366

Kind = Literal["token", "session"]

_COLUMNS = (
    "t.id, t.user_name, t.kind, t.label, t.groups, t.zones, t.actions, t.created_by, t.created_at, t.expires_at, "
    "t.revoked_at"
)


@dataclass(frozen=True)
class Token:
    """What is known of a token; not its secret."""

    id: int
    user: str
    kind: Kind
    label: str
    groups: frozenset[str]
    scope: TokenScope
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """valid, revoked or expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.expires_at > datetime.now(UTC) else "expired"

    def to_dict(self) -> dict[str, Any]:
        """The token as JSON-ready values."""
        zones, actions = self.scope.zones, self.scope.actions
        return {
            "id": self.id, "user": self.user, "kind": self.kind, "label": self.label, "state": self.state,
            "zones": None if zones is None else sorted(zones),
            "actions": None if actions is None else sorted(actions),
            "created_by": self.created_by, "created_at": self.created_at, "expires_at": self.expires_at,
        }  # fmt: skip


def issue(
    connection: Connection,
    user: User,
    *,
    kind: Kind,
    label: str,
    lasting: timedelta,
    by: str,
) -> tuple[str, Token]:
    """Makes a token with the user's scope; returns its secret, which is nowhere else, and what is known of it.

    Only a session keeps the groups of the single sign-on: they are known for the moment of a login, and a program
    that runs for months has the roles that zone.yaml gives its user by name.
    """
    if not timedelta(0) < lasting <= timedelta(days=DAYS_MOST):
        raise Usage("a token lasts some time", expected=f"1 to {DAYS_MOST} days")
    secret = PREFIX + randomness.token_urlsafe(32)
    scope = user.scope
    row = connection.execute(
        "INSERT INTO assay.api_token AS t "
        "(hash, user_name, kind, label, groups, zones, actions, created_by, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + %s) "
        f"RETURNING {_COLUMNS}".encode(),
        (
            _hash(secret), user.name, kind, label, Jsonb(sorted(user.groups) if kind == "session" else []),
            None if scope.zones is None else Jsonb(sorted(scope.zones)),
            None if scope.actions is None else Jsonb(sorted(scope.actions)),
            by, lasting,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    return secret, _token(row)


def holder(connection: Connection, secret: str, *, account_needed: bool) -> tuple[User, Token]:
    """The user that a token stands for, as far as its scope goes.

    Raises `Denied` for a token that is unknown, expired or revoked, and for the token of a closed account, or where
    `account_needed` of none.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS}, a.id IS NOT NULL, a.disabled_at IS NOT NULL "
        "FROM assay.api_token AS t LEFT JOIN assay.account AS a ON lower(a.name) = lower(t.user_name) "
        "WHERE t.hash = %s".encode(),
        (_hash(secret),),
    ).fetchone()
    if row is None:
        raise Denied("the token is not known", next="assay login, or another ASSAY_TOKEN")
    *columns, has_account, disabled = row
    token = _token(columns)
    if token.state != "valid":
        raise Denied(f"the {token.kind} of {token.user} is {token.state}", next="assay login, or another ASSAY_TOKEN")
    if disabled or (account_needed and not has_account):
        raise Denied(f"there is no open account {token.user}", next="ask an administrator of the platform")
    return User(token.user, token.groups, token.scope), token


def tokens(connection: Connection, user: str | None = None) -> list[Token]:
    """The tokens of a user, or of everybody, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM assay.api_token AS t "
        "WHERE %s::text IS NULL OR lower(t.user_name) = lower(%s) ORDER BY t.id DESC".encode(),
        (user, user),
    ).fetchall()
    return [_token(row) for row in rows]


def token_numbered(connection: Connection, number: int) -> Token:
    """The token of that number; raises `NotFound`."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM assay.api_token AS t WHERE t.id = %s".encode(), (number,)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no token {number}", next="assay token list")
    return _token(row)


def revoke(connection: Connection, number: int) -> Token:
    """Ends a token; raises `NotFound`."""
    connection.execute(
        "UPDATE assay.api_token SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = %s", (number,)
    )
    return token_numbered(connection, number)


def _hash(secret: str) -> str:
    """The secret has 256 bits of chance, so that a plain hash cannot be turned around."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Any) -> Token:
    number, user, kind, label, groups, zones, actions, created_by, created_at, expires_at, revoked_at = row
    scope = TokenScope(
        None if zones is None else frozenset(zones), None if actions is None else frozenset(actions)
    )
    return Token(
        number, user, kind, label, frozenset(groups), scope, created_by, created_at, expires_at, revoked_at
    )
