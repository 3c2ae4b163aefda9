"""clean: readable → clean. The contract's rules warn, set rows aside, or halt; then the zone's own SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.engines.duckdb import PARQUET, Engine, EngineFailed, literal, path_list, quoted
from assay.errors import Misconfigured, Rejected
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding
from assay.segments.approve import compare
from assay.segments.measure import tally
from assay.segments.outcome import Outcome
from assay.stores.iceberg import Iceberg, batch_is, set_aside_by
from assay.stores.lake import clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.contract import Contract, Rule
    from assay.zones.project import Source


def prepare(batch: Batch, source: Source, engine: Engine, iceberg: Iceberg, scratch: Path) -> Outcome:
    """Applies the rules and the SQL of a source to the readable rows of a batch.

    Raises `Rejected` when a rule whose action is `halt` does not hold.
    """
    if not source.cleans:
        return Outcome(lambda connection: None, detail={"skipped": "the source has no rules and no SQL"})
    came = readable(source)
    files = iceberg.files(came.namespace, came.name, batch.id)
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW readable AS SELECT * FROM read_parquet({path_list(files)}) "
        f"WHERE _batch = {batch.id}"
    )
    findings, reasons = _judge(engine, source.contract)
    halted = [finding for finding in findings if finding.severity == "error"]
    if halted:
        raise Rejected(halted[0].message, findings)
    named = [f"CASE WHEN {condition} THEN {literal(name + '; ')} ELSE '' END" for name, condition in reasons]
    reason = f"rtrim({' || '.join(named)}, '; ')" if named else "''"
    engine.run(f"CREATE OR REPLACE TEMP VIEW judged AS SELECT *, {reason} AS _reason FROM readable")
    engine.run("CREATE OR REPLACE TEMP VIEW batch AS SELECT * EXCLUDE (_reason) FROM judged WHERE _reason = ''")
    good_to, aside_to = clean(source), quarantine(source)
    good = iceberg.new_file(good_to.namespace, good_to.name, f"{batch.id}-clean")
    _write(engine, source, good, batch)
    numeric = [field.name for field in source.contract.fields if field.type.numeric]
    before = tally(engine, "readable", "readable", numeric)
    aside = tally(engine, "quarantine", "(SELECT * FROM judged WHERE _reason <> '')", numeric)
    kept = [field.name for field in source.clean_fields if field.type.numeric]
    passed = tally(engine, "clean", f"read_parquet({path_list([str(good)])})", kept)
    aside_files = []
    if aside.rows:
        file = iceberg.new_file(aside_to.namespace, aside_to.name, f"{batch.id}-quarantine")
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
        iceberg.put(good_to.namespace, good_to.name, [good], replacing=batch_is(batch.id))
        iceberg.put(aside_to.namespace, aside_to.name, aside_files, replacing=set_aside_by("clean", batch.id))

    return Outcome(
        commit,
        findings=findings,
        tallies=(passed, aside),
        detail={"rows": passed.rows, "quarantined": aside.rows},
    )


def _write(engine: Engine, source: Source, file: Path, batch: Batch) -> None:
    sql = "SELECT * FROM batch"
    if source.clean_sql is not None:
        from assay.engines.sql import with_provenance

        sql = with_provenance(source.clean_sql.text, source.clean_sql.path)
    columns = ", ".join(f"CAST({quoted(f.name)} AS {f.type.duckdb}) AS {quoted(f.name)}" for f in source.clean_fields)
    try:
        engine.run(
            f"COPY (SELECT {columns}, CAST({batch.id} AS BIGINT) AS _batch, _sheet, CAST(_row AS BIGINT) AS _row "
            f"FROM ({sql}) ORDER BY _row) TO {literal(str(file))} ({PARQUET})"
        )
    except EngineFailed as error:
        if source.clean_sql is None:
            raise
        raise Misconfigured(
            f"the SQL did not run: {error.what}",
            file=source.clean_sql.path,
            expected="a SELECT from batch with the fields " + ", ".join(f.name for f in source.clean_fields),
        ) from error


def _judge(engine: Engine, contract: Contract) -> tuple[tuple[Finding, ...], list[tuple[str, str]]]:
    """Findings of all rules, and (rule name, condition of a bad row) for those that set rows aside."""
    findings: list[Finding] = []
    aside: list[tuple[str, str]] = []
    for rule in contract.rules:
        bad = bad_row(rule)
        if bad is not None and rule.comparison is None:
            count = engine.row(f"SELECT count(*) FILTER ({bad}) FROM readable")[0]
            if count:
                findings.append(_row_finding(engine, rule, bad, count))
                if rule.action == "quarantine":
                    aside.append((rule.name, bad))
        else:
            findings.extend(_dataset_finding(engine, rule, bad, contract))
    return tuple(findings), aside


def bad_row(rule: Rule) -> str | None:
    """SQL: the row breaks the rule; None for a rule that speaks of the dataset as a whole."""
    if rule.kind == "condition":
        return f"(NOT coalesce(({rule.condition}), false))"
    if not rule.fields:
        return None
    column = quoted(rule.fields[0])
    if rule.kind == "null":
        return f"({column} IS NULL)"
    if rule.kind == "missing":
        words = ", ".join(literal(str(word)) for word in rule.missing_values or () if word is not None)
        return f"({column} IS NULL" + (f" OR CAST({column} AS VARCHAR) IN ({words}))" if words else ")")
    if rule.kind == "invalid":
        tests = []
        if rule.valid_values is not None:
            words = ", ".join(literal(str(word)) for word in rule.valid_values if word is not None)
            tests.append(f"CAST({column} AS VARCHAR) NOT IN ({words})")
        if rule.pattern is not None:
            tests.append(f"NOT regexp_full_match(CAST({column} AS VARCHAR), {literal(rule.pattern)})")
        return f"({column} IS NOT NULL AND ({' OR '.join(tests) or 'false'}))"
    return None


def _row_finding(engine: Engine, rule: Rule, bad: str, count: int) -> Finding:
    shown = quoted(rule.fields[0]) if rule.fields else "NULL"
    rows = engine.rows(
        f"SELECT _row, _sheet, CAST({shown} AS VARCHAR) FROM readable WHERE {bad} "
        f"ORDER BY _row LIMIT {EXAMPLES_PER_KIND}"
    )
    effect = {"warn": "stay", "quarantine": "are set aside", "halt": "stop the batch"}[rule.action]
    return Finding(
        "rule",
        f"{count} row(s) break the rule {rule.name} and {effect}",
        severity="error" if rule.action == "halt" else "warning",
        field=rule.fields[0] if rule.fields else None,
        expected=rule.description or rule.condition,
        count=count,
        cells=tuple(Cell(row, None, value, sheet) for row, sheet, value in rows),
        rule=rule.name,
    )


def _dataset_finding(engine: Engine, rule: Rule, bad: str | None, contract: Contract) -> list[Finding]:
    rows = engine.row("SELECT count(*) FROM readable")[0]
    if rule.kind == "row_count":
        value = rows
    elif rule.kind == "duplicate":
        keys = ", ".join(quoted(name) for name in rule.fields)
        value = engine.row(
            f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM readable GROUP BY {keys})"
        )[0]
    elif rule.kind == "sql":
        query = str(rule.query)
        for word in ("${object}", "{object}", "${table}", "{table}", "${model}", "{model}"):
            query = query.replace(word, "readable")
        engine.run(f"CREATE OR REPLACE TEMP VIEW {quoted(contract.dataset)} AS SELECT * FROM readable")
        try:
            value = engine.row(query)[0]
        except EngineFailed as error:
            raise Misconfigured(
                f"the query of rule {rule.name} did not run: {error.what}", file=contract.path, line=rule.line
            ) from error
    else:
        value = engine.row(f"SELECT count(*) FILTER ({bad}) FROM readable")[0]
    comparison = rule.comparison
    if comparison is not None and comparison.unit == "percent" and rule.kind != "row_count":
        value = 100.0 * value / rows if rows else 0.0
    holds = value == 0 if comparison is None else comparison.holds(value)
    if holds:
        return []
    wanted = "none" if comparison is None else str(comparison)
    return [
        Finding(
            "rule",
            f"rule {rule.name}: found {value}, expected {wanted}",
            severity="error" if rule.action == "halt" else "warning",
            field=rule.fields[0] if rule.fields else None,
            expected=rule.description or wanted,
            rule=rule.name,
        )
    ]
