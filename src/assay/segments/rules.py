"""The contract's quality rules over typed rows: what breaks them, as findings and as conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.batch import Tally
from assay.engines.duckdb import Engine, EngineFailed, literal, quoted
from assay.errors import Misconfigured
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding, masked
from assay.segments.measure import as_tally

if TYPE_CHECKING:
    from assay.zones.contract import Contract, Rule

#: How much of a value a finding shows.
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Judgement:
    """What the rules say of the rows of `readable`.

    `aside` are (rule name, SQL of a bad row) for rules that set rows aside, `broken` the SQL of a row that breaks
    any rule and `rows_broken` how many do; `before` and `set_aside` count and sum all rows and those set aside.
    """

    findings: tuple[Finding, ...]
    aside: tuple[tuple[str, str], ...]
    broken: str
    rows_broken: int
    before: Tally
    set_aside: Tally


def judge(
    engine: Engine,
    contract: Contract,
    *,
    whole: bool = True,
    cells_most: int = EXAMPLES_PER_KIND,
    numeric: Sequence[str] = (),
) -> Judgement:
    """Tries the rules on the view `readable`; without `whole` only those that speak of single rows.

    `numeric` names the columns to sum. Raises `Misconfigured` for a condition or query that does not run.
    """
    conditions = {rule: bad for rule in contract.rules if (bad := bad_row(rule)) is not None}
    single = {rule: bad for rule, bad in conditions.items() if rule.comparison is None}
    broken = f"({' OR '.join(single.values()) or 'false'})"
    setting_aside = {rule: bad for rule, bad in single.items() if rule.action == "quarantine"}
    before, set_aside, rows_broken, counts = _counted(engine, contract, conditions, setting_aside, broken, numeric)
    findings: list[Finding] = []
    for rule in contract.rules:
        if rule not in single:
            if whole:
                findings.extend(_dataset_finding(engine, rule, contract, before.rows, counts.get(rule, 0)))
        elif counts[rule]:
            findings.append(_row_finding(engine, rule, single[rule], counts[rule], contract, cells_most))
    aside = tuple((rule.name, bad) for rule, bad in setting_aside.items() if counts[rule])
    return Judgement(tuple(findings), aside, broken, rows_broken, before, set_aside)


def _counted(
    engine: Engine,
    contract: Contract,
    conditions: Mapping[Rule, str],
    setting_aside: Mapping[Rule, str],
    broken: str,
    numeric: Sequence[str],
) -> tuple[Tally, Tally, int, dict[Rule, int]]:
    """In one pass: all rows, those that a rule sets aside, those that break any rule, and how many break each."""
    aside = " OR ".join(setting_aside.values()) or "false"
    sums = [f"sum({quoted(name)})" for name in numeric]
    numbers = [
        *("count(*)", *sums),
        *(f"{number} FILTER ({aside})" for number in ("count(*)", *sums)),
        f"count(*) FILTER ({broken})",
        *(f"count(*) FILTER ({bad})" for bad in conditions.values()),
    ]
    try:
        row = engine.row(f"SELECT {', '.join(numbers)} FROM readable")
    except EngineFailed as error:
        raise _cannot_judge(engine, contract, conditions, error) from error
    width = len(numeric) + 1
    return (
        as_tally("readable", row[:width], numeric),
        as_tally("quarantine", row[width : 2 * width], numeric),
        int(row[2 * width]),
        dict(zip(conditions, row[2 * width + 1 :], strict=True)),
    )


def _cannot_judge(
    engine: Engine, contract: Contract, conditions: Mapping[Rule, str], error: EngineFailed
) -> Misconfigured:
    """The error that names the rule whose condition does not run: asked for one by one."""
    for rule, bad in conditions.items():
        try:
            engine.row(f"SELECT count(*) FILTER ({bad}) FROM readable")
        except EngineFailed as alone:
            return Misconfigured(
                f"the condition of rule {rule.name} did not run: {alone.what}", file=contract.path, line=rule.line
            )
    return Misconfigured(f"the rules did not run: {error.what}", file=contract.path)


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


def _row_finding(
    engine: Engine, rule: Rule, bad: str, count: int, contract: Contract, cells_most: int
) -> Finding:
    shown = quoted(rule.fields[0]) if rule.fields else "NULL"
    rows = engine.rows(
        f"SELECT _row, _sheet, CAST({shown} AS VARCHAR) FROM readable WHERE {bad} "
        f"ORDER BY _sheet, _row LIMIT {cells_most}"
    )
    secret = _secret(rule, contract)
    one, many = {
        "warn": ("stays", "stay"), "quarantine": ("is set aside", "are set aside"),
        "halt": ("stops the batch", "stop the batch"),
    }[rule.action]  # fmt: skip
    words = f"1 row breaks the rule {rule.name} and {one}" if count == 1 else (
        f"{count} rows break the rule {rule.name} and {many}"
    )
    return Finding(
        "rule",
        words,
        severity="error" if rule.action == "halt" else "warning",
        field=rule.fields[0] if rule.fields else None,
        expected=rule.description or rule.condition,
        count=count,
        cells=tuple(Cell(row, None, _shown(value, secret), sheet) for row, sheet, value in rows),
        rule=rule.name,
    )


def _secret(rule: Rule, contract: Contract) -> bool:
    """Whether the rule speaks of a field whose values no report shows."""
    return any(field.sensitive and field.name in rule.fields for field in contract.fields)


def _shown(value: str | None, secret: bool) -> str | None:
    short = None if value is None else value[:SHOWN_CHARACTERS]
    return masked(short) if short is not None and secret else short


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
    # The query of a rule may give a value of the field itself, such as its largest.
    shown = _shown(str(value), rule.kind == "sql" and _secret(rule, contract))
    return [
        Finding(
            "rule",
            f"rule {rule.name}: found {shown}, expected {wanted}",
            severity="error" if rule.action == "halt" else "warning",
            field=rule.fields[0] if rule.fields else None,
            expected=rule.description or wanted,
            rule=rule.name,
        )
    ]
