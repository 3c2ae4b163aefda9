"""What changes for the subscribers of a publication between two configurations, and whether it breaks their SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.zones.contract_diff import differences

if TYPE_CHECKING:
    from assay.zones.project import Publication


@dataclass(frozen=True)
class PublishedChange:
    """One change in words; breaking: queries over the publication no longer run, or mean something else."""

    words: str
    breaking: bool


def published_changes(old: Publication, new: Publication) -> tuple[PublishedChange, ...]:
    """Every change that a subscriber can notice; empty when none."""
    found = []
    if old.dataset != new.dataset:
        found.append(PublishedChange(f"it offers {new.dataset} in place of {old.dataset}", breaking=True))
    if old.rows != new.rows:
        found.append(
            PublishedChange(f"its rows: {old.rows or 'all'} becomes {new.rows or 'all'}", breaking=True)
        )
    there = {field.name for field in new.contract.fields} & {field.name for field in old.contract.fields}
    for name in sorted(there):
        before, after = old.masks.get(name, "unmasked"), new.masks.get(name, "unmasked")
        if before != after:
            found.append(PublishedChange(f"{name}: {before} becomes {after}", breaking=True))
    for one in differences(old.contract, new.contract):
        if one.kind != "version":  # the version tells of the others
            said = " becomes ".join(part for part in (one.old, one.new) if part)
            words = f"{one.subject}: {one.kind.replace('_', ' ')}" + (f" ({said})" if said else "")
            found.append(PublishedChange(words, one.consumer == "breaking"))
    return tuple(found)
