"""Commands about tokens: token create, list, revoke."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import command_name, json_option, load, project_options

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.security.tokens import Token
    from assay.zones.project import Project


@click.group(cls=Group)
def token() -> None:
    """Keep tokens, by which programs act for a user.

    Example: assay token list
    """


@token.command(name="create", short_help="Make a token and show it, once.")
@click.option("--label", required=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long it lasts.")
@click.option("--zone", "zones", multiple=True, help="Good in this zone only; may be given several times.")
@click.option("--action", "actions", multiple=True, help="Good for this action only; may be given several times.")
@click.option("--for", "other", help="The user that it stands for; oneself when left out.")
@project_options
@json_option
def token_create(
    label: str,
    days: int,
    zones: tuple[str, ...],
    actions: tuple[str, ...],
    other: str | None,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Make a token and show it, once; it is used as ASSAY_TOKEN.

    It may do what its user may by name, and of that only what --zone and --action leave.

    Example: assay token create --label "nightly delivery" --zone corporate_finance --action deliver
    """
    from assay.pipelines.platform import opened
    from assay.security.audit import instant
    from assay.security.principals import TokenScope, User
    from assay.security.tokens import issue
    from assay.stores.database import transaction

    project = load(folder, target)
    _check_scope(project, zones, actions)
    scope = TokenScope(frozenset(zones) or None, frozenset(actions) or None)
    with opened(project) as platform:
        _no_token_makes_tokens(platform)
        if other is not None and other != platform.actor:
            _may_keep_others(platform)
        with transaction(platform.connection) as tx:
            secret, made = issue(
                tx, User(other or platform.actor, scope=scope), kind="token", label=label,
                lasting=timedelta(days=days), by=platform.actor,
            )  # fmt: skip
            platform.record(
                tx, "token.create", f"token/{made.id}", user=made.user, label=label, until=instant(made.expires_at),
                zones=sorted(zones) or None, actions=sorted(actions) or None,
            )  # fmt: skip
    if as_json:
        output.print_json({"token": secret, **made.to_dict()})
        return
    click.echo(secret)
    click.echo(f"token {made.id} of {made.user}, until {made.expires_at:%Y-%m-%d}; it is not shown again", err=True)


@token.command(name="list", short_help="List tokens; their secrets are kept nowhere.")
@click.option("--all", "everybody", is_flag=True, help="Those of everybody, for administrators.")
@project_options
@json_option
def token_list(everybody: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """List one's own tokens and logins, the newest first.

    Example: assay token list
    """
    from assay.pipelines.platform import opened
    from assay.security.tokens import tokens

    with opened(load(folder, target)) as platform:
        if everybody:
            _may_keep_others(platform)
        found = tokens(platform.connection, None if everybody else platform.actor)
    _show(found, as_json)


@token.command(name="revoke", short_help="End a token.")
@click.argument("number", type=int)
@project_options
@json_option
def token_revoke(number: int, folder: Path, target: str | None, as_json: bool) -> None:
    """End token NUMBER of the list: one's own, or for administrators anybody's.

    Example: assay token revoke 7
    """
    from assay.errors import Denied, NotFound
    from assay.pipelines.platform import opened
    from assay.security.tokens import revoke, token_numbered
    from assay.stores.database import transaction

    with opened(load(folder, target)) as platform:
        if platform.actor != token_numbered(platform.connection, number).user:
            try:
                _may_keep_others(platform)
            except Denied as error:
                # Whose it is, and that it exists, is not for everybody to know.
                raise NotFound(f"there is no token {number}", next="assay token list") from error
        with transaction(platform.connection) as tx:
            ended = revoke(tx, number)
            platform.record(tx, "token.revoke", f"token/{number}", user=ended.user)
    _show([ended], as_json)


def _check_scope(project: Project, zones: tuple[str, ...], actions: tuple[str, ...]) -> None:
    from assay.errors import Usage, nearest
    from assay.security.permissions import ACTIONS

    for kind, given, known in (("zone", zones, project.zones), ("action", actions, ACTIONS)):
        for name in given:
            if name not in known:
                near = nearest(name, known)
                raise Usage(f"there is no {kind} {name}", expected=near or ", ".join(known))


def _no_token_makes_tokens(platform: Platform) -> None:
    """A token that leaked must not be able to prolong itself or widen its scope."""
    from assay.errors import Denied
    from assay.security.identity import current_session

    if platform.project.target.identity == "local":
        return
    _, acting = current_session(platform.project, platform.connection)
    if acting.kind != "session":
        raise Denied("a token cannot make tokens", next="assay login, without ASSAY_TOKEN")


def _may_keep_others(platform: Platform) -> None:
    from assay.pipelines.door import Door

    Door(platform, command_name()).of_platform()


def _show(found: list[Token], as_json: bool) -> None:
    if as_json:
        output.print_json([one.to_dict() for one in found])
        return
    rows = [
        (
            one.id, one.user, one.kind, one.label, one.state,
            "all" if one.scope.zones is None else ", ".join(sorted(one.scope.zones)),
            "all" if one.scope.actions is None else ", ".join(sorted(one.scope.actions)),
            f"{one.expires_at:%Y-%m-%d %H:%M}",
        )
        for one in found
    ]  # fmt: skip
    output.table(("token", "user", "kind", "label", "state", "zones", "actions", "until"), rows)
