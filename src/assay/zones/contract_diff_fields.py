"""Changes of one field: name, headers, type, the form of its cells, the limits of its values, who may see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

from assay.zones.contract import Field
from assay.zones.contract_diff_values import COMPATIBLE, Change, breaks, words
from assay.zones.contract_draft import date_pattern
from assay.zones.types import FieldType

#: The most whole digits that an integer may have (those of a 64-bit number).
INTEGER_DIGITS = 19
#: How closed a classification is, most open first; words of others cannot be ordered.
CLASSIFICATIONS = ("public", "internal", "confidential", "restricted")
#: The formats that hold where a contract declares none, as `engines.forms` has them.
DEFAULT_FORMATS = {
    "date": ("%Y-%m-%d",),
    "time": ("%H:%M:%S",),
    "timestamp": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"),
}
_NUMERIC = frozenset({"integer", "decimal", "double"})
_DATED = frozenset({"date", "time", "timestamp"})
_NO_BEARING = frozenset({"description", "line", "primary_key"})


def field_changes(old: Field, new: Field) -> Iterator[Change]:
    """Every change between two versions of one field."""
    known = set(_NO_BEARING)
    for names, compare in _COMPARED:
        known |= names
        yield from compare(old, new)
    for one in fields(old):
        if one.name not in known:
            yield from _told_apart(one.name, getattr(old, one.name), getattr(new, one.name))


def _name(old: Field, new: Field) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("field_renamed", old.name, new.name, COMPATIBLE, breaks(True), "queries that name the column fail")


def _headers(old: Field, new: Field) -> Iterator[Change]:
    before = {" ".join(header.split()).casefold(): header for header in old.headers}
    after = {" ".join(header.split()).casefold(): header for header in new.headers}
    gone = [before[one] for one in before if one not in after]
    come = [after[one] for one in after if one not in before]
    if gone:
        why = "files that call the column so are no longer understood"
        yield Change("header_removed", words(gone), "", breaks(True), COMPATIBLE, why)
    if come:
        why = "files may call the column so too"
        yield Change("header_added", "", words(come), COMPATIBLE, COMPATIBLE, why)


def _type(old: Field, new: Field) -> Iterator[Change]:
    if old.type == new.type:
        return
    taken, kept = _takes(old, new), _keeps(old.type, new.type)
    if taken and kept:
        kind, why = "type_widened", "every value of the old type is one of the new type"
    elif taken:
        kind, why = "type_changed", "every old cell is accepted, but queries get values of another type"
    elif kept:
        kind, why = "type_changed", "values look the same to queries, but some old cells are not accepted"
    else:
        kind, why = "type_narrowed", "some old cells are not accepted, and stored values may not fit the new type"
    yield Change(kind, str(old.type), str(new.type), breaks(not taken), breaks(not kept), why)


def _takes(old: Field, new: Field) -> bool:
    """Whether every cell that the old type accepts is accepted by the new one; formats are compared apart."""
    before, after = old.type, new.type
    if after.kind == "string":
        return True
    if before.kind == after.kind == "decimal":
        return _covers(before, after)
    if before.kind == "integer" and after.kind == "decimal":
        return _whole_digits(after) >= INTEGER_DIGITS
    if before.kind == "decimal" and after.kind == "integer":
        return before.scale == 0 and (before.precision or 0) < INTEGER_DIGITS
    if before.kind in _NUMERIC and after.kind == "double":
        return True
    return before.kind == "date" and after.kind == "timestamp" and not after.timezone and bool(old.formats)


def _keeps(before: FieldType, after: FieldType) -> bool:
    """Whether queries see values of the same meaning and type, and everything that is stored fits."""
    return before.kind == after.kind and before.timezone == after.timezone and _covers(before, after)


def _covers(before: FieldType, after: FieldType) -> bool:
    return (after.scale or 0) >= (before.scale or 0) and _whole_digits(after) >= _whole_digits(before)


def _whole_digits(one: FieldType) -> int:
    return (one.precision or 0) - (one.scale or 0)


def _required(old: Field, new: Field) -> Iterator[Change]:
    if old.required != new.required:
        demanded, freed = (
            "a file with an empty cell is not accepted",
            "empty values may appear, which queries must expect",
        )
        why = demanded if new.required else freed
        yield Change(
            "required", words(old.required), words(new.required), breaks(new.required), breaks(old.required), why
        )


def _absent(old: Field, new: Field) -> Iterator[Change]:
    if old.may_be_absent == new.may_be_absent:
        return
    before, after = words(old.may_be_absent), words(new.may_be_absent)
    if old.may_be_absent:
        why = "files without the column are not accepted"
        yield Change("may_be_absent", before, after, breaks(True), COMPATIBLE, why)
        return
    promised = old.required
    why = "files may lack the column" + (", whose value was promised" if promised else "")
    yield Change("may_be_absent", before, after, COMPATIBLE, breaks(promised), why)


def _unique(old: Field, new: Field) -> Iterator[Change]:
    if old.unique == new.unique:
        return
    demanded, freed = "rows that repeat a value are not accepted", "a value may repeat, so joins on it may double rows"
    why = demanded if new.unique else freed
    yield Change("unique", words(old.unique), words(new.unique), breaks(new.unique), breaks(old.unique), why)


def _null_words(old: Field, new: Field) -> Iterator[Change]:
    gone = sorted(set(old.null_words) - set(new.null_words))
    come = sorted(set(new.null_words) - set(old.null_words))
    if gone:
        turned = any(_may_be_a_value(word, new) for word in gone)
        refused = not _takes_any_text(new)
        parts = ["cells with the word may be refused"] if refused else []
        parts += ["the word is now a value, where it was none"] if turned else []
        yield Change("null_words_removed", words(gone), "", breaks(refused), breaks(turned), "; ".join(parts))
    if come:
        turned = any(_may_be_a_value(word, old) for word in come)
        why = "what was a value is now none" if turned else "cells with the word are accepted, and have no value"
        yield Change("null_words_added", "", words(come), breaks(turned and new.required), breaks(turned), why)


def _may_be_a_value(word: str, one: Field) -> bool:
    """Whether a word could be a cell's value: any text, a word of yes or no, or what has a digit."""
    if one.type.kind == "string":
        return True
    if one.type.kind == "boolean":
        return word.lower() in {spoken.lower() for spoken in (*one.true_words, *one.false_words)}
    return any(character.isdigit() for character in word)


def _takes_any_text(one: Field) -> bool:
    return one.type.kind == "string" and one.pattern is None and one.min_length is None and one.max_length is None


def _formats(old: Field, new: Field) -> Iterator[Change]:
    if old.type.kind not in _DATED or new.type.kind not in _DATED:
        return
    before = old.formats or DEFAULT_FORMATS[old.type.kind]
    after = new.formats or DEFAULT_FORMATS[new.type.kind]
    gone = [one for one in before if one not in after]
    come = [one for one in after if one not in before]
    reread = [one for one in before if _reread(one, before, after)]
    if reread:
        why = "the same text is now another date: day and month change places"
        yield Change("format_reread", _patterns(reread), _patterns(after), breaks(True), breaks(True), why)
    elif gone:
        why = "cells written so are not accepted"
        yield Change("format_removed", _patterns(gone), "", breaks(True), COMPATIBLE, why)
    if come and not reread:
        yield Change("format_added", "", _patterns(come), COMPATIBLE, COMPATIBLE, "cells may be written so too")


def _patterns(formats: Iterable[str]) -> str:
    return words([date_pattern(one) for one in formats])


def _reread(one: str, before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether a text of this format is now read by another one that has its shape: the first that fits is taken."""
    first = next((other for other in after if _shape(other) == _shape(one)), None)
    was_first = next(other for other in before if _shape(other) == _shape(one))
    return was_first == one and first is not None and first.replace("%-", "%") != one.replace("%-", "%")


def _shape(format: str) -> str:
    """A format without the difference between day, month and short year, which look the same in a cell."""
    plain = format.replace("%-", "%")
    for part in ("%d", "%m", "%y"):
        plain = plain.replace(part, "99")
    return plain


def _numbers(old: Field, new: Field) -> Iterator[Change]:
    if old.type.kind not in _NUMERIC or new.type.kind not in _NUMERIC:
        return
    if old.decimal_sign != new.decimal_sign:
        why = "the same text is now another number"
        yield Change("decimal_sign", old.decimal_sign, new.decimal_sign, breaks(True), breaks(True), why)
    if old.thousands_sign != new.thousands_sign:
        lost = old.thousands_sign is not None
        why = "cells with the sign are not accepted" if lost else "cells may have the sign"
        yield Change(
            "thousands_sign", words(old.thousands_sign), words(new.thousands_sign), breaks(lost), COMPATIBLE, why
        )
    yield from _set("currency_signs", old.currency_signs, new.currency_signs)
    if old.parentheses != new.parentheses:
        why = "(12.50) is not accepted" if old.parentheses else "(12.50) is accepted, as -12.50"
        yield Change(
            "parentheses", words(old.parentheses), words(new.parentheses), breaks(old.parentheses), COMPATIBLE, why
        )


def _words(old: Field, new: Field) -> Iterator[Change]:
    if old.type.kind != "boolean" or new.type.kind != "boolean":
        return
    before = {word.lower(): True for word in old.true_words} | {word.lower(): False for word in old.false_words}
    after = {word.lower(): True for word in new.true_words} | {word.lower(): False for word in new.false_words}
    turned = sorted(word for word in before if word in after and before[word] != after[word])
    if turned:
        why = "the word now means the opposite"
        yield Change("boolean_words", words(turned), words(turned), breaks(True), breaks(True), why)
    yield from _set("boolean_words", tuple(before), tuple(after))


def _set(kind: str, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[Change]:
    """Spellings of a cell that are accepted: fewer break a file, more do not."""
    gone, come = [one for one in old if one not in new], [one for one in new if one not in old]
    if gone:
        yield Change(f"{kind}_removed", words(gone), "", breaks(True), COMPATIBLE, "cells written so are not accepted")
    if come:
        yield Change(f"{kind}_added", "", words(come), COMPATIBLE, COMPATIBLE, "cells may be written so too")


def _limits(old: Field, new: Field) -> Iterator[Change]:
    for name, lower in (
        ("min_length", True), ("max_length", False), ("minimum", True), ("maximum", False),
        ("exclusive_minimum", True), ("exclusive_maximum", False),
    ):  # fmt: skip
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        tighter = _tighter(before, after, lower=lower)
        why = "values beyond the limit are not accepted" if tighter else "values may appear that the limit kept away"
        yield Change(name, words(before), words(after), breaks(tighter), breaks(not tighter), why)
    if old.pattern != new.pattern:
        harder, milder = new.pattern is not None, old.pattern is not None
        why = {
            (True, False): "cells that do not match are not accepted",
            (False, True): "values may appear that the pattern kept away",
            (True, True): "two patterns cannot be compared, so it counts as both stricter and milder",
        }[harder, milder]
        yield Change("pattern", words(old.pattern), words(new.pattern), breaks(harder), breaks(milder), why)


def _tighter(before: Any, after: Any, *, lower: bool) -> bool:
    if after is None:
        return False
    if before is None:
        return True
    try:
        return bool(after > before) if lower else bool(after < before)
    except TypeError:  # A limit may be a date in one version and a number in the other.
        return True


def _classification(old: Field, new: Field) -> Iterator[Change]:
    before, after = old.classification, new.classification
    if before == after:
        return
    closed_before, closed_after = _closedness(before), _closedness(after)
    if before is None or (closed_before is not None and closed_after is not None and closed_after > closed_before):
        kind, closes = "classification_tightened", True
        why = "whoever lacks the right to see such values loses the column"
    elif after is None or (closed_before is not None and closed_after is not None):
        kind, closes, why = "classification_loosened", False, "more people may see the values: let their owner decide"
    else:
        kind, closes = "classification_changed", True
        why = "the two words cannot be ordered, so some people may lose the column"
    yield Change(kind, words(before), words(after), COMPATIBLE, breaks(closes), why)


def _closedness(word: str | None) -> int | None:
    plain = (word or "").casefold()
    return CLASSIFICATIONS.index(plain) if plain in CLASSIFICATIONS else None


#: Attributes of a cell's reading that some versions have: what an old value must not lose. A later one is accepted.
_MILDER: dict[str, Callable[[Any, Any], bool]] = {
    "percent": lambda before, after: bool(after),
    "numbers_as_text": lambda before, after: after == "accept",
    "text_as_numbers": lambda before, after: after == "accept",
    "personal_data": lambda before, after: set(before) <= set(after),
}


def _told_apart(name: str, before: Any, after: Any) -> Iterator[Change]:
    """A change of an attribute that has no rule of its own; one that is not known at all counts as breaking."""
    if before == after:
        return
    if name in _MILDER:
        milder = _MILDER[name](before, after)
        why = "more cells are accepted" if milder else "some old cells are not accepted"
        yield Change(name, words(before), words(after), breaks(not milder), COMPATIBLE, why)
    else:
        why = "its effect is not known, so it counts as breaking"
        yield Change(name, words(before), words(after), breaks(True), breaks(True), why)


#: Which attributes each comparison answers for.
_COMPARED: tuple[tuple[set[str], Callable[[Field, Field], Iterator[Change]]], ...] = (
    ({"name"}, _name),
    ({"headers"}, _headers),
    ({"type"}, _type),
    ({"formats"}, _formats),
    ({"required"}, _required),
    ({"may_be_absent"}, _absent),
    ({"unique"}, _unique),
    ({"null_words"}, _null_words),
    ({"decimal_sign", "thousands_sign", "currency_signs", "parentheses"}, _numbers),
    ({"true_words", "false_words"}, _words),
    (
        {"min_length", "max_length", "minimum", "maximum", "exclusive_minimum", "exclusive_maximum", "pattern"},
        _limits,
    ),
    ({"classification"}, _classification),
)
