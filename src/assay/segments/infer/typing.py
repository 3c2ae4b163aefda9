"""The type of each column: the one reading that every cell of every file bears, or text.

Candidates come from a sample; the engine then counts the cells that the gate would refuse under each. A candidate
that fails hands its counterexamples to the sample, so a rare cell far down decides as the first ones do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from assay.engines import profile
from assay.engines.duckdb import Engine
from assay.segments.infer import candidates as possible
from assay.segments.infer.candidates import Option
from assay.zones.contract import Field
from assay.zones.contract_draft import Guess, counted
from assay.zones.types import FieldType

SAMPLE_ROWS = 5_000
COUNTEREXAMPLES = 200
ROUNDS = 8
#: When this part of a column's texts would have a type, the one that has not is shown.
MOSTLY = 0.8
#: Room that a decimal gets beside the digits that were found: as many whole digits at least, and this many more.
WHOLE_DIGITS, SPARE_DIGITS = 10, 2
#: From here on, closing zeros of a fraction are not counted: they are how a program prints, not what people wrote.
PRINTED_DIGITS = 6
MOST_DIGITS = 38

_IDENTIFIER = re.compile(
    r"\b(?:id|ids|code|codes|ref|reference|iban|postcode|zip|phone|telephone|mobile|barcode|sku|isbn|"
    r"cnpj|cpf|cod|codigo|vat id|key)\b|\baccount$|\b(?:number|no|nr|num|numero)\b\.?(?:\s*\d)?$"
)
_DAY = re.compile(r"date|datum|\bdata\b|fecha|\bday\b|\btag\b")


@dataclass(frozen=True)
class Typed:
    """A column's type as a field, with why. Texts from cells stand in double quotes in the evidence, and only they."""

    field: Field
    guesses: tuple[Guess, ...]
    facts: profile.Facts
    remarks: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the column stays text."""
        return self.field.type.kind == "string"


@dataclass
class _Column:
    number: int
    header: str
    facts: profile.Facts
    null_words: tuple[str, ...]
    sample: list[tuple[str, int]]
    options: tuple[Option, ...] = ()
    survivors: tuple[Option, ...] | None = None
    refused_by: list[tuple[str, str]] = field(default_factory=list)


def type_columns(engine: Engine, relation: str, headers: Mapping[int, str]) -> dict[int, Typed]:
    """The type of each column of the relation, by number; `headers` are the names in the files."""
    numbers = list(headers)
    facts = profile.facts(engine, relation, numbers, possible.NULL_WORDS)
    columns = [
        _start(engine, relation, number, headers[number], found) for number, found in zip(numbers, facts, strict=True)
    ]
    for _ in range(ROUNDS):
        waiting = [column for column in columns if column.survivors is None]
        if not waiting:
            break
        _round(engine, relation, waiting)
    decimal_signs = {
        column.survivors[0].field.decimal_sign
        for column in columns
        if column.survivors and len(column.survivors) == 1 and _separated(column)
    }
    return {column.number: _settled(column, decimal_signs) for column in columns}


def _start(engine: Engine, relation: str, number: int, header: str, facts: profile.Facts) -> _Column:
    sample = profile.sample(engine, relation, number, SAMPLE_ROWS)
    words = tuple(word for word in facts.words if word != "")
    rest = [(text, kind) for text, kind in sample if text not in words]
    return _Column(number, header, facts, words, rest)


def _round(engine: Engine, relation: str, columns: Sequence[_Column]) -> None:
    """One round: candidates from the samples, the engine's count for each, counterexamples for the next round."""
    for column in columns:
        column.options = possible.options("column", column.sample, column.null_words)
    _count_digits(engine, relation, columns)
    tests = [(column.number, option.field) for column in columns for option in column.options]
    counts = iter(profile.refused(engine, relation, tests))
    for column in columns:
        accepted = [option for option in column.options if next(counts) == 0]
        if accepted or not column.options:
            column.survivors = tuple(accepted)
            continue
        for option in column.options:
            more = profile.counterexamples(engine, relation, column.number, option.field, COUNTEREXAMPLES)
            known = set(column.sample)
            column.sample += [cell for cell in more if cell not in known]
            column.refused_by.append((option.reading, f"one cell is {_shown(more[0][0])}" if more else ""))
    for column in columns:
        if column.survivors:
            column.survivors = _without_codes(engine, relation, column, column.survivors)


def _count_digits(engine: Engine, relation: str, columns: Sequence[_Column]) -> None:
    """Gives number candidates the precision and scale of all cells; those that cannot be exact fall away."""
    open_ones = [(column, option) for column in columns for option in column.options if option.digits_open]
    tests = [(column.number, option.field) for column, option in open_ones]
    counted: dict[tuple[int, Option], Option | None] = {}
    for (column, option), (whole, written, needed) in zip(
        open_ones, profile.digits(engine, relation, tests), strict=True
    ):
        kind = _number_type(whole, written, needed)
        counted[column.number, option] = (
            None
            if kind is None
            else Option(replace(option.field, type=kind), option.reading, digits=(whole, min(written, kind.scale or 0)))
        )
    for column in columns:
        column.options = tuple(
            found for option in column.options if (found := counted.get((column.number, option), option)) is not None
        )


def _number_type(whole: int, written: int, needed: int) -> FieldType | None:
    if written == 0:
        return FieldType("integer") if whole <= possible.LONGEST_NUMBER else None
    scale = written if written <= PRINTED_DIGITS else max(needed, 1)
    precision = min(max(WHOLE_DIGITS, whole + SPARE_DIGITS) + scale, MOST_DIGITS)
    return FieldType("decimal", precision, scale) if whole + scale <= precision else None


def _without_codes(engine: Engine, relation: str, column: _Column, options: tuple[Option, ...]) -> tuple[Option, ...]:
    """The candidates without numbers that begin with a zero: those are codes, and a number would lose it."""
    numeric = [option for option in options if option.field.type.kind in ("integer", "decimal")]
    if not numeric:
        return options
    grouped = [option for option in numeric if option.field.thousands_sign]
    tests = [(column.number, "[^0-9.,]*0[0-9].*")]
    tests += [(column.number, f"[^0-9.,]*0{re.escape(option.field.thousands_sign or '')}.*") for option in grouped]
    zeros, *misgrouped = profile.matching(engine, relation, tests)
    if zeros:
        column.refused_by.append(("a number", f"{zeros:,} cells begin with a zero"))
        return tuple(option for option in options if option not in numeric)
    bad = [option for option, count in zip(grouped, misgrouped, strict=True) if count]
    return tuple(option for option in options if option not in bad)


def _separated(column: _Column) -> bool:
    """Whether the column's numbers have signs among their digits, and so say something about all columns."""
    return any(character in ".," for text, kind in column.sample[:COUNTEREXAMPLES] for character in text if kind == 1)


def _settled(column: _Column, decimal_signs: set[str]) -> Typed:
    survivors = column.survivors or ()
    remarks: list[str] = []
    if len(survivors) > 1 and all(option.field.type.numeric for option in survivors):
        survivors = _by_convention(survivors, decimal_signs)
    if len(survivors) > 1:
        return _ambiguous(column, survivors)
    words = _header_words(column.header)
    if survivors and survivors[0].field.type.kind == "boolean":
        survivors = survivors if _both_words(column, survivors[0]) else ()
    if survivors and survivors[0].field.type.kind == "integer":
        if possible.compact_dates(column.sample) and _DAY.search(words):
            return _compact_date(column)
        if _IDENTIFIER.search(words):
            why = f"all {_cells(column)} are whole numbers{_example(column)}, but the header names an identifier"
            return _text(column, f"{why}: text keeps them as sent", ("whole number",))
    if not survivors:
        return _text(column, _why_text(column))
    option = survivors[0]
    if (option.field.type.scale or 0) > PRINTED_DIGITS:
        scale = option.field.type.scale
        remarks.append(f'column "{column.header}" has {scale} digits after the decimal sign: rounding?')
    first = Guess("logicalType", str(option.field.type), _evidence(column, option))
    return Typed(option.field, (first, *_more_guesses(column, option)), column.facts, tuple(remarks))


def _by_convention(options: tuple[Option, ...], decimal_signs: set[str]) -> tuple[Option, ...]:
    """A number such as 1,234 is read as the other columns of the files are written; `1.234` alone is a decimal."""
    if len(decimal_signs) == 1:
        return tuple(option for option in options if option.field.decimal_sign in decimal_signs) or options
    if not decimal_signs and all(option.field.decimal_sign != "," or option.field.thousands_sign for option in options):
        return tuple(option for option in options if option.field.decimal_sign == ".") or options
    return options


def _both_words(column: _Column, option: Option) -> bool:
    found = {text.strip().casefold() for text, _ in column.sample}
    return len(found) == 2 or column.facts.booleans > 0 or found <= {"true", "false"}


def _ambiguous(column: _Column, survivors: Sequence[Option]) -> Typed:
    readings = tuple(option.reading for option in survivors)
    evidence = f"all {_cells(column)} can be read in more than one way{_example(column)}: text until you say which"
    remark = f'column "{column.header}" can be read as {" or as ".join(readings)}: nothing in the files decides'
    guess = Guess("logicalType", "text", evidence, readings)
    return Typed(_text_field(), (guess,), column.facts, (remark,))


def _compact_date(column: _Column) -> Typed:
    made = Field("column", FieldType("date"), (), null_words=column.null_words, formats=("%Y%m%d",))
    evidence = f"all {_cells(column)} are days written without separators{_example(column)}"
    return Typed(made, (Guess("logicalType", "date", evidence, ("whole number",)),), column.facts)


def _text(column: _Column, why: str, candidates: tuple[str, ...] = ()) -> Typed:
    return Typed(_text_field(), (Guess("logicalType", "text", why, candidates),), column.facts)


def _text_field() -> Field:
    return Field("column", FieldType("string"), ())


def _why_text(column: _Column) -> str:
    if column.facts.filled == 0:
        return "no cell of any file has a value"
    if possible.percentages(column.sample):
        return f"all {_cells(column)} are percentages{_example(column)}, which are kept as written"
    shortest, longest = column.facts.shortest, column.facts.longest
    length = f"{longest} characters" if shortest == longest else f"{shortest} to {longest} characters"
    if column.refused_by:
        reading, example = column.refused_by[-1]
        return f"not {reading} throughout: {example}; {length}"
    odd = _odd_one(column)
    if odd is not None:
        return f"most cells look like numbers or dates, but one is {_shown(odd)}; {length}"
    return f"{counted(column.facts.filled, 'cell', 'cells')} of {length}{_example(column)}"


def _odd_one(column: _Column) -> str | None:
    """The text that keeps a column from having a type, where most of its texts would have one."""
    frequent = column.sample[:COUNTEREXAMPLES]
    typed = [cell for cell in frequent if possible.options("column", [cell], ())]
    if not frequent or len(typed) < len(frequent) * MOSTLY:
        return None
    return next((cell[0] for cell in column.sample if not possible.options("column", [cell], ())), None)


def _evidence(column: _Column, option: Option) -> str:
    made = option.field
    what = {
        "integer": "whole numbers", "decimal": "numbers", "double": "numbers", "date": "days", "timestamp": "times",
        "time": "times of day", "boolean": "words of a yes or no",
    }[made.type.kind]  # fmt: skip
    if option.reading and made.type.kind != "integer":
        what += f" ({option.reading})"
    return f"all {_cells(column)} are {what}{_telling_example(column, made)}"


def _telling_example(column: _Column, made: Field) -> str:
    """A text that shows why the reading was chosen: one with a decimal sign, a day that is no month."""
    for text, _ in column.sample:
        if made.type.kind == "decimal" and made.decimal_sign in text:
            return f", e.g. {_shown(text)}"
        if made.formats and any(12 < int(digits) <= 31 for digits in re.findall(r"\d+", text)[:3]):
            return f", e.g. {_shown(text)}"
    return _example(column)


def _cells(column: _Column) -> str:
    return counted(column.facts.filled - column.facts.word_cells, "cell", "cells")


def _example(column: _Column) -> str:
    if not column.sample:
        return ""
    return f", e.g. {_shown(column.sample[0][0])}"


def _shown(text: str) -> str:
    """A text from a cell as evidence: in double quotes, with none inside, so that it can be found and masked."""
    inside = text[:40].replace('"', "'")
    return f'"{inside}"'


def _more_guesses(column: _Column, option: Option) -> list[Guess]:
    """The guesses behind the lines that a type brings with it."""
    made, facts = option.field, column.facts
    guesses: list[Guess] = []
    if made.null_words:
        words = f"{counted(facts.word_cells, 'cell holds', 'cells hold')} one of these and nothing else"
        guesses.append(Guess("nullWords", list(made.null_words), words))
    if made.type.kind == "decimal":
        whole, fraction = option.digits
        found = f"at most {whole} digits before and {fraction} after the decimal sign, with room for more before it"
        guesses.append(Guess("physicalType", str(made.type), found))
    if made.formats:
        cells = f", and {facts.dates:,} date cells" if facts.dates else ""
        guesses.append(Guess("format", list(made.formats), f"every text is written so{cells}"))
    for what, sign in _signs(made):
        example = next((text for text, _ in column.sample if sign in text), "")
        guesses.append(Guess(what, sign, f"as in {_shown(example)}"))
    return guesses


def _signs(made: Field) -> list[tuple[str, str]]:
    if made.type.kind not in ("integer", "decimal"):
        return []
    signs = [("decimalSign", made.decimal_sign)] if made.decimal_sign != "." else []
    if made.thousands_sign:
        signs.append(("thousandsSign", made.thousands_sign))
    signs += [("currencySigns", sign) for sign in made.currency_signs[:1]]
    return [*signs, ("parentheses", "(")] if made.parentheses else signs


def _header_words(header: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    return re.sub(r"[^\w.]+|_", " ", spaced).casefold()
