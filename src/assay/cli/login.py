"""Commands about who one is: login, logout, whoami."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import json_option, load, project_options

if TYPE_CHECKING:
    from assay.security.principals import User
    from assay.security.tokens import Token
    from assay.zones.project import Project

#: How long a login with a password lasts.
SESSION_HOURS = 8


@click.command(cls=Command)
@click.option("--user", "name", help="The account's name; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
@click.option("--browser/--no-browser", default=True, help="Open the browser for single sign-on; on by default.")
@project_options
@json_option
def login(
    name: str | None, password_stdin: bool, browser: bool, folder: Path, target: str | None, as_json: bool
) -> None:
    """Log in to the target: with an account's password, or by single sign-on in the browser.

    Where the target's identity is local, the operating system says who one is, and nobody needs to.

    Example: assay login
    """
    from assay.errors import Denied
    from assay.pipelines.platform import opened
    from assay.security.identity import local_name
    from assay.security.principals import User
    from assay.security.sessions import remember, session_file
    from assay.security.tokens import issue
    from assay.stores.database import transaction

    project = load(folder, target)
    if project.target.identity == "local":
        _say(project, User(local_name()), None, as_json)
        return
    # Who comes in is only known inside: until then somebody acts who has no role anywhere.
    with opened(project, user=User(f"{local_name()}, not logged in")) as platform:
        if project.target.identity == "accounts":
            from assay.security.accounts import authenticated

            try:
                found = authenticated(platform.connection, name or _asked("name"), _password(password_stdin))
            except Denied:
                with transaction(platform.connection) as tx:
                    platform.record(tx, "login", f"target/{project.target.name}", outcome="deny")
                raise
            user = User(found.name)
            lasting = timedelta(hours=SESSION_HOURS)
        else:
            assert project.target.oidc is not None
            user = _signed_on(project, browser)
            lasting = timedelta(hours=project.target.oidc.session_hours)
        with transaction(platform.connection) as tx:
            secret, token = issue(tx, user, kind="session", label="assay login", lasting=lasting, by=user.name)
            known = replace(platform, actor=user.name)
            known.record(tx, "login", f"target/{project.target.name}", outcome="allow", token=token.id)
    remember(session_file(project.root, project.target.name), secret, user.name)
    _say(project, user, token, as_json)


def _asked(what: str) -> str:
    answer: str = click.prompt(what.capitalize(), hide_input=what == "password", err=True)
    return answer


def _password(from_stdin: bool) -> str:
    from assay.errors import Usage

    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask for the password", next="assay login --password-stdin")
    return _asked("password")


def _signed_on(project: Project, browser: bool) -> User:
    from assay.security.loopback import login as by_browser

    def send(url: str) -> None:
        click.echo(f"Log in at {url}", err=True)
        if browser:
            import webbrowser

            webbrowser.open(url)

    assert project.target.oidc is not None
    return by_browser(project.target.oidc, send)


@click.command(cls=Command)
@project_options
@json_option
def logout(folder: Path, target: str | None, as_json: bool) -> None:
    """End the last login to the target; its token is revoked.

    Example: assay logout
    """
    from assay.errors import Denied
    from assay.pipelines.platform import opened
    from assay.security.principals import User
    from assay.security.sessions import forget, remembered, session_file
    from assay.security.tokens import holder, revoke
    from assay.stores.database import transaction

    project = load(folder, target)
    file = session_file(project.root, project.target.name)
    secret = remembered(file)
    if secret is not None:
        with opened(project, user=User("")) as platform:
            try:
                user, token = holder(platform.connection, secret, account_needed=False)
                with transaction(platform.connection) as tx:
                    revoke(tx, token.id)
                    known = replace(platform, actor=user.name)
                    known.record(tx, "logout", f"target/{project.target.name}", token=token.id)
            except Denied:  # it has ended already
                pass
        forget(file)
    if as_json:
        output.print_json({"logged_out": secret is not None})
    else:
        click.echo("logged out" if secret is not None else "nobody was logged in")


@click.command(cls=Command)
@project_options
@json_option
def whoami(folder: Path, target: str | None, as_json: bool) -> None:
    """Say who one is on the target, by what, and with which roles.

    Example: assay whoami
    """
    from assay.pipelines.platform import opened
    from assay.security.identity import current_session, local_name
    from assay.security.principals import User

    project = load(folder, target)
    if project.target.identity == "local":
        _say(project, User(local_name()), None, as_json)
        return
    with opened(project, user=User("")) as platform:
        user, token = current_session(project, platform.connection)
    _say(project, user, token, as_json)


def _say(project: Project, user: User, token: Token | None, as_json: bool) -> None:
    from assay.security.world import world_of

    world = world_of(project)
    roles = [f"{role} of the platform" for role in sorted(world.platform_roles(user))]
    roles += [f"{role} of {zone}" for zone in sorted(world.zones_of(user))
              for role in sorted(world.zone_roles(user, zone))]  # fmt: skip
    if as_json:
        output.print_json({
            "user": user.name, "target": project.target.name, "identity": project.target.identity, "roles": roles,
            "token": None if token is None else token.to_dict(),
        })  # fmt: skip
        return
    by = "the operating system's word" if token is None else f"a {token.kind}, until {token.expires_at:%Y-%m-%d %H:%M}"
    click.echo(f"{output.visible(user.name)} on {project.target.name}, by {by}")
    click.echo(f"roles: {', '.join(roles) or 'none'}")
