"""Iceberg tables as they stand in the lake, and what must change; read without loading the Iceberg library.

The catalog's rows name each table's current metadata file, a JSON document whose form the Iceberg table
specification (version 2) gives: `schemas`, `current-schema-id`, `snapshots`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import Misconfigured, Unavailable
from assay.stores.changes import Change, LakeStep
from assay.stores.database import Connection

if TYPE_CHECKING:
    from assay.stores.lake import LakeTable
    from assay.zones.contract import Contract
    from assay.zones.types import FieldType

Place = tuple[str, str]
"""Namespace and name of a table."""


@dataclass(frozen=True)
class LakeStanding:
    """A table as it stands: its columns, the types that columns of earlier schemas had, and its rows."""

    columns: Mapping[str, str]
    earlier: Mapping[str, frozenset[str]]
    rows: int
    metadata: Path


def lake_places(connection: Connection) -> dict[Place, str]:
    """Every table of the catalog with the place of its current metadata file."""
    found = connection.execute(
        "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE catalog_name = 'assay'"
    )
    return {(str(namespace), str(name)): str(place) for namespace, name, place in found}


def lake_standing(place: str) -> LakeStanding:
    """What a metadata file says of its table.

    Raises `Unavailable` when the file is gone or broken.
    """
    path = Path(place.removeprefix("file://"))
    try:
        content = json.loads(path.read_text())
        schemas = {schema["schema-id"]: schema["fields"] for schema in content["schemas"]}
        current = {field["name"]: _plain(field["type"]) for field in schemas[content["current-schema-id"]]}
        return LakeStanding(current, _earlier(schemas), _rows(content), path)
    except (OSError, ValueError, KeyError) as error:
        raise Unavailable(
            "the lake's description of a table cannot be read", where=str(path), expected="an Iceberg metadata file",
            next="assay doctor",
        ) from error  # fmt: skip


def _earlier(schemas: Mapping[int, Any]) -> dict[str, frozenset[str]]:
    types: dict[str, set[str]] = {}
    for fields in schemas.values():
        for field in fields:
            types.setdefault(field["name"], set()).add(_plain(field["type"]))
    return {name: frozenset(found) for name, found in types.items()}


def _rows(content: Mapping[str, Any]) -> int:
    current = content.get("current-snapshot-id")
    for snapshot in content.get("snapshots", ()):
        if snapshot["snapshot-id"] == current:
            return int(snapshot.get("summary", {}).get("total-records", 0))
    return 0


def _plain(kind: Any) -> str:
    return str(kind).replace(" ", "")


def iceberg_type(kind: FieldType) -> str:
    """The name of a field's type in Iceberg's metadata."""
    if kind.kind == "decimal":
        return f"decimal({kind.precision or 38},{kind.scale or 0})"
    if kind.kind == "timestamp":
        return "timestamptz" if kind.timezone else "timestamp"
    return {"integer": "long"}.get(kind.kind, kind.kind)


def lake_changes(
    zone: str, table: LakeTable, contract: Contract, standing: LakeStanding | None
) -> tuple[list[Change], list[Misconfigured]]:
    """What must change for one table of the lake, and what Iceberg cannot do to it."""
    full = f"{table.namespace}.{table.name}"
    dataset = f"{table.namespace.removeprefix(zone + '.')}.{table.name}"
    ensure = (LakeStep("ensure", table.namespace, table.name, table.columns),)
    if standing is None:
        return [Change(zone, dataset, "create", f"create table {full}", lake=ensure)], []
    changes: list[Change] = []
    problems: list[Misconfigured] = []
    if standing.rows == 0 and _retyped(table, standing):
        # Nothing was written, so nothing is lost, and Iceberg can change no type but by widening it.
        anew = (LakeStep("drop", table.namespace, table.name), *ensure)
        return [Change(zone, dataset, "change", f"make table {full} anew", lake=anew, note="it holds no rows")], []
    for name, kind in table.columns:
        wanted, there = iceberg_type(kind), standing.columns.get(name)
        # Files keep the columns that they were written with: a name that returns must return with its type.
        files = (standing.earlier.get(name, frozenset()) if there is None else {there}) if standing.rows else set()
        narrower = sorted(old for old in files if old != wanted and not _widens(old, wanted))
        if narrower:
            problems.append(_refusal(full, name, narrower[0], wanted, contract))
        elif there is None:
            changes.append(Change(zone, dataset, "change", f"add column {full}.{name} {kind}", lake=ensure))
        elif there != wanted:
            words = f"widen column {full}.{name} from {there} to {wanted}"
            changes.append(Change(zone, dataset, "change", words, lake=ensure))
    known = {name for name, _ in table.columns}
    for name in standing.columns:
        if name not in known:
            step = LakeStep("drop_column", table.namespace, table.name, ((name, standing.columns[name]),))
            note = f"{standing.rows:,} rows"
            changes.append(Change(zone, dataset, "lose", f"drop column {full}.{name}", lake=(step,), note=note))
    return changes, problems


def _retyped(table: LakeTable, standing: LakeStanding) -> bool:
    kinds = ((standing.columns.get(name), iceberg_type(kind)) for name, kind in table.columns)
    return any(there is not None and there != wanted and not _widens(there, wanted) for there, wanted in kinds)


def _refusal(full: str, name: str, before: str, after: str, contract: Contract) -> Misconfigured:
    line = next((field.line for field in contract.fields if field.name == name), None)
    return Misconfigured(
        f"{full}.{name} is {before} in the files that were written and cannot become {after}",
        file=contract.path,
        line=line,
        expected=f"{before}, or a decimal of the same scale with more digits",
        next=f'give the new column another name; the old one goes by --allow "drop column {full}.{name}"',
    )


def _widens(before: str, after: str) -> bool:
    if not (before.startswith("decimal(") and after.startswith("decimal(")):
        return False
    old, new = (tuple(int(part) for part in kind[8:-1].split(",")) for kind in (before, after))
    return old[1] == new[1] and new[0] >= old[0]


def drop_lake_table(zone: str, place: Place, standing: LakeStanding) -> Change:
    """A table of the lake that nothing in the configuration describes any more."""
    namespace, name = place
    return Change(
        zone,
        f"{namespace.removeprefix(zone + '.')}.{name}",
        "lose",
        f"drop table {namespace}.{name}",
        lake=(LakeStep("drop", namespace, name),),
        note=f"{standing.rows:,} rows",
    )


def lake_zones(places: Iterable[Place]) -> set[str]:
    """The zones that have tables in the lake."""
    return {namespace.partition(".")[0] for namespace, _ in places}
