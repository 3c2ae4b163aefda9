"""The report on a batch, and its file returned to the sender."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.batch import Batch
from assay.catalog import records
from assay.errors import Usage
from assay.findings import Finding
from assay.pipelines.check import check
from assay.pipelines.platform import Platform
from assay.stewardship.masking import ALL, Cells, masked_finding
from assay.stewardship.report import Outcome, Report, report
from assay.stewardship.returned import CELLS_MOST, Returned, return_file, suggested_name
from assay.stores.database import transaction

if TYPE_CHECKING:
    from assay.zones.project import Source


def batch_report(
    platform: Platform, number: int, outcome: Outcome | None = None, cells: Cells = ALL
) -> Report:
    """The report from what was recorded when the batch was judged, with the cells that are shown.

    `outcome` says what became of the batch, if not now.
    """
    batch = records.batch(platform.connection, number)
    findings = [masked_finding(finding, cells) for _, finding in records.findings(platform.connection, number)]
    return _report(platform, batch, findings, outcome)


def return_batch(platform: Platform, number: int, into: Path | None, *, replace_it: bool = False) -> Returned:
    """Writes the batch's delivered file back with its bad cells marked, as `stewardship.returned` says.

    The file is examined again, because a record keeps only the first cells of each finding. What is marked is what
    was recorded: a contract that changed since adds nothing. `into` is the file to write; by default one beside the
    caller, named after the delivered one.
    Raises `Usage` when nothing is wrong with the batch.
    """
    batch = records.batch(platform.connection, number)
    recorded = [finding for _, finding in records.findings(platform.connection, number)]
    if not recorded:
        raise Usage(f"nothing was found wrong with batch {number}: there is nothing to return")
    source = _source(platform, batch)
    if source is None:
        raise Usage(
            f"the project has no source {batch.source} any more, whose contract batch {number} was judged by",
            where=f"{batch.zone}/{batch.pipeline}",
        )
    target = into or Path(suggested_name(batch.file_name))
    with transaction(platform.connection) as tx:  # before the bytes leave
        platform.record(tx, "batch.return", f"batch/{number}", zone=batch.zone, outcome="allow")
    with platform.scratch() as scratch:
        from assay.segments.approve import called

        landed = called(platform.landed(batch, scratch), batch.file_name, scratch)
        checked = check(landed, source.contract, source.reader, scratch, cells_most=CELLS_MOST)
        made = _report(platform, batch, completed(recorded, checked.findings), None, cells_most=CELLS_MOST)
        if made.rows_total is None:
            made = replace(made, rows_total=checked.rows_total)
        return return_file(
            landed, made, source.reader, scratch, target, header_row=checked.header_row, replace_it=replace_it
        )


def completed(recorded: list[Finding], found_again: tuple[Finding, ...]) -> list[Finding]:
    """The recorded findings, with all cells of those that were found again."""
    again = {_identity(finding): finding for finding in found_again}
    return [
        replace(finding, cells=same.cells, header=finding.header or same.header)
        if (same := again.get(_identity(finding))) is not None and len(same.cells) >= len(finding.cells)
        else finding
        for finding in recorded
    ]


def _identity(finding: Finding) -> tuple[str, str | None, str | None, str]:
    told_apart = finding.field or finding.rule
    return finding.kind, finding.field, finding.rule, "" if told_apart else finding.message


def _report(
    platform: Platform, batch: Batch, findings: list[Finding], outcome: Outcome | None, **more: int
) -> Report:
    source = _source(platform, batch)
    total, affected = _rows(platform, batch)
    return report(
        findings,
        file=batch.file_name,
        outcome=outcome or _outcome(batch),
        contract=source.contract if source else None,
        batch=batch.id,
        rows_total=total,
        rows_affected=affected,
        **more,
    )


def _outcome(batch: Batch) -> Outcome:
    if batch.state in ("rejected", "held"):
        return batch.state
    return "under_way" if batch.state in ("landed", "readable") else "accepted"


def _rows(platform: Platform, batch: Batch) -> tuple[int | None, int | None]:
    """The rows of the file, and those with something wrong, as the segments counted them."""
    total: int | None = None
    affected: int | None = None
    for entry in records.runs(platform.connection, batch.id):
        detail = entry["detail"]
        if entry["segment"] in ("approve", "clean"):
            total = total if total is not None else detail.get("rows_total")
            if detail.get("rows_affected") is not None:
                affected = (affected or 0) + detail["rows_affected"]
    return total, affected


def _source(platform: Platform, batch: Batch) -> Source | None:
    zone = platform.project.zones.get(batch.zone)
    pipeline = zone.pipelines.get(batch.pipeline) if zone else None
    return pipeline.sources.get(batch.source) if pipeline else None
