"""Whose batches somebody may know of: what lists are limited to before they are counted and cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sight:
    """All batches of `zones`, of the zones `own` those that `user` delivered himself, and of others none.

    `platform` says whether he may look at what belongs to no zone.
    """

    zones: frozenset[str]
    own: frozenset[str] = frozenset()
    user: str = ""
    platform: bool = False

    def covers(self, zone: str, delivered_by: str | None = None) -> bool:
        """Whether a batch of the zone is in sight; without a deliverer, whether all of the zone is."""
        return zone in self.zones or (delivered_by == self.user and zone in self.own)

    @property
    def condition(self) -> str:
        """The same in SQL, over the columns of `assay.batch`, with `values` for its parameters."""
        return "(zone = ANY(%(zones)s) OR (zone = ANY(%(own)s) AND delivered_by = %(user)s))"

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of `condition`, by name."""
        return {"zones": sorted(self.zones), "own": sorted(self.own), "user": self.user}
