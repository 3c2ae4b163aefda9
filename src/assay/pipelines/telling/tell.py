"""Tells what happened to those who want to know, for a bounded time; whoever does not answer is told later."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assay.catalog import events, queue
from assay.errors import AssayError
from assay.pipelines import observe
from assay.pipelines.telling.readers import LINEAGE, MESSAGES, wanted
from assay.stores.database import Connection, advisory_key

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform

#: How many events are read at a time.
EVENTS_AT_ONCE = 50
#: How long a receiver may take for one answer, in seconds.
ANSWER_SECONDS = 10.0
#: How long a command tells at its end, in seconds.
COMMAND_SECONDS = 3.0

_log = logging.getLogger(__name__)


def tell(platform: Platform, seconds: float = 30.0) -> int:
    """Sends lineage events and messages for at most about so many seconds; returns how many got through.

    What does not get through is tried again by a later call, with growing pauses. Several processes may call it at
    the same time: one of them sends lineage, in order, and each message is sent by one.
    """
    until = time.monotonic() + seconds
    observe.start(platform.project)
    if observe.measures_queue():
        observe.queue_length(queue.lengths(platform.connection))
    asked = wanted(platform.project)
    told = _tell_lineage(platform, until) if asked[LINEAGE] else 0
    if asked[MESSAGES]:
        from assay.pipelines.telling import notices

        notices.take_note(platform)
        told += notices.send_waiting(platform, until)
    return told


def tell_at_the_end(platform: Platform) -> None:
    """`tell` for a command that has done its work: short, and whatever goes wrong, the command's result stands."""
    try:
        tell(platform, COMMAND_SECONDS)
    except Exception:
        _log.exception("not everybody was told")


def _tell_lineage(platform: Platform, until: float) -> int:
    from assay.pipelines.telling.http import Refused
    from assay.pipelines.telling.openlineage import documents
    from assay.pipelines.telling.receivers import receiver_of

    connection, setting = platform.connection, platform.project.target.lineage
    assert setting is not None
    told = 0
    with _alone(connection) as alone:
        if not alone or not events.may_try(connection, LINEAGE):
            return 0
        try:
            receiver = receiver_of(setting, platform.project.folder)
            while found := events.unread(connection, LINEAGE, limit=EVENTS_AT_ONCE):
                for event in found:
                    for document in documents(platform, event):
                        left = until - time.monotonic()
                        if left <= 0:
                            return told
                        try:
                            receiver.take(document, min(left, ANSWER_SECONDS))
                            told += 1
                        except Refused as error:
                            # It would be refused for ever, and nothing behind it would be told.
                            _log.warning("a lineage event is left out: %s", error.what, extra={"event": event.id})
                    events.passed(connection, LINEAGE, event)
        except AssayError as error:
            events.failed(connection, LINEAGE, error.what)
            _log.warning("lineage waits: %s", error.what)
        except Exception as error:  # our own bug: it must be seen, and messages must go out all the same
            events.failed(connection, LINEAGE, type(error).__name__)
            _log.exception("a lineage event cannot be made")
    return told


@contextmanager
def _alone(connection: Connection) -> Iterator[bool]:
    """Whether nobody else sends lineage: its events go out in order."""
    key = advisory_key("tell", LINEAGE)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    alone = row == (True,)
    try:
        yield alone
    finally:
        if alone and not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
