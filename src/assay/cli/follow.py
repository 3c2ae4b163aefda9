"""How what is under way is shown: as tables, live on a terminal, or a line for each thing that changes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from assay.cli import output
from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.catalog.progress import Moving
    from assay.pipelines.platform import Platform
    from assay.pipelines.progress import Progress, Regard

#: How often it is looked at, and how long a batch that came to rest stays in sight, in seconds.
LOOK_SECONDS, RESTED_SECONDS = 0.5, 15.0
#: At most so many batches are shown live: a terminal has few lines.
SHOWN_MOST = 25

HEADINGS = (
    "batch", "file", "pipeline", "stage", "delivered", "readable", "clean", "set aside", "in work, or waits for",
)  # fmt: skip


def show(found: Progress) -> None:
    """Prints what is under way."""
    if found.batches:
        click.echo()
        output.table(HEADINGS, [row(one, found) for one in found.batches])
    failed = [one for one in found.batches if one.failure is not None]
    if failed:
        click.echo()
        output.table(
            ("batch", "failed in", "because", "what to do"),
            [(one.batch, *_why(one), _remedy(one)) for one in failed],
        )
    if found.misfits:
        click.echo()
        rows = [(one.path, f"{one.zone}/{one.pipeline}", one.error.get("what")) for one in found.misfits]
        output.table(("not taken in", "pipeline", "because"), rows)
    if found.waiting:
        click.echo()
        output.table(
            ("waiting in ingress", "files", "the first"),
            [(f"{one.zone}/{one.pipeline}", len(one.files), one.files[0]) for one in found.waiting],
        )
    if found.workers:
        click.echo()
        output.table(
            ("worker", "kind", "version", "since", "works on"),
            [
                (f"{one.host} {one.pid}", one.kind, one.version, f"{one.started_at:%Y-%m-%d %H:%M:%S}",
                 None if one.batch is None else f"batch {one.batch}")
                for one in found.workers
            ],
        )  # fmt: skip


def row(one: Moving, found: Progress) -> tuple[Any, ...]:
    """A batch under way as a row of the table."""
    from assay.pipelines.progress import STAGES, rows_aside, segment_of, waits_for

    counts = [one.rows.get(store) for _, store in STAGES]
    stage = segment_of(one) if one.worker is not None else one.state
    who = _worker(one, found) if one.worker is not None else waits_for(one, found)
    return (one.batch, one.file_name, f"{one.zone}/{one.pipeline}", stage, *counts, rows_aside(one) or None, who)


def _worker(one: Moving, found: Progress) -> str:
    return next((f"{w.host} {w.pid}" for w in found.workers if w.name == one.worker), one.worker or "")


def _why(one: Moving) -> tuple[Any, Any]:
    failure = one.failure or {}
    return failure.get("segment") or None, failure.get("what")


def _remedy(one: Moving) -> str:
    step = f"assay retry {one.batch}" if one.parked else "nothing: it is tried again"
    said = (one.failure or {}).get("next")
    return f"{said}; then {step}" if said and one.parked else step


# --- live ------------------------------------------------------------------------------------------------------


def follow(look: Callable[[], Progress], leaving: threading.Event) -> None:
    """Shows what is under way until told to leave: live on a terminal, else a line for each thing that changes."""
    if sys.stdout.isatty():
        _live(look, leaving)
    else:
        _lines(look, leaving)


@contextmanager
def followed(platform: Platform, regard: Regard) -> Iterator[None]:
    """Shows, beside what happens inside, what is under way, as far as it may be shown."""
    from assay.pipelines.progress import observed
    from assay.stores.database import connect

    leaving = threading.Event()

    def watch() -> None:
        with connect(platform.url, autocommit=True) as connection:
            own = replace(platform, connection=connection)
            follow(lambda: observed(own, rested_seconds=RESTED_SECONDS, regard=regard), leaving)

    def guarded() -> None:
        try:
            watch()
        except AssayError as error:  # what is shown is not what is done: that goes on
            click.echo(f"the display ended: {error.what}", err=True)

    thread = threading.Thread(target=guarded, name="display", daemon=True)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


def _live(look: Callable[[], Progress], leaving: threading.Event) -> None:
    from rich.live import Live

    with Live(_picture(look()), auto_refresh=False, transient=True) as live:
        while not leaving.wait(LOOK_SECONDS):
            live.update(_picture(look()), refresh=True)


def _picture(found: Progress) -> Any:
    from rich.table import Table
    from rich.text import Text

    picture = Table(*HEADINGS, box=None, pad_edge=False, caption=_caption(found), caption_justify="left")
    for one in found.batches[-SHOWN_MOST:]:
        cells = ("" if value is None else output.visible(str(value)) for value in row(one, found))
        picture.add_row(*(Text(cell) for cell in cells))
    return picture


def _caption(found: Progress) -> str:
    busy = sum(1 for one in found.workers if one.batch is not None)
    words = [f"{len(found.workers)} workers, {busy} at work"]
    words += [f"{sum(len(one.files) for one in found.waiting)} files wait"] if found.waiting else []
    words += [f"{len(found.misfits)} files cannot be taken in"] if found.misfits else []
    return "; ".join(words)


def _lines(look: Callable[[], Progress], leaving: threading.Event) -> None:
    last: dict[int, tuple[Any, ...]] = {}
    while True:
        found = look()
        for one in found.batches:
            now = row(one, found)
            if last.get(one.batch) != now:
                last[one.batch] = now
                click.echo("  ".join("-" if value is None else output.visible(str(value)) for value in now))
        if leaving.wait(LOOK_SECONDS):
            return
