"""Which columns of several files are one column, though some files call it otherwise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from assay.engines import profile
from assay.engines.duckdb import Engine, quoted
from assay.findings import column_letter
from assay.readers.locate import normalised
from assay.segments.infer.tables import Delivered
from assay.segments.infer.typing import Typed
from assay.zones.contract_draft import Guess, quoted_list

#: From here on two names are alike by their letters alone.
ALIKE = 0.8
#: From here on two columns in one place are alike, when their names are at least somewhat so.
SOMEWHAT_ALIKE = 0.5
#: What part of the smaller column's values must stand in the other one too, to say that they hold the same things.
SHARED_VALUES = 0.5
VALUES_COMPARED = 10_000
_STOP = frozenset({"the", "of", "and", "for", "in", "no", "name", "type", "code", "total", "number"})


@dataclass(frozen=True)
class Column:
    """A column of the proposal: its headers as they stand (the usual one first), and its index in each table.

    `places` maps the table's number to the column's index; tables that lack it are not in it.
    """

    headers: tuple[str, ...]
    places: Mapping[int, int]
    aliases: tuple[Guess, ...] = ()


def gather(engine: Engine, tables: Sequence[Delivered]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """The columns of all tables by their names, in the order of the widest, and remarks on what names cannot tell."""
    remarks: list[str] = []
    spellings: dict[str, Counter[str]] = {}
    places: dict[str, dict[int, int]] = {}
    orders: list[list[str]] = []
    for number, table in enumerate(tables):
        order: list[str] = []
        for index, name in enumerate(table.header.names):
            if not name and not _has_values(engine, table, index):
                continue
            key = normalised(name)
            if number in places.get(key, {}):
                remarks.append(_double(engine, table, places[key][number], index, name))
                continue
            places.setdefault(key, {})[number] = index
            spellings.setdefault(key, Counter())[name] += 1
            order.append(key)
        orders.append(order)
    keys = _merged_order(orders)
    return (
        tuple(Column((spellings[key].most_common(1)[0][0],), places[key]) for key in keys),
        tuple(remarks),
    )


def together(engine: Engine, tables: Sequence[Delivered], bodies: Sequence[str], columns: Sequence[Column]) -> str:
    """Makes the rows of all tables one relation, with `t0`, `k0`… and the table's number as `file`; gives its name."""
    parts = []
    for number, _ in enumerate(tables):
        cells = [
            f"c{column.places[number]} AS t{at}, CAST(k{column.places[number]} AS TINYINT) AS k{at}"
            if number in column.places
            else f"CAST(NULL AS VARCHAR) AS t{at}, CAST(NULL AS TINYINT) AS k{at}"
            for at, column in enumerate(columns)
        ]
        present = [f"c{column.places[number]} <> ''" for column in columns if number in column.places]
        parts.append(
            f"SELECT CAST({number} AS INTEGER) AS file, {', '.join(cells)} FROM {quoted(bodies[number])} "
            f"WHERE {' OR '.join([*present, 'false'])}"
        )
    engine.run(f"CREATE OR REPLACE TEMP TABLE together AS {' UNION ALL '.join(parts)}")
    return "together"


def renamed(
    engine: Engine, relation: str, tables: Sequence[Delivered], columns: Sequence[Column], typed: Mapping[int, Typed]
) -> tuple[Column, ...]:
    """The columns with those joined that never stand together in one file and are alike: a guess, with its evidence."""
    pairs = []
    for one, two in _apart(columns):
        evidence = _likeness(engine, relation, columns, typed, one, two)
        if evidence is not None:
            pairs.append((evidence[0], one, two, evidence[1]))
    joined: dict[int, Column] = dict(enumerate(columns))
    gone: set[int] = set()
    for _, one, two, words in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if one in gone or two in gone or set(joined[one].places) & set(joined[two].places):
            continue
        keep, drop = (one, two) if _prefers(columns[one], columns[two]) else (two, one)
        joined[keep] = _with_alias(joined[keep], joined[drop], tables, words)
        gone.add(drop)
    return tuple(column for number, column in joined.items() if number not in gone)


def _has_values(engine: Engine, table: Delivered, index: int) -> bool:
    row = engine.row(f"SELECT count(*) FROM {quoted(table.relation)} WHERE trim(coalesce(c{index}, '')) <> ''")
    return bool(row[0])


def _double(engine: Engine, table: Delivered, first: int, second: int, name: str) -> str:
    different = engine.row(
        f"SELECT count(*) FROM {quoted(table.relation)} WHERE coalesce(c{first}, '') <> coalesce(c{second}, '')"
    )[0]
    called = f'called "{name}"' if name else "without a name"
    letters = f"{column_letter(first)} and {column_letter(second)}"
    if not different:
        return f"{table.file}: the columns {letters} are both {called} and hold the same: the first is used"
    return (
        f"{table.file}: the columns {letters} are both {called} and differ in {different:,} rows: "
        "the gate rejects that; give them names of their own"
    )


def _merged_order(orders: Sequence[Sequence[str]]) -> list[str]:
    widest = max(range(len(orders)), key=lambda number: (len(orders[number]), number))
    merged = list(orders[widest])
    for order in orders:
        for at, key in enumerate(order):
            if key not in merged:
                before = next((merged.index(known) for known in reversed(order[:at]) if known in merged), -1)
                merged.insert(before + 1, key)
    return merged


def _apart(columns: Sequence[Column]) -> list[tuple[int, int]]:
    """Pairs of columns that no table has both of."""
    return [
        (one, two)
        for one in range(len(columns))
        for two in range(one + 1, len(columns))
        if not set(columns[one].places) & set(columns[two].places)
    ]


def _likeness(
    engine: Engine, relation: str, columns: Sequence[Column], typed: Mapping[int, Typed], one: int, two: int
) -> tuple[float, str] | None:
    """How alike two columns are and why; None when they are not.

    Columns of numbers and dates look like each other, so for them only names count, or that there is no other choice.
    """
    names = columns[one].headers[0], columns[two].headers[0]
    ratio = _ratio(*names)
    if ratio >= ALIKE:
        return 2 + ratio, "the names are alike, and no file has both"
    if not _same_kind(typed[one], typed[two]):
        return None
    place, word = _same_place(columns, one, two), _shared_word(*names)
    if typed[one].is_text:
        values = _shared(engine, relation, one, two)
        if values >= SHARED_VALUES and (place or ratio >= SOMEWHAT_ALIKE):
            return 1 + values, f"{values:.0%} of its values stand there too{', in the same place' if place else ''}"
        if word and (place or _only_with(columns, one, two, word)):
            return 0.9, f'both names have "{word}"{", in the same place" if place else ""}, and no file has both'
        return None
    if _only_of_type(columns, typed, one, two):
        kind = typed[one].field.type.kind
        return 0.5 + ratio / 10, f"they are the only columns of type {kind} that the files do not share"
    return None


def _ratio(one: str, two: str) -> float:
    """How alike two names are by their letters, without what stands in brackets and without words that say little."""
    plain = [" ".join(_significant(name)) for name in (one, two)]
    return SequenceMatcher(None, plain[0], plain[1]).ratio() if all(plain) else 0.0


def _significant(name: str) -> list[str]:
    words = re.findall(r"\w+", normalised(re.sub(r"\([^)]*\)?|\*+", " ", name)))
    return [word for word in words if word not in _STOP] or words


def _same_kind(one: Typed, two: Typed) -> bool:
    if not one.facts.filled or not two.facts.filled:
        return True
    both_numeric = one.field.type.numeric and two.field.type.numeric
    return one.field.type.kind == two.field.type.kind or both_numeric


def _same_place(columns: Sequence[Column], one: int, two: int) -> bool:
    return bool(set(columns[one].places.values()) & set(columns[two].places.values()))


def _shared(engine: Engine, relation: str, one: int, two: int) -> float:
    common, smaller = profile.shared(engine, relation, one, two, VALUES_COMPARED)
    return common / smaller if smaller else 0.0


def _words(name: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", normalised(name)) if len(word) > 2 and word not in _STOP}


def _shared_word(one: str, two: str) -> str | None:
    return next(iter(sorted(_words(one) & _words(two), key=lambda word: (-len(word), word))), None)


def _only_with(columns: Sequence[Column], one: int, two: int, word: str) -> bool:
    return all(word not in _words(other.headers[0]) for at, other in enumerate(columns) if at not in (one, two))


def _only_of_type(columns: Sequence[Column], typed: Mapping[int, Typed], one: int, two: int) -> bool:
    """Whether each is the only column of its type that stands in its files and not in the other's."""
    kind = typed[one].field.type.kind

    def rivals(at: int, against: int) -> list[int]:
        return [
            other
            for other, column in enumerate(columns)
            if typed[other].field.type.kind == kind
            and set(column.places) & set(columns[at].places)
            and not set(column.places) & set(columns[against].places)
        ]

    return rivals(one, two) == [one] and rivals(two, one) == [two]


def _prefers(one: Column, two: Column) -> bool:
    """Whether the first column's name goes first: a name before none, the one of more files, then of the later file."""
    return (bool(one.headers[0]), len(one.places), max(one.places)) >= (
        bool(two.headers[0]), len(two.places), max(two.places),
    )  # fmt: skip


def _with_alias(column: Column, other: Column, tables: Sequence[Delivered], words: str) -> Column:
    files = [tables[number].file for number in sorted(other.places)]
    called = quoted_list(other.headers) if other.headers != ("",) else "without a name"
    some = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    guess = Guess("aliases", list(other.headers), f"{called} in {some}: {words}")
    return replace(
        column,
        headers=tuple(dict.fromkeys((*column.headers, *other.headers))),
        places={**column.places, **other.places},
        aliases=(*column.aliases, guess, *other.aliases),
    )
