"""Classes of fields: how widely the cells of a field may be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from assay.zones.contract import Field

FieldClass = Literal["public", "internal", "confidential", "restricted", "personal"]

#: Each class, and the next wider one that it is part of: who sees confidential cells sees internal ones, too.
WITHIN: Final[dict[FieldClass, FieldClass | None]] = {
    "public": "internal",
    "internal": "confidential",
    "confidential": "restricted",
    "restricted": None,
    "personal": None,
}
CLASSES: Final = tuple(WITHIN)
#: The classes whose cells may stand in records, logs and messages.
OPEN: Final[frozenset[FieldClass]] = frozenset({"public", "internal"})

#: What contracts write as `classification`, in small letters.
WORDS: Final[dict[str, FieldClass]] = {
    "public": "public",
    "open": "public",
    "internal": "internal",
    "confidential": "confidential",
    "sensitive": "confidential",
    "private": "confidential",
    "restricted": "restricted",
    "secret": "restricted",
    "personal": "personal",
    "pii": "personal",
}


def classes_of(field: Field) -> frozenset[FieldClass]:
    """The classes of a field; its cells are seen by those who may see each of them.

    Without a classification a field is internal; a word that assay does not know is taken for restricted.
    A field that declares personal data is personal besides.
    """
    word = (field.classification or "internal").strip().casefold()
    found = {WORDS.get(word, "restricted")}
    if field.personal_data:
        found.add("personal")
    return frozenset(found)
