"""A worker: takes the next batch that can be worked on, carries it on, and takes the next."""

from __future__ import annotations

import logging
from functools import partial

from assay.catalog import queue
from assay.engines import duckdb
from assay.errors import AssayError
from assay.orchestration.link import Place, configured, with_platform
from assay.orchestration.stop import Stop
from assay.pipelines.platform import Platform
from assay.pipelines.run import Superseded, advance
from assay.pipelines.worker import at_work
from assay.readers import process

log = logging.getLogger(__name__)

#: How long a worker with nothing to do listens before it looks by itself, in seconds: what waits for a retry, or
#: was left by a dead worker, is announced by nobody.
LOOK_SECONDS = 1.0


def work(place: Place, stop: Stop) -> None:
    """Works until told to stop: the running segment is finished, the batch given back."""
    with_platform(place, stop, partial(_shift, stop=stop))


def _shift(platform: Platform, stop: Stop) -> None:
    duckdb.keep_ready()
    process.keep_ready()
    with at_work(platform, "service") as worker:
        platform.connection.execute(f"LISTEN {queue.CHANNEL}".encode())
        log.debug("%s is ready", worker.name)
        while not stop.is_set():
            now = configured(platform)
            if now is None:
                stop.wait(LOOK_SECONDS)
                continue
            platform = now
            lease = queue.claim(platform.connection, worker.name, limits=_limits(platform))
            if lease is None:
                _listen(platform, stop)
            else:
                _carry_on(platform, lease, stop)


def _listen(platform: Platform, stop: Stop) -> None:
    """Waits until work is announced, or for a while."""
    # What came together with the answer to an earlier statement lies with the driver, and no longer on the socket.
    if not list(platform.connection.notifies(timeout=0)):
        stop.wait(LOOK_SECONDS, beside=[platform.connection.fileno()])


def _limits(platform: Platform) -> dict[str, int]:
    zones = platform.project.zones.values()
    return {zone.name: zone.concurrency for zone in zones if zone.concurrency is not None}


def _carry_on(platform: Platform, lease: queue.Lease, stop: Stop) -> None:
    """What goes wrong with a batch is on record, and told; what goes wrong with the connection ends the shift."""
    try:
        advance(platform, lease, stopping=stop.is_set)
    except Superseded:
        log.info("another configuration was applied")
    except AssayError:
        if platform.connection.closed:
            raise
