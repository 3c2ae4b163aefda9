"""What is kept of an error that stopped a batch: the record outlives the moment, and many people and programs read it.

The engine says at which value the zone's SQL stumbled. Where the zone's cells are internal at most, its words are kept;
where some are more, the kind of the error and the column are, and no value. Who runs the command himself, and sees all
cells, is told the whole error then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError, Misconfigured
from assay.pipelines.observe import words_of
from assay.security.classes import OPEN
from assay.security.world import world_of

if TYPE_CHECKING:
    from assay.zones.project import Project

#: Between what was run and the words of the engine.
_RAN: Final = " did not run: "
#: Errors that the engine finds in the SQL, before it looks at any row.
_OF_TEXT: Final = frozenset({"Binder Error", "Catalog Error", "Parser Error", "Syntax Error"})
_COLUMN: Final = re.compile(r"from source column (\w+)$")


def kept_words(error: BaseException, project: Project, zone: str) -> str:
    """What happened, in words that hold no cell that is more than internal."""
    own = error.what if isinstance(error, AssayError) else str(error)
    if not _holds_more(project, zone):
        return own
    if not isinstance(error, Misconfigured):
        return words_of(error)
    ran, between, words = own.partition(_RAN)
    kind = words.partition(":")[0]
    if not between or kind in _OF_TEXT:
        return own
    column = _COLUMN.search(words)
    place = f" in column {column[1]}" if column else ""
    return f"{ran}{_RAN}{kind}{place}; the value is not kept"


def _holds_more(project: Project, zone: str) -> bool:
    """Whether the zone's SQL meets cells that are more than internal, of its own or of what it subscribes to."""
    world = world_of(project)
    own = world.zones.get(zone)
    if own is None:
        return True
    datasets = list(own.datasets.values())
    for asked in project.zones[zone].subscriptions:
        publisher = world.zones.get(asked.zone)
        datasets += [] if publisher is None else publisher.publications.values()
    return any(classes - OPEN for fields in datasets for classes in fields.values())
