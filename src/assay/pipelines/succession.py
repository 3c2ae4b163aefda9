"""Which batch a corrected delivery replaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assay.batch import Batch

_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,7}$")
#: What people and programs put behind a file's name when they send it again.
_AGAIN = re.compile(
    r"[ ._-]*(?:"
    r"\(\s*(?:\d+|copy|copie|kopie|corrected|fixed|final|new|revised)\s*\)"
    r"|(?<=[ ._-])(?:copy|copie|kopie)(?:[ ._-]*\(?\d+\)?)?"
    r"|(?<=[ ._-])(?:v|ver|version|rev)[ ._-]?\d+"
    r"|(?<=[ ._-])(?:corrected|correction|corrige|korrigiert|fixed|final|new|neu|revised|resent|resubmitted|returned)"
    r"(?:[ ._-]*\d+)?"
    r")$"
)


def replaced_by(file_name: str, period: str | None, waiting: Sequence[Batch], *, by_period: bool) -> Batch | None:
    """The batch that a new delivery corrects, among `waiting`: batches of the same source that were rejected or are
    held, and that nothing has replaced yet. The newest one counts; None where there is none.

    A batch is corrected by a file of the same name, whatever its suffix and such endings as " (1)", "_corrected" or
    "-v2"; and, with `by_period`, by one for the same period. `by_period` is for sources whose file is the whole of
    its period: elsewhere two files of a period may both be wanted.
    """
    wanted = plain_name(file_name)
    for batch in sorted(waiting, key=lambda batch: batch.id, reverse=True):
        if plain_name(batch.file_name) == wanted:
            return batch
        if by_period and period is not None and batch.period == period:
            return batch
    return None


def plain_name(file_name: str) -> str:
    """A file's name without suffixes, the endings of repeated deliveries, and differences of case and separators."""
    name = file_name.strip().casefold()
    while (shorter := _SUFFIX.sub("", name)) != name and shorter:
        name = shorter
    while (shorter := _AGAIN.sub("", name).strip(" ._-")) != name and shorter:
        name = shorter
    return re.sub(r"[ ._-]+", "-", name).strip("-")
