"""Who is told of an event, and telling them: once per event and recipient, again when it did not get through."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.batch import Batch
from assay.catalog import events, notifications, records
from assay.catalog.events import Event
from assay.catalog.notifications import Channel, Waiting
from assay.errors import AssayError, Unavailable
from assay.pipelines.telling import mail, wording
from assay.pipelines.telling.http import Refused, address, post
from assay.pipelines.telling.messages import facts
from assay.pipelines.telling.openlineage import namespace_of
from assay.pipelines.telling.readers import MESSAGES
from assay.stores.database import transaction

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.zones.project import Notice, Project

#: How many events are read at a time.
EVENTS_AT_ONCE = 200
#: How long a server may take for one answer, in seconds.
ANSWER_SECONDS = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipient:
    """Somebody who is told: by which channel, and by which `notify`, of a zone or (None) of the platform."""

    channel: Channel
    name: str
    notice: Notice
    zone: str | None


def recipients(project: Project, event: Event, batch: Batch | None) -> Iterator[Recipient]:
    """To whom an event goes; the same may come twice."""
    if not _worth_telling(event):
        return
    for side, notice in _notices(project, event):
        if event.word not in notice.on or (notice.pipelines and event.pipeline not in notice.pipelines):
            continue
        if notice.webhook is not None:
            yield Recipient("webhook", notice.webhook, notice, side)
        for name in notice.to:
            for person in _people(project, event, batch, name, side or event.zone or ""):
                yield Recipient("mail", person, notice, side)


def _worth_telling(event: Event) -> bool:
    """Not what nobody has to look at: a batch that passed by itself, a request that was granted at once."""
    if event.word == "requested":
        return bool(event.body.get("waits"))
    return event.kind != "released" or bool(event.body.get("by"))


def _notices(project: Project, event: Event) -> Iterator[tuple[str | None, Notice]]:
    """What may ask for an event: its zone, for a subscription the subscribing zone too, and the platform.

    What a zone asks for itself it knows.
    """
    sides = [event.zone]
    if event.kind == "subscription" and event.body["kind"] == "zone" and event.word != "requested":
        sides.append(event.body["subscriber"])
    for side in dict.fromkeys(sides):
        zone = project.zones.get(side or "")
        for notice in zone.notices if zone else ():
            yield side, notice
    for notice in project.notices:
        yield None, notice


def _people(project: Project, event: Event, batch: Batch | None, name: str, side: str) -> list[str]:
    zone = project.zones.get(side)
    names: tuple[str, ...] = (name,)
    if name == "steward":
        # An escalation names those above the stewards.
        names = tuple(event.body.get("to") or (zone.stewards if zone else ()))
    elif name == "owner":
        names = (zone.owner,) if zone else ()
    elif name == "deliverer":
        names = (batch.delivered_by,) if batch else ()
        if batch is None:
            return []  # nobody delivered what is late
    elif name == "subscriber":
        if event.kind != "subscription":
            return []
        names = _subscribers(project, event)
        if not names:
            return []  # the zone has left the project
    domain = project.target.mail.domain if project.target.mail else None
    # A role that nobody has is asked for all the same: it must be seen that nobody was told.
    return [one if "@" in one or domain is None else f"{one}@{domain}" for one in names] or [f"{name} of {side}"]


def _subscribers(project: Project, event: Event) -> tuple[str, ...]:
    subscriber = event.body["subscriber"]
    if event.body["kind"] == "user":
        return (subscriber,)
    zone = project.zones.get(subscriber)
    return (zone.owner,) if zone else ()


def take_note(platform: Platform) -> int:
    """Makes messages of the events that nobody looked at yet; returns how many events that were.

    The messages and the reader's place are one transaction: each event becomes its messages once.
    """
    looked = 0
    while True:
        with transaction(platform.connection) as tx:
            found = events.unread(tx, MESSAGES, limit=EVENTS_AT_ONCE)
            for event in found:
                batch = None if event.batch is None else records.batch(tx, event.batch)
                for one in recipients(platform.project, event, batch):
                    notifications.add(tx, event, one.channel, one.name, one.zone)
            if found:
                events.passed(tx, MESSAGES, found[-1])
        looked += len(found)
        if len(found) < EVENTS_AT_ONCE:
            return looked


def send_waiting(platform: Platform, until: float) -> int:
    """Sends the messages whose time has come, until a moment of the monotonic clock; returns how many got through."""
    done = 0
    while (left := until - time.monotonic()) > 0:
        with transaction(platform.connection) as tx:
            message = notifications.next_waiting(tx)
            if message is None:
                return done
            try:
                _send(platform, message, min(left, ANSWER_SECONDS))
            except AssayError as error:
                words = error.what if error.where is None else f"{error.where}: {error.what}"
                notifications.failed(tx, message, words, again=not isinstance(error, Refused))
            except Exception as error:  # our own bug: the other messages must go out all the same
                _log.exception("a message cannot be made", extra={"event": message.event.id})
                notifications.failed(tx, message, type(error).__name__, again=True)
            else:
                notifications.sent(tx, message)
                done += 1
    return done


def _send(platform: Platform, message: Waiting, seconds: float) -> None:
    project, event = platform.project, message.event
    batch = None if event.batch is None else records.batch(platform.connection, event.batch)
    template = next(
        (
            one.notice.template
            for one in recipients(project, event, batch)
            if (one.channel, one.name) == (message.channel, message.recipient)
        ),
        None,
    )
    told = facts(platform, event)
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{namespace_of(project)}/{event.id}/{event.at}/{message.recipient}"))
    if message.channel == "webhook":
        url = address(message.recipient, "the address of the webhook")
        body = wording.document(template, told)
        post(url, body, seconds=seconds, headers={"Idempotency-Key": key})
        return
    server = project.target.mail
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", message.recipient):
        raise Refused(
            f"{message.recipient} has no mail address",
            next="write addresses in zone.yaml, or set `mail.domain` of the target in assay.yaml",
        )
    if server is None:
        raise Unavailable(f"the target {project.target.name} has no mail server", next="set `mail` of the target")
    text = wording.text(template, told)
    mail.send(server, mail.Mail(message.recipient, f"[{project.title or project.name}] {told['subject']}", text, key,
                                event.at), seconds=seconds)  # fmt: skip
