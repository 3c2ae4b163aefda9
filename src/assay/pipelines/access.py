"""What the files at hand would change of a platform: which zones, and what they open and close to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.catalog import records
from assay.stores.database import transaction

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.security.diff import AccessChange


@dataclass(frozen=True)
class Changed:
    """What an apply would concern: zones, and whether anything beside them."""

    zones: frozenset[str]
    platform: bool


def zones_changed(platform: Platform) -> Changed:
    """What of the project differs from what was applied last, by its files and by the stores.

    Of the first apply assay.yaml is no change: there is nobody yet whom a configuration in force names.
    """
    from assay.pipelines.comparing import planned

    project = platform.project
    with transaction(platform.connection) as tx:
        found = planned(tx, project)
        before = None if found.applied is None else records.configuration_files(tx, found.applied)
    now = project.texts()
    differing = {name for name in now.keys() | (before or {}).keys() if now.get(name) != (before or {}).get(name)}
    zones = {change.zone for change in found.changes}
    zones |= {parts[1] for name in differing if len(parts := name.split("/")) > 2 and parts[0] == "zones"}
    beside = any(not name.startswith("zones/") for name in differing)
    return Changed(frozenset(zones), before is not None and beside)


def access_changes(platform: Platform) -> tuple[AccessChange, ...]:
    """What the files at hand open and close beside what was applied; nothing where there is nothing to compare."""
    force = platform.in_force
    before = force.differing()
    if before is None:
        return ()
    from assay.security.diff import opened_and_closed

    return opened_and_closed(force.granted(before), force.granted(platform.project))
