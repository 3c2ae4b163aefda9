"""The report on a delivery: findings → everything wrong with the file at once, grouped and bounded.

One frozen value serves the terminal, the JSON output, a web page and the returned file. It never grows with the
file: groups, cells and texts have a most. Values of sensitive fields appear as their shape only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from assay.findings import EXAMPLES_PER_KIND, Cell, Finding, Severity, masked
from assay.stewardship.kinds import kind_of
from assay.stewardship.words import named, plain

if TYPE_CHECKING:
    from assay.zones.contract import Contract, Field

#: How many groups one severity shows.
PROBLEMS_MOST = 40
#: How much of a text from a file or a contract is shown.
CHARACTERS_MOST = 300

Outcome = Literal["accepted", "rejected", "held", "under_way"]
_GRAVITY: tuple[Severity, ...] = ("error", "warning", "info")
_HEADINGS: dict[Severity, str] = {
    "error": "To be corrected",
    "warning": "To be looked at",
    "info": "Remarks",
}
#: Kinds of single cells, which must look as their field's type says.
_OF_CELLS = frozenset(
    {"type_mismatch", "ambiguous_date", "rounded_number", "missing_value", "number_as_text", "text_as_number"}
)
#: Kinds whose `count` is of something else than rows.
_NOT_ROWS = frozenset({"duplicate_column", "missing_column", "unknown_column", "renamed_column"})
_SINGULAR = {"are": "is", "have": "has", "look": "looks", "do": "does"}


@dataclass(frozen=True)
class Problem:
    """One kind of problem in one column: what, how often, where first, and what the sender does about it.

    `column` is the header as delivered, `field` the contract's name, `letters` where the column stands. `count` is
    of cells or rows; `rows` is None where rows are not what is counted. `more_cells` counts those beyond `cells`.
    """

    kind: str
    severity: Severity
    title: str
    says: str
    column: str | None
    field: str | None
    letters: tuple[str, ...]
    expected: str | None
    count: int
    rows: int | None
    cells: tuple[Cell, ...]
    more_cells: int
    next: str
    holds: bool
    rule: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values under the names of the attributes; a cell also says its `place`, such as `Card!F118`."""
        cells = [{**asdict(cell), "place": str(cell)} for cell in self.cells]
        return {**asdict(self), "letters": list(self.letters), "cells": cells}


@dataclass(frozen=True)
class Group:
    """The problems of one severity, in the order of the file's columns; `more` were left out."""

    severity: Severity
    heading: str
    problems: tuple[Problem, ...]
    more: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values under the names of the attributes."""
        return {
            "severity": self.severity, "heading": self.heading,
            "problems": [problem.to_dict() for problem in self.problems], "more": self.more,
        }  # fmt: skip


@dataclass(frozen=True)
class Report:
    """Everything found in one delivery. Rows are None where the file could not be read."""

    file: str
    outcome: Outcome
    summary: str
    next: str
    dataset: str | None
    contract_version: str | None
    batch: int | None
    rows_total: int | None
    rows_affected: int | None
    groups: tuple[Group, ...]

    def to_dict(self) -> dict[str, Any]:
        """The web-ready structure, with stable names: those of the attributes, here and in `groups`."""
        return {**asdict(self), "groups": [group.to_dict() for group in self.groups]}


def report(
    findings: Iterable[Finding],
    *,
    file: str,
    outcome: Outcome,
    contract: Contract | None = None,
    batch: int | None = None,
    rows_total: int | None = None,
    rows_affected: int | None = None,
    cells_most: int = EXAMPLES_PER_KIND,
) -> Report:
    """The report; without the contract it keeps to the findings' own words."""
    fields = {field.name: field for field in contract.fields} if contract else {}
    merged = _merged(findings)
    problems = [_problem(finding, fields, cells_most) for finding in merged]
    order = {name: number for number, name in enumerate(fields)}
    problems.sort(key=lambda problem: order.get(problem.field or "", len(order) if problem.field else -1))
    groups = tuple(
        Group(severity, _HEADINGS[severity], tuple(those[:PROBLEMS_MOST]), max(0, len(those) - PROBLEMS_MOST))
        for severity in _GRAVITY
        if (those := [problem for problem in problems if problem.severity == severity])
    )
    return Report(
        file=shown(file),
        outcome=outcome,
        summary=_summary(shown(file), outcome, groups, rows_total, rows_affected),
        next=_next(outcome, groups),
        dataset=contract.dataset if contract else None,
        contract_version=contract.version if contract else None,
        batch=batch,
        rows_total=rows_total,
        rows_affected=rows_affected,
        groups=groups,
    )


def shown(text: str) -> str:
    """A text of a delivered file as it may be printed: no control or invisible direction signs, and not too long."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: CHARACTERS_MOST + 1])
    return safe if len(safe) <= CHARACTERS_MOST else safe[: CHARACTERS_MOST - 1] + "…"


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each severity, kind, column and rule: those of several sheets become one."""
    merged: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        # What no field or rule tells apart is told apart by its own words.
        words = "" if finding.field or finding.rule else finding.message
        key = (finding.severity, finding.kind, finding.field, finding.rule, words)
        same = merged.get(key)
        merged[key] = finding if same is None else replace(
            same, count=same.count + finding.count, cells=(*same.cells, *finding.cells),
            holds=same.holds or finding.holds,
        )  # fmt: skip
    return list(merged.values())


def _problem(finding: Finding, fields: dict[str, Field], cells_most: int) -> Problem:
    kind = kind_of(finding.kind)
    field = fields.get(finding.field or "")
    column = finding.header or (field.headers[0] if field else finding.field)
    # Of a rule that has no description the expectation is the zone's SQL.
    expected = _expected(finding, field)
    words = {
        "column": f'"{column}"' if column else "named", "expected": expected or "as agreed",
        "count": f"{finding.count:,}",
    }  # fmt: skip
    told = kind.says.format(**words) if kind.says and (field or finding.kind != "missing_value") else finding.message
    places = tuple(_masked(cell, field) for cell in finding.cells[:cells_most])
    letters = dict.fromkeys(cell.column for cell in finding.cells if cell.column)
    rows = finding.kind not in _NOT_ROWS and any(cell.row is not None for cell in finding.cells)
    return Problem(
        kind=finding.kind,
        severity=finding.severity,
        title=kind.title,
        says=shown(_plural(told, finding.count)),
        column=shown(column) if column else None,
        field=finding.field,
        letters=tuple(letters)[:cells_most],
        expected=shown(expected) if expected else None,
        count=finding.count,
        rows=finding.count if rows else None,
        cells=places,
        more_cells=max(0, finding.count - len(places)) if places else 0,
        next=shown(kind.sender.format(**words)),
        holds=finding.holds,
        rule=finding.rule,
    )


def _expected(finding: Finding, field: Field | None) -> str | None:
    if field is not None and finding.kind in ("missing_column", "renamed_column"):
        return named(field.headers)
    return plain(field) if field is not None and finding.kind in _OF_CELLS else finding.expected


def _masked(cell: Cell, field: Field | None) -> Cell:
    """The cell as it may be shown; the contract may have become stricter since the finding was recorded."""
    if cell.found is None:
        return cell
    return replace(cell, found=shown(masked(cell.found) if field is not None and field.sensitive else cell.found))


def _plural(text: str, count: int) -> str:
    """`3 cell(s)` as people write it."""
    if count != 1:
        return text.replace("(s)", "s")
    one = re.sub(r"\b(1 \w+)\(s\) (are|have|look|do)\b", lambda match: f"{match[1]} {_SINGULAR[match[2]]}", text)
    return one.replace("(s)", "")


def _summary(
    file: str, outcome: Outcome, groups: Sequence[Group], rows_total: int | None, rows_affected: int | None
) -> str:
    kinds = sum(len(group.problems) + group.more for group in groups if group.severity != "info")
    verdict = {
        "accepted": f"{file} was accepted",
        "rejected": f"{file} was not accepted, and nothing of it was taken in",
        "held": f"{file} waits until somebody at the receiver has looked at it",
        "under_way": f"{file} is on its way",
    }[outcome]
    parts = [f"{kinds} kind{'' if kinds == 1 else 's'} of problem"] if kinds else []
    if rows_total is not None and rows_affected:
        parts.append(f"{rows_affected:,} of {rows_total:,} rows affected")
    elif rows_total:
        parts.append(f"{rows_total:,} row{'' if rows_total == 1 else 's'}")
    return f"{verdict}: {', '.join(parts)}." if parts else f"{verdict}."


def _next(outcome: Outcome, groups: Sequence[Group]) -> str:
    if outcome == "rejected":
        return "Correct the file and deliver the whole file again under the same name."
    if outcome == "held":
        return "Wait for the answer; if the file is wrong, deliver a corrected one under the same name."
    if any(group.severity == "warning" for group in groups):
        return "Nothing must be done; what is listed should be put right in the next file."
    return "Nothing must be done."
