"""The exact pass: every cell against the contract, with its sheet, row and column.

The cells stand in relations of the engine; one statement counts what is wrong in all columns, and only columns
with something wrong are asked for examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay.engines import forms
from assay.engines.duckdb import Engine, literal, quoted
from assay.findings import Cell, Finding, column_letter, masked, worst
from assay.readers.locate import Located, answered
from assay.zones.contract import as_declared

if TYPE_CHECKING:
    from assay.zones.contract import Contract, Field
    from assay.zones.model import ReaderHints

#: How much of a cell a finding shows.
SHOWN_CHARACTERS = 80

#: The findings whose rows cannot pass, and how a set-aside row says so.
REASONS = {
    "type_mismatch": "does not fit",
    "ambiguous_date": "could be two dates",
    "rounded_number": "has lost digits",
    "missing_value": "is empty",
}
FATAL = frozenset(REASONS)

#: What is said of cells that pass all the same.
REMARKS = {
    "number_as_text": "held as text by the file, and taken as numbers",
    "text_as_number": "held as numbers or dates by the file: leading zeros, if any, are gone",
}

Way = Literal["quick", "exact"]


@dataclass(frozen=True)
class Column:
    """Where a field stands in a delivered sheet: its column, and the (last) row and text of its header."""

    field: str
    sheet: str | None
    letter: str
    header: str
    header_row: int


@dataclass(frozen=True)
class Examination:
    """What was found, and the rows as relations of the engine (SQL that can stand after FROM).

    `rows` are the typed rows that may pass, `aside` those with a cell that does not fit, with `_reason` and the
    delivered texts in `_raw`; None where there are none. Both carry `_sheet` and `_row`. `rows_total` counts the
    data rows of the file, `rows_affected` those with anything that keeps a row from passing, each once. `files` are
    Parquet files that hold `rows` as they are to be kept, the columns that were asked for as a stamp included; empty
    where the rows still have to be written.
    """

    findings: tuple[Finding, ...]
    rows: str
    aside: str | None
    way: Way
    rows_total: int = 0
    rows_affected: int = 0
    columns: tuple[Column, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether nothing may pass."""
        return worst(self.findings) == "error"


@dataclass(frozen=True)
class Sheet:
    """One sheet's cells as a relation with `row`, `cells`, `c0`… and, where the file typed its cells, `k0`…"""

    relation: str
    located: Located
    kinds: bool


class Exact:
    """The exact pass over the sheets of one file."""

    def __init__(self, contract: Contract, hints: ReaderHints, engine: Engine, cells_most: int) -> None:
        self._contract = contract
        self._hints = hints
        self._engine = engine
        self._most = cells_most
        self._sheets: Sequence[Sheet] = ()
        self._kinds = False

    def examine(self, sheets: Sequence[Sheet], tables: Mapping[str, Any] | None = None) -> Examination:
        for name, table in (tables or {}).items():
            self._engine.register(name, table)
        self._sheets = [sheet for sheet in sheets if sheet.located.columns]
        self._kinds = any(sheet.kinds for sheet in sheets)
        there = {name for sheet in sheets for name in sheet.located.columns}
        findings = [finding for sheet in sheets for finding in sheet.located.findings]
        if not there:
            return Examination(tuple(findings), self._no_rows(), None, "exact")
        if self._hints.group_rows:
            there.add(self._hints.group_rows)
        fields = [field for field in self._contract.fields if field.name in there]
        findings += self._body(fields)
        shape, extra = self._shape(), self._extra_rows(fields)
        findings += [*shape, *extra]
        checks = [_Check(field, self._kinds) for field in fields]
        total, affected, cells, bad = self._cells(checks, self._misshapen() if shape else "false")
        findings += cells
        if total == 0 and worst(findings) != "error":
            findings.append(self._answered("empty_file", "empty_file", "there is no data row below the header"))
        rows = self._typed(fields, "_sheet, _row", f"NOT {bad}")
        aside = self._aside(checks, bad) if any(finding.kind in FATAL for finding in cells) else None
        left_out = sum(finding.count for finding in extra)
        return Examination(
            tuple(findings), rows, aside, "exact",
            total + left_out, affected + left_out, columns_of(sheet.located for sheet in self._sheets),
        )  # fmt: skip

    def _answered(self, drift: str, kind: str, message: str, **more: Any) -> Finding:
        return answered(getattr(self._contract.drift, drift), kind, message, **more)

    # -- which rows are data ------------------------------------------------------------------------------------

    def _body(self, fields: list[Field]) -> list[Finding]:
        """Makes `body`: the data rows of all sheets, a text `t_` and a kind `k_` for each field."""
        parts = [self._part(number, sheet, fields) for number, sheet in enumerate(self._sheets)]
        union = " UNION ALL ".join(parts)
        if not reshapes(self._hints):
            # Cells in a file of their own are read from it each time; those in memory are gathered once.
            self._see(union, gathered="gathered" if self._kinds else None)
            return []
        footer, skip = _matches(self._hints.footer), f"({_matches(self._hints.skip)} AND NOT {self._kept(fields)})"
        group = "_filled = 1" if self._hints.group_rows else "false"
        self._engine.run(
            f"CREATE OR REPLACE TEMP TABLE marked AS SELECT *, CASE WHEN _row >= coalesce(min(_row) FILTER ({footer}) "
            f"OVER (PARTITION BY _g), 9223372036854775807) THEN 'footer' WHEN {skip} THEN 'skip' "
            f"WHEN {group} THEN 'group' END AS _mark FROM ({union})"
        )
        filled = self._filled([field.name for field in fields])
        replaced = f"SELECT * REPLACE ({', '.join(filled)}) FROM marked" if filled else "SELECT * FROM marked"
        self._see(f"SELECT * FROM ({replaced}) WHERE _mark IS NULL", gathered="gathered")
        return self._left_out()

    def _kept(self, fields: list[Field]) -> str:
        """SQL: the row fills what only data fills, so that no pattern may leave it out."""
        wanted = [field for field in fields if field.name in self._hints.kept_when_filled]
        filled = " AND ".join(f"NOT {forms.is_missing(field, _t(field.name))}" for field in wanted)
        return f"({filled or 'false'})"

    def _see(self, rows: str, *, gathered: str | None) -> None:
        """Makes `body` show these rows, gathered in a table of that name first."""
        if gathered is not None:
            self._engine.run(f"CREATE OR REPLACE TEMP TABLE {gathered} AS {rows}")
            rows = f"SELECT * FROM {gathered}"
        self._engine.run(f"CREATE OR REPLACE TEMP VIEW body AS {rows}")

    def _part(self, number: int, sheet: Sheet, fields: list[Field]) -> str:
        """SQL: one sheet's rows below its header that hold any text."""
        located = sheet.located
        width = located.grid.width
        columns = [f"{number} AS _g", "row AS _row", f"CAST({literal(located.grid.sheet)} AS VARCHAR) AS _sheet"]
        columns += ["cells AS _cells", f"{_beyond(sheet)} AS _beyond", f"{first_text(width)} AS _first"]
        columns.append(f"{_first_index(width)} AS _at")
        if reshapes(self._hints):
            filled = " + ".join(f"CAST({_text(index)} IS NOT NULL AS INTEGER)" for index in range(width))
            columns.append(f"{filled} AS _filled")
        for field in fields:
            index = located.columns.get(field.name)
            columns.append(f"{'CAST(NULL AS VARCHAR)' if index is None else f'c{index}'} AS {_t(field.name)}")
            if self._kinds:
                kind = "0" if index is None else f"k{index}" if sheet.kinds else f"{forms.KIND_TEXT}"
                columns.append(f"CAST({kind} AS TINYINT) AS {_k(field.name)}")
        return (
            f"SELECT {', '.join(columns)} FROM {sheet.relation} "
            f"WHERE row > {located.header_row} AND {first_text(width)} IS NOT NULL"
        )

    def _filled(self, names: list[str]) -> list[str]:
        """SQL replacements: cells that repeat the one above, and the field that group rows name."""
        window = "IGNORE NULLS) OVER (PARTITION BY _g ORDER BY _row)"
        replaced = []
        for name in self._hints.fill_down:
            if name in names:
                own = f"_mark IS NULL AND trim({_t(name)}) <> ''"
                replaced.append(f"last_value(CASE WHEN {own} THEN {_t(name)} END {window} AS {_t(name)}")
                if self._kinds:
                    replaced.append(f"last_value(CASE WHEN {own} THEN {_k(name)} END {window} AS {_k(name)}")
        group = self._hints.group_rows
        if group is not None:
            above = f"last_value(CASE WHEN _mark = 'group' THEN _first END {window}"
            replaced.append(f"coalesce(nullif(trim({_t(group)}), ''), {above}) AS {_t(group)}")
            if self._kinds:
                replaced.append(f"CAST({forms.KIND_TEXT} AS TINYINT) AS {_k(group)}")
        return replaced

    def _left_out(self) -> list[Finding]:
        """Says which rows are not data by the hints."""
        words = {"footer": "end the table", "skip": "are no data", "group": "name a group"}
        found = []
        for mark, count in self._engine.rows(
            "SELECT _mark, count(*) FROM marked WHERE _mark IS NOT NULL GROUP BY 1 ORDER BY 1"
        ):
            cells = self._first_texts(f"_mark = {literal(mark)}", relation="marked")
            message = f"{counted(count, 'row')} left out by the reader's hints: {words[mark]}"
            found.append(Finding("left_out_rows", message, severity="info", count=count, cells=cells))
        return found

    def _shape(self) -> list[Finding]:
        """Rows of a text file that have another number of cells than its header."""
        widths = self._widths()
        if not widths:
            return []
        bad = self._misshapen()
        count = self._engine.row(f"SELECT count(*) FROM body WHERE {bad}")[0]
        if not count:
            return []
        rows = self._engine.rows(f"SELECT _row, _cells FROM body WHERE {bad} ORDER BY _g, _row LIMIT {self._most}")
        width = next(iter(widths.values()))
        return [
            Finding(
                "row_shape",
                f"{counted(count, 'row')} with another number of cells than the header, which has {width}",
                expected=f"{width} cells",
                count=count,
                cells=tuple(Cell(row=row, found=f"{cells} cells") for row, cells in rows),
            )
        ]

    def _widths(self) -> dict[int, int]:
        return {number: _width(sheet) for number, sheet in enumerate(self._sheets) if not sheet.kinds}

    def _misshapen(self) -> str:
        """SQL: a row of a text file has fewer cells than its header, or text beyond the header's last one."""
        short = " OR ".join(f"(_g = {number} AND _cells < {width})" for number, width in self._widths().items())
        return f"(({short or 'false'}) OR _beyond)"

    def _extra_rows(self, fields: list[Field]) -> list[Finding]:
        """Rows that fill none of several required columns: totals and remarks that nobody declared."""
        required = [field for field in fields if field.required and field.name != self._hints.group_rows]
        if len(required) < 2:
            return []
        extra = "(" + " AND ".join(forms.is_missing(field, _t(field.name)) for field in required) + ")"
        count = self._engine.row(f"SELECT count(*) FROM body WHERE {extra}")[0]
        if not count:
            return []
        cells = self._first_texts(extra)
        self._see(f"SELECT * FROM body WHERE NOT {extra}", gathered="kept")
        left = "" if self._contract.drift.extra_rows == "reject" else " and are left out"
        return [
            self._answered(
                "extra_rows",
                "extra_rows",
                f"{counted(count, 'row')} without any of the required values{left}: totals or remarks?",
                expected="rows of data only, or `reader.footer` and `reader.skip` patterns for the others",
                count=count,
                cells=cells,
            )
        ]

    # -- cells ----------------------------------------------------------------------------------------------------

    def _cells(self, checks: Sequence[_Check], misshapen: str) -> tuple[int, int, list[Finding], str]:
        """From one pass over the rows: how many there are, how many of them cannot pass or are `misshapen` (each
        counted once), findings of all columns with their first cells, and the SQL condition of a row that cannot
        pass."""
        tests = [(check, name) for check in checks for name in check.tests]
        answers = "".join(f", {check.tests[name]} AS b{at}" for at, (check, name) in enumerate(tests))
        place = "_g * 1099511627776 + _row"  # no sheet has more rows
        counted = "".join(
            f", count(*) FILTER (b{at}), "
            f"min_by(row(_g, _sheet, _row, {_t(check.field.name)}), {place}, {self._most}) FILTER (b{at})"
            for at, (check, _) in enumerate(tests)
        )
        fatal = " OR ".join([misshapen, *(f"b{at}" for at, (_, name) in enumerate(tests) if name in FATAL)])
        rows, affected, *found = self._engine.row(
            f"SELECT count(*), count(*) FILTER ({fatal}){counted} FROM (SELECT *{answers} FROM body)"
        )
        findings: list[Finding] = []
        bad: list[str] = []
        for (check, name), count, first in zip(tests, found[::2], found[1::2], strict=True):
            if count:
                cells = tuple(self._cell(check.field, *place) for place in first)
                findings.append(self._finding(check, name, count, cells))
                if name in FATAL:
                    bad.append(check.tests[name])
        return rows, affected, findings, f"({' OR '.join(bad) or 'false'})"

    def _finding(self, check: _Check, name: str, count: int, cells: tuple[Cell, ...]) -> Finding:
        field, expected = check.field, expectation(check.field)
        aside = "" if self._contract.drift.type_mismatch == "reject" else "; their rows are set aside"
        common: dict[str, Any] = {
            "field": field.name, "expected": expected, "count": count, "cells": cells,
            "header": self._header(field),
        }  # fmt: skip
        if name == "type_mismatch":
            message = f"column {field.name}: {are(count, 'cell')} not {expected}{aside}"
        elif name == "ambiguous_date":
            message = f"column {field.name}: {are(count, 'cell')} read as two dates by the declared formats{aside}"
        elif name == "rounded_number":
            message = f"column {field.name}: {are(count, 'number')} longer than the 15 digits of a workbook{aside}"
        elif name == "missing_value":
            message = f"column {field.name}: {are(count, 'cell')} empty, but the contract requires a value{aside}"
        else:
            message = f"column {field.name}: {are(count, 'cell')} {REMARKS[name]}"
            return Finding(name, message, severity="info", **common)
        return self._answered("type_mismatch", name, message, **common)

    def _examples(
        self, condition: str, column: str, field: Field | None, *, relation: str = "body"
    ) -> tuple[Cell, ...]:
        rows = self._engine.rows(
            f"SELECT _g, _sheet, _row, {column} FROM {relation} WHERE {condition} ORDER BY _g, _row LIMIT {self._most}"
        )
        return tuple(self._cell(field, *place) for place in rows)

    def _cell(self, field: Field | None, number: int, sheet: str | None, row: int, text: str | None) -> Cell:
        return Cell(row, self._letter(number, field), _shown(text, field), sheet)

    def _first_texts(self, condition: str, relation: str = "body") -> tuple[Cell, ...]:
        """The first text of rows, masked where it stands in the column of a sensitive field."""
        rows = self._engine.rows(
            f"SELECT _g, _sheet, _row, _first, _at FROM {relation} WHERE {condition} ORDER BY _g, _row "
            f"LIMIT {self._most}"
        )
        return tuple(
            Cell(row, column_letter(at), _shown(text, self._secret_at(number, at)), sheet)
            for number, sheet, row, text, at in rows
        )

    def _secret_at(self, sheet: int, index: int) -> Field | None:
        """A sensitive field whose column this is, or whose value stands in rows of its own; None for others."""
        located = self._sheets[sheet].located
        for field in self._contract.fields:
            at = {located.columns.get(field.name), *located.duplicates.get(field.name, ())}
            if field.sensitive and (index in at or field.name == self._hints.group_rows):
                return field
        return None

    def _header(self, field: Field) -> str | None:
        found = (_header_of(sheet.located, field.name) for sheet in self._sheets)
        return next((header for header in found if header), None)

    def _letter(self, sheet: int, field: Field | None) -> str | None:
        index = None if field is None else self._sheets[sheet].located.columns.get(field.name)
        return None if index is None else column_letter(index)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _typed(self, fields: list[Field], more: str, where: str) -> str:
        names = {field.name for field in fields}
        selected = ", ".join(
            (
                forms.typed(field, _t(field.name), _k(field.name) if self._kinds else None)
                if field.name in names
                else f"CAST(NULL AS {field.type.duckdb})"
            )
            + f" AS {quoted(field.name)}"
            for field in self._contract.fields
        )
        return f"(SELECT {selected}, {more} FROM (SELECT *, CAST(_row AS BIGINT) AS _row FROM body) WHERE {where})"

    def _aside(self, checks: Sequence[_Check], bad: str) -> str:
        fields = [check.field for check in checks]
        reasons = [
            f"CASE WHEN {check.tests[name]} THEN {literal(f'{check.field.name}: {REASONS[name]}; ')} ELSE '' END"
            for check in checks
            for name in check.tests
            if name in FATAL
        ]
        raw = ", ".join(f"{quoted(field.name)} := {_t(field.name)}" for field in fields)
        more = (
            f"_sheet, _row, rtrim({' || '.join(reasons)}, '; ') AS _reason, "
            f"CAST(to_json(struct_pack({raw})) AS VARCHAR) AS _raw"
        )
        return self._typed(fields, more, bad)

    def _no_rows(self) -> str:
        fields = self._contract.fields
        empty = ", ".join(f"CAST(NULL AS {field.type.duckdb}) AS {quoted(field.name)}" for field in fields)
        return f"(SELECT {empty}, CAST(NULL AS VARCHAR) AS _sheet, CAST(NULL AS BIGINT) AS _row WHERE false)"


class _Check:
    """What is asked of each cell of a field, as SQL conditions over `body` by the kind of finding."""

    def __init__(self, field: Field, kinds: bool) -> None:
        self.field = field
        text, kind = _t(field.name), _k(field.name) if kinds else None
        unfit = forms.unfit(field, text, kind)
        self.tests: dict[str, str] = {"type_mismatch": unfit}
        twice = forms.ambiguous(field, text)
        if twice is not None:
            twice = f"({unfit} AND coalesce({twice}, false))"
            self.tests = {"type_mismatch": f"({unfit} AND NOT {twice})", "ambiguous_date": twice}
        if field.required:
            self.tests["missing_value"] = forms.is_missing(field, text)
            self.tests["type_mismatch"] = f"({self.tests['type_mismatch']} AND NOT {forms.is_missing(field, text)})"
        if kind is not None:
            rounded = f"({kind} = {forms.KIND_ROUNDED})"
            self.tests["rounded_number"] = f"({unfit} AND {rounded})"
            self.tests["type_mismatch"] = f"({self.tests['type_mismatch']} AND NOT {rounded})"
            for name, said in (
                ("number_as_text", forms.number_in_text(field, text, kind)),
                ("text_as_number", forms.text_in_number(field, text, kind)),
            ):
                if said is not None:
                    self.tests[name] = f"({said} AND NOT {unfit})"


def _t(field: str) -> str:
    return quoted(f"t_{field}")


def _k(field: str) -> str:
    return quoted(f"k_{field}")


def _shown(text: str | None, field: Field | None) -> str | None:
    if text is None:
        return None
    short = text[:SHOWN_CHARACTERS]
    return masked(short) if field is not None and field.sensitive else short


def _text(index: int) -> str:
    return f"nullif(trim(c{index}, {literal(forms.BLANKS)}), '')"


def first_text(width: int) -> str:
    """SQL: the first text of a row, or NULL where it has none."""
    return f"coalesce({', '.join(_text(index) for index in range(width)) or 'NULL'})"


def _first_index(width: int) -> str:
    """SQL: the zero-based column of a row's first text."""
    choices = " ".join(f"WHEN {_text(index)} IS NOT NULL THEN {index}" for index in range(width))
    return f"CAST(CASE {choices} END AS INTEGER)" if choices else "CAST(NULL AS INTEGER)"


def _header_of(located: Located, field: str) -> str | None:
    index = located.columns.get(field)
    return None if index is None else located.headers[index].strip() or None


def columns_of(sheets: Iterable[Located]) -> tuple[Column, ...]:
    """Where the fields stand in the sheets that carry them."""
    return tuple(
        Column(field, located.grid.sheet, column_letter(index), located.headers[index].strip(), located.header_row)
        for located in sheets
        for field, index in located.columns.items()
    )


def _matches(patterns: Sequence[str]) -> str:
    return "(" + (" OR ".join(f"regexp_matches(_first, {literal(pattern)})" for pattern in patterns) or "false") + ")"


def _width(sheet: Sheet) -> int:
    """How many cells the header has."""
    import pyarrow.compute as pc

    table = sheet.located.grid.table
    header = table.filter(pc.equal(table["row"], sheet.located.header_row))
    return int(header["cells"][0].as_py()) if header.num_rows else 0


def _beyond(sheet: Sheet) -> str:
    """SQL: a cell of a text file stands to the right of the header's last one."""
    if sheet.kinds:
        return "false"
    names = range(_width(sheet), sheet.located.grid.width)
    return "(" + (" OR ".join(f"{_text(index)} IS NOT NULL" for index in names) or "false") + ")"


def counted(count: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def are(count: int, noun: str) -> str:
    """`1 cell is`, `1,200 cells are`."""
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"


def expectation(field: Field) -> str:
    """What a field's cells must look like, for people."""
    words = str(field.type)
    if field.type.kind in ("date", "timestamp", "time") and field.formats:
        words = f"a {words} written as " + " or ".join(as_declared(one) for one in field.formats)
    if field.pattern:
        words += f" that matches {field.pattern}"
    for value, text in (
        (field.min_length, "at least {} characters"),
        (field.max_length, "at most {} characters"),
        (field.minimum, "not below {}"),
        (field.maximum, "not above {}"),
        (field.exclusive_minimum, "above {}"),
        (field.exclusive_maximum, "below {}"),
    ):
        if value is not None:
            words += ", " + text.format(value)
    return words


def reshapes(hints: ReaderHints) -> bool:
    """Whether rows are left out or filled, which only the exact pass does."""
    return bool(hints.skip or hints.footer or hints.fill_down or hints.group_rows)
