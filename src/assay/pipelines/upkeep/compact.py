"""Many small files of the lake become few that hold the same rows.

A batch leaves a file in every table that it passes, so a thousand small batches leave a thousand files that each
question opens. The new files are prepared in the open; one short commit puts them in the place of the old ones,
unless somebody replaced those meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from assay.engines.duckdb import PARQUET, Engine, literal, path_list, quoted
from assay.engines.duckdb import connect as engine_connect
from assay.errors import AssayError
from assay.pipelines.platform import Platform
from assay.pipelines.upkeep.scope import Scope, Step
from assay.segments.relations import file_rows
from assay.stores.database import transaction
from assay.stores.iceberg import Iceberg
from assay.stores.iceberg_upkeep import LakeFile, Swap, TableState, groups, prepared, state_of, swap
from assay.stores.lake import LakeTable
from assay.stores.lake_schema import Place
from assay.zones.limits import size_bytes

#: How much is prepared for one commit, in bytes of old files: more is more work lost when somebody cuts in.
ROUND_BYTES = 1 << 30
#: A file of an analytical table that is refreshed in part is left alone until it has rested so long, in seconds: what
#: was refreshed lately is refreshed again, and then leaves as a whole file.
REST_SECONDS = 24 * 3600
#: A table of more files is not left until housekeeping comes by its schedule: reading and committing take longer
#: with each file.
FILES_CROWDED = 32
#: Whose batches were at work in the last so many seconds is looked at.
RECENT_SECONDS = 120


def crowded(platform: Platform) -> frozenset[Place]:
    """The tables of the lake that the batches of the last minutes have filled with many files."""
    rows = platform.connection.execute(
        "SELECT DISTINCT b.zone, b.pipeline FROM assay.segment_run AS r JOIN assay.batch AS b ON b.id = r.batch_id "
        "WHERE r.finished_at > now() - make_interval(secs => %s)",
        (RECENT_SECONDS,),
    ).fetchall()
    recent = set(rows)
    owners = Scope(platform).owners()
    places = [place for place, (pipeline, _) in owners.items() if (pipeline.zone, pipeline.name) in recent]
    iceberg = Iceberg(platform.connection, platform.data)
    return frozenset(place for place in places if iceberg.file_count(*place) > FILES_CROWDED)


def compact(scope: Scope) -> Iterator[Step]:
    """Puts the small files of every table together."""
    target_bytes = size_bytes(scope.platform.project.maintain.file_size)
    owners = scope.owners()
    with scope.platform.scratch() as scratch:
        for place in scope.tables():
            made = owners[place][1] if place in owners else None
            by = ("_batch",) if made is None else made.refresh_by or ()
            rested = time.time() - REST_SECONDS if made is not None and made.refresh_by else None
            yield from _Table(scope, place, by, rested, target_bytes).compacted(scratch)


class _Table:
    def __init__(
        self, scope: Scope, place: Place, by: tuple[str, ...], rested: float | None, target_bytes: int
    ) -> None:
        self._scope, self._place, self._by = scope, place, by
        self._rested, self._target_bytes = rested, target_bytes

    def compacted(self, scratch: Path) -> Iterator[Step]:
        state, wanted = self._look()
        if state is None or not wanted:
            return
        before, after = len(state.files), len(state.files) - sum(len(group) - 1 for group in wanted)
        words = "small files can be put together"
        if not self._scope.dry:
            platform = self._scope.platform
            with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
                words, after = self._work(engine, state, wanted)
        yield Step("compact", ".".join(self._place), words, before, after)

    def _work(self, engine: Engine, state: TableState | None, wanted: list[tuple[LakeFile, ...]]) -> tuple[str, int]:
        words = "small files were put together"
        while state is not None and wanted:
            if not self._round(engine, state, wanted):
                words = "the table was changed meanwhile; the next run goes on"
                break
            state, wanted = self._look()
        return words, len(state.files) if state else 0

    def _look(self) -> tuple[TableState | None, list[tuple[LakeFile, ...]]]:
        """The table's files, and those that are worth being put together."""
        iceberg = Iceberg(self._scope.platform.connection, self._scope.platform.data)
        state = state_of(iceberg, *self._place, self._by)
        if state is None:
            return None, []
        return state, groups([file for file in state.files if self._at_rest(file)], self._target_bytes)

    def _at_rest(self, file: LakeFile) -> bool:
        return self._rested is None or Path(file.path).stat().st_mtime < self._rested

    def _round(self, engine: Engine, state: TableState, wanted: list[tuple[LakeFile, ...]]) -> bool:
        """Prepares new files for the first groups and puts them in place; False where not one could be."""
        platform = self._scope.platform
        iceberg = Iceberg(platform.connection, platform.data)
        swaps: list[Swap] = []
        size = 0
        for group in wanted:
            size += sum(file.size_bytes for file in group)
            if swaps and size > ROUND_BYTES:
                break
            swaps.append(prepared(iceberg, state, group, together(engine, iceberg, state, group)))
        with transaction(platform.connection) as tx:
            done = swap(Iceberg(tx, platform.data), state, swaps)
        for one in swaps:
            if one not in done:
                one.new.unlink()
        return bool(done)


def together(engine: Engine, iceberg: Iceberg, state: TableState, group: tuple[LakeFile, ...]) -> Path:
    """Writes the rows of some files into a new one, in the order of the files, with the columns of now.

    Raises `AssayError` where the new file does not hold exactly the rows that were there.
    """
    new = iceberg.new_file(state.namespace, state.name, "compact")
    there = file_rows(LakeTable(state.namespace, state.name, state.columns), [file.path for file in group])
    names = [quoted(name) for name, _ in state.columns]
    columns = ", ".join(
        f"CAST({name} AS {kind.duckdb}) AS {name}" for name, (_, kind) in zip(names, state.columns, strict=True)
    )
    rows = f"(SELECT {columns} FROM {there})"
    engine.run(f"COPY {rows} TO {literal(str(new))} ({PARQUET})")
    written = f"read_parquet({path_list([str(new)])})"
    # Equal sums of equal hashes, whatever the order of the rows.
    before, after = (
        engine.row(f"SELECT count(*), sum(hash({', '.join(names)})) FROM {relation}") for relation in (rows, written)
    )
    if before != after or before[0] != sum(file.rows for file in group):
        new.unlink()
        raise AssayError(
            f"{len(group)} files of {state.namespace}.{state.name} do not add up when they are put together",
            where=group[0].path,
            expected=f"{sum(file.rows for file in group):,} rows, as the table says; found {before[0]:,}",
            next="assay doctor",
        )
    return new
