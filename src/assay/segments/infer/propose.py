"""A contract proposed from files: everything in it holds for every cell of them, and says why."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from assay.engines.duckdb import Engine, connect
from assay.errors import Rejected
from assay.findings import Finding
from assay.segments.infer import keys
from assay.segments.infer.columns import Column, gather, renamed, together
from assay.segments.infer.fields import draft_fields, plain_name, titles_field, unfit_cells
from assay.segments.infer.rows import Body, data_rows, fill_down
from assay.segments.infer.tables import Delivered, guesses_of, read_tables
from assay.segments.infer.typing import Typed, type_columns
from assay.zones.contract_draft import Draft, DraftFile, FieldDraft, Guess
from assay.zones.model import ReaderHints

MEMORY = "2GB"
#: A column whose value stands once for the rows below has few values.
MOST_GROUPS = 500


def propose(files: Sequence[Path], scratch: Path, hints: ReaderHints | None = None, name: str | None = None) -> Draft:
    """The contract that the files of one source suggest; `scratch` takes what is read.

    Raises `Rejected` when a file cannot be read, has no table or has no row.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with connect(scratch, memory_limit=MEMORY) as engine:
        tables, remarks = read_tables(engine, files, hints or ReaderHints(), scratch)
        return _draft(engine, tables, name or dataset_name(files), remarks)


def dataset_name(files: Sequence[Path]) -> str:
    """A name for the dataset: what the names of its files have in common, or else their folder's."""
    common = os.path.commonprefix([path.stem.casefold() for path in files])
    made = plain_name(re.sub(r"\d+", " ", common))
    return made if len(made) > 2 else plain_name(files[0].resolve().parent.name) or "source"


def file_pattern(files: Sequence[Path]) -> str:
    """A pattern for the names of such files, as `sources:` in pipeline.yaml takes it."""
    suffixes = {path.suffix for path in files}
    suffix = suffixes.pop() if len(suffixes) == 1 else ".*"
    stems = [path.stem for path in files]
    begin = stems[0] if len(stems) == 1 else os.path.commonprefix(stems)
    plain = re.sub(r"[\[\]?*]", "*", re.sub(r"\d.*$", "", begin))
    return f"{plain}*{suffix}"


def _draft(engine: Engine, tables: Sequence[Delivered], name: str, remarks: Sequence[str]) -> Draft:
    body = data_rows(engine, tables)
    columns, relation, typed, said = _columns(engine, tables, body)
    rows = int(engine.row(f"SELECT count(*) FROM {relation}")[0])
    if not rows:
        what = "no row below the header has a value"
        raise Rejected(what, [Finding("empty_file", what)], where=tables[0].file, next="give a file with data rows")
    drafts = draft_fields(engine, relation, tables, columns, typed)
    found = keys.candidate_keys(
        engine, relation, rows, {number: one.field for number, one in drafts.items()},
        {number: one.facts.distinct for number, one in typed.items()},
    )  # fmt: skip
    reader, guesses, differences = guesses_of(tables)
    down = _fill_down(engine, tables, body, columns, typed, drafts)
    titled = () if body.titles is None else (titles_field([one.field.name for one in drafts.values()]),)
    if titled:
        down = (*down, Guess("group_rows", titled[0].field.name, str(body.titles)))
    return Draft(
        name=name,
        files=tuple(_file(table) for table in tables),
        fields=(*_with_key(tuple(drafts.values()), found), *titled),
        reader={**reader, **body.reader, **{guess.what: guess.value for guess in down}},
        reader_guesses=(*guesses, *body.guesses, *down),
        keys=found,
        remarks=(
            *remarks,
            *differences,
            *said,
            *_remarks(columns, typed),
            *unfit_cells(engine, relation, columns, typed),
        ),
    )


def _columns(
    engine: Engine, tables: Sequence[Delivered], body: Body
) -> tuple[tuple[Column, ...], str, dict[int, Typed], tuple[str, ...]]:
    """The columns, the relation of all rows, and the columns' types; typed again where columns were joined."""
    columns, remarks = gather(engine, tables)
    relation = together(engine, tables, body.relations, columns)
    typed = type_columns(engine, relation, _headers(columns))
    joined = renamed(engine, relation, tables, columns, typed)
    if len(joined) == len(columns):
        return columns, relation, typed, remarks
    relation = together(engine, tables, body.relations, joined)
    return joined, relation, type_columns(engine, relation, _headers(joined)), remarks


def _headers(columns: Sequence[Column]) -> dict[int, str]:
    return {number: column.headers[0] for number, column in enumerate(columns)}


def _with_key(fields: tuple[FieldDraft, ...], found: Sequence[Guess]) -> tuple[FieldDraft, ...]:
    """The fields with the likeliest key as primary key: a single column, the first one or one whose name says so."""
    if not found or len(found[0].value) > 1:
        return fields
    name = found[0].value[0]
    one = next(field for field in fields if field.field.name == name)
    if not keys.names_a_key(one.field) and one is not fields[0]:
        return fields
    guess = Guess("primaryKey", True, found[0].evidence)
    keyed = replace(one, field=replace(one.field, primary_key=True), guesses=(*one.guesses, guess))
    return tuple(keyed if field is one else field for field in fields)


def _fill_down(
    engine: Engine,
    tables: Sequence[Delivered],
    body: Body,
    columns: Sequence[Column],
    typed: Mapping[int, Typed],
    drafts: Mapping[int, FieldDraft],
) -> tuple[Guess, ...]:
    """Whether the value of one of the first columns stands only once for the rows below it."""
    for number, column in list(enumerate(columns))[:3]:
        for table, index in column.places.items():
            if not typed[number].is_text or typed[number].facts.distinct > MOST_GROUPS:
                continue
            why = fill_down(engine, body.relations[table], index, tables[table].width)
            if why is not None:
                return (Guess("fill_down", [drafts[number].field.name], why),)
    return ()


def _remarks(columns: Sequence[Column], typed: Mapping[int, Typed]) -> tuple[str, ...]:
    errors = [
        f'column "{columns[number].headers[0]}" has {one.facts.errors:,} cells with a spreadsheet error such as #N/A: '
        "the gate rejects them"
        for number, one in typed.items()
        if one.facts.errors
    ]
    return (*(remark for one in typed.values() for remark in one.remarks), *errors)


def _file(table: Delivered) -> DraftFile:
    return DraftFile(
        table.file, table.sheet, table.header.row, table.rows, table.width, table.encoding, table.delimiter
    )
