"""Tables of a pipeline made anew from what its batches hold, beside those that stand.

Canonical tables are what the clean rows of their batches come to, one batch after the other. Here they are brought
together once more in a shadow, without some batch or under another configuration; what differs is shown, or takes the
place of what stands together with the analytical tables that read it, in one transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.batch import Batch
from assay.catalog import records, upkeep
from assay.engines.duckdb import Engine
from assay.engines.duckdb import connect as engine_connect
from assay.engines.sql import references
from assay.errors import NotFound, Rejected, Usage
from assay.pipelines.difference import EXAMPLES, Difference, canonical_difference, lake_difference
from assay.pipelines.handles import handed
from assay.pipelines.platform import Platform
from assay.pipelines.run import Progress
from assay.pipelines.subscriptions import sight_of
from assay.segments.conform import canonical_rows
from assay.segments.denormalize import Recomputed, put, recompute
from assay.segments.relations import Sight
from assay.stores.canonical import Rules, merge
from assay.stores.database import Connection, transaction
from assay.stores.iceberg import Iceberg
from assay.stores.operational import Violation
from assay.stores.refusal import refused
from assay.stores.shadow import Concerned, Shadow, shadow
from assay.stores.shadow_difference import Dangling, dangling, differences, shared

if TYPE_CHECKING:
    from assay.zones.project import Pipeline, Sql

#: Stores whose content changes with the batches: SQL that reads one sees more than its own batch.
_CHANGING = frozenset({"operational", "staging", "analytical"})


@dataclass(frozen=True)
class Anew:
    """Tables made anew that nobody sees yet: how they differ, and whose rows would refer to nothing.

    `shared` says of other batches how many rows that the leaving ones bring stand as they made them.
    """

    differences: tuple[Difference, ...]
    dangling: tuple[Dangling, ...]
    shared: dict[int, int]
    analytical: tuple[Recomputed, ...]
    _shadow: Shadow
    _data: Path

    def commit(self, tx: Connection, hint: str) -> None:
        """Puts the tables in the place of those that stand, in the caller's transaction.

        Raises `Rejected` where a key of the canonical tables would be broken.
        """
        try:
            with tx.transaction():
                self._shadow.take_over(tx)
        except Violation as error:
            raise Rejected(
                f"PostgreSQL refused the rows: {str(error).strip().splitlines()[0]}", next="run the same command again"
            ) from error
        put(Iceberg(tx, self._data), self.analytical, hint)


@contextmanager
def made_anew(
    platform: Platform,
    pipeline: Pipeline,
    tables: Collection[str],
    *,
    leaving: Sequence[Batch] = (),
    since: Collection[int] | None = None,
    named: Collection[str] = (),
    progress: Progress | None = None,
) -> Iterator[Anew]:
    """Makes canonical tables of a pipeline anew without the `leaving` batches, and the analytical ones that follow.

    Only rows in which a leaving batch, or one of `since`, can have had a part are made anew; all of them where neither
    is given, or where the SQL reads more than its batch. `named` analytical tables are made anew in any case. The
    caller keeps the pipeline to itself (`run.alone`) until it is done. Raises `Rejected` when the rows of a batch
    break a key, `Misconfigured` when SQL does not run, `Usage` where retention has taken clean rows that it takes.
    """
    zone = platform.project.zones[pipeline.zone]
    affected, alone = _affected(pipeline, tables, {batch.source for batch in leaving})
    gone = frozenset(batch.id for batch in leaving)
    standing = records.conformed(platform.connection, pipeline.zone, pipeline.name)
    chosen = gone | frozenset(since or ())
    everything = (not leaving and since is None) or not alone
    _check_kept(platform.connection, pipeline, standing, affected)
    with (
        platform.scratch() as scratch,
        shadow(
            platform.connection, pipeline.zone, pipeline.name, [pipeline.operational[name] for name in affected]
        ) as made,
        engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine,
    ):
        engine.attach_postgres(platform.reader_url(pipeline.zone))
        sight = replace(sight_of(platform, zone), operational=made.places, without=gone)
        work = _Work(platform, pipeline, engine, scratch, made, sight)
        for batch in standing if affected else ():
            if progress:
                progress(batch, "conform")
            work.fold(batch, into=batch.id not in gone, remembered=batch.id in chosen)
        if not everything:
            made.keep_the_rest(work.concerned(standing, chosen))
        counted = differences(platform.connection, made, examples=EXAMPLES)
        touched = {one.table for one in counted if one.added or one.removed or one.changed or one.moved}
        lake = Iceberg(platform.connection, platform.data)
        analytical = recompute(
            platform.project, zone, pipeline.name, _reading(touched, {batch.source for batch in leaving}), engine,
            handed(platform, pipeline, "denormalize", lake), scratch, named=named, sight=sight,
        )  # fmt: skip
        yield Anew(
            (
                *(canonical_difference(one) for one in counted),
                *(lake_difference(engine, one, lake) for one in analytical),
            ),
            tuple(dangling(platform.connection, made, pipeline.operational.values(), examples=EXAMPLES)),
            shared(platform.connection, made, sorted(gone)),
            tuple(analytical),
            made,
            platform.data,
        )


@dataclass(frozen=True)
class _Work:
    """What the folding of batches works with."""

    platform: Platform
    pipeline: Pipeline
    engine: Engine
    scratch: Path
    shadow: Shadow
    sight: Sight

    def fold(self, batch: Batch, *, into: bool, remembered: bool) -> None:
        """Brings the rows of one batch into the shadow, and remembers those of a batch that counts."""
        source = self.pipeline.sources.get(batch.source)
        if source is None:
            raise NotFound(
                f"batch {batch.id} is of the source {batch.source}, which the pipeline no longer has",
                where=f"{batch.zone}/{batch.pipeline}",
                next="bring the source back into pipeline.yaml",
            )
        lake = handed(
            self.platform, self.pipeline, "conform", Iceberg(self.platform.connection, self.platform.data),
            source=source,
        )  # fmt: skip
        incoming = canonical_rows(
            batch, self.platform.project, source, self.engine, lake, self.scratch,
            tables=self.shadow.places.keys(), sight=self.sight,
        )  # fmt: skip
        if remembered:
            for one in incoming:
                self.shadow.bring(one)
        if into and incoming:
            anew = [self.shadow.incoming(one) for one in incoming]
            rules = Rules.of(source, self.pipeline.precedence)
            with transaction(self.platform.connection) as tx:
                try:
                    with tx.transaction():
                        merge(tx, anew, rules, {})
                except Violation as error:
                    found = refused(tx, anew, error)
                    raise Rejected(
                        f"batch {batch.id} cannot be conformed: {found.what}", found.findings, where=batch.label,
                        next=f"assay replay {batch.id}, or withdraw it",
                    ) from error  # fmt: skip
        for one in incoming:
            one.file.unlink(missing_ok=True)

    def concerned(self, standing: Sequence[Batch], chosen: Collection[int]) -> list[Concerned]:
        """The batches that count, each with those before it."""
        numbers = [batch.id for batch in standing]
        return [
            Concerned(
                batch.id, Rules.of(self.pipeline.sources[batch.source], self.pipeline.precedence), numbers[:place]
            )
            for place, batch in enumerate(standing)
            if batch.id in chosen
        ]


def _check_kept(connection: Connection, pipeline: Pipeline, standing: Sequence[Batch], tables: Collection[str]) -> None:
    """Makes sure that the clean rows of every batch that counts are there."""
    stores = {
        source.name: "clean" if source.cleans else "readable"
        for source in pipeline.sources.values()
        if source.conform.keys() & set(tables)
    }
    needed = {batch.id: stores[batch.source] for batch in standing if batch.source in stores}
    gone = [one for one in upkeep.removals(connection, needed) if one.store == needed[one.batch]]
    if gone:
        numbers = ", ".join(str(one.batch) for one in gone[:5]) + (", ..." if len(gone) > 5 else "")
        raise Usage(
            f"the clean rows of {len(gone)} batches that {', '.join(tables)} are made of are past their retention "
            f"({gone[0].rule}): the tables cannot be made anew",
            where=f"{pipeline.zone}/{pipeline.name}",
            expected=f"the clean rows of batches {numbers}",
            next=f"assay batch show {gone[0].batch}",
        )


def _affected(pipeline: Pipeline, tables: Collection[str], sources: Collection[str]) -> tuple[list[str], bool]:
    """The tables and those whose SQL reads them, or the staging of `sources`; and whether all of their SQL reads
    nothing but its own batch, and what other zones publish."""
    found = set(tables)
    statements = [
        (name, _stores(statement)) for source in pipeline.sources.values() for name, statement in source.conform.items()
    ]
    while True:
        more = {
            name
            for name, reads in statements
            if any(parts[0] == "operational" and parts[-1] in found for parts in reads)
            or any(parts[0] == "staging" and parts[-1] in sources for parts in reads)
        }
        if more <= found:
            return sorted(found), not any(reads for name, reads in statements if name in found)
        found |= more


def _stores(statement: Sql) -> list[tuple[str, ...]]:
    read = (reference.parts for reference in references(statement.text, statement.path))
    return [parts for parts in read if len(parts) == 2 and parts[0] in _CHANGING]


def _reading(tables: Collection[str], sources: Collection[str]) -> Callable[[set[tuple[str, ...]]], bool]:
    def reads(parts: set[tuple[str, ...]]) -> bool:
        return any(
            (one[0] == "operational" and one[-1] in tables) or (one[0] == "staging" and one[-1] in sources)
            for one in parts
        )

    return reads


def all_tables(pipeline: Pipeline, batches: Sequence[Batch]) -> list[str]:
    """The canonical tables to which the sources of batches conform."""
    sources = {batch.source for batch in batches} & pipeline.sources.keys()
    return sorted({name for source in sources for name in pipeline.sources[source].conform})
