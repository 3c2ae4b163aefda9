"""Every error assay raises on purpose.

    AssayError
    ├── Usage           the command was called wrongly          (exit 2)
    ├── Misconfigured   a file of the project must be edited    (exit 1)
    ├── Rejected        the contract refused a delivery         (exit 3)
    ├── Held            a steward must look                     (exit 4)
    ├── Denied          a policy says no                        (exit 5)
    ├── NotFound        a named thing does not exist            (exit 1)
    └── Unavailable     a part did not answer: try again        (exit 1)

The branches follow who has to act. A message has four parts: what happened, where, what was expected,
what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from assay.findings import Finding


class AssayError(Exception):
    """Base of the family.

    Parameters are kept as attributes, so that the terminal, the API and a page render the same error:
    `what` happened, `where` (file:line, sheet, cell, dataset), what was `expected`, and the `next` step.
    """

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        next: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.next = next
        super().__init__(what)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.expected:
            parts.append(f"Expected: {self.expected}")
        if self.next:
            parts.append(f"Next: {self.next}")
        return "\n".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword-only arguments do not pickle by default, and errors cross process borders here.
        return _rebuild, (type(self), self.__dict__.copy())

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-ready values, one shape for every door."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "expected": self.expected,
            "next": self.next,
        }


def _rebuild(cls: type[AssayError], state: dict[str, Any]) -> AssayError:
    error = cls.__new__(cls)
    Exception.__init__(error, state.get("what", ""))
    error.__dict__.update(state)
    return error


class Usage(AssayError):
    """The command was called wrongly."""

    exit_code = 2


class Misconfigured(AssayError):
    """A file of the project must be edited; `problems` holds every one that was found, `file:line` first."""

    def __init__(
        self,
        what: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        expected: str | None = None,
        next: str | None = None,
        problems: Iterable[Misconfigured] = (),
    ) -> None:
        where = None if file is None else f"{file}:{line}" if line else str(file)
        super().__init__(what, where=where, expected=expected, next=next)
        self.file = None if file is None else str(file)
        self.line = line
        self.problems = tuple(problems)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "problems": [problem.to_dict() for problem in self.problems]}


class Rejected(AssayError):
    """A delivery does not fit its contract: nothing of it moved on; `findings` say why, by cell.

    `rows_total` and `rows_affected` count the rows of the file and those with anything wrong, where that is known.
    """

    exit_code = 3

    def __init__(
        self,
        what: str,
        findings: Iterable[Finding] = (),
        *,
        where: str | None = None,
        expected: str | None = None,
        next: str | None = "correct the file and deliver it again",
        rows_total: int | None = None,
        rows_affected: int | None = None,
    ) -> None:
        super().__init__(what, where=where, expected=expected, next=next)
        self.findings = tuple(findings)
        self.rows_total = rows_total
        self.rows_affected = rows_affected

    def to_dict(self) -> dict[str, Any]:
        return {
            **super().to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "rows_total": self.rows_total,
            "rows_affected": self.rows_affected,
        }


class Held(AssayError):
    """A batch waits for a steward's decision."""

    exit_code = 4


class Denied(AssayError):
    """A policy says no; `action` is what was asked for, where that has a name."""

    exit_code = 5

    def __init__(
        self,
        what: str,
        *,
        action: str | None = None,
        where: str | None = None,
        expected: str | None = None,
        next: str | None = None,
    ) -> None:
        super().__init__(what, where=where, expected=expected, next=next)
        self.action = action


class NotFound(AssayError):
    """A named thing does not exist."""


class Unavailable(AssayError):
    """A part that assay needs did not answer; the same command may succeed later."""

    retryable = True


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when nothing is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
