"""What the names of zones, stores and tables in a command or a statement stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import Misconfigured, Usage, nearest
from assay.stores import lake, operational
from assay.zones.types import FieldType, TypeKind

if TYPE_CHECKING:
    from assay.zones.project import Project, Zone

#: The stores that can be asked; `staging` is the clean rows of a source.
STORES = ("readable", "staging", "quarantine", "operational", "analytical")
TABLES = "store.table or zone.store.table; the stores are " + ", ".join(STORES) + ", and published"


_ADDED_TYPES: Mapping[str, TypeKind] = {"text": "string", "bigint": "integer"}


def zone_of(project: Project, name: str | None, dataset: str | None = None) -> Zone:
    """The named zone; without a name the only one, or the only one that has the dataset (`name` or `store.name`)."""
    if name is not None:
        if name not in project.zones:
            near = nearest(name, project.zones)
            raise Usage(f"there is no zone {name}", expected=near or ", ".join(project.zones))
        return project.zones[name]
    having = list(project.zones.values())
    if dataset is not None:
        store, _, table = dataset.rpartition(".")
        stores = (store,) if store else STORES
        having = [zone for zone in having if any(table in tables(zone, one) for one in stores)]
    if len(having) != 1:
        which = "no zone has" if not having else "several zones have"
        raise Usage(
            f"{which} {dataset or 'it'}",
            expected=", ".join(zone.name for zone in having or project.zones.values()),
            next="add --zone NAME",
        )
    return having[0]


def tables(zone: Zone, store: str) -> Mapping[str, Any]:
    """What a zone has in a store, by name; empty for a store that cannot be asked."""
    stores: dict[str, Mapping[str, Any]] = {
        "readable": zone.sources,
        "staging": zone.sources,
        "quarantine": zone.sources,
        "operational": zone.operational,
        "analytical": zone.analytical,
        "published": zone.publications,
    }
    return stores.get(store, {})


def columns(zone: Zone, store: str, name: str) -> tuple[tuple[str, FieldType], ...]:
    """The columns of a table, in order: its fields, and what assay adds to each row."""
    if store == "published":
        return tuple((field.name, field.type) for field in zone.publications[name].contract.fields)
    if store == "operational":
        fields = tuple((field.name, field.type) for field in zone.operational[name].contract.fields)
        return fields + tuple((one, FieldType(_ADDED_TYPES[kind])) for one, kind in operational.PROVENANCE)
    if store == "analytical":
        return lake.analytical(zone.analytical[name]).columns
    make = {"readable": lake.readable, "staging": lake.clean, "quarantine": lake.quarantine}
    return make[store](zone.sources[name]).columns


def place_of(project: Project, zone: str | None, parts: tuple[str, ...], path: Path) -> tuple[Zone, str, str]:
    """Zone, store and table that a name in a statement stands for.

    Raises `Misconfigured` for a name that stands for nothing, `Usage` where it is not clear which zone is meant.
    """
    if len(parts) not in (2, 3):
        raise Misconfigured(f'"{".".join(parts)}" is not a table', file=path, expected=TABLES)
    store, name = parts[-2:]
    if store not in (*STORES, "published"):
        near = nearest(store, STORES)
        what = f"no store is called {store}"
        if store == "landing":
            what = "landing holds the delivered bytes, which nobody reads"
        raise Misconfigured(what, file=path, expected=f"{near}.{name}" if near else TABLES)
    owner = zone_of(project, parts[0]) if len(parts) == 3 else _owner(project, zone, store, name)
    known = tables(owner, store)
    if name not in known:
        near = nearest(name, known)
        raise Misconfigured(
            f"there is no {store}.{name} in zone {owner.name}",
            file=path,
            expected=f"{store}.{near}" if near else f"one of: {', '.join(sorted(known)) or 'none'}",
        )
    return owner, store, name


def _owner(project: Project, zone: str | None, store: str, name: str) -> Zone:
    if zone is not None:
        return zone_of(project, zone)
    having = [entry for entry in project.zones.values() if name in tables(entry, store)]
    if len(having) == 1:
        return having[0]
    if having:
        raise Usage(
            f"several zones have {store}.{name}",
            expected=" or ".join(f"{entry.name}.{store}.{name}" for entry in having),
            next="add --zone NAME",
        )
    every = {f"{entry.name}.{store}.{one}" for entry in project.zones.values() for one in tables(entry, store)}
    near = nearest(f"{store}.{name}", {one.partition(".")[2] for one in every})
    raise Usage(f"no zone has {store}.{name}", expected=near or ", ".join(sorted(every)) or TABLES)
