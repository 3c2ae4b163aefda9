"""What a check found, as values: the vocabulary that every other room speaks.

A `Finding` says where (file, sheet, row, column), what was expected and what was found.
This module imports nothing of assay, so that errors can carry findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]

#: How many example cells of one kind of problem a report carries.
EXAMPLES_PER_KIND = 5


def column_letter(index: int) -> str:
    """The spreadsheet letter of a zero-based column: 0 is A, 26 is AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


@dataclass(frozen=True)
class Cell:
    """One place in a delivered file: physical row (1-based), column letter, and the text that stands there."""

    row: int | None = None
    column: str | None = None
    found: str | None = None
    sheet: str | None = None

    def __str__(self) -> str:
        place = f"{self.sheet}!" if self.sheet else ""
        if self.row is None:
            return place + (self.column or "")
        return f"{place}{self.column}{self.row}" if self.column else f"{place}row {self.row}"


@dataclass(frozen=True)
class Finding:
    """One kind of thing found wrong or odd in a batch, with the first cells that show it.

    `kind` is a stable word (`missing_column`, `type_mismatch`, ...); `count` is how many cells or rows are
    concerned; `cells` holds the first of them (`EXAMPLES_PER_KIND` unless more were asked for). `header` is what
    the file calls the field's column. `holds` says that a steward must look whatever the pipeline's setting.
    """

    kind: str
    message: str
    severity: Severity = "error"
    field: str | None = None
    expected: str | None = None
    count: int = 1
    cells: tuple[Cell, ...] = ()
    rule: str | None = None
    holds: bool = False
    header: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Finding:
        """The inverse of `to_dict`."""
        cells = tuple(Cell(**cell) for cell in values.get("cells", ()))
        return Finding(**{**values, "cells": cells})


def masked(text: str) -> str:
    """The shape of a value in place of the value: letters become x or X, digits 9; the rest stays."""
    return "".join("9" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in text)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among findings, or None when there are none."""
    present = {finding.severity for finding in findings}
    order: tuple[Severity, ...] = ("error", "warning", "info")
    for severity in order:
        if severity in present:
            return severity
    return None
