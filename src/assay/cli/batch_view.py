"""A batch as a person reads it: what happened to it, how it adds up, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from assay.batch import Batch, Tally
from assay.cli import output
from assay.cli.report import replacement, show_report
from assay.findings import Finding

if TYPE_CHECKING:
    from assay.catalog.upkeep import Removal
    from assay.stewardship.report import Report


@dataclass(frozen=True)
class BatchRecord:
    """Everything that is kept of a batch."""

    batch: Batch
    runs: list[dict[str, Any]]
    tallies: list[Tally]
    findings: list[tuple[str, Finding]]
    decisions: list[dict[str, Any]]
    report: Report
    replaced_by: int | None
    removals: list[Removal]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "batch": {**vars(self.batch), "replaced_by": self.replaced_by},
            "runs": self.runs,
            "reconciliation": [tally.to_dict() for tally in self.tallies],
            "findings": [{"segment": segment, **finding.to_dict()} for segment, finding in self.findings],
            "decisions": self.decisions,
            "report": self.report.to_dict(),
            "removals": [vars(removal) for removal in self.removals],
        }


def show_batch(record: BatchRecord) -> None:
    """Prints the record of a batch."""
    batch = record.batch
    click.echo(f"batch {batch.id}: {batch.state}")
    facts = {
        "file": f"{batch.file_name}, {batch.size_bytes:,} bytes",
        "sha256": batch.sha256,
        "pipeline": f"{batch.zone}/{batch.pipeline}, source {batch.source}",
        "period": batch.period,
        "delivered": f"{batch.delivered_at:%Y-%m-%d %H:%M:%S} by {batch.delivered_by}",
        "contract": _contract(record.runs),
        "configuration": batch.config_version,
        "link": replacement(batch, record.replaced_by) or None,
    }
    for name, value in facts.items():
        if value is not None:
            click.echo(f"  {name:<14}{output.visible(value)}")
    for decision in record.decisions:
        when = f"{decision['decided_at']:%Y-%m-%d %H:%M:%S}"
        words = f"{decision['decision']} by {decision['decided_by']}, {when}: {decision['reason']}"
        click.echo(f"  {'decision':<14}{output.visible(words)}")
    for removal in record.removals:
        words = f"{removal.store}, {removal.removed_at:%Y-%m-%d %H:%M:%S}, past its retention ({removal.rule})"
        click.echo(f"  {'removed':<14}{output.visible(words)}")
    click.echo()
    output.table(
        ("segment", "outcome", "seconds", "finished"),
        [
            (run["segment"], run["outcome"], round(run["seconds"], 2), f"{run['finished_at']:%Y-%m-%d %H:%M:%S}")
            for run in record.runs
        ],
    )
    show_reconciliation(record.tallies)
    if record.findings:
        click.echo()
        show_report(record.report)


def _contract(runs: list[dict[str, Any]]) -> str | None:
    for run in runs:
        contract = run["detail"].get("contract")
        if contract:
            return f"{contract['id']} {contract['version']} ({contract['fingerprint']})"
    return None


def show_reconciliation(tallies: list[Tally]) -> None:
    """Prints the rows and sums of a batch in each store."""
    if not tallies:
        return
    sums = sorted({name for tally in tallies for name in tally.sums})
    click.echo()
    output.table(
        ("reconciliation", "rows", *(f"sum of {name}" for name in sums)),
        [(tally.store, tally.rows, *(tally.sums.get(name) for name in sums)) for tally in tallies],
        null="-",
    )
