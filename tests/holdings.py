"""What the stores hold, many tables at a time: an engine that is begun for each would take longer than its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from assay.pipelines.platform import Platform
from assay.pipelines.query import Rows, reading


def ask_each(platform: Platform, statements: Sequence[str], zone: str | None = None) -> list[Rows]:
    """The columns and rows of several statements, as `ask` gives them for one."""
    with reading(platform, statements, zone) as engine:
        return [(columns, list(rows)) for columns, rows in map(engine.streamed, statements)]


def held(platform: Platform, tables: Iterable[str], zone: str | None = None) -> dict[str, Rows]:
    """The columns and rows of tables, by their names."""
    names = list(tables)
    found = ask_each(platform, [f"SELECT * FROM {name}" for name in names], zone)
    return dict(zip(names, found, strict=True))


def counted(platform: Platform, tables: Iterable[str], zone: str | None = None) -> dict[str, Counter[tuple[Any, ...]]]:
    """How often each row stands in tables, by their names."""
    return {name: Counter(rows) for name, (_, rows) in held(platform, tables, zone).items()}
