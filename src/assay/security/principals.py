"""Who acts: a user with what he is known by, or a segment of a zone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The roles that a person can have in a zone.
ZONE_ROLES: Final = ("owner", "steward", "engineer", "analyst", "auditor")
#: The roles that a person can have on the platform.
PLATFORM_ROLES: Final = ("administrator", "auditor")


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What a token is good for; None: all that its user may do."""

    zones: frozenset[str] | None = None
    actions: frozenset[str] | None = None

    def covers(self, action: str, zone: str | None) -> bool:
        """Whether the token is good for an action in a zone, or on the platform where `zone` is None."""
        return (self.actions is None or action in self.actions) and (self.zones is None or zone in self.zones)


@dataclass(frozen=True, slots=True)
class User:
    """A person: the name that zone.yaml knows, the groups of the single sign-on, and the scope of the token used."""

    name: str
    groups: frozenset[str] = frozenset()
    scope: TokenScope = TokenScope()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Segment:
    """A movement of a zone, a principal of its own."""

    zone: str
    name: str

    def __str__(self) -> str:
        return f"{self.zone}/{self.name}"


Principal = User | Segment
