"""A line that shows what is at work, on a terminal only, and where no log tells it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

import click

from assay import log
from assay.batch import Batch
from assay.cli import output


def progress(*, as_json: bool) -> Callable[[Batch, str], None] | None:
    """What commands that move data call with a batch and the segment it is in; None where nobody would see it."""
    if as_json or log.started() or not sys.stderr.isatty():
        return None
    width = shutil.get_terminal_size().columns - 1

    def show(batch: Batch, segment: str) -> None:
        # Not wider than the terminal: a line that wraps is not erased by the next one.
        click.echo(f"\r\033[K{output.visible(f'{segment} {batch.label}')[:width]}", nl=False, err=True)

    return show


def progress_done() -> None:
    """Erases the line."""
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
