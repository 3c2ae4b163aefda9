"""What `access` of a zone says: which rows of a dataset a role is shown, and which columns it sees masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assay.errors import nearest
from assay.zones.masks import FITS, Mask

if TYPE_CHECKING:
    from assay.zones.contract import Field
    from assay.zones.project import Zone


class Problems(Protocol):
    """Where problems are noted."""

    def fail(self, what: str, file: Path, line: int | None = None, expected: str | None = None) -> None:
        """Notes one."""


@dataclass(frozen=True)
class RoleAccess:
    """What a role is shown of a dataset, `store.table`: the rows that keep a condition, some columns masked."""

    role: str
    store: str
    table: str
    rows: str | None
    masks: Mapping[str, Mask] = field(hash=False)
    line: int | None = None

    @property
    def dataset(self) -> str:
        """The dataset as it is written."""
        return f"{self.store}.{self.table}"


def fields_of(zone: Zone, store: str, table: str) -> Iterable[Field] | None:
    """The fields of a dataset, by the store's name in SQL; None for one that the zone does not have."""
    if store in ("readable", "staging", "quarantine"):
        source = zone.sources.get(table)
        return None if source is None else source.clean_fields if store == "staging" else source.contract.fields
    kept = zone.operational if store == "operational" else zone.analytical
    return None if table not in kept else kept[table].contract.fields


def check_access(problems: Problems, zones: Mapping[str, Zone]) -> None:
    """Notes every entry that speaks of what is not there, twice of the same, or masks what the mask does not fit."""
    for zone in zones.values():
        seen: set[tuple[str, str]] = set()
        for entry in zone.access:
            fields = fields_of(zone, entry.store, entry.table)
            if fields is None:
                known = [f"{store}.{one}" for store, one in _datasets(zone)]
                problems.fail(
                    f"access speaks of {entry.dataset}, which does not exist", zone.path, entry.line,
                    nearest(entry.dataset, known) or ", ".join(known),
                )  # fmt: skip
                continue
            if (entry.role, entry.dataset) in seen:
                problems.fail(
                    f"access speaks twice of {entry.dataset} for {entry.role}", zone.path, entry.line, "one entry"
                )
            seen.add((entry.role, entry.dataset))
            _check_masks(problems, zone, entry, {field.name: field for field in fields})


def _check_masks(problems: Problems, zone: Zone, entry: RoleAccess, fields: Mapping[str, Field]) -> None:
    for column, mask in entry.masks.items():
        if column not in fields:
            problems.fail(
                f"{entry.dataset} has no column {column}", zone.path, entry.line,
                nearest(column, fields) or ", ".join(sorted(fields)),
            )  # fmt: skip
            continue
        fit = FITS[mask]
        if fit is not None and fields[column].type.kind not in fit:
            problems.fail(
                f"{entry.dataset}.{column} is {fields[column].type}, which {mask} does not mask", zone.path, entry.line,
                "redact or null",
            )  # fmt: skip


def _datasets(zone: Zone) -> list[tuple[str, str]]:
    staged = [(store, name) for store in ("readable", "staging", "quarantine") for name in zone.sources]
    return [*staged, *(("operational", n) for n in zone.operational), *(("analytical", n) for n in zone.analytical)]
