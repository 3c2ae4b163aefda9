"""A lake in a folder of its own, to try a movement without anybody seeing it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Draft:
    """Holds the files of one batch; `put` adds to what a table has, and nothing is ever replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[tuple[str, str], list[str]] = {}

    def files(self, namespace: str, name: str, batch: int | None = None) -> list[str]:
        """The files that were put into a table."""
        return list(self._tables.get((namespace, name), ()))

    def file_count(self, namespace: str, name: str) -> int:
        """How many files were put into a table."""
        return len(self.files(namespace, name))

    def new_file(self, namespace: str, name: str, hint: str) -> Path:
        """A path for a new file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{namespace}.{name}-{hint}-{secrets.token_hex(6)}.parquet"

    def put(self, namespace: str, name: str, files: Iterable[Path], *, replacing: Any = None) -> None:
        """Adds files to a table of the draft."""
        self._tables.setdefault((namespace, name), []).extend(str(path) for path in files)
