"""What a store has held for as long as its zone wants goes; that it did, and by which setting, is kept for good.

Nothing is taken from a batch that has not come to rest, whose place another is about to take, or that is the latest
of its source that is done. Staged rows that other SQL of the zone reads stay too: without them a table would change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from assay.batch import FINAL
from assay.catalog import events, upkeep
from assay.engines.sql import references
from assay.pipelines.upkeep.scope import Scope, Step
from assay.stores.database import Connection, transaction
from assay.stores.iceberg import Iceberg
from assay.stores.iceberg_upkeep import batches_within
from assay.stores.lake import LakeTable, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Pipeline, Source, Zone

#: So many batches give up what a store holds in one transaction.
BATCHES_AT_ONCE = 2000


@dataclass(frozen=True)
class Rule:
    """What one source gives up: a store's part of its batches, older than all of `ages`.

    `moment` is the column of a batch from which the age counts, `had` the condition for having anything there.
    """

    source: Source
    store: str
    ages: tuple[str, ...]
    words: str
    moment: str
    had: str
    table: LakeTable | None = None


def retention(scope: Scope) -> Iterator[Step]:
    """Takes away what every source's settings say is old enough, store by store."""
    for pipeline in scope.pipelines():
        read = read_elsewhere(scope.platform.project.zones[pipeline.zone])
        for source in pipeline.sources.values():
            for rule in rules(pipeline, source):
                if rule.table == clean(source) and source.name in read:
                    words = f"{rule.words}: kept, since {read[source.name]} reads staging.{source.name}"
                    yield Step("retention", _subject(rule), words)
                else:
                    yield from _carried_out(scope, rule)


def rules(pipeline: Pipeline, source: Source) -> Iterator[Rule]:
    """What the settings say about a source, for those stores that do not keep everything."""
    kept = pipeline.retention
    if kept.landing:
        yield Rule(source, "landing", (kept.landing,), f"landing: {kept.landing}", "delivered_at", "true")
    rows: list[tuple[str, LakeTable, tuple[str | None, ...], str]] = [
        ("quarantine", quarantine(source), (kept.quarantine,), _SET_ASIDE)
    ]
    if source.cleans:
        rows += [
            ("readable", readable(source), (kept.readable,), _RUN.format("approve")),
            ("clean", clean(source), (kept.clean,), _RUN.format("clean")),
        ]
    else:  # the readable rows are the clean ones: both settings speak of them
        rows.append(("readable", readable(source), (kept.readable, kept.clean), _RUN.format("approve")))
    for store, table, ages, had in rows:
        given = tuple(age for age in ages if age is not None)
        if len(given) == len(ages):
            words = f"{store}: {' and '.join(dict.fromkeys(given))}"
            yield Rule(source, store, given, words, "moved_at", had, table)
    if kept.findings:
        had = "EXISTS (SELECT 1 FROM assay.finding AS f WHERE f.batch_id = b.id)"
        yield Rule(source, "findings", (kept.findings,), f"findings: {kept.findings}", "moved_at", had)


_RUN = "EXISTS (SELECT 1 FROM assay.segment_run AS r WHERE r.batch_id = b.id AND r.segment = '{}' AND outcome = 'done')"
_SET_ASIDE = (
    "EXISTS (SELECT 1 FROM assay.tally AS t WHERE t.batch_id = b.id "
    "AND t.store IN ('set aside by the contract', 'quarantine') AND t.rows > 0)"
)


def read_elsewhere(zone: Zone) -> dict[str, str]:
    """Source → what reads its staged rows beside its own `clean` and `conform`."""
    found: dict[str, str] = {}
    statements = [(f"analytical.{table.name}", table.sql) for table in zone.analytical.values()]
    for source in zone.sources.values():
        statements += [(f"conform/{source.name}/{name}.sql", sql) for name, sql in source.conform.items()]
    for reader, sql in statements:
        for reference in references(sql.text, sql.path):
            if reference.parts[0] == "staging" and len(reference.parts) == 2:
                found.setdefault(reference.parts[1], reader)
    return found


def _carried_out(scope: Scope, rule: Rule) -> Iterator[Step]:
    connection = scope.platform.connection
    count = 0
    if scope.dry:
        count = len(_old(connection, rule, limit=None))
    else:
        while numbers := _take(scope, rule):
            count += len(numbers)
    if count:
        verb = "would give up" if scope.dry else "gave up"
        yield Step("retention", _subject(rule), f"{rule.words}: {count:,} batches {verb} {_what(rule)}")


def _what(rule: Rule) -> str:
    if rule.table == clean(rule.source):
        return "their clean rows; what these became can neither be withdrawn nor rebuilt any more"
    return {
        "landing": "their delivered files; they can be replayed from approve no more",
        "findings": "the cells that their findings show",
    }.get(rule.store, "their rows")


def _subject(rule: Rule) -> str:
    return f"{rule.source.zone}/{rule.source.pipeline} {rule.source.name}"


def _take(scope: Scope, rule: Rule) -> list[int]:
    """Takes what a store holds away from some old batches, in one transaction; returns their numbers."""
    source, version = rule.source, scope.platform.project.version
    with transaction(scope.platform.connection) as tx:
        if rule.table is not None:
            # The table before the rows of batches, as a replay that takes a batch's place does.
            iceberg = Iceberg(tx, scope.platform.data)
            iceberg.lock(rule.table.namespace, rule.table.name)
        numbers = _old(tx, rule, limit=BATCHES_AT_ONCE)
        if not numbers:
            return []
        if rule.table is not None:
            within = batches_within(runs(numbers, _all(tx, source)))
            iceberg.put(rule.table.namespace, rule.table.name, [], replacing=within)
        elif rule.store == "findings":
            tx.execute(
                """UPDATE assay.finding SET body = jsonb_set(body, '{cells}', '[]') WHERE batch_id = ANY(%s)""",
                (numbers,),
            )
        upkeep.add_removals(tx, numbers, rule.store, rule.words, version)
        body = {"store": rule.store, "source": source.name, "rule": rule.words, "batches": numbers}
        events.add(tx, "removed", zone=source.zone, pipeline=source.pipeline, body=body)
        scope.platform.record(
            tx, "retention", f"{source.zone}/{source.pipeline}", zone=source.zone, store=rule.store,
            source=source.name, rule=rule.words, batches=numbers,
        )  # fmt: skip
    return numbers


def _old(connection: Connection, rule: Rule, *, limit: int | None) -> list[int]:
    """Batches of the source that still have what the rule takes and are old enough; they are held until the commit."""
    source = rule.source
    ages = " AND ".join(f"b.{rule.moment} < clock_timestamp() - %s::interval" for _ in rule.ages)
    lock = "" if limit is None else f"LIMIT {limit} FOR UPDATE OF b SKIP LOCKED"
    found = connection.execute(
        f"SELECT b.id FROM assay.batch AS b WHERE b.zone = %s AND b.pipeline = %s AND b.source = %s "
        f"AND b.state = ANY(%s) AND {ages} AND {rule.had} "
        "AND NOT EXISTS (SELECT 1 FROM assay.removal AS r WHERE r.batch_id = b.id AND r.store = %s) "
        "AND NOT EXISTS (SELECT 1 FROM assay.batch AS n WHERE n.replaces_batch_id = b.id AND n.state <> ALL(%s)) "
        "AND b.id IS DISTINCT FROM (SELECT max(l.id) FROM assay.batch AS l WHERE l.zone = b.zone "
        f"AND l.pipeline = b.pipeline AND l.source = b.source AND l.state = 'done') ORDER BY b.id {lock}".encode(),
        (source.zone, source.pipeline, source.name, list(FINAL), *rule.ages, rule.store, list(FINAL)),
    )
    return [int(number) for (number,) in found]


def _all(connection: Connection, source: Source) -> list[int]:
    found = connection.execute(
        "SELECT id FROM assay.batch WHERE zone = %s AND pipeline = %s AND source = %s ORDER BY id",
        (source.zone, source.pipeline, source.name),
    )
    return [int(number) for (number,) in found]


def runs(chosen: Sequence[int], among: Sequence[int]) -> list[tuple[int, int]]:
    """The chosen numbers as ranges that hold no other number of `among`; both are sorted."""
    wanted = set(chosen)
    grouped = ((inside, list(numbers)) for inside, numbers in groupby(among, key=wanted.__contains__))
    return [(numbers[0], numbers[-1]) for inside, numbers in grouped if inside]
