"""Which databases keep their files in a data folder: what one of them does not know may be all that another has."""

from __future__ import annotations

from pathlib import Path


def claim(data: Path, database: str) -> None:
    """Says in the data folder that files of the database lie in it."""
    folder = data / "databases"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / database).touch()


def others(data: Path, database: str | None) -> list[Path]:
    """What other databases left in the data folder to say so."""
    return sorted(path for path in (data / "databases").glob("*") if path.name != database)
