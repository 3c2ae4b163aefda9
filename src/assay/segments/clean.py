"""clean: readable → clean. The contract's rules warn, set rows aside, or halt; then the zone's own SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.engines.duckdb import PARQUET, Engine, EngineFailed, literal, path_list, quoted
from assay.errors import Misconfigured, Rejected
from assay.findings import Finding
from assay.segments.approve import compare
from assay.segments.measure import tally
from assay.segments.outcome import Outcome
from assay.segments.relations import file_rows
from assay.segments.rules import judge
from assay.stores.iceberg import batch_is, set_aside_by
from assay.stores.lake import Lake, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Source


def prepare(batch: Batch, source: Source, engine: Engine, lake: Lake, scratch: Path) -> Outcome:
    """Applies the rules and the SQL of a source to the readable rows of a batch.

    Raises `Rejected` when a rule whose action is `halt` does not hold.
    """
    if not source.cleans:
        return Outcome(lambda connection: None, detail={"skipped": "the source has no rules and no SQL"})
    came = readable(source)
    files = lake.files(came.namespace, came.name, batch.id)
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW readable AS SELECT * FROM {file_rows(came, files)} WHERE _batch = {batch.id}"
    )
    numeric = [field.name for field in source.contract.fields if field.type.numeric]
    judgement = judge(engine, source.contract, numeric=numeric)
    before, aside, findings = judgement.before, judgement.set_aside, judgement.findings
    halted = [finding for finding in findings if finding.severity == "error"]
    if halted:
        raise Rejected(
            halted[0].message, findings, rows_total=before.rows, rows_affected=judgement.rows_broken
        )
    named = [f"CASE WHEN {condition} THEN {literal(name + '; ')} ELSE '' END" for name, condition in judgement.aside]
    reason = f"rtrim({' || '.join(named)}, '; ')" if named else "''"
    engine.run(f"CREATE OR REPLACE TEMP VIEW judged AS SELECT *, {reason} AS _reason FROM readable")
    bad = " OR ".join(condition for _, condition in judgement.aside) or "false"
    engine.run(f"CREATE OR REPLACE TEMP VIEW batch AS SELECT * FROM readable WHERE ({bad}) IS NOT TRUE")
    good_to, aside_to = clean(source), quarantine(source)
    good = lake.new_file(good_to.namespace, good_to.name, f"{batch.id}-clean")
    _write(engine, source, good, batch)
    kept = [field.name for field in source.clean_fields if field.type.numeric]
    passed = tally(engine, "clean", f"read_parquet({path_list([str(good)])})", kept)
    aside_files = []
    if aside.rows:
        file = lake.new_file(aside_to.namespace, aside_to.name, f"{batch.id}-quarantine")
        names = ", ".join(quoted(name) for name, _ in aside_to.columns)
        engine.run(
            f"COPY (SELECT {names} FROM (SELECT *, 'clean' AS _segment, CAST(NULL AS VARCHAR) AS _raw FROM judged) "
            f"WHERE _reason <> '') TO {literal(str(file))} ({PARQUET})"
        )
        aside_files.append(file)
    if source.clean_sql is None:
        total = type(before)(
            "clean and quarantine",
            passed.rows + aside.rows,
            {name: passed.sums[name] + aside.sums[name] for name in before.sums},
        )
        findings = (*findings, *compare(before, total))
    elif passed.rows + aside.rows != before.rows:
        findings = (
            *findings,
            Finding(
                "rows_changed_by_sql",
                f"{source.clean_sql.path.name} made {passed.rows} rows of {before.rows - aside.rows}",
                severity="warning",
            ),
        )

    def commit(connection: Any) -> None:
        lake.put(good_to.namespace, good_to.name, [good], replacing=batch_is(batch.id))
        lake.put(aside_to.namespace, aside_to.name, aside_files, replacing=set_aside_by("clean", batch.id))

    return Outcome(
        commit,
        findings=findings,
        tallies=(passed, aside),
        detail={"rows": passed.rows, "quarantined": aside.rows, "rows_affected": judgement.rows_broken},
    )


def _write(engine: Engine, source: Source, file: Path, batch: Batch) -> None:
    sql, order = "SELECT * FROM batch", ""  # Rows that nobody rearranges come in the order of the file.
    if source.clean_sql is not None:
        from assay.engines.sql import with_provenance

        sql, order = with_provenance(source.clean_sql.text, source.clean_sql.path), "ORDER BY _row"
    columns = ", ".join(f"CAST({quoted(f.name)} AS {f.type.duckdb}) AS {quoted(f.name)}" for f in source.clean_fields)
    try:
        engine.run(
            f"COPY (SELECT {columns}, CAST({batch.id} AS BIGINT) AS _batch, _sheet, CAST(_row AS BIGINT) AS _row "
            f"FROM ({sql}) {order}) TO {literal(str(file))} ({PARQUET})"
        )
    except EngineFailed as error:
        if source.clean_sql is None:
            raise
        raise Misconfigured(
            f"the SQL did not run: {error.what}",
            file=source.clean_sql.path,
            expected="a SELECT from batch with the fields " + ", ".join(f.name for f in source.clean_fields),
        ) from error
