"""Commands about permissions: access explain, access matrix."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options

if TYPE_CHECKING:
    from assay.security.explain import Explanation
    from assay.security.matrix import Entry
    from assay.security.principals import Principal


@click.group(cls=Group)
def access() -> None:
    """Explain who may do what, by which policies.

    Example: assay access matrix --zone corporate_finance
    """


@access.command(name="explain", short_help="Say whether somebody may do something, and why.")
@click.argument("user")
@click.argument("action")
@click.argument("resource")
@click.option("--group", "groups", multiple=True, help="A group of the single sign-on that the user is in.")
@click.option("--own", is_flag=True, help="The batch in question was delivered by the user.")
@click.option("--held", is_flag=True, help="The batch in question waits for a steward.")
@project_options
@json_option
def access_explain(
    user: str,
    action: str,
    resource: str,
    groups: tuple[str, ...],
    own: bool,
    held: bool,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Say whether USER may do ACTION on RESOURCE, and which policies settle it.

    USER is a name as in zone.yaml, or zone/segment. RESOURCE is platform, a zone, zone.store, zone.store.dataset or
    zone.published.name.

    Example: assay access explain finance.analyst@example.org read corporate_finance.operational.expense_line
    """
    from assay.errors import Usage, nearest
    from assay.security.decide import Context
    from assay.security.explain import explain
    from assay.security.permissions import ACTIONS
    from assay.security.resources import PLATFORM, parse

    found = parse(resource)
    if action not in ACTIONS:
        near = nearest(action, ACTIONS)
        raise Usage(f"there is no action {action}", expected=near or ", ".join(ACTIONS))
    if found.type not in ACTIONS[action]:
        fitting = " or ".join(sorted(kind.lower() for kind in ACTIONS[action]))
        raise Usage(f"{action} does not apply to a {found.type.lower()}", expected=f"a {fitting}")
    project = load(folder, target)
    if found.zone is not None and found.zone not in project.zones:
        near = nearest(found.zone, project.zones)
        raise Usage(f"there is no zone {found.zone}", expected=near or ", ".join(project.zones))
    context = Context(delivered_by_self=own, held=held)
    with admitted(project) as door:
        if user != door.user.name or groups:
            door.of_zone(found.zone) if found.zone is not None else door.require("audit", PLATFORM)
        world = door.world
    explained = explain(world, _principal(user, groups), action, found, context)
    if as_json:
        output.print_json(explained.to_dict())
    else:
        _show(explained)


def _principal(name: str, groups: tuple[str, ...]) -> Principal:
    from assay.flow import SEGMENTS
    from assay.security.principals import Segment, User

    zone, slash, segment = name.partition("/")
    if slash and segment in {movement.segment for movement in SEGMENTS}:
        return Segment(zone, segment)
    return User(name, frozenset(groups))


def _show(explained: Explanation) -> None:
    answer = "yes" if explained.decision.allowed else "no"
    click.echo(f"{output.visible(str(explained.principal))} {explained.action} {explained.resource}: {answer}")
    for policy in explained.policies:
        click.echo(f"  {policy.effect} {policy.id}: {output.visible(policy.because)} ({policy.origin})")
    if not explained.policies and not explained.decision.errors:
        click.echo("  no policy permits it")
    for error in explained.decision.errors:
        click.echo(f"  could not be decided: {output.visible(error)}")
    click.echo(f"roles: {', '.join(explained.roles) or 'none'}")
    if explained.seen is not None:
        shown, masked = (", ".join(some) or "none" for some in (explained.seen, explained.masked))
        click.echo(f"cells shown: {shown}; masked: {masked}")
    if not explained.decision.allowed:
        click.echo(f"roles that may: {', '.join(explained.roles_that_may) or 'none'}")


@access.command(name="matrix", short_help="List who may do what.")
@click.option("--zone", "zones", multiple=True, help="Only this zone; may be given several times.")
@project_options
@json_option
def access_matrix(zones: tuple[str, ...], folder: Path, target: str | None, as_json: bool) -> None:
    """List everybody who may do anything, with what: people, groups and segments, per zone and on the platform.

    *own* is about batches that somebody delivered himself, *not own* about those of others.

    Example: assay access matrix --zone corporate_finance
    """
    from assay.errors import Usage, nearest
    from assay.security.matrix import matrix
    from assay.security.resources import PLATFORM

    project = load(folder, target)
    for name in zones:
        if name not in project.zones:
            near = nearest(name, project.zones)
            raise Usage(f"there is no zone {name}", expected=near or ", ".join(project.zones))
    with admitted(project) as door:
        shown = frozenset().union(*(door.zones(name) for name in zones)) if zones else door.zones()
        platform_too = not zones and door.may("audit", PLATFORM)
        world = door.world
    entries = list(matrix(world, None if platform_too else [name for name in world.zones if name in shown]))
    if as_json:
        output.print_json([entry.to_dict() for entry in entries])
    else:
        _show_matrix(entries)


def _show_matrix(entries: list[Entry]) -> None:
    for number, (zone, found) in enumerate(groupby(entries, key=lambda entry: entry.zone)):
        if number:
            click.echo()
        rows = [(one.who, ", ".join(one.roles), one.on, "; ".join(one.may)) for one in found]
        output.table((f"zone {zone}" if zone else "platform", "as", "on", "may"), rows)
