"""Commands about accounts: account add, list, password, disable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import command_name, json_option, load, project_options

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.security.accounts import Account

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the standard input, one line."
)


@click.group(cls=Group)
def account() -> None:
    """Keep the accounts of a platform whose identity is accounts.

    Example: assay account list
    """


@account.command(name="add", short_help="Make an account.")
@click.argument("name")
@click.option("--without-password", is_flag=True, help="For a service, which acts by tokens only.")
@password_option
@project_options
@json_option
def account_add(
    name: str, without_password: bool, password_stdin: bool, folder: Path, target: str | None, as_json: bool
) -> None:
    """Make an account NAME; its roles are those that zone.yaml and assay.yaml give the name.

    The first account may be made by whoever can reach the platform, and must be an administrator's.

    Example: assay account add nightly@example.org --without-password
    """
    from assay.security.accounts import add_account
    from assay.stores.database import transaction

    password = None if without_password else _new_password(password_stdin)
    with _keeper(folder, target, first=name) as platform:
        with transaction(platform.connection) as tx:
            made = add_account(tx, name, password, platform.actor)
            platform.record(tx, "account.add", f"account/{name}", password=made.has_password)
    _show([made], as_json, one=True)


@account.command(name="list", short_help="List the accounts.")
@project_options
@json_option
def account_list(folder: Path, target: str | None, as_json: bool) -> None:
    """List all accounts, by name.

    Example: assay account list
    """
    from assay.security.accounts import accounts

    with _keeper(folder, target) as platform:
        found = accounts(platform.connection)
    _show(found, as_json)


@account.command(name="password", short_help="Give an account another password.")
@click.argument("name")
@password_option
@project_options
@json_option
def account_password(name: str, password_stdin: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """Give account NAME another password: one's own after a login, or for administrators anybody's.

    What was logged in with the old password is logged out.

    Example: assay account password anna@example.org
    """
    from assay.security.accounts import account_named, set_password
    from assay.stores.database import transaction

    password = _new_password(password_stdin)
    with _keeper(folder, target, own=name) as platform:
        with transaction(platform.connection) as tx:
            set_password(tx, name, password)
            changed = account_named(tx, name)
            platform.record(tx, "account.password", f"account/{name}")
    _show([changed], as_json, one=True)


@account.command(name="disable", short_help="Close an account and revoke its tokens.")
@click.argument("name")
@project_options
@json_option
def account_disable(name: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Close account NAME and revoke its tokens; records keep the name.

    Example: assay account disable anna@example.org
    """
    from assay.security.accounts import account_named, disable
    from assay.stores.database import transaction

    with _keeper(folder, target) as platform:
        with transaction(platform.connection) as tx:
            disable(tx, name)
            closed = account_named(tx, name)
            platform.record(tx, "account.disable", f"account/{name}")
    _show([closed], as_json, one=True)


@contextmanager
def _keeper(
    folder: Path, target: str | None, *, first: str | None = None, own: str | None = None
) -> Iterator[Platform]:
    """The platform, for somebody who may keep its accounts.

    Where none is there yet nobody could, and so `first`, when it is an administrator's name, may be made. Of the
    account `own` its user may keep what is his, when he came by a login and not by a token.
    """
    from dataclasses import replace

    from assay.pipelines.door import Door
    from assay.pipelines.platform import opened
    from assay.security.accounts import accounts
    from assay.security.identity import current_session, current_user, local_name
    from assay.security.principals import User

    project = load(folder, target)
    with opened(project, user=User(local_name())) as platform:
        beginning = first in platform.in_force.world().administrators and not accounts(platform.connection)
        if beginning:
            yield platform
            return
        if project.target.identity != "local" and own is not None:
            user, token = current_session(project, platform.connection)
            is_own = user.name == own and token.kind == "session"
        else:
            user, is_own = current_user(project, platform.connection), False
        known = replace(platform, actor=user.name, identified=user)
        if not is_own:
            Door(known, command_name()).of_platform()
        yield known


def _new_password(from_stdin: bool) -> str:
    from assay.errors import Usage

    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask for the password", next="add --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _show(found: list[Account], as_json: bool, *, one: bool = False) -> None:
    if as_json:
        values = [each.to_dict() for each in found]
        output.print_json(values[0] if one else values)
        return
    rows = [
        (
            each.name,
            "closed" if each.disabled_at else "open",
            "yes" if each.has_password else "no",
            each.created_by,
            f"{each.created_at:%Y-%m-%d %H:%M}",
        )
        for each in found
    ]
    output.table(("account", "state", "password", "made by", "made at"), rows)
