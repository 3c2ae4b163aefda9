"""The steward's gate of a pipeline, as its file sets it: when a person must look, who may, and who is told when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

Steward = Literal["always", "on_finding", "never"]
WORDS: tuple[Steward, ...] = get_args(Steward)

#: The form of a span of time in the project's files.
SPAN_PATTERN = r"^[1-9][0-9]* (minute|hour|day|week)s?$"


@dataclass(frozen=True)
class Gate:
    """When a steward must look at a batch, and what happens while it waits.

    `default` is for the batch as a whole; `kinds` (by the name of a rule, else the kind of finding) goes before it.
    `four_eyes`: whoever delivered a batch does not decide on it. `remind_after` repeats; after
    `escalate_after` the people of `escalate_to` are told, once.
    """

    default: Steward = "never"
    kinds: Mapping[str, Steward] = field(default_factory=dict)
    four_eyes: bool = True
    remind_after: timedelta | None = None
    escalate_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()


#: The gate of a pipeline that does not set one.
OPEN = Gate()


def span(text: str) -> timedelta:
    """The length of a span such as `2 days`; raises ValueError for another form."""
    if not re.fullmatch(SPAN_PATTERN, text):
        raise ValueError(f"{text} is not a span such as 30 minutes, 2 days or 1 week")
    number, unit = text.split()
    return timedelta(**{unit.removesuffix("s") + "s": int(number)})
