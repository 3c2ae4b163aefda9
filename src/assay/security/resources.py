"""What is acted upon: the platform, a zone, a store, a dataset or a publication."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from assay.errors import Usage, nearest
from assay.flow import STORES as FLOW_STORES

ResourceType = Literal["Platform", "Zone", "Store", "Dataset", "Publication"]

#: Each store with its stage. Rows that were set aside are part of staging.
STAGES: Final = {
    "ingress": "ingress",
    "landing": "landing",
    "readable": "staging",
    "clean": "staging",
    "quarantine": "staging",
    "operational": "operational",
    "analytical": "analytical",
}
assert set(FLOW_STORES) <= STAGES.keys()

#: What stands in the place of a store in the name of a publication.
PUBLISHED: Final = "published"
PLATFORM_ID: Final = "platform"


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a decision is about; made by the functions below."""

    type: ResourceType
    zone: str | None = None
    store: str | None = None
    name: str | None = None

    @property
    def id(self) -> str:
        """Its name in Cedar: finance/operational/expense_line."""
        return "/".join(part for part in (self.zone, self.store, self.name) if part) or PLATFORM_ID

    def __str__(self) -> str:
        if self.type == "Publication":
            return f"{self.zone}.{PUBLISHED}.{self.name}"
        return self.id.replace("/", ".")


PLATFORM: Final = Resource("Platform")


def zone(name: str) -> Resource:
    """A zone."""
    return Resource("Zone", name)


def store(zone: str, name: str) -> Resource:
    """A store of a zone; `name` is a key of `STAGES`."""
    return Resource("Store", zone, name)


def dataset(zone: str, store: str, name: str) -> Resource:
    """A dataset in a store of a zone."""
    return Resource("Dataset", zone, store, name)


def publication(zone: str, name: str) -> Resource:
    """A publication of a zone."""
    return Resource("Publication", zone, None, name)


def parse(text: str) -> Resource:
    """The resource of a written name: `platform`, zone, zone.store, zone.store.dataset or zone.published.name.

    As in SQL, `staging` stands for the clean rows of a source. Raises `Usage` for what is none of these.
    """
    parts = re.split(r"[./]", text)
    if text == PLATFORM_ID:
        return PLATFORM
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", part) for part in parts) or len(parts) > 3:
        raise Usage(f"{text} names nothing", expected="platform, zone, zone.store, zone.store.dataset")
    if len(parts) == 1:
        return zone(parts[0])
    where = "clean" if parts[1] == "staging" else parts[1]
    if where == PUBLISHED and len(parts) == 3:
        return publication(parts[0], parts[2])
    if where not in STAGES:
        near = nearest(where, (*STAGES, PUBLISHED, "staging"))
        raise Usage(f"no store is called {where}", expected=near or ", ".join(STAGES))
    return store(parts[0], where) if len(parts) == 2 else dataset(parts[0], where, parts[2])
