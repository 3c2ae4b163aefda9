"""clean: readable → clean. The contract's rules warn, set rows aside, or halt; then the zone's own SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch, Tally
from assay.engines.duckdb import Engine, EngineFailed, literal, path_list, quoted
from assay.errors import Misconfigured, Rejected
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding
from assay.segments.approve import PARQUET, compare
from assay.segments.measure import as_tally, tally
from assay.segments.outcome import Outcome
from assay.segments.relations import file_rows
from assay.stores.iceberg import batch_is, set_aside_by
from assay.stores.lake import Lake, clean, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.contract import Contract, Rule
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
    before, aside, broken = _counted(engine, source.contract, numeric)
    findings, reasons = _judge(engine, source.contract, before.rows, broken)
    halted = [finding for finding in findings if finding.severity == "error"]
    if halted:
        raise Rejected(halted[0].message, findings)
    named = [f"CASE WHEN {condition} THEN {literal(name + '; ')} ELSE '' END" for name, condition in reasons]
    reason = f"rtrim({' || '.join(named)}, '; ')" if named else "''"
    engine.run(f"CREATE OR REPLACE TEMP VIEW judged AS SELECT *, {reason} AS _reason FROM readable")
    bad = " OR ".join(condition for _, condition in reasons) or "false"
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
        detail={"rows": passed.rows, "quarantined": aside.rows},
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


def _counted(engine: Engine, contract: Contract, numeric: list[str]) -> tuple[Tally, Tally, dict[Rule, int]]:
    """In one pass: all rows, the rows that a rule sets aside, and for each rule of rows how many break it."""
    of_rows = [(rule, bad) for rule in contract.rules if (bad := bad_row(rule)) is not None]
    aside = " OR ".join(bad for rule, bad in of_rows if _sets_aside(rule)) or "false"
    sums = [f"sum({quoted(name)})" for name in numeric]
    numbers = [
        *("count(*)", *sums),
        *(f"{number} FILTER ({aside})" for number in ("count(*)", *sums)),
        *(f"count(*) FILTER ({bad})" for _, bad in of_rows),
    ]
    try:
        row = engine.row(f"SELECT {', '.join(numbers)} FROM readable")
    except EngineFailed as error:
        raise _cannot_judge(engine, contract, of_rows, error) from error
    width = len(numeric) + 1
    return (
        as_tally("readable", row[:width], numeric),
        as_tally("quarantine", row[width : 2 * width], numeric),
        {rule: count for (rule, _), count in zip(of_rows, row[2 * width :], strict=True)},
    )


def _cannot_judge(
    engine: Engine, contract: Contract, of_rows: list[tuple[Rule, str]], error: EngineFailed
) -> Misconfigured:
    """The error that names the rule whose condition does not run: asked for one by one."""
    for rule, bad in of_rows:
        try:
            engine.row(f"SELECT count(*) FILTER ({bad}) FROM readable")
        except EngineFailed as alone:
            return Misconfigured(
                f"the condition of rule {rule.name} did not run: {alone.what}", file=contract.path, line=rule.line
            )
    return Misconfigured(f"the rules did not run: {error.what}", file=contract.path)


def _sets_aside(rule: Rule) -> bool:
    return rule.action == "quarantine" and rule.comparison is None


def _judge(
    engine: Engine, contract: Contract, rows: int, broken: dict[Rule, int]
) -> tuple[tuple[Finding, ...], list[tuple[str, str]]]:
    """Findings of all rules, and (rule name, condition of a bad row) for those that set rows aside."""
    findings: list[Finding] = []
    aside: list[tuple[str, str]] = []
    for rule in contract.rules:
        bad = bad_row(rule)
        if bad is None or rule.comparison is not None:
            findings.extend(_dataset_finding(engine, rule, contract, rows, broken.get(rule, 0)))
        elif broken[rule]:
            findings.append(_row_finding(engine, rule, bad, broken[rule]))
            if _sets_aside(rule):
                aside.append((rule.name, bad))
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


def _dataset_finding(engine: Engine, rule: Rule, contract: Contract, rows: int, broken: int) -> list[Finding]:
    value: Any
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
        value = broken
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
