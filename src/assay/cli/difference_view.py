"""How tables would differ, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from assay.cli import output

if TYPE_CHECKING:
    from assay.pipelines.difference import Difference


def show_differences(found: Sequence[Difference]) -> None:
    """Prints rows added, removed and changed per table, then the first of them."""
    if not found:
        click.echo("no table would differ")
        return
    output.table(
        ("store", "same", "added", "removed", "changed", "columns"),
        [(d.store, d.same, d.added, d.removed, d.changed, " ".join(d.columns)) for d in found],
    )
    examples = [
        (d.store, e.kind, f"{e.sheet}!{e.row}" if e.sheet else e.row, e.words) for d in found for e in d.examples
    ]
    if examples:
        output.table(("store", "row is", "row", "what differs"), examples)
