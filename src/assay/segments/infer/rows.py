"""Rows below a header that are not data: totals, notes at the end, titles of groups; and columns to fill down.

What is declared here is left out of the proposal's evidence, as the gate leaves it out of the data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.engines.duckdb import Engine, literal, quoted
from assay.segments.infer.tables import Delivered
from assay.zones.contract_draft import Guess, counted

TOTAL = r"(?i)^\s*(grand |sub-? ?)?totals?\b|\btotals?\s*$"
#: Tables narrower than this are taken as they are: a row with little in it says nothing there.
NARROWEST = 4
#: A column is solid when this part of its cells is filled.
SOLID = 0.9
#: What part of the rows that begin like totals must lack a cell that data rows have.
LIKE_TOTALS = 0.8
#: A column to fill down has a value in at most this part of the rows.
LAST_SHARE = 0.7
NOTES_SHOWN = 10
PREFIX = 24


@dataclass(frozen=True)
class Body:
    """The data rows of each table as relations, and what was taken out by which hint.

    `titles` says where rows with a single text stand between the others: they name the group of the rows below.
    """

    relations: tuple[str, ...]
    reader: dict[str, Any]
    guesses: tuple[Guess, ...]
    titles: str | None


def data_rows(engine: Engine, tables: Sequence[Delivered]) -> Body:
    """The tables without rows that are not data; each kind that was found is a hint with its evidence."""
    reader: dict[str, Any] = {}
    guesses: list[Guess] = []
    titles: list[str] = []
    for number, table in enumerate(tables):
        _describe(engine, table, number)
    totals = [_totals(engine, table, number) for number, table in enumerate(tables) if table.width >= NARROWEST]
    if any(totals):
        example = next(words for words in totals if words)
        reader["skip"] = [TOTAL]
        guesses.append(Guess("skip", [TOTAL], f"rows of totals, e.g. {example}"))
    skipped = _matches([TOTAL]) if any(totals) else "false"
    notes = {
        number: words
        for number, table in enumerate(tables)
        if table.width >= NARROWEST and (words := _notes(engine, number, skipped))
    }
    if notes:
        patterns = sorted({_prefix(words[0][1]) for words in notes.values()})
        reader["footer"] = patterns
        first = next(iter(notes))
        stand = counted(len(notes[first]), "note stands", "notes stand")
        guesses.append(Guess("footer", patterns, f"below the table of {tables[first].file} {stand}"))
    relations = []
    for number, table in enumerate(tables):
        end = notes[number][0][0] if number in notes else None
        relations.append(_body(engine, table, number, skipped, end, titles))
    return Body(tuple(relations), reader, tuple(guesses), titles[0] if titles else None)


def _describe(engine: Engine, table: Delivered, number: int) -> None:
    """A small table with each row's number of filled cells and its first filled text."""
    texts = [f"nullif(trim(c{index}), '')" for index in range(table.width)]
    filled = " + ".join(f"CAST({text} IS NOT NULL AS INTEGER)" for text in texts)
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE rows_{number} AS SELECT row, {filled} AS filled, "
        f"coalesce({', '.join([*texts, literal('')])}) AS first FROM {quoted(table.relation)}"
    )


def _matches(patterns: Sequence[str]) -> str:
    return "(" + " OR ".join(f"regexp_matches(first, {literal(pattern)})" for pattern in patterns) + ")"


def _totals(engine: Engine, table: Delivered, number: int) -> str | None:
    """The first row that is a total, in words; None when the rows that begin so look like data."""
    begins = _matches([TOTAL])
    total = engine.row(f"SELECT count(*) FROM rows_{number} WHERE {begins}")[0]
    if not total:
        return None
    cells = f"(SELECT c.*, r.filled, r.first FROM {quoted(table.relation)} AS c JOIN rows_{number} AS r USING (row))"
    lacking = " OR ".join(f"nullif(trim(c{index}), '') IS NULL" for index in _solid(engine, table, cells)) or "false"
    bare = engine.rows(f"SELECT row, first FROM {cells} WHERE {begins} AND ({lacking}) ORDER BY row")
    if len(bare) < total * LIKE_TOTALS:
        return None
    row, first = bare[0]
    return f'"{str(first)[:40]}" in row {row}'


def _solid(engine: Engine, table: Delivered, cells: str) -> list[int]:
    """The columns that nearly every row of data fills."""
    shares = ", ".join(f"avg(CAST(nullif(trim(c{index}), '') IS NOT NULL AS INTEGER))" for index in range(table.width))
    row = engine.row(f"SELECT {shares} FROM {cells} WHERE filled > 1 AND NOT {_matches([TOTAL])}")
    return [index for index, share in enumerate(row) if share is not None and share >= SOLID]


def _notes(engine: Engine, number: int, skipped: str) -> list[tuple[int, str]]:
    """Rows after the last one that is as wide as a row of the table, with their first texts."""
    typical = engine.row(f"SELECT median(filled) FROM rows_{number} WHERE filled > 0")[0]
    if typical is None or typical < NARROWEST:
        return []
    last = engine.row(f"SELECT max(row) FROM rows_{number} WHERE filled * 2 > {typical} AND filled > 2")[0]
    found = engine.rows(
        f"SELECT row, first FROM rows_{number} WHERE row > {last} AND filled > 0 AND NOT {skipped} "
        f"ORDER BY row LIMIT {NOTES_SHOWN}"
    )
    notes = [(int(row), str(first)) for row, first in found]
    if notes:
        pattern = _prefix(notes[0][1])
        above = engine.row(f"SELECT count(*) FROM rows_{number} WHERE row <= {last} AND {_matches([pattern])}")[0]
        if above:
            return []
    return notes


def _prefix(text: str) -> str:
    """A pattern for rows that begin as this one does."""
    begin = text[:PREFIX].rstrip()
    return "^" + re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", begin)


def _body(engine: Engine, table: Delivered, number: int, skipped: str, end: int | None, titles: list[str]) -> str:
    kept = f"NOT {skipped}" + (f" AND row < {end}" if end is not None else "")
    found = _titles(engine, table, number, kept)
    if found:
        shown = ", ".join(f'"{text[:30]}" in row {row}' for row, text in found[:2])
        titles.append(f"in {table.file} {len(found):,} rows hold a single text ({shown}): titles of the rows below?")
        kept += f" AND row NOT IN ({', '.join(str(row) for row, _ in found)})"
    if not engine.row(f"SELECT count(*) FROM rows_{number} WHERE NOT ({kept})")[0]:
        return table.relation
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW body_{number} AS SELECT * FROM {quoted(table.relation)} "
        f"SEMI JOIN (SELECT row FROM rows_{number} WHERE {kept}) USING (row)"
    )
    return f"body_{number}"


def _titles(engine: Engine, table: Delivered, number: int, kept: str) -> list[tuple[int, str]]:
    if table.width < NARROWEST:
        return []
    typical = engine.row(f"SELECT median(filled) FROM rows_{number} WHERE filled > 0 AND {kept}")[0]
    if typical is None or typical < NARROWEST:
        return []
    found = engine.rows(f"SELECT row, first FROM rows_{number} WHERE filled = 1 AND {kept} ORDER BY row LIMIT 1001")
    texts = {str(first) for _, first in found}
    return [(int(row), str(first)) for row, first in found] if 2 <= len(texts) <= 200 and len(found) <= 1000 else []


def fill_down(engine: Engine, body: str, index: int, width: int) -> str | None:
    """Why a column looks like one whose value stands once for the rows below; None when it does not."""
    if width < NARROWEST:
        return None
    filled = f"nullif(trim(c{index}), '') IS NOT NULL"
    others = " + ".join(f"CAST(nullif(trim(c{at}), '') IS NOT NULL AS INTEGER)" for at in range(width) if at != index)
    rows, there, first, distinct, without, beside = engine.row(
        f"SELECT count(*), count(*) FILTER ({filled}), arg_min({filled}, row), count(DISTINCT c{index}), "
        f"avg({others}) FILTER (NOT {filled}), avg({others}) FILTER ({filled}) "
        f"FROM {quoted(body)} WHERE {others} > 0"
    )
    if not there or there > rows * LAST_SHARE or not first or without is None or distinct < 2:
        return None
    if without < beside * SOLID:
        return None
    return f"filled in {there:,} of {rows:,} rows, from the first on, and blank where the other columns go on"
