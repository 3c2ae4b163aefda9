"""The columns of a relation in which personal data stands.

The engine looks through every cell and hands over only the different texts that may be something; those are
checked one by one, at most `CHECKED_MOST` of a column, drawn by their hash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from assay.engines.duckdb import Engine, literal
from assay.segments.personal.detectors import (
    ANY_FORM,
    BARE,
    DIFFERENT_LEAST,
    SHARE_TOLD,
    SHARE_UNTOLD,
    TELLING,
    Bare,
    Telling,
    plain,
)
from assay.zones.personal import KINDS, covered

#: Of so many different texts of a column each is checked; of more, so many.
CHECKED_MOST = 2_000
#: Whether a column holds bare numbers of a kind is seen in so many of its filled cells.
CELLS_SAMPLED = 10_000
#: So many columns are asked for together.
COLUMNS_AT_ONCE = 16
#: So many characters of a cell are looked at.
CHARACTERS_MOST = 4_000
#: No telling kind but an e-mail address is shorter.
TELLING_BYTES = 8
#: A whole number below this has fewer digits than any telling kind.
TELLING_LEAST = 10**12

#: What the engine looks for, as Python finds it: the engine's classes are those of ASCII.
_ANY_FORM = re.compile(ANY_FORM, re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column to look at: `text` is the SQL of its cells as texts, `declared` the kinds it is known to hold.

    `number` is the SQL of the cells where they are whole numbers; they cost less to look through.
    """

    name: str
    text: str
    headers: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    number: str | None = None


@dataclass(frozen=True)
class Hit:
    """A kind found in a column.

    `cells` of the `filled` ones hold it, as far as looked at: `checked` of the `candidates`, which are different
    texts. `values` are those that hold it.
    """

    column: str
    kind: str
    cells: int
    filled: int
    candidates: int
    checked: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Texts:
    """Different texts and in how many cells each stands; `all` counts those that were not handed over, too."""

    cells: Mapping[str, int]
    all: int


@dataclass(frozen=True)
class _Sample:
    """Some filled cells of a column: the different texts and how often each stands among them.

    `whole` says that these are all the filled cells of the column, and nothing of any is cut off.
    """

    cells: int
    texts: Mapping[str, int]
    different: int
    whole: bool

    @property
    def repeats(self) -> bool:
        """Whether a text stands twice on average, or more often."""
        return self.different * 2 <= self.cells


def detect(engine: Engine, relation: str, columns: Sequence[Column]) -> tuple[Hit, ...]:
    """What is found in the columns of a relation (any SQL that can stand after FROM), column by column."""
    found: list[Hit] = []
    for first in range(0, len(columns), COLUMNS_AT_ONCE):
        some = columns[first : first + COLUMNS_AT_ONCE]
        samples = _samples(engine, relation, some)
        found += (hit for column in some for hit in _in_column(engine, relation, column, samples.get(column.name)))
    return tuple(found)


def _in_column(engine: Engine, relation: str, column: Column, sample: _Sample | None) -> list[Hit]:
    if sample is None:
        return []
    by_kind: dict[str, list[tuple[_Texts, list[str]]]] = {}
    texts = _that_may_tell(engine, relation, column, sample)
    for one in TELLING:
        values = [] if covered(one.kind, column.declared) else _passing(one, texts.cells)
        if values:
            by_kind.setdefault(one.kind, []).append((texts, values))
    for bare in _likely({text.strip() for text in sample.texts}, column):
        texts = _of_form(engine, relation, column, sample, bare)
        values = [text for text in texts.cells if bare.check(text.strip())]
        if values:
            by_kind.setdefault(bare.kind, []).append((texts, values))
    if not by_kind:
        return []
    asked = f"SELECT count(*) FROM {relation} WHERE {column.text} <> ''"
    filled = sample.cells if sample.whole else int(engine.row(asked)[0])
    return [_hit(column, kind, filled, by_kind[kind]) for kind in KINDS if kind in by_kind]


def _that_may_tell(engine: Engine, relation: str, column: Column, sample: _Sample) -> _Texts:
    """The texts that may hold a telling kind; what is cheap to see comes first."""
    if sample.whole:
        return _some(sample, lambda text: (
            (int(text) >= TELLING_LEAST if column.number else len(text.encode()) >= TELLING_BYTES or "@" in text)
            and _ANY_FORM.search(text) is not None
        ))  # fmt: skip
    return _texts(engine, relation, column, _may_tell(column), grouped=sample.repeats and column.number is None)


def _of_form(engine: Engine, relation: str, column: Column, sample: _Sample, bare: Bare) -> _Texts:
    """The texts that look like a bare number, spaces around it left out."""
    if sample.whole:
        return _some(sample, lambda text: bare.pattern.fullmatch(text.strip(" ")) is not None)
    return _texts(
        engine, relation, column, f"regexp_full_match(trim({column.text}), {literal(bare.pattern.pattern)})"
    )


def _some(sample: _Sample, wanted: Callable[[str], bool]) -> _Texts:
    found = {text: cells for text, cells in sample.texts.items() if wanted(text)}
    return _Texts(found, len(found))


def _may_tell(column: Column) -> str:
    """SQL: the cell may hold a telling kind; what is cheap to see comes first."""
    if column.number is not None:
        return f"{column.number} >= {TELLING_LEAST} AND regexp_matches({column.text}, {literal(ANY_FORM)})"
    long = f"(strlen({column.text}) >= {TELLING_BYTES} OR contains({column.text}, '@'))"
    return f"{long} AND regexp_matches({column.text}, {literal(ANY_FORM)})"


def _passing(one: Telling, texts: Collection[str]) -> list[str]:
    """The texts that hold the kind; none where so few of what looks like it pass that it is chance."""
    candidates = passed = 0
    values = []
    for text in texts:
        good = [one.check(part) for part in one.candidates(text)]
        candidates += len(good)
        passed += sum(good)
        if any(good):
            values.append(text)
    return values if passed and passed >= candidates * one.share else []


def _likely(sample: Collection[str], column: Column) -> list[Bare]:
    """The kinds of bare numbers that a sample of a column's different texts speaks for."""
    header = " ".join(plain(word) for word in (column.name, *column.headers))
    found = []
    for one in BARE:
        told = one.words.search(header) is not None
        if covered(one.kind, column.declared) or not (told or (one.checked and len(sample) >= DIFFERENT_LEAST)):
            continue
        formed = [text for text in sample if one.pattern.fullmatch(text)]
        needed = len(formed) * SHARE_TOLD if told else len(sample) * SHARE_UNTOLD
        passed = sum(one.check(text) for text in formed) if len(formed) >= needed else 0
        if passed and passed >= needed:
            found.append(one)
    told_ones = [one for one in found if one.words.search(header)]
    return told_ones or found


def _samples(engine: Engine, relation: str, columns: Sequence[Column]) -> dict[str, _Sample]:
    """A sample of each column that has a filled cell, in one question."""
    questions = (
        f"(SELECT {number}, left(text, {CHARACTERS_MOST}) AS text, count(*), sum(count(*)) OVER (), count(*) OVER () "
        f"FROM (SELECT {column.text} AS text FROM {relation} WHERE {column.text} <> '' LIMIT {CELLS_SAMPLED}) "
        f"GROUP BY text ORDER BY hash(text) LIMIT {CHECKED_MOST})"
        for number, column in enumerate(columns)
    )
    found: dict[str, dict[str, int]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for number, text, count, cells, different in engine.rows(" UNION ALL ".join(questions)):
        texts = found.setdefault(columns[number].name, {})
        texts[str(text)] = texts.get(str(text), 0) + int(count)
        sizes[columns[number].name] = int(cells), int(different)
    return {name: _sample(texts, *sizes[name]) for name, texts in found.items()}


def _sample(texts: Mapping[str, int], cells: int, different: int) -> _Sample:
    cut = any(len(text) >= CHARACTERS_MOST for text in texts)
    return _Sample(cells, texts, different, cells < CELLS_SAMPLED and different <= CHECKED_MOST and not cut)


def _texts(engine: Engine, relation: str, column: Column, condition: str, *, grouped: bool = False) -> _Texts:
    """The different texts that meet a condition; `grouped` finds them first, which is cheaper where they repeat."""
    if grouped:
        rows_of = f"(SELECT {column.text}, count(*) AS cells FROM {relation} GROUP BY 1) AS t(text, cells)"
        met = replace(column, text="text")
        source = f"SELECT left(text, {CHARACTERS_MOST}) AS text, cells FROM {rows_of} WHERE {_may_tell(met)}"
    else:
        source = f"SELECT left({column.text}, {CHARACTERS_MOST}) AS text, 1 AS cells FROM {relation} WHERE {condition}"
    rows = engine.rows(
        f"SELECT text, sum(cells), count(*) OVER () FROM ({source}) GROUP BY text ORDER BY hash(text) "
        f"LIMIT {CHECKED_MOST}"
    )
    return _Texts({str(text): int(cells) for text, cells, _ in rows}, int(rows[0][2]) if rows else 0)


def _hit(column: Column, kind: str, filled: int, found: Sequence[tuple[_Texts, list[str]]]) -> Hit:
    cells = {text: texts.cells[text] for texts, values in found for text in values}
    most = max((texts for texts, _ in found), key=lambda texts: texts.all)
    return Hit(column.name, kind, sum(cells.values()), filled, most.all, len(most.cells), tuple(cells))
