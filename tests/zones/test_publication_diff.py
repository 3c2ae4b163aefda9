"""What a subscriber notices of a change, and what of it breaks his SQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assay.zones.contract import Contract, Field
from assay.zones.project import Publication
from assay.zones.publication_diff import published_changes
from assay.zones.types import FieldType

TEXT, NUMBER = FieldType("string"), FieldType("decimal", 12, 2)
FIELDS = (Field("code", TEXT, ("code",), required=True), Field("rate", NUMBER, ("rate",)))
OLD = Publication(
    "reference", "currency", "operational.currency", "operational", "currency", None, None, None,
    Contract(Path("zone.yaml"), "reference.currency", "1.0.0", "active", "currency", FIELDS),
)  # fmt: skip


def offering(*fields: Field) -> Publication:
    return replace(OLD, contract=replace(OLD.contract, fields=fields))


@pytest.mark.parametrize(
    ("new", "words", "breaking"),
    [
        (offering(FIELDS[0]), "field rate: field removed", True),
        (offering(FIELDS[0], replace(FIELDS[1], name="eur_rate")), "rate", True),
        (offering(FIELDS[0], replace(FIELDS[1], type=FieldType("decimal", 10, 1))), "rate", True),
        (offering(replace(FIELDS[0], required=False), FIELDS[1]), "code", True),
        (offering(*FIELDS, Field("name", TEXT, ("name",))), "field name: field added", False),
        (replace(OLD, rows="rate > 0"), "its rows: all becomes rate > 0", True),
        (replace(OLD, masks={"code": "hash"}), "code: unmasked becomes hash", True),
        (replace(OLD, dataset="analytical.currency"), "it offers analytical.currency", True),
    ],
)
def test_a_change_breaks_what_a_subscriber_wrote_over_it_or_does_not(
    new: Publication, words: str, breaking: bool
) -> None:
    found = published_changes(OLD, new)
    assert any(words in one.words for one in found), found
    assert any(one.breaking for one in found) is breaking


def test_what_is_the_same_has_no_changes_and_another_version_alone_none_either() -> None:
    assert published_changes(OLD, OLD) == ()
    assert published_changes(OLD, replace(OLD, contract=replace(OLD.contract, version="1.1.0"), title="Rates")) == ()
