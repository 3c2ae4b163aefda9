"""What changes between two versions of a contract, for the two people who rely on it.

The deliverer asks: is every file that was valid still valid, and is it read the same? A contract that demands more
breaks that. The consumer asks: does every query over the old columns still work and mean the same? A contract that
promises less breaks that. Both follow one rule each, stated beside every difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from assay.zones.contract import Contract, Field, ForeignKey
from assay.zones.contract_diff_fields import field_changes
from assay.zones.contract_diff_rules import rule_changes
from assay.zones.contract_diff_values import COMPATIBLE, Change, Effect, breaks, words

#: Attributes without any bearing on a file or a query.
_NO_BEARING = frozenset({"path", "description", "fields", "fingerprint", "version", "refresh_by"})
_COMPARED_APART = frozenset({
    "id", "status", "dataset", "primary_key", "unique_keys", "foreign_keys", "rules", "unknown_columns", "drift",
    "reader",
})  # fmt: skip
#: How strictly a kind of drift is answered, mildest first.
_ANSWERS = ("tolerate", "hold", "reject")
Bump = Literal["major", "minor", "patch", "none", "back"]


@dataclass(frozen=True)
class Difference:
    """One change: what it concerns, its two sides in words, what it means for both, and why.

    `kind` is a stable word such as `field_removed`; `line` is the line in the new file, or None.
    """

    subject: str
    kind: str
    old: str
    new: str
    deliverer: Effect
    consumer: Effect
    why: str
    line: int | None = None

    @property
    def breaking(self) -> bool:
        """Whether it breaks a delivery or a query."""
        return "breaking" in (self.deliverer, self.consumer)

    def to_dict(self) -> dict[str, Any]:
        """The difference as JSON-ready values."""
        return {**asdict(self), "breaking": self.breaking}


def compared(old: Sequence[Contract], new: Sequence[Contract]) -> tuple[Difference, ...]:
    """The differences between two contract files, dataset by dataset; one dataset on each side may be renamed."""
    if len(old) == 1 and len(new) == 1:
        return differences(old[0], new[0])
    before, after = {one.dataset: one for one in old}, {one.dataset: one for one in new}
    found: list[Difference] = []
    for name in dict.fromkeys([*before, *after]):
        if name in before and name in after:
            found += [_within(name, one) for one in differences(before[name], after[name])]
        elif name in before:
            change = Change("dataset_removed", name, "", breaks(True), breaks(True), "the dataset is gone")
            found.append(_difference(f"dataset {name}", change))
        else:
            change = Change("dataset_added", "", name, COMPATIBLE, COMPATIBLE, "nobody relies on it yet")
            found.append(_difference(f"dataset {name}", change))
    return tuple(found)


def differences(old: Contract, new: Contract) -> tuple[Difference, ...]:
    """Every change between two versions of one dataset's contract, in the order of the contract; empty when none."""
    found = [
        *_head(old, new),
        *_fields(old, new),
        *_keys(old, new),
        *_relationships(old.foreign_keys, new.foreign_keys),
        *(_difference(f"rule {name}", change, line) for name, change, line in rule_changes(old.rules, new.rules)),
        *_reading(old, new),
        *_unknown(old, new),
    ]
    return (*found, *_version(old, new, found))


def _within(dataset: str, one: Difference) -> Difference:
    return Difference(**{**asdict(one), "subject": f"{dataset}: {one.subject}"})


def _difference(subject: str, change: Change, line: int | None = None) -> Difference:
    return Difference(
        subject, change.kind, change.old, change.new, change.deliverer, change.consumer, change.why, line or None
    )


def _head(old: Contract, new: Contract) -> Iterator[Difference]:
    if old.id != new.id:
        why = "what refers to the contract by its id no longer finds it"
        yield _difference("contract", Change("id", old.id, new.id, COMPATIBLE, breaks(True), why))
    if old.dataset != new.dataset:
        why = "queries name the dataset"
        yield _difference("dataset", Change("dataset_renamed", old.dataset, new.dataset, COMPATIBLE, breaks(True), why))
    if old.status != new.status:
        why = "the status demands and promises nothing by itself"
        yield _difference("contract", Change("status", old.status, new.status, COMPATIBLE, COMPATIBLE, why))


def _fields(old: Contract, new: Contract) -> Iterator[Difference]:
    pairs = _pairs(old, new)
    gone = [one for one in old.fields if one.name not in pairs]
    matched = set(pairs.values())
    for one in old.fields:
        if one in gone:
            yield _removed(one, old, new)
            continue
        other = new.field(pairs[one.name])
        for change in field_changes(one, other):
            yield _difference(f"field {one.name}", change, other.line)
    for other in new.fields:
        if other.name not in matched:
            yield _added(other, old)


def _pairs(old: Contract, new: Contract) -> dict[str, str]:
    """Old field to new: of the same name, or renamed, which a header in common shows."""
    names = {one.name for one in new.fields}
    pairs = {one.name: one.name for one in old.fields if one.name in names}
    free = [one for one in new.fields if one.name not in pairs]
    for one in old.fields:
        if one.name in pairs:
            continue
        for other in free:
            if _headers(one) & _headers(other):
                pairs[one.name] = other.name
                free.remove(other)
                break
    return pairs


def _headers(one: Field) -> set[str]:
    return {" ".join(header.split()).casefold() for header in one.headers}


def _removed(one: Field, old: Contract, new: Contract) -> Difference:
    rejects = _answer(new, "new_column") != "tolerate"
    why = "files that still have the column are not accepted" if rejects else "files may still have the column"
    change = Change(
        "field_removed", str(one.type), "", breaks(rejects), breaks(True), f"{why}; queries that name it fail"
    )
    return _difference(f"field {one.name}", change)


def _added(one: Field, old: Contract) -> Difference:
    if not one.may_be_absent:
        demanded, why = True, "files of the old contract lack the column, and it must be there"
    elif _answer(old, "new_column") != "reject":
        demanded, why = True, "a column that used to be left out is now checked"
    else:
        demanded, why = False, "files may lack the column"
    change = Change("field_added", "", str(one.type), breaks(demanded), COMPATIBLE, why)
    return _difference(f"field {one.name}", change, one.line)


def _answer(contract: Contract, kind: str) -> str:
    """What a contract answers to a kind of drift: reject, hold or tolerate."""
    drift = getattr(contract, "drift", None)
    if drift is not None:
        return str(getattr(drift, kind))
    unknown = getattr(contract, "unknown_columns", "reject")
    return "tolerate" if kind == "new_column" and unknown == "ignore" else "reject"


def _keys(old: Contract, new: Contract) -> Iterator[Difference]:
    before, after = set(old.primary_key), set(new.primary_key)
    if before != after:
        harder = not before or not before <= after
        weaker = not after or not after <= before
        why = []
        if harder and after:
            why.append("rows that were different under the old key may be the same under the new one")
        if weaker and before:
            why.append("the old key no longer tells rows apart, so joins on it may double rows")
        yield _difference(
            "primary key",
            Change(
                "primary_key", words(old.primary_key), words(new.primary_key),
                breaks(harder and bool(after)), breaks(weaker and bool(before)), "; ".join(why),
            ),
        )  # fmt: skip


def _relationships(old: Sequence[ForeignKey], new: Sequence[ForeignKey]) -> Iterator[Difference]:
    for one in new:
        if one not in old:
            why = "rows whose key is unknown there are not accepted"
            change = Change("relationship_added", "", _key(one), breaks(True), COMPATIBLE, why)
            yield _difference("relationship", change)
    for one in old:
        if one not in new:
            why = "a row may refer to nothing, so inner joins may lose rows"
            change = Change("relationship_removed", _key(one), "", COMPATIBLE, breaks(True), why)
            yield _difference("relationship", change)


def _key(one: ForeignKey) -> str:
    return f"{', '.join(one.columns)} → {one.table}({', '.join(one.to_columns)})"


def _reading(old: Contract, new: Contract) -> Iterator[Difference]:
    """How differences and files are taken: answers to drift, and hints for the reader."""
    kinds = ["new_column"]
    drift = getattr(old, "drift", None)
    if drift is not None:
        kinds = [one.name for one in fields(drift)]
    for kind in kinds:
        before, after = _answer(old, kind), _answer(new, kind)
        if before == after:
            continue
        stricter = _ANSWERS.index(after) > _ANSWERS.index(before)
        why = "files that passed are held or rejected" if stricter else "files pass that were held or rejected"
        looser = not stricter and kind in ("missing_column", "type_mismatch")
        if looser:
            why += ", with empty values or without some rows"
        yield _difference(f"drift {kind}", Change("drift", before, after, breaks(stricter), breaks(looser), why))
    if getattr(old, "reader", None) != getattr(new, "reader", None):
        why = "the same file may be read another way"
        before, after = (str(getattr(one, "reader", "") or "") for one in (old, new))
        yield _difference("reader", Change("reader", before, after, breaks(True), breaks(True), why))


def _unknown(old: Contract, new: Contract) -> Iterator[Difference]:
    """Attributes that this module was not told about: a difference in them counts as breaking, until it is."""
    for one in fields(old):
        if one.name in _NO_BEARING or one.name in _COMPARED_APART:
            continue
        before, after = getattr(old, one.name), getattr(new, one.name)
        if before != after:
            why = "its effect is not known, so it counts as breaking"
            yield _difference(one.name, Change(one.name, words(before), words(after), breaks(True), breaks(True), why))


def _version(old: Contract, new: Contract, found: Iterable[Difference]) -> Iterator[Difference]:
    """Whether the version's number says what the changes mean (semantic versioning)."""
    found = list(found)
    bump = _bump(old.version, new.version)
    breaking = any(one.breaking for one in found)
    if bump is None:
        if old.version != new.version:
            why = "the versions are not of the form 1.2.3, so they cannot say whether the change breaks something"
            yield _difference("version", Change("version", old.version, new.version, COMPATIBLE, COMPATIBLE, why))
        return
    if bump == "back":
        why = "the version goes back"
        yield _difference("version", Change("version", old.version, new.version, breaks(True), breaks(True), why))
    elif breaking and bump != "major":
        why = f"a breaking change needs a new major version: {_next_major(old.version)}"
        yield _difference("version", Change("version", old.version, new.version, breaks(True), breaks(True), why))
    elif found and bump == "none":
        why = "the contract changed and its version did not"
        yield _difference("version", Change("version", old.version, new.version, COMPATIBLE, COMPATIBLE, why))


def _bump(old: str, new: str) -> Bump | None:
    """Which number was raised; below 1.0.0 the minor number counts as the major one, as semantic versioning has it."""
    before, after = _numbers(old), _numbers(new)
    if before is None or after is None:
        return None
    if before == after:
        return "none"
    if after < before:
        return "back"
    if after[0] > before[0] or (before[0] == 0 and after[1] > before[1]):
        return "major"
    return "minor" if after[1] > before[1] else "patch"


def _next_major(version: str) -> str:
    major, minor, _ = _numbers(version) or (0, 0, 0)
    return f"{major + 1}.0.0" if major else f"0.{minor + 1}.0"


def _numbers(version: str) -> tuple[int, int, int] | None:
    parts = version.lstrip("v").split("-")[0].split("+")[0].split(".")
    if not 1 <= len(parts) <= 3 or not all(part.isdigit() for part in parts):
        return None
    numbers = [int(part) for part in parts] + [0, 0]
    return numbers[0], numbers[1], numbers[2]
