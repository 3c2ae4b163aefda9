"""The proposed fields: what their columns' types, empty cells, other names and values say, each with its evidence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from assay.engines import profile
from assay.engines.duckdb import Engine
from assay.findings import column_letter
from assay.segments.infer import personal
from assay.segments.infer.columns import Column
from assay.segments.infer.tables import Delivered
from assay.segments.infer.typing import Typed
from assay.zones.contract import Field
from assay.zones.contract_draft import FieldDraft, Guess, counted
from assay.zones.types import FieldType

#: A text column with at most this many different texts, each this often on average, is taken for an enumeration.
FEW_VALUES, TIMES_EACH, LONGEST_VALUE = 20, 10, 60
FILES_NAMED = 3


def draft_fields(
    engine: Engine, relation: str, tables: Sequence[Delivered], columns: Sequence[Column], typed: Mapping[int, Typed]
) -> dict[int, FieldDraft]:
    """A field for each column, by its number; `relation` holds the rows of all tables."""
    headers = {number: column.headers[0] for number, column in enumerate(columns)}
    classified = personal.classify(engine, relation, headers, typed)
    rows = dict(engine.rows(f"SELECT file, count(*) FROM {relation} GROUP BY file"))
    empty = profile.nulls(engine, relation, [(number, typed[number].field) for number in headers])
    names = field_names(columns)
    return {
        number: _field(
            engine, relation, number, column, typed[number], names[number], classified.get(number),
            _absent(tables, column), _filled(column, rows, empty[number], typed[number]),
        )
        for number, column in enumerate(columns)
    }  # fmt: skip


def field_names(columns: Sequence[Column]) -> list[str]:
    """A name for each column, no two the same; a column without a header is called by its letter."""
    names: list[str] = []
    for column in columns:
        letter = column_letter(min(column.places.values())).lower()
        made = unique = plain_name(column.headers[0]) or f"column_{letter}"
        number = 2
        while unique in names:
            unique, number = f"{made}_{number}", number + 1
        names.append(unique)
    return names


def titles_field(taken: Sequence[str]) -> FieldDraft:
    """A field for titles that stand in rows of their own; it has no column, so files may lack it."""
    name = next(word for word in ("section", "section_title", "title_of_section") if word not in taken)
    evidence = "no column of its own: the titles that reader.group_rows speaks of"
    made = Field(name, FieldType("string"), (name,), may_be_absent=True)
    return FieldDraft(made, (Guess("mayBeAbsent", True, evidence),))


def unfit_cells(
    engine: Engine, relation: str, columns: Sequence[Column], typed: Mapping[int, Typed]
) -> tuple[str, ...]:
    """Remarks on cells that the gate refuses even as text, such as numbers that a spreadsheet rounded."""
    tests = [(number, one.field) for number, one in typed.items() if one.is_text and one.facts.filled]
    return tuple(
        f'column "{columns[number].headers[0]}": the gate refuses {counted(count, "cell", "cells")} even as text'
        for (number, _), count in zip(tests, profile.refused(engine, relation, tests), strict=True)
        if count
    )


def plain_name(words: str) -> str:
    """Words as a name: small letters, digits and underscores, a letter first; empty when nothing is left."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    made = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", plain).lower()).strip("_")
    return f"n{made}" if made[:1].isdigit() else made


def _field(
    engine: Engine,
    relation: str,
    number: int,
    column: Column,
    typed: Typed,
    name: str,
    classified: Guess | None,
    absent: Guess | None,
    filled: Guess | None,
) -> FieldDraft:
    made = replace(
        typed.field,
        name=name,
        headers=column.headers if column.headers[0] else (name, *column.headers),
        required=filled is not None and absent is None,
        may_be_absent=absent is not None,
        classification=None if classified is None else str(classified.value),
    )
    guesses = [*_shown_guesses(typed, masked=classified is not None), *_aliases(column)]
    guesses += [guess for guess in (classified, absent, filled if made.required else None) if guess is not None]
    values = () if classified is not None else _values(engine, relation, number, made, typed)
    if values:
        few = "only one text" if len(values) == 1 else f"only {len(values)} different texts"
        words = f"{few} in {typed.facts.filled:,} cells; a new one is a warning"
        guesses.append(Guess("quality", list(values), words))
    return FieldDraft(made, tuple(guesses), values)


def _shown_guesses(typed: Typed, *, masked: bool) -> list[Guess]:
    if not masked:
        return list(typed.guesses)
    return [replace(guess, evidence=personal.hidden(guess.evidence)) for guess in typed.guesses]


def _aliases(column: Column) -> list[Guess]:
    if not column.headers[0]:
        return [Guess("aliases", [""], "the header is blank")]
    if not column.aliases:
        return []
    return [Guess("aliases", list(column.headers[1:]), "; ".join(guess.evidence for guess in column.aliases))]


def _absent(tables: Sequence[Delivered], column: Column) -> Guess | None:
    files = [table.file for number, table in enumerate(tables) if number not in column.places]
    if not files:
        return None
    more = f" and {len(files) - FILES_NAMED} more" if len(files) > FILES_NAMED else ""
    words = f"missing in {len(files)} of {len(tables)} files: {', '.join(files[:FILES_NAMED])}{more}"
    return Guess("mayBeAbsent", True, words)


def _filled(column: Column, rows: Mapping[int, int], empty: int, typed: Typed) -> Guess | None:
    """Why a value may be required: no cell is empty in the files that have the column."""
    without = sum(count for number, count in rows.items() if number not in column.places)
    if empty > without or typed.facts.errors or not typed.facts.filled:
        return None
    return Guess("required", True, f"no cell is empty in {counted(sum(rows.values()) - without, 'row', 'rows')}")


def _values(engine: Engine, relation: str, number: int, made: Field, typed: Typed) -> tuple[str, ...]:
    named = bool(typed.guesses[0].candidates)
    if not typed.is_text or named or not typed.facts.filled or typed.facts.distinct > FEW_VALUES * 2:
        return ()
    found = profile.frequent(engine, relation, number, made, FEW_VALUES + 1)
    if len(found) > FEW_VALUES or typed.facts.filled < len(found) * TIMES_EACH:
        return ()
    values = tuple(sorted(text for text, _ in found))
    return values if all(value.strip() and len(value) <= LONGEST_VALUE for value in values) else ()
