"""What a publication promises to its subscribers: a contract of its own, or the table's as far as it is offered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from assay.errors import Misconfigured, nearest
from assay.zones.contract import Contract, Drift, Field
from assay.zones.masks import FITS, Mask, may_be_missing
from assay.zones.model import PublicationFile, ReaderHints
from assay.zones.yaml import Document


@dataclass(frozen=True)
class Offer:
    """A publication as zone.yaml has it, beside the contract of its table and its own, where it has one."""

    zone: str
    name: str
    entry: PublicationFile
    table: Contract
    own: Contract | None
    document: Document


def offered_contract(offer: Offer) -> Contract:
    """The contract that subscribers rely on.

    Raises `Misconfigured` with every column, mask or promise that the table does not bear out.
    """
    problems = [*_columns(offer), *_masks(offer), *_promises(offer)]
    if problems:
        raise problems[0] if len(problems) == 1 else Misconfigured("the publication has problems", problems=problems)
    if offer.own is not None:
        return offer.own
    table, masks = offer.table, offer.entry.masks
    plain = set(_offered(offer)) - masks.keys()
    return replace(
        table,
        id=f"{offer.zone}.{offer.name}",
        dataset=offer.name,
        fields=tuple(masked_field(table.field(name), masks.get(name)) for name in _offered(offer)),
        primary_key=table.primary_key if plain.issuperset(table.primary_key) else (),
        unique_keys=tuple(key for key in table.unique_keys if plain.issuperset(key)),
        foreign_keys=(),
        rules=(),
        refresh_by=None,
        drift=Drift(),
        reader=ReaderHints(),
        freshness=None,
        unwatched=(),
    )


def masked_field(field: Field, mask: Mask | None) -> Field:
    """The field as a subscriber sees it: under a mask it promises no form and no limits any more."""
    if mask is None:
        return field
    return Field(
        field.name, field.type, (field.name,), field.required and not may_be_missing(field.type.kind, mask),
        description=field.description, personal_data=field.personal_data, classification=field.classification,
        line=field.line,
    )  # fmt: skip


def _offered(offer: Offer) -> tuple[str, ...]:
    if offer.own is not None:
        return tuple(field.name for field in offer.own.fields)
    if offer.entry.columns is not None:
        return tuple(dict.fromkeys(offer.entry.columns))
    return tuple(field.name for field in offer.table.fields)


def _columns(offer: Offer) -> Iterator[Misconfigured]:
    there = {field.name for field in offer.table.fields}
    for name in _offered(offer):
        if name not in there:
            file, line = offer.document.path, offer.document.line("publications", offer.name, "columns")
            if offer.own is not None:
                file, line = offer.own.path, offer.own.field(name).line
            yield Misconfigured(
                f"{offer.entry.dataset} has no column {name}", file=file, line=line,
                expected=nearest(name, there) or ", ".join(sorted(there)),
            )  # fmt: skip


def _masks(offer: Offer) -> Iterator[Misconfigured]:
    offered, types = _offered(offer), {field.name: field.type for field in offer.table.fields}
    for name, mask in offer.entry.masks.items():
        place = offer.document.line("publications", offer.name, "masks", name)
        fit = FITS[mask]
        if name not in offered:
            yield Misconfigured(
                f"the publication {offer.name} masks {name}, which it does not offer", file=offer.document.path,
                line=place, expected=nearest(name, offered) or ", ".join(offered),
            )  # fmt: skip
        elif name in types and fit is not None and types[name].kind not in fit:
            yield Misconfigured(
                f"{offer.entry.dataset}.{name} is {types[name]}, which {mask} does not mask",
                file=offer.document.path, line=place, expected="redact or null",
            )  # fmt: skip


def _promises(offer: Offer) -> Iterator[Misconfigured]:
    """What the publication's own contract says and the table's does not."""
    if offer.own is None:
        return
    there = {field.name: field for field in offer.table.fields}
    for promised in offer.own.fields:
        if promised.name not in there:
            continue
        kept = masked_field(there[promised.name], offer.entry.masks.get(promised.name))
        if promised.type != kept.type:
            yield _broken(offer.own, promised, f"is {promised.type}", str(kept.type))
        elif promised.required and not kept.required:
            yield _broken(offer.own, promised, "is required", "not required, as its table has it")


def _broken(own: Contract, promised: Field, says: str, expected: str) -> Misconfigured:
    return Misconfigured(
        f"{promised.name} {says}, which its table does not promise", file=own.path, line=promised.line or None,
        expected=expected,
    )  # fmt: skip
