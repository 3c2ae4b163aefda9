"""approve: landing → readable. The form of every cell is checked, then typed by the contract; or nothing passes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.batch import Batch, Tally
from assay.engines.duckdb import PARQUET, Engine, literal, path_list, quoted
from assay.errors import Rejected
from assay.findings import Finding
from assay.segments.exact import Examination
from assay.segments.examine import examine, summary
from assay.segments.measure import tally
from assay.segments.outcome import Outcome
from assay.segments.personal.findings import guarded, personal_data
from assay.segments.profile import profile
from assay.stores.iceberg import batch_is, set_aside_by
from assay.stores.lake import Lake, quarantine, readable

if TYPE_CHECKING:
    from assay.zones.project import Source

#: So many rows are looked at in memory: to open their file for each question would take longer than the answers.
ROWS_AT_HAND = 50_000


def prepare(
    batch: Batch, source: Source, landed: Path, engine: Engine, lake: Lake, scratch: Path
) -> Outcome:
    """Types a landed file into a Parquet file of the readable table, and sets aside rows that do not fit.

    Raises `Rejected` with every finding when the contract lets nothing pass.
    """
    found = examine(
        called(landed, batch.file_name, scratch), source.contract, source.reader, engine, scratch,
        stamp={"_batch": batch.id},
    )  # fmt: skip
    if found.refused:
        raise Rejected(
            summary(found.findings), found.findings, rows_total=found.rows_total, rows_affected=found.rows_affected
        )
    good_to, aside_to = readable(source), quarantine(source)
    good_table = (good_to.namespace, good_to.name)
    numeric = [field.name for field in source.contract.fields if field.type.numeric]
    passing = tally(engine, "passing", found.rows, numeric)
    good = _keep(found, batch, source, engine, lambda: lake.new_file(*good_table, f"{batch.id}-approve"))
    relation, fields = f"read_parquet({path_list([str(file) for file in good])})", source.contract.fields
    written = tally(engine, "readable", relation, numeric)
    differences = compare(passing, written)
    if differences:
        raise Rejected("the readable table does not add up to the delivered file", differences)
    aside_files, aside = _set_aside(found, batch, source, engine, lake, numeric)
    delivered = passing if aside is None else _sum("delivered", passing, aside)
    tallies = (Tally("delivered", delivered.rows, delivered.sums), written, *([aside] if aside else []))

    def commit(connection: Any) -> None:
        lake.put(*good_table, good, replacing=batch_is(batch.id))
        if aside_files:
            lake.put(aside_to.namespace, aside_to.name, aside_files, replacing=set_aside_by("approve", batch.id))

    if written.rows <= ROWS_AT_HAND:
        relation = engine.at_hand("written", relation)
    personal = personal_data(engine, relation, fields, source.checks, found.columns)
    return Outcome(
        commit,
        findings=(*found.findings, *personal),
        tallies=tallies,
        detail={
            "rows": written.rows, "set_aside": aside.rows if aside else 0, "way": found.way,
            "rows_total": found.rows_total, "rows_affected": found.rows_affected,
        },  # fmt: skip
        period=_period(engine, batch, source, relation),
        profile=profile(engine, relation, guarded(fields, personal)),
    )


def called(landed: Path, name: str, scratch: Path) -> Path:
    """The landed object under the name it was delivered with, which readers and messages use."""
    folder = scratch / "delivered"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.unlink(missing_ok=True)
    path.symlink_to(landed.resolve())
    return path


def _keep(
    found: Examination, batch: Batch, source: Source, engine: Engine, new_file: Callable[[], Path]
) -> list[Path]:
    """The rows that pass, in files of the table: those that the examination wrote, or a new one."""
    kept: list[Path] = []
    for file in found.files:  # `found.rows` reads these files where they were: it ends here
        kept.append(new_file())
        shutil.move(file, kept[-1])
    if not kept:
        kept.append(new_file())
        names = ", ".join(quoted(field.name) for field in source.contract.fields)
        engine.run(
            f"COPY (SELECT {names}, CAST({batch.id} AS BIGINT) AS _batch, _sheet, _row FROM {found.rows}) "
            f"TO {literal(str(kept[-1]))} ({PARQUET})"
        )
    return kept


def _set_aside(
    found: Examination, batch: Batch, source: Source, engine: Engine, lake: Lake, numeric: list[str]
) -> tuple[list[Path], Tally | None]:
    """Writes the rows that do not fit beside the good ones, with their reasons and delivered texts."""
    if found.aside is None:
        return [], None
    target = quarantine(source)
    aside = tally(engine, "set aside by the contract", found.aside, numeric)
    if not aside.rows:
        return [], None
    file = lake.new_file(target.namespace, target.name, f"{batch.id}-aside")
    names = ", ".join(quoted(name) for name, _ in target.columns)
    engine.run(
        f"COPY (SELECT {names} FROM (SELECT *, CAST({batch.id} AS BIGINT) AS _batch, 'approve' AS _segment "
        f"FROM {found.aside}) ORDER BY _row) TO {literal(str(file))} ({PARQUET})"
    )
    return [file], aside


def _sum(store: str, *parts: Tally) -> Tally:
    names = parts[0].sums
    return Tally(
        store, sum(part.rows for part in parts), {n: sum((p.sums[n] for p in parts), start=names[n] * 0) for n in names}
    )


def compare(before: Tally, after: Tally) -> tuple[Finding, ...]:
    """The differences between two lines of a reconciliation, as findings of severity error."""
    found = []
    if before.rows != after.rows:
        found.append(
            Finding(
                "reconciliation",
                f"{before.store} has {before.rows} rows, {after.store} has {after.rows}",
                expected=str(before.rows),
            )
        )
    for name in sorted(before.sums.keys() & after.sums.keys()):
        if before.sums[name] != after.sums[name]:
            found.append(
                Finding(
                    "reconciliation",
                    f"the sum of {name} is {before.sums[name]} in {before.store} "
                    f"and {after.sums[name]} in {after.store}",
                    field=name,
                    expected=str(before.sums[name]),
                )
            )
    return tuple(found)


def _period(engine: Engine, batch: Batch, source: Source, relation: str) -> str | None:
    if source.period is None or source.period.origin == "file_name":
        return batch.period
    assert source.period.sql is not None
    value = engine.row(f"SELECT CAST(({source.period.sql}) AS VARCHAR) FROM {relation} AS batch")[0]
    return None if value is None else str(value)
