"""What the engine of a question is handed for each table: files of permitted rows and columns, and nothing else.

A table of the lake of which every row and cell may be seen is read from its own files; a view that projects the
permitted columns is all that the question can name. Where a row or a cell is hidden, what may be seen is written to a
file of its own first: a view would be no barrier. Operational rows come from PostgreSQL into such a file, too, so
that the engine of the question holds no password; where all of a table may be seen, only those that can be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from assay.engines.duckdb import Engine, literal, path_list, quoted
from assay.engines.narrowing import Alternatives, decidable, where
from assay.engines.sql import Parts
from assay.errors import AssayError, Unavailable
from assay.segments.relations import file_rows
from assay.stores.lake import LakeTable, analytical, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.serving.sight import Sight
    from assay.zones.project import Zone
    from assay.zones.types import FieldType

#: How rows are written that the next engine reads at once and once.
_WRITTEN = "FORMAT parquet, COMPRESSION uncompressed"


@dataclass(frozen=True)
class Relation:
    """A table as the question names it, the SELECT that stands for it, and the files that the SELECT reads.

    `lasting` says that a file of that name never holds anything else, `narrowed` by which conditions of the question
    rows were left out of it.
    """

    parts: Parts
    select: str
    files: tuple[str, ...]
    lasting: bool
    narrowed: Alternatives = ()


class Preparation:
    """Makes relations, by an engine that the question never meets.

    `postgres` attaches the PostgreSQL of a zone's rows to that engine and gives its name there, `files` gives the
    current files of a table of the lake, `key` the key of a zone's hashes, `held` the batches of a zone that wait for
    a steward.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        postgres: Callable[[str], str],
        files: Callable[[LakeTable], list[str]],
        key: Callable[[str], bytes],
        held: Callable[[str], list[int]],
    ) -> None:
        self._engine = engine
        self._postgres = postgres
        self._files = files
        self._key = key
        self._held = held

    def relations(
        self, seen: Iterable[tuple[Parts, Sight]], scratch: Path, narrowing: Mapping[Parts, Alternatives]
    ) -> list[Relation]:
        """The relations of what is seen; files of their own are written to `scratch`, made when needed.

        `narrowing` says which rows of a table the question can use, where that is known.
        """
        made = []
        for number, (parts, sight) in enumerate(seen):
            table = lake_table(sight.zone, sight.store, sight.name)
            if table is not None and sight.open:
                files = self._files(table)
                select = f"SELECT {sight.needed()} FROM {file_rows(table, files)}"
                made.append(Relation(parts, select, tuple(files), lasting=True))
            else:
                file = scratch / f"{number}-{_shape(sight)}.parquet"
                made.append(self._written(parts, sight, table, file, narrowing.get(parts, ())))
        return made

    def _written(
        self, parts: Parts, sight: Sight, table: LakeTable | None, file: Path, narrowing: Alternatives
    ) -> Relation:
        key = self._key(sight.zone.name) if any("hash" in part.masks.values() for part in sight.parts) else b""
        held = self._held(sight.zone.name) if sight.seen_while_held else ()
        narrowed = _narrowed(sight, narrowing) if table is None else ()
        source = self._operational(sight, narrowed) if table is None else file_rows(table, self._files(table))
        file.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            self._engine().run(f"COPY ({sight.select(source, key, held)}) TO {literal(str(file))} ({_WRITTEN})")
        except AssayError as error:
            if narrowed:  # a column may not be what the contract says: without conditions it does not matter
                return self._written(parts, sight, table, file, ())
            # What the engine says here may speak of what is hidden.
            raise Unavailable(
                f"{'.'.join(parts)} could not be made ready", expected="rows and masks of `access` that fit the table",
                next="ask the owner of the zone to run assay plan; then run the same command again",
            ) from (None if sight.filtered or sight.masked else error)  # fmt: skip
        return Relation(parts, f"SELECT * FROM read_parquet({path_list([str(file)])})", (str(file),), False, narrowed)

    def _operational(self, sight: Sight, narrowed: Alternatives) -> str:
        """Rows of an operational table, asked of PostgreSQL as they stand: no catalogue is kept that could be old."""
        zone = sight.zone.name
        name = sight.zone.publications[sight.name].table if sight.store == "published" else sight.name
        asked = f"SELECT {sight.needed()} FROM {quoted(zone)}.{quoted(name)}{where(narrowed, _types(sight))}"
        return f"postgres_query({literal(self._postgres(zone))}, {literal(asked)})"


def lake_table(zone: Zone, store: str, name: str) -> LakeTable | None:
    """The table of the lake that holds a table's rows; None where PostgreSQL does."""
    if store == "published":
        offered = zone.publications[name]
        store, name = offered.store, offered.table
    if store == "operational":
        return None
    if store == "analytical":
        return analytical(zone.analytical[name])
    make = {"readable": readable, "staging": clean, "quarantine": quarantine}
    return make[store](zone.sources[name])


def _narrowed(sight: Sight, narrowing: Alternatives) -> Alternatives:
    """The conditions by which PostgreSQL may choose rows: none over rows or cells that the asker does not see."""
    return decidable(narrowing, _types(sight)) if narrowing and sight.open else ()


def _types(sight: Sight) -> dict[str, FieldType]:
    return {column.name: column.type for column in sight.columns}


def _shape(sight: Sight) -> str:
    """A name for these columns and types: whoever reads a file by its name reads the same columns again."""
    told = ", ".join(f"{column.name} {column.type.duckdb}" for column in sight.columns)
    return sha256(told.encode()).hexdigest()[:12]
