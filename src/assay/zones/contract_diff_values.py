"""The vocabulary of a contract's differences, shared by the modules that find them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Effect = Literal["compatible", "breaking"]
COMPATIBLE: Effect = "compatible"


@dataclass(frozen=True)
class Change:
    """One change: its kind, both sides in words, what it means for the deliverer and for the consumer, and why."""

    kind: str
    old: str
    new: str
    deliverer: Effect
    consumer: Effect
    why: str


def breaks(really: bool) -> Effect:
    """`breaking` when something really breaks."""
    return "breaking" if really else "compatible"


def words(value: Any) -> str:
    """A value of a contract as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        return ", ".join(f'"{one}"' if one == "" else str(one) for one in value)
    return str(value)
