"""A batch beside its source's earlier ones: the same rows once more, or figures far out.

Far out is what lies more than 3.5 robust standard deviations (1.4826 times the median absolute deviation) from
the median, after B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers (1993); a history that hardly
varies gets a floor, below which a difference is nothing to look at. Numbers of rows are compared by their
logarithms: months differ by factors, and on the plain scale a tenth of a usual month may lie within the allowed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import log
from statistics import median
from typing import TYPE_CHECKING

from assay.batch import Profile
from assay.findings import Finding

if TYPE_CHECKING:
    from assay.zones.model import ChecksFile

DEVIATIONS_MOST = 3.5
#: A difference below this part of the median is ordinary, however steady the history.
RELATIVE_FLOOR = 0.1
#: A share of rows (nulls, categories) that differs by less is ordinary.
SHARE_FLOOR = 0.05
CATEGORIES_NAMED = 5


@dataclass(frozen=True)
class Earlier:
    """An earlier batch of the source, the newest first in a history.

    `current` says that no later batch took the place of its rows, as one does that replaces a period or the whole.
    """

    batch: int
    file_name: str
    period: str | None
    profile: Profile
    current: bool = True


def compare(now: Profile, history: Sequence[Earlier], checks: ChecksFile) -> tuple[Finding, ...]:
    """What is odd about a batch, in words: its rows stood in an earlier one, or its figures are far out."""
    found: list[Finding] = []
    if checks.duplicates != "off":
        found += _repeated(now, history, holds=checks.duplicates == "hold")
    lately = history[: checks.batches]
    if checks.outliers != "off" and len(lately) >= checks.at_least and now.rows:
        found += _far_out(now, lately, holds=checks.outliers == "hold")
    return tuple(found)


def _repeated(now: Profile, history: Sequence[Earlier], *, holds: bool) -> list[Finding]:
    same = [
        one
        for one in history
        if now.rows and one.current and (one.profile.fingerprint, one.profile.scheme) == (now.fingerprint, now.scheme)
    ]
    if not same:
        return []
    first = same[0]
    what = f"all {now.rows:,} rows stood in batch {first.batch} ({first.file_name}) already"
    return [Finding("duplicate_content", what, severity="warning", holds=holds, count=now.rows)]


def _far_out(now: Profile, history: Sequence[Earlier], *, holds: bool) -> list[Finding]:
    span = _span(history)
    found: list[Finding] = []

    def odd(kind: str, what: str, field: str | None = None, expected: str | None = None) -> None:
        found.append(Finding(kind, what, severity="warning", field=field, expected=expected, holds=holds))

    rows = [Decimal(one.profile.rows) for one in history]
    if _out_by_ratio(now.rows, [one.profile.rows for one in history]):
        odd("unusual_rows", f"{now.rows:,} rows; {span} had {_range(rows)}", expected=_range(rows))
    for name, column in now.columns.items():
        past = [one.profile for one in history if name in one.profile.columns]
        if len(past) < len(history):
            continue
        totals = [one.columns[name].total for one in past]
        known = [total for total in totals if total is not None]
        if column.total is not None and len(known) == len(history) and _out(column.total, known):
            what = f"column {name} sums to {column.total:,}; {span} had {_range(known)}"
            odd("unusual_sum", what, name, _range(known))
        shares = [one.columns[name].nulls / one.rows if one.rows else 0.0 for one in past]
        share = column.nulls / now.rows
        if _share_out(share, shares):
            usual = f"{min(shares):.1%} to {max(shares):.1%}"
            odd("unusual_nulls", f"column {name} is empty in {share:.1%} of the rows; {span} had {usual}", name, usual)
        for words in _categories(name, now, past, span):
            odd("unusual_categories", words, name)
    return found


def _out(value: Decimal, history: Sequence[Decimal]) -> bool:
    middle = median(history)
    deviation = median(abs(one - middle) for one in history)
    allowed = max(float(deviation) * 1.4826 * DEVIATIONS_MOST, float(abs(middle)) * RELATIVE_FLOOR)
    return float(abs(value - middle)) > allowed


def _out_by_ratio(value: int, history: Sequence[int]) -> bool:
    logs = [log(max(one, 1)) for one in history]
    middle = median(logs)
    deviation = median(abs(one - middle) for one in logs)
    return abs(log(value) - middle) > max(deviation * 1.4826 * DEVIATIONS_MOST, log(1 + RELATIVE_FLOOR))


def _share_out(value: float, history: Sequence[float]) -> bool:
    middle = median(history)
    deviation = median(abs(one - middle) for one in history)
    return abs(value - middle) > max(deviation * 1.4826 * DEVIATIONS_MOST, SHARE_FLOOR)


def _categories(name: str, now: Profile, past: Sequence[Profile], span: str) -> list[str]:
    """Values that nobody saw before, and values that were always there and are gone, where they weigh something."""
    counted = [one.columns[name].categories for one in past]
    if not all(counted) or not now.columns[name].categories:
        return []
    seen = {word for categories in counted for word in categories}
    fresh = {word: n for word, n in now.columns[name].categories.items() if word not in seen}
    words = []
    if sum(fresh.values()) / now.rows >= SHARE_FLOOR:
        words.append(f"{sum(fresh.values()):,} rows have values in {name} that {span} did not have: {_named(fresh)}")
    always = {word: median(c.get(word, 0) / one.rows for c, one in zip(counted, past, strict=True)) for word in seen}
    gone = [
        word
        for word, share in always.items()
        if share >= SHARE_FLOOR and all(word in c for c in counted) and word not in now.columns[name].categories
    ]
    if gone:
        words.append(f"no row has {_named(gone)} in {name}; each of {span} had")
    return words


def _named(words: Sequence[str] | dict[str, int]) -> str:
    shown = [f'"{word[:40]}"' for word in list(words)[:CATEGORIES_NAMED]]
    more = len(words) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _range(values: Sequence[Decimal]) -> str:
    return f"{min(values):,} to {max(values):,}"


def _span(history: Sequence[Earlier]) -> str:
    months = all(one.period and re.fullmatch(r"[0-9]{4}-[0-9]{2}", one.period) for one in history)
    return f"the last {len(history)} {'months' if months else 'batches'}"
