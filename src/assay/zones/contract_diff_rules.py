"""Changes of quality rules: what a stricter rule takes from the deliverer, a milder one takes from the consumer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from assay.zones.contract import Comparison, Rule
from assay.zones.contract_diff_values import Change, breaks, words

#: What a rule does to data, mildest first; a warning lets everything pass, so it demands and promises nothing.
_ACTIONS = ("warn", "quarantine", "halt")
_AT_LEAST = ("mustBeGreaterThan", "mustBeGreaterOrEqualTo")
_AT_MOST = ("mustBeLessThan", "mustBeLessOrEqualTo")


def rule_changes(old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[tuple[str, Change, int]]:
    """Each change with its rule's name and line in the new contract; rules are matched by name, in their order."""
    before, after = _named(old), _named(new)
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one is None and other is not None:
            enforced = other.action != "warn"
            why = _consequence(other) if enforced else "a warning lets everything pass"
            yield name, Change("rule_added", "", other.action, breaks(enforced), breaks(False), why), other.line
        elif other is None and one is not None:
            enforced = one.action != "warn"
            why = "values may arrive that the rule kept away" if enforced else "a warning promised nothing"
            yield name, Change("rule_removed", one.action, "", breaks(False), breaks(enforced), why), 0
        elif one is not None and other is not None:
            for change in _changes(one, other):
                yield name, change, other.line


def _named(rules: Sequence[Rule]) -> dict[str, Rule]:
    """The rules by name; a name that stands twice is counted on."""
    named: dict[str, Rule] = {}
    for rule in rules:
        name, number = rule.name, 2
        while name in named:
            name, number = f"{rule.name} ({number})", number + 1
        named[name] = rule
    return named


def _consequence(rule: Rule) -> str:
    if rule.action == "halt":
        return "batches that break the rule are stopped"
    return "rows that break the rule are set aside"


def _changes(old: Rule, new: Rule) -> Iterator[Change]:
    if old.action != new.action:
        stricter = _ACTIONS.index(new.action) > _ACTIONS.index(old.action)
        why = _consequence(new) if stricter else "rows or batches pass that the rule kept away"
        yield Change("rule_action", old.action, new.action, breaks(stricter), breaks(not stricter), why)
    if _plain(old) == _plain(new):
        return
    enforced = "warn" not in (old.action, new.action)
    harder, milder, why = _content(old, new)
    if not enforced:
        why = "a warning lets everything pass"
    yield Change("rule_changed", _says(old), _says(new), breaks(harder and enforced), breaks(milder and enforced), why)


def _plain(rule: Rule) -> Rule:
    return replace(rule, name="", line=0, description=None, action="warn")


def _content(old: Rule, new: Rule) -> tuple[bool, bool, str]:
    """Whether the new rule refuses what the old one let pass, the other way round, and why."""
    only_values = replace(_plain(old), valid_values=None) == replace(_plain(new), valid_values=None)
    if only_values and old.valid_values is not None and new.valid_values is not None:
        gone, come = set(old.valid_values) - set(new.valid_values), set(new.valid_values) - set(old.valid_values)
        parts = [f"no longer valid: {words(sorted(map(str, gone)))}"] if gone else []
        parts += [f"newly valid, which queries may not know: {words(sorted(map(str, come)))}"] if come else []
        return bool(gone), bool(come), "; ".join(parts)
    only_threshold = replace(_plain(old), comparison=None) == replace(_plain(new), comparison=None)
    if only_threshold and old.comparison is not None and new.comparison is not None:
        compared = _thresholds(old.comparison, new.comparison)
        if compared is not None:
            harder, milder = compared
            return harder, milder, "the threshold is stricter" if harder else "the threshold is milder"
    return True, True, "what the two rules let pass cannot be compared, so it counts as both stricter and milder"


def _thresholds(old: Comparison, new: Comparison) -> tuple[bool, bool] | None:
    if old.operator != new.operator or old.unit != new.unit:
        return None
    before, after = old.values[0], new.values[0]
    if old.operator in _AT_LEAST:
        return after > before, after < before
    if old.operator in _AT_MOST:
        return after < before, after > before
    return None


def _says(rule: Rule) -> str:
    if rule.valid_values is not None:
        return words(rule.valid_values)
    said = rule.condition or rule.query or rule.pattern or words(rule.missing_values) or rule.kind
    return f"{said} {rule.comparison}" if rule.comparison is not None else said
