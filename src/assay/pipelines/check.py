"""The gate on a file, without a platform: what the contract says of it, with nothing recorded and nothing moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.engines.duckdb import Engine, connect
from assay.errors import Rejected
from assay.findings import EXAMPLES_PER_KIND, Finding
from assay.segments.exact import Examination
from assay.segments.examine import examine
from assay.segments.personal.findings import personal_data
from assay.segments.rules import judge
from assay.stewardship.report import Outcome, Report, report
from assay.stewardship.returned import CELLS_MOST, Returned
from assay.stewardship.returned import return_file as write_returned
from assay.stewardship.verdict import Approved, Held, Verdict, verdict
from assay.zones.model import ChecksFile

if TYPE_CHECKING:
    from assay.readers.limits import Limits
    from assay.zones.contract import Contract
    from assay.zones.model import ReaderHints

#: Findings after which the columns are not all there, so that rules would speak of columns that are missing.
_INCOMPLETE = frozenset({"missing_column", "missing_header", "missing_sheet", "ambiguous_sheet", "duplicate_column"})


@dataclass(frozen=True)
class Checked:
    """What the gate says of a file; rows are None where the file could not be read."""

    findings: tuple[Finding, ...]
    rows_total: int | None
    rows_affected: int | None
    header_row: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What would become of the batch, were every setting of a pipeline left at its default."""
        return verdict(self.findings)

    def report(self, file: str, contract: Contract, **more: int) -> Report:
        """The report on the file; `more` as `stewardship.report.report` takes it."""
        return report(
            self.findings,
            file=file,
            outcome=outcome(self.verdict),
            contract=contract,
            rows_total=self.rows_total,
            rows_affected=self.rows_affected,
            **more,
        )


def outcome(decided: Verdict) -> Outcome:
    """A verdict as the report's word."""
    return "accepted" if isinstance(decided, Approved) else "held" if isinstance(decided, Held) else "rejected"


def check(
    path: Path,
    contract: Contract,
    hints: ReaderHints,
    scratch: Path,
    *,
    limits: Limits | None = None,
    cells_most: int = EXAMPLES_PER_KIND,
) -> Checked:
    """Examines a file as `approve` does, then tries the contract's quality rules on the rows that may pass.

    A file that cannot be read is a finding, not an error. Raises `Misconfigured` for a contract whose rules do not
    run.
    """
    with connect(scratch) as engine:
        try:
            found = examine(path, contract, hints, engine, scratch, limits=limits, cells_most=cells_most)
        except Rejected as error:
            findings = error.findings or (Finding("unreadable_file", error.what),)
            return Checked(tuple(findings), None, None)
        ruled, broken = _judged(engine, found, contract, cells_most)
        personal = () if found.refused else personal_data(
            engine, found.rows, contract.fields, ChecksFile(), found.columns
        )  # fmt: skip
    findings = tuple(_placed(finding, found) for finding in (*found.findings, *ruled, *personal))
    header_row = next((column.header_row for column in found.columns), None)
    return Checked(findings, found.rows_total, found.rows_affected + broken, header_row)


def return_file(
    path: Path, contract: Contract, hints: ReaderHints, scratch: Path, into: Path, *, replace_it: bool = False
) -> Returned:
    """Checks a file for all its bad cells, and writes it back with them marked."""
    checked = check(path, contract, hints, scratch, cells_most=CELLS_MOST)
    made = checked.report(path.name, contract, cells_most=CELLS_MOST)
    return write_returned(
        path, made, hints, scratch, into, header_row=checked.header_row, replace_it=replace_it
    )


def _judged(
    engine: Engine, found: Examination, contract: Contract, cells_most: int
) -> tuple[tuple[Finding, ...], int]:
    """The findings of the rules, and how many of the rows that may pass break one.

    Of a file that is refused only single rows are judged: the dataset is not whole.
    """
    if not contract.rules or any(
        finding.kind in _INCOMPLETE and finding.severity == "error" for finding in found.findings
    ):
        return (), 0
    engine.run(f"CREATE OR REPLACE TEMP VIEW readable AS SELECT * FROM {found.rows}")
    judgement = judge(engine, contract, whole=not found.refused, cells_most=cells_most)
    return judgement.findings, int(engine.row(f"SELECT count(*) FROM readable WHERE {judgement.broken}")[0])


def _placed(finding: Finding, found: Examination) -> Finding:
    """The finding with header and column letters, where it only knows its field and rows."""
    own = [column for column in found.columns if column.field == finding.field]
    header = finding.header or next((column.header for column in own if column.header), None)
    cells = finding.cells
    if finding.rule:
        letters = {column.sheet: column.letter for column in own}
        cells = tuple(replace(cell, column=cell.column or letters.get(cell.sheet)) for cell in cells)
    return replace(finding, header=header, cells=cells)
