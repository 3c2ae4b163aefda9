"""What the cells of a column are like, counted over every row inside the engine.

A relation here has a text column `t0`, `t1`… and beside each a `k0`, `k1`… with the spreadsheet's own cell
types (`readers.grid.Kind`; text and empty for delimited files). Whether a cell fits a field is asked of
`forms`, so a proposed type and the gate cannot disagree about a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from assay.engines import forms
from assay.engines.duckdb import Engine, literal

if TYPE_CHECKING:
    from assay.zones.contract import Field

Item = TypeVar("Item")

KIND_NUMBER, KIND_BOOLEAN = 2, 4
#: Up to so many rows different texts are counted exactly; the engine's estimate can be a third too low.
ROWS_COUNTED = 200_000
#: How many tests one statement makes: many small expressions compile faster than one huge one.
TESTS_PER_SCAN = 60


@dataclass(frozen=True)
class Facts:
    """A column in numbers.

    `distinct` is an estimate for many rows; `words` are those of the words looked for that were found, as they
    stand, and `word_cells` how many cells hold one of them.
    """

    filled: int
    blank: int
    errors: int
    numbers: int
    dates: int
    booleans: int
    distinct: int
    shortest: int
    longest: int
    word_cells: int
    words: tuple[str, ...]


def facts(engine: Engine, relation: str, columns: Sequence[int], words: Iterable[str]) -> tuple[Facts, ...]:
    """The facts of the columns with these numbers; `words` are small-letter texts looked for in each."""
    wanted = ", ".join(literal(word) for word in sorted(words))
    different = _different(engine, relation)
    found = []
    for group in _groups(columns, 8):
        parts = []
        for number in group:
            text, kind = f"t{number}", f"k{number}"
            filled = f"({text} IS NOT NULL AND {text} <> '' AND {kind} IS DISTINCT FROM {forms.KIND_ERROR})"
            word = f"lower(trim({text}, {literal(forms.BLANKS)})) IN ({wanted})"
            parts.append(
                f"count(*) FILTER ({filled}), count(*) FILTER ({text} IS NULL OR {text} = ''), "
                f"count(*) FILTER ({kind} = {forms.KIND_ERROR}), "
                f"count(*) FILTER ({kind} = {KIND_NUMBER}), count(*) FILTER ({kind} = {forms.KIND_DATE}), "
                f"count(*) FILTER ({kind} = {KIND_BOOLEAN}), {different.format(text)} FILTER ({filled}), "
                f"min(length({text})) FILTER ({filled}), max(length({text})) FILTER ({filled}), "
                f"count(*) FILTER ({filled} AND {word}), list(DISTINCT {text}) FILTER ({filled} AND {word})"
            )
        row = engine.row(f"SELECT {', '.join(parts)} FROM {relation}")
        for at in range(len(group)):
            *counts, present = row[at * 11 : at * 11 + 11]
            filled_, blank, errors, of_number, dates, booleans, distinct, shortest, longest, word_cells = (
                int(value or 0) for value in counts
            )
            found.append(Facts(
                filled_, blank, errors, of_number, dates, booleans, distinct, shortest, longest, word_cells,
                words=tuple(sorted(present or ())),
            ))  # fmt: skip
    return tuple(found)


def refused(engine: Engine, relation: str, tests: Sequence[tuple[int, Field]]) -> tuple[int, ...]:
    """For each column and field, how many cells the gate would refuse; cells that are errors are left out."""
    counts: list[int] = []
    for group in _groups(tests, TESTS_PER_SCAN):
        parts = [f"count(*) FILTER ({_refuses(number, field)})" for number, field in group]
        counts += [int(value) for value in engine.row(f"SELECT {', '.join(parts)} FROM {relation}")]
    return tuple(counts)


def counterexamples(engine: Engine, relation: str, number: int, field: Field, limit: int) -> list[tuple[str, int]]:
    """Texts, with their cell types, that the gate would refuse in a column under a field."""
    return [
        (str(text), int(kind))
        for text, kind in engine.rows(
            f"SELECT DISTINCT t{number}, coalesce(k{number}, 1) FROM {relation} "
            f"WHERE {_refuses(number, field)} LIMIT {limit}"
        )
    ]


def sample(engine: Engine, relation: str, number: int, limit: int) -> list[tuple[str, int]]:
    """Different texts among the first filled cells of a column, with their cell types."""
    text, kind = f"t{number}", f"coalesce(k{number}, 1)"
    return [
        (str(found), int(of))
        for found, of in engine.rows(
            f"SELECT {text}, max({kind}) FROM (SELECT {text}, k{number} FROM {relation} "
            f"WHERE {text} IS NOT NULL AND {text} <> '' AND {kind} <> {forms.KIND_ERROR} LIMIT {limit}) "
            f"GROUP BY {text} ORDER BY count(*) DESC, {text}"
        )
    ]


def digits(engine: Engine, relation: str, tests: Sequence[tuple[int, Field]]) -> tuple[tuple[int, int, int], ...]:
    """The most digits before and after the decimal sign, and after it without closing zeros; 0 where no cell is."""
    if not tests:
        return ()
    parts = []
    for number, field in tests:
        text = f"t{number}"
        value = f"CASE WHEN NOT {forms.is_null(field, text)} THEN {text} END"
        whole = f"regexp_replace(split_part({value}, {literal(field.decimal_sign)}, 1), '[^0-9]', '', 'g')"
        rest = f"regexp_replace(split_part({value}, {literal(field.decimal_sign)}, 2), '[^0-9]', '', 'g')"
        parts.append(f"max(length(ltrim({whole}, '0'))), max(length({rest})), max(length(rtrim({rest}, '0')))")
    row = engine.row(f"SELECT {', '.join(parts)} FROM {relation}")
    return tuple((int(row[at] or 0), int(row[at + 1] or 0), int(row[at + 2] or 0)) for at in range(0, len(row), 3))


def nulls(engine: Engine, relation: str, tests: Sequence[tuple[int, Field]]) -> tuple[int, ...]:
    """For each column and field, how many cells have no value that a required field could take: blanks are none."""
    counts: list[int] = []
    for group in _groups(tests, TESTS_PER_SCAN):
        parts = [
            f"count(*) FILTER ({forms.is_null(field, f't{number}')} OR trim(t{number}, {literal(forms.BLANKS)}) = '')"
            for number, field in group
        ]
        counts += [int(value) for value in engine.row(f"SELECT {', '.join(parts)} FROM {relation}")]
    return tuple(counts)


def frequent(engine: Engine, relation: str, number: int, field: Field, limit: int) -> list[tuple[str, int]]:
    """The most frequent texts of a column and how often each stands there, at most `limit`."""
    return [
        (str(text), int(count))
        for text, count in engine.rows(
            f"SELECT t{number}, count(*) FROM {relation} WHERE NOT {forms.is_null(field, f't{number}')} "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {limit}"
        )
    ]


def matching(engine: Engine, relation: str, tests: Sequence[tuple[int, str]]) -> tuple[int, ...]:
    """For each column and regular expression, how many cells match it as a whole."""
    counts: list[int] = []
    for group in _groups(tests, TESTS_PER_SCAN):
        parts = [f"count(*) FILTER (regexp_full_match(trim(t{n}), {literal(pattern)}))" for n, pattern in group]
        counts += [int(value) for value in engine.row(f"SELECT {', '.join(parts)} FROM {relation}")]
    return tuple(counts)


def duplicates(engine: Engine, relation: str, key: Sequence[tuple[int, Field]]) -> int:
    """How many rows share their key with an earlier one; typed values are compared, as a store would."""
    values = ", ".join(forms.typed(field, f"t{number}", f"k{number}") for number, field in key)
    row = engine.row(f"SELECT count(*) - count(DISTINCT ({values})) FROM {relation}")
    return int(row[0])


def nearly_distinct(engine: Engine, relation: str, pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """About how many different pairs of texts the rows have, for each pair of columns."""
    if not pairs:
        return ()
    different = _different(engine, relation)
    parts = [different.format(f"hash(t{one}, t{two})") for one, two in pairs]
    return tuple(int(value) for value in engine.row(f"SELECT {', '.join(parts)} FROM {relation}"))


def shared(engine: Engine, relation: str, one: int, two: int, limit: int) -> tuple[int, int]:
    """How many different texts two columns share among the first `limit` of each, and the smaller column's number."""
    row = engine.row(
        f"WITH a AS (SELECT DISTINCT t{one} AS t FROM {relation} WHERE t{one} <> '' LIMIT {limit}), "
        f"b AS (SELECT DISTINCT t{two} AS t FROM {relation} WHERE t{two} <> '' LIMIT {limit}) "
        "SELECT (SELECT count(*) FROM a SEMI JOIN b USING (t)), "
        "least((SELECT count(*) FROM a), (SELECT count(*) FROM b))"
    )
    return int(row[0]), int(row[1])


def _different(engine: Engine, relation: str) -> str:
    """SQL that counts different values, to be formatted with an expression: exactly where that is cheap."""
    rows = engine.row(f"SELECT count(*) FROM {relation}")[0]
    return "count(DISTINCT {})" if rows <= ROWS_COUNTED else "approx_count_distinct({})"


def _refuses(number: int, field: Field) -> str:
    text, kind = f"t{number}", f"k{number}"
    return (
        f"{kind} IS DISTINCT FROM {forms.KIND_ERROR} AND NOT {forms.is_null(field, text)} "
        f"AND NOT coalesce({forms.fits(field, text, kind)}, false)"
    )


def _groups(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[at : at + size] for at in range(0, len(items), size))
