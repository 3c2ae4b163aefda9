"""Masks: what may stand in place of a cell, and of which types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from assay.zones.types import TypeKind

Mask = Literal["partial", "hash", "redact", "null"]

#: The masks, from the one that shows most to the one that shows least.
MASKS: Final[tuple[Mask, ...]] = ("partial", "hash", "redact", "null")
#: Which types a mask keeps: a masked column has the type that it had, so that SQL over it goes on to fit.
FITS: Final[Mapping[Mask, frozenset[TypeKind] | None]] = {
    "partial": frozenset({"string"}),
    "hash": frozenset({"string", "integer"}),
    "redact": None,
    "null": None,
}


def may_be_missing(kind: TypeKind, mask: Mask) -> bool:
    """Whether a cell that is there may be missing under the mask."""
    return mask == "null" or (mask == "redact" and kind != "string")
