"""Commands about subscriptions: subscription request, list, show, approve, refuse, revoke, expire,
cancel, verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import json_option, load, project_options

if TYPE_CHECKING:
    from assay.catalog.subscriptions import Kind, Subscription
    from assay.pipelines.grants import Decision
    from assay.pipelines.platform import Platform

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group(cls=Group)
def subscription() -> None:
    """Ask for what a zone publishes, and decide on it.

    Example: assay subscription list
    """


@subscription.command(name="request", short_help="Ask for a publication, for a zone or for oneself.")
@click.argument("publication")
@click.option("--for", "zone", help="The zone that asks; its zone.yaml subscribes to it.")
@click.option("--for-user", "other", help="The user that asks; oneself when nobody is named.")
@click.option("--purpose", required=True, help="What for.")
@click.option("--until", "day", type=_DAY, help="The last day on which it is needed, such as 2027-12-31.")
@project_options
@json_option
def subscription_request(
    publication: str,
    zone: str | None,
    other: str | None,
    purpose: str,
    day: datetime | None,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """Ask for PUBLICATION, written zone.publication. What zone.yaml subscribes to, `assay apply` asks for by itself:
    this asks anew for what was refused or has ended, and for users.

    Example: assay subscription request reference.currency --for corporate_finance --purpose "rates of the year"
    """
    from assay.cli.publishing import end_of
    from assay.errors import Usage
    from assay.pipelines.grants import request
    from assay.pipelines.platform import opened
    from assay.pipelines.subscriptions import publication_of

    if zone is not None and other is not None:
        raise Usage("a subscription is for a zone or for a user", expected="--for or --for-user, one of the two")
    with opened(load(folder, target)) as platform:
        kind: Kind = "user" if zone is None else "zone"
        subscriber = zone or other or platform.actor
        _may_ask(platform, publication, kind, subscriber)
        wanted = publication_of(platform.project, publication, asking=zone)
        found = request(platform, wanted, kind, subscriber, purpose, end_of(day))
    _show_one(found, as_json)


def _may_ask(platform: Platform, publication: str, kind: Kind, subscriber: str) -> None:
    from assay.cli.publishing import require_publish

    if kind == "zone":
        require_publish(platform, subscriber, "subscription request")
    elif subscriber != platform.actor:  # for somebody else only the one who decides on it
        require_publish(platform, publication.partition(".")[0], "subscription request")


@subscription.command(name="list", short_help="List subscriptions, with their state and its reason.")
@click.option("--zone", help="Only those of this zone, of either side.")
@click.option("--state", help="Only those in this state: requested, granted, broken, refused, ...")
@project_options
@json_option
def subscription_list(
    zone: str | None, state: str | None, folder: Path, target: str | None, as_json: bool
) -> None:
    """List who asked for what, how it stands and why, the newest first: of one's zones, of either side, and one's own.

    Example: assay subscription list --state requested
    """
    from assay.catalog.subscriptions import STATES
    from assay.cli.publishing import show, viewer
    from assay.errors import Usage, nearest
    from assay.pipelines.offers import subscriptions, waiting
    from assay.pipelines.platform import opened

    if state is not None and state not in STATES:
        raise Usage(f"there is no state {state}", expected=nearest(state, STATES) or ", ".join(STATES))
    with opened(load(folder, target)) as platform:
        known = subscriptions(platform.connection, viewer(platform))
    found = [
        one
        for one in known
        if (zone is None or zone == one.zone or (one.kind == "zone" and zone == one.subscriber))
        and (state is None or one.state == state)
    ]
    if as_json:
        output.print_json([one.to_dict() for one in found])
        return
    show(found)
    for one in waiting(found)[:1]:
        output.next_step(f"assay subscription show {one.id}")


@subscription.command(name="show", short_help="Show a subscription with everything that was decided on it.")
@click.argument("number", type=int)
@project_options
@json_option
def subscription_show(number: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Show subscription NUMBER of the list: purpose, state, and every decision with its reason.

    Example: assay subscription show 1
    """
    from assay.cli.publishing import viewer
    from assay.pipelines.offers import history
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found, steps = history(platform.connection, viewer(platform), number)
    if as_json:
        output.print_json({**found.to_dict(), "history": [vars(step) for step in steps]})
        return
    click.echo(f"subscription {found.id} of {output.visible(found.to)} to {found.name}: {found.state}")
    click.echo(f"purpose: {output.visible(found.purpose)}")
    if found.verified_at is not None:
        click.echo(f"tried last: {found.verified_at:%Y-%m-%d %H:%M:%S}")
    click.echo()
    rows = [(step.state, f"{step.at:%Y-%m-%d %H:%M:%S}", step.by, step.reason) for step in steps]
    output.table(("state", "since", "by", "because"), rows)
    if found.state == "requested":
        output.next_step(f'assay subscription approve {found.id} --reason "..."')


def _decision(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of every decision."""
    for option in (
        json_option,
        project_options,
        click.option("--reason", required=True, help="Why, for both sides to read."),
        click.argument("number", type=int),
    ):
        command = option(command)
    return command


def _decide(
    number: int, decision: Decision, reason: str, folder: Path, target: str | None, as_json: bool, what: str,
    day: datetime | None = None,
) -> None:  # fmt: skip
    from assay.cli.publishing import end_of
    from assay.pipelines.grants import decide

    with _of_publisher(number, folder, target, what) as platform:
        done = decide(platform, number, decision, reason, end_of(day))
    _show_one(done, as_json)


@subscription.command(name="approve", short_help="Grant what was asked for.")
@click.option("--until", "day", type=_DAY, help="The last day of the grant, such as 2027-12-31.")
@_decision
def subscription_approve(
    number: int, reason: str, day: datetime | None, folder: Path, target: str | None, as_json: bool
) -> None:
    """Grant subscription NUMBER: from now on it can be read. It is tried at once, and again every hour.

    Example: assay subscription approve 1 --reason "they report on it" --until 2027-12-31
    """
    _decide(number, "granted", reason, folder, target, as_json, "subscription approve", day)


@subscription.command(name="refuse", short_help="Refuse what was asked for.")
@_decision
def subscription_refuse(number: int, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Refuse subscription NUMBER, which waits for a decision.

    Example: assay subscription refuse 1 --reason "the figures are not settled yet"
    """
    _decide(number, "refused", reason, folder, target, as_json, "subscription refuse")


@subscription.command(name="revoke", short_help="Take a grant back.")
@_decision
def subscription_revoke(number: int, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Take the grant of subscription NUMBER back: the next statement that reads by it fails.

    What the subscriber's own tables were made of before stays there.

    Example: assay subscription revoke 1 --reason "the purpose has changed"
    """
    _decide(number, "revoked", reason, folder, target, as_json, "subscription revoke")


@subscription.command(name="expire", short_help="End a grant whose purpose is fulfilled.")
@_decision
def subscription_expire(number: int, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    """End the grant of subscription NUMBER as fulfilled; like `revoke`, without a reproach.

    Example: assay subscription expire 1 --reason "the project is over"
    """
    _decide(number, "expired", reason, folder, target, as_json, "subscription expire")


@subscription.command(name="cancel", short_help="End what one's zone or oneself asked for or has.")
@_decision
def subscription_cancel(number: int, reason: str, folder: Path, target: str | None, as_json: bool) -> None:
    """End subscription NUMBER as its subscriber, who needs it no longer: the next statement that reads by it fails.

    A user ends his own, the owner of a subscribing zone the zone's. Nothing asks for it again but `assay subscription
    request`, also where zone.yaml still subscribes to it.

    Example: assay subscription cancel 1 --reason "the study is finished"
    """
    from assay.pipelines.grants import cancel
    from assay.pipelines.subscriptions import in_files

    with _of_subscriber(number, folder, target, "subscription cancel") as platform:
        found = cancel(platform, number, reason)
        left = found.kind == "zone" and in_files(platform.project, found)
    _show_one(found, as_json)
    if left:
        zone = found.subscriber
        click.echo(f"zone.yaml of {zone} still subscribes to {found.name}: SQL that reads it fails now", err=True)
        output.next_step(f"take {found.name} out of the SQL and the subscriptions of {zone}, then assay apply")


@subscription.command(name="verify", short_help="Try whether a grant opens what it should, and no more.")
@click.argument("number", type=int)
@project_options
@json_option
def subscription_verify(number: int, folder: Path, target: str | None, as_json: bool) -> None:
    """Try subscription NUMBER as its subscriber reads, without reading a row. The service does it every hour.

    Example: assay subscription verify 1
    """
    from assay.pipelines.grants import verify_one

    with _of_publisher(number, folder, target, "subscription verify") as platform:
        found = verify_one(platform, number)
    _show_one(found, as_json)
    if found.state == "broken":
        raise click.exceptions.Exit(1)


@contextmanager
def _of_publisher(number: int, folder: Path, target: str | None, what: str) -> Iterator[Platform]:
    """The platform for somebody who may decide on the subscription; who may not know of it is not told that it is."""
    from assay.cli.publishing import require_publish, viewer
    from assay.pipelines.offers import history
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found, _ = history(platform.connection, viewer(platform), number)
        require_publish(platform, found.zone, what)
        yield platform


@contextmanager
def _of_subscriber(number: int, folder: Path, target: str | None, what: str) -> Iterator[Platform]:
    """The platform for somebody whose subscription it is, or his zone's; of every other he is told that it is not
    there."""
    from assay.cli.publishing import require_publish, viewer
    from assay.errors import NotFound
    from assay.pipelines.offers import own
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found = own(platform.connection, viewer(platform), number)
        if found is None:
            raise NotFound(f"there is no subscription {number} of yours", next="assay subscription list")
        if found.kind == "zone":
            require_publish(platform, found.subscriber, what)
        yield platform


def _show_one(found: Subscription, as_json: bool) -> None:
    from assay.cli.publishing import show

    if as_json:
        output.print_json(found.to_dict())
        return
    show([found])
    if found.state == "requested":
        output.next_step(f"assay subscription show {found.id}")
