"""The same bytes once more: what a batch would be under the configuration of now, and putting that in its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import FINAL, Batch
from assay.catalog import events, records
from assay.engines.duckdb import Engine, literal, path_list, quoted
from assay.engines.duckdb import connect as engine_connect
from assay.errors import Rejected, Usage
from assay.findings import Finding
from assay.pipelines.landing import period_of, pipeline_of, rank_of, source_of
from assay.pipelines.platform import Platform
from assay.pipelines.run import Progress, Result, check_applied, work_off
from assay.pipelines.worker import at_work
from assay.stewardship.verdict import verdict
from assay.stores.database import transaction
from assay.stores.draft import Draft
from assay.stores.lake import clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Source

#: How many rows of each kind of difference are shown.
EXAMPLES = 5
_OWN = ("_batch", "_sheet", "_row")


@dataclass(frozen=True)
class Example:
    """One row that differs: where it stands in the delivered file, and what is different."""

    kind: str
    sheet: str | None
    row: int
    words: str


@dataclass(frozen=True)
class Difference:
    """How the rows of a batch in one store differ from what a replay would make of them."""

    store: str
    same: int
    added: int
    removed: int
    changed: int
    columns: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Preview:
    """What a replay would do: its verdict (`Approved`, `Held` or `Rejected`), findings and differences by store."""

    batch: Batch
    verdict: str
    findings: tuple[Finding, ...]
    differences: tuple[Difference, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        from dataclasses import asdict

        return {
            "batch": self.batch.id,
            "verdict": self.verdict,
            "findings": [finding.to_dict() for finding in self.findings],
            "differences": [asdict(difference) for difference in self.differences],
        }


def preview(platform: Platform, number: int) -> Preview:
    """Runs approve and clean over the landed file under the configuration of now, for nobody to see.

    Raises `Usage` for a batch that has not come to rest, or whose place another one has taken.
    """
    batch, source, steward = _replayable(platform, number)
    from assay.segments import approve
    from assay.segments import clean as cleaning
    from assay.stores.iceberg import Iceberg

    with platform.scratch() as scratch, transaction(platform.connection) as tx:
        draft = Draft(scratch / "draft")
        findings: list[Finding] = []
        with engine_connect(scratch, memory_limit=platform.project.target.memory_limit) as engine:
            try:
                landed = platform.landed(batch, scratch)
                approved = approve.prepare(batch, source, landed, engine, draft, scratch)
                approved.commit(tx)
                cleaned = cleaning.prepare(batch, source, engine, draft, scratch)
                cleaned.commit(tx)
                findings += [*approved.findings, *cleaned.findings]
            except Rejected as error:
                return Preview(batch, "Rejected", error.findings)
            lake = Iceberg(tx, platform.data)
            tables = {"readable": readable(source), "quarantine": quarantine(source)}
            if source.cleans:
                tables["clean"] = clean(source)
            differences = []
            for store, table in tables.items():
                before = lake.files(table.namespace, table.name, batch.id)
                after = draft.files(table.namespace, table.name)
                differences.append(_difference(engine, source, store, batch.id, before, after))
    found = tuple(findings)
    return Preview(batch, type(verdict(found, steward)).__name__, found, tuple(differences))


def replay(platform: Platform, number: int, progress: Progress | None = None) -> Result:
    """Takes the landed bytes of a batch through the pipeline again as a new batch, which takes its place at the end.

    Until the new batch is conformed the old one stands as it is; then its rows leave staging and, where the new
    one does not repeat them and the load mode lets them go, the canonical tables.
    """
    check_applied(platform)
    batch, source, _ = _replayable(platform, number)
    with at_work(platform) as worker:
        with transaction(platform.connection) as tx:
            records.lock_batch(tx, number, batch.state)
            new = records.add_batch(
                tx,
                zone=batch.zone,
                pipeline=batch.pipeline,
                source=source.name,
                file_name=batch.file_name,
                size_bytes=batch.size_bytes,
                sha256=batch.sha256,
                delivered_by=platform.actor,
                config_version=platform.project.version,
                period=period_of(source, batch.file_name),
                origin="replay",
                replaces=number,
                rank=rank_of(pipeline_of(platform, batch.zone, batch.pipeline), source),
            )
            records.add_run(tx, new, "land", "done", 0.0, {"replay_of": number})
            events.add(tx, "landed", batch=records.batch(tx, new), segment="land", body={"replay_of": number})
            platform.record(tx, "replay", f"batch/{number}", zone=batch.zone, new_batch=new, sha256=batch.sha256)
        return work_off(platform, worker, new, progress)


def _replayable(platform: Platform, number: int) -> tuple[Batch, Source, Any]:
    batch = records.batch(platform.connection, number)
    if batch.state not in FINAL:
        raise Usage(
            f"batch {number} is {batch.state}: only one that is done or rejected can be replayed",
            next=f"assay review release {number} --reason ..." if batch.state == "held" else "assay run",
        )
    newer = records.replaced_by(platform.connection, number)
    if newer is not None:
        raise Usage(f"batch {newer} takes the place of batch {number} already", next=f"assay batch show {newer}")
    pipeline = pipeline_of(platform, batch.zone, batch.pipeline)
    return batch, source_of(pipeline, Path(batch.file_name), batch.source), pipeline.steward


def _difference(
    engine: Engine, source: Source, store: str, number: int, before: list[str], after: list[str]
) -> Difference:
    """Compares rows by where they stand in the delivered file, and values by column."""
    was, now = (_columns(engine, name, files, number) for name, files in (("was", before), ("now", after)))
    common = [name for name in now if name in was and name not in _OWN]
    apart = " OR ".join(f"w.{quoted(name)} IS DISTINCT FROM n.{quoted(name)}" for name in common) or "false"
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE compared AS SELECT coalesce(n._sheet, w._sheet) AS _sheet, "
        f"coalesce(n._row, w._row) AS _row, CASE WHEN w._batch IS NULL THEN 'added' WHEN n._batch IS NULL THEN "
        f"'removed' WHEN {apart} THEN 'changed' ELSE 'same' END AS kind, {_words(source, common)} AS words "
        f"FROM was AS w FULL JOIN now AS n ON w._row = n._row AND w._sheet IS NOT DISTINCT FROM n._sheet"
    )
    counts = dict(engine.rows("SELECT kind, count(*) FROM compared GROUP BY kind"))
    examples = engine.rows(
        "SELECT kind, _sheet, _row, CASE WHEN kind = 'changed' THEN words ELSE '' END FROM compared "
        "WHERE kind <> 'same' QUALIFY row_number() OVER (PARTITION BY kind ORDER BY _sheet, _row) "
        f"<= {EXAMPLES} ORDER BY kind, _sheet, _row"
    )
    columns = [f"+{name}" for name in now if was and name not in was]
    columns += [f"-{name}" for name in was if now and name not in now]
    return Difference(
        store,
        **{kind: int(counts.get(kind, 0)) for kind in ("same", "added", "removed", "changed")},
        columns=tuple(columns),
        examples=tuple(Example(*row) for row in examples),
    )


def _columns(engine: Engine, name: str, files: list[str], number: int) -> list[str]:
    """Makes a view of the files' rows; returns its columns, none where there is no file."""
    if not files:
        engine.run(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT CAST(NULL AS BIGINT) AS _batch, CAST(NULL AS VARCHAR) AS "
            "_sheet, CAST(NULL AS BIGINT) AS _row WHERE false"
        )
        return []
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW {name} AS "
        f"SELECT * FROM read_parquet({path_list(files)}, union_by_name=true) WHERE _batch = {number}"
    )
    columns, _ = engine.table(f"SELECT * FROM {name} LIMIT 0")
    return columns


def _words(source: Source, columns: list[str]) -> str:
    """SQL: which values of a row differ, before and after; those of sensitive fields are not shown."""
    hidden = {entry.name for entry in (*source.contract.fields, *source.clean_fields) if entry.sensitive}
    parts = []
    for name in columns:
        before, after = (f"coalesce(CAST({side}.{quoted(name)} AS VARCHAR), 'nothing')" for side in ("w", "n"))
        shown = f"{literal(name + ': ')} || {before} || ' → ' || {after}"
        if name in {*hidden, "_raw"}:
            shown = literal(f"{name} differs")
        parts.append(f"CASE WHEN w.{quoted(name)} IS DISTINCT FROM n.{quoted(name)} THEN {shown} END")
    return f"concat_ws('; ', {', '.join(parts)})" if parts else "''"
