"""Findings about personal data in the rows of a batch; of the values no more is kept than their shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.engines.duckdb import Engine, quoted
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding, masked
from assay.segments.exact import Column as Place
from assay.segments.personal.columns import Column, Hit, detect
from assay.zones.personal import KINDS

if TYPE_CHECKING:
    from assay.zones.contract import Field
    from assay.zones.model import ChecksFile

#: How many characters of a shape a finding shows.
SHOWN_CHARACTERS = 80


def personal_data(
    engine: Engine, relation: str, fields: Sequence[Field], checks: ChecksFile, places: Sequence[Place]
) -> tuple[Finding, ...]:
    """What stands in columns that are neither classified as sensitive nor declare it.

    `relation` has the typed rows with `_sheet` and `_row`; `places` says where the fields stand in the file.
    """
    if checks.personal_data == "off":
        return ()
    hits = detect(engine, relation, [_column(field) for field in fields if _looked_at(field)])
    by_name = {field.name: field for field in fields}
    holds = checks.personal_data == "hold"
    return tuple(_finding(engine, relation, by_name[hit.column], hit, places, holds=holds) for hit in hits)


def guarded(fields: Sequence[Field], findings: Sequence[Finding]) -> tuple[Field, ...]:
    """The fields, those with personal data as sensitive ones: what is kept of a batch keeps no values of theirs."""
    named = {finding.field for finding in findings if finding.kind == "personal_data"}
    return tuple(replace(field, classification="personal") if field.name in named else field for field in fields)


def _looked_at(field: Field) -> bool:
    return field.type.kind in ("string", "integer") and not field.sensitive


def _column(field: Field) -> Column:
    name = quoted(field.name)
    if field.type.kind == "integer":
        return Column(field.name, f"CAST({name} AS VARCHAR)", field.headers, field.personal_data, number=name)
    return Column(field.name, name, field.headers, field.personal_data)


def _finding(
    engine: Engine, relation: str, field: Field, hit: Hit, places: Sequence[Place], *, holds: bool
) -> Finding:
    bounded = hit.checked < hit.candidates
    least = "at least " if bounded else ""
    message = f"column {field.name} is not classified for {KINDS[hit.kind]}, and {least}{_of(hit)} them"
    if bounded:
        message += f"; {hit.checked:,} of {hit.candidates:,} different texts that may hold some were checked"
    return Finding(
        "personal_data",
        message,
        severity="warning",
        field=field.name,
        expected=f"no {KINDS[hit.kind]}; where they belong there, a classification or personalData: [{hit.kind}]",
        count=hit.cells,
        cells=_cells(engine, relation, field, hit, places),
        holds=holds,
        header=next((place.header for place in places if place.field == field.name and place.header), None),
    )


def _of(hit: Hit) -> str:
    return f"{hit.cells:,} of {hit.filled:,} filled {'cell holds' if hit.filled == 1 else 'cells hold'}"


def _cells(
    engine: Engine, relation: str, field: Field, hit: Hit, places: Sequence[Place]
) -> tuple[Cell, ...]:
    letters = {place.sheet: place.letter for place in places if place.field == field.name}
    text = _column(field).text
    rows = engine.rows(
        f"SELECT _sheet, _row, left({text}, {SHOWN_CHARACTERS}) FROM {relation} "
        f"WHERE {text} IN (SELECT unnest(?)) ORDER BY _sheet NULLS FIRST, _row LIMIT {EXAMPLES_PER_KIND}",
        [list(hit.values)],
    )
    return tuple(Cell(row, letters.get(sheet), masked(shown), sheet) for sheet, row, shown in rows)
