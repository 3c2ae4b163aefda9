"""Which columns tell the rows apart: single ones, and where there is none, pairs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations

from assay.engines import profile
from assay.engines.duckdb import Engine
from assay.zones.contract import Field
from assay.zones.contract_draft import Guess

#: With fewer rows nearly any column tells them apart.
FEWEST_ROWS = 20
#: From this part of the rows on, an estimated number of different values may be that of a key; it is then counted.
NEARLY = 0.6
PAIRS_COUNTED = 4
KEY_KINDS = ("string", "integer", "date", "timestamp")
_KEY_WORD = re.compile(r"\b(?:id|ids|key|code|cod|codigo|numero|ref|reference|number|no|nr|num|uuid|guid)\b")


def candidate_keys(
    engine: Engine, relation: str, rows: int, fields: Mapping[int, Field], distinct: Mapping[int, int]
) -> tuple[Guess, ...]:
    """Keys that hold over all rows, best first; the value of each is the names of its fields."""
    if rows < FEWEST_ROWS:
        return ()
    usable = [number for number, field in fields.items() if field.required and field.type.kind in KEY_KINDS]
    singles = [
        number
        for number in usable
        if distinct[number] >= rows * NEARLY
        and fields[number].type.kind in ("string", "integer")
        and profile.duplicates(engine, relation, [(number, fields[number])]) == 0
    ]
    if singles:
        ordered = sorted(singles, key=lambda number: (not names_a_key(fields[number]), number))
        return tuple(_guess(rows, (fields[number],)) for number in ordered)
    return _pairs(engine, relation, rows, fields, [number for number in usable if distinct[number] > 1], distinct)


def names_a_key(field: Field) -> bool:
    """Whether a field's header speaks of a number or code that names something."""
    return any(_KEY_WORD.search(re.sub(r"[\W_]+", " ", header).casefold()) for header in field.headers)


def _pairs(
    engine: Engine,
    relation: str,
    rows: int,
    fields: Mapping[int, Field],
    usable: list[int],
    distinct: Mapping[int, int],
) -> tuple[Guess, ...]:
    pairs = [(a, b) for a, b in combinations(usable, 2) if distinct[a] * distinct[b] >= rows * NEARLY]
    counts = profile.nearly_distinct(engine, relation, pairs)
    estimates = dict(zip(pairs, counts, strict=True))
    near = [pair for pair in pairs if estimates[pair] >= rows * NEARLY]
    near.sort(key=lambda pair: (-estimates[pair], -sum(names_a_key(fields[number]) for number in pair), pair))
    return tuple(
        _guess(rows, (fields[a], fields[b]))
        for a, b in near[:PAIRS_COUNTED]
        if profile.duplicates(engine, relation, [(a, fields[a]), (b, fields[b])]) == 0
    )


def _guess(rows: int, fields: tuple[Field, ...]) -> Guess:
    together = "together " if len(fields) > 1 else ""
    return Guess("key", [field.name for field in fields], f"{together}different and filled in all {rows:,} rows")
