"""What is said of a batch to somebody who may not see every cell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from assay.batch import Profile, Tally
from assay.findings import Finding
from assay.security.classes import CLASSES, FieldClass
from assay.stewardship.kinds import kind_of

#: What stands in the place of a cell.
MASK: Final = "****"

#: Findings about sheets and headers: their words hold no cell.
OF_STRUCTURE: Final = frozenset({
    "missing_member", "missing_sheet", "ambiguous_sheet", "empty_file", "missing_header", "missing_column",
    "unknown_column", "renamed_column", "duplicate_column",
})  # fmt: skip


@dataclass(frozen=True)
class Cells:
    """The fields of a dataset with their classes, and the classes whose cells somebody sees."""

    fields: Mapping[str, frozenset[FieldClass]]
    seen: frozenset[FieldClass]

    @property
    def hidden(self) -> frozenset[FieldClass]:
        """The classes among those of the dataset that he does not see."""
        return frozenset(one for classes in self.fields.values() for one in classes) - self.seen

    def shows(self, field: str | None) -> bool:
        """Whether the field's cells are shown; of what is no field of the dataset, only to those who see all of it."""
        classes = self.fields.get(field) if field is not None else None
        return not self.hidden if classes is None else classes <= self.seen

    def value(self, field: str | None, value: Any) -> Any:
        """The cell, or the mask in its place; what is missing stays missing."""
        return value if value is None or self.shows(field) else MASK


#: For those who see everything, of whatever dataset.
ALL: Final = Cells({}, frozenset(CLASSES))


def masked_finding(finding: Finding, cells: Cells) -> Finding:
    """The finding with its places, without the cells that are not shown and without words that could hold them."""
    if cells.shows(finding.field):
        return finding
    places = tuple(replace(one, found=None if one.found is None else MASK) for one in finding.cells)
    if finding.kind in OF_STRUCTURE:
        return replace(finding, cells=places)
    return replace(finding, message=kind_of(finding.kind).title, expected=None, cells=places)


def masked_tally(tally: Tally, cells: Cells) -> Tally:
    """The tally without the sums of columns that are not shown: of one row, the sum is the cell."""
    return replace(tally, sums={name: total for name, total in tally.sums.items() if cells.shows(name)})


def masked_profile(profile: Profile, cells: Cells) -> Profile:
    """The profile without the sums and categories of columns that are not shown."""
    columns = {
        name: column if cells.shows(name) else replace(column, total=None, categories={})
        for name, column in profile.columns.items()
    }
    return replace(profile, columns=columns)


def masked_detail(value: Any, cells: Cells) -> Any:
    """What a segment noted of its work: all of it, or where cells are hidden its numbers alone."""
    if not cells.hidden:
        return value
    if isinstance(value, Mapping):
        return {name: one if name == "contract" else masked_detail(one, cells) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return len(value)
    return MASK if isinstance(value, str) else value
