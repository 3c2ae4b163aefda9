"""Who acts: by the target's `identity` the user of the operating system, or whom a token stands for."""

from __future__ import annotations

import getpass
import os

from assay.errors import Denied, Misconfigured
from assay.security import secrets
from assay.security.principals import User
from assay.security.sessions import remembered, session_file
from assay.security.tokens import Token, holder
from assay.stores.database import Connection
from assay.zones.project import Project


def local_name() -> str:
    """The name that the operating system vouches for: `ASSAY_USER`, else its user.

    Whoever can set a variable can take any name: this is trust in the machine, not a proof.
    """
    try:
        return os.environ.get("ASSAY_USER") or getpass.getuser()
    except (KeyError, OSError) as error:
        raise Misconfigured("the user has no name", next="set ASSAY_USER to your name") from error


def current_user(project: Project, connection: Connection, token: str | None = None) -> User:
    """The user who acts, by `token` where one is given and the target asks for a login.

    Raises `Denied` where the target asks for a login, and there is none that is valid.
    """
    if project.target.identity == "local":
        return User(local_name())
    user, _ = current_session(project, connection, token)
    return user


def current_session(project: Project, connection: Connection, token: str | None = None) -> tuple[User, Token]:
    """The user and the token that he acts by: the one given, else `ASSAY_TOKEN`, else that of the last `assay login`.

    Raises `Denied` without a valid one.
    """
    secret = token or os.environ.get("ASSAY_TOKEN") or remembered(session_file(project.root, project.target.name))
    if secret is None:
        raise Denied(
            f"nobody is logged in to target {project.target.name}", expected="a login, or a token in ASSAY_TOKEN",
            next="assay login",
        )  # fmt: skip
    secrets.remember(secret)
    return holder(connection, secret, account_needed=project.target.identity == "accounts")
