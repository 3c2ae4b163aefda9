"""What the rows of a batch look like: the fingerprint of its content, and figures per column."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from assay.batch import ColumnProfile, Profile
from assay.engines.duckdb import VERSION, Engine, literal, quoted

if TYPE_CHECKING:
    from assay.zones.contract import Field

#: A text column with more different values than this is no category.
CATEGORIES_MOST = 200
#: One whose values stand in fewer rows than this on average is none either: a key, a name.
ROWS_PER_CATEGORY = 5
#: Whether a column may be one is seen in so many of its rows.
ROWS_LOOKED_AT = 10_000


def profile(engine: Engine, relation: str, fields: Sequence[Field]) -> Profile:
    """The profile of a relation (any SQL that can stand after FROM) with the columns of a contract."""
    counts = ", ".join(
        f"count({quoted(one.name)}), {f'sum({quoted(one.name)})' if _measure(one) else 'NULL'}" for one in fields
    )
    rows, *figures = engine.row(f"SELECT count(*), {counts} FROM {relation}")
    categories = _categories(engine, relation, fields, rows) if rows else {}
    columns = {
        one.name: ColumnProfile(
            nulls=rows - figures[2 * number],
            total=_exact(figures[2 * number + 1]) if _measure(one) else None,
            categories=categories.get(one.name, {}),
        )
        for number, one in enumerate(fields)
    }
    filled = sorted(name for name, one in columns.items() if one.nulls < rows)
    return Profile(rows, _fingerprint(engine, relation, filled), f"duckdb {VERSION}", columns)


def _fingerprint(engine: Engine, relation: str, names: Sequence[str]) -> str:
    """Two sums, over all rows, of independent 64-bit hashes of a row's values.

    A sum does not depend on the rows' order, yet counts a row that stands twice twice. Two tables that differ
    have the same pair with a chance of about 2^-128 for every pair of tables compared. Columns without a value
    are left out, so that a contract may gain a column without every file looking new.
    """
    if not names:
        return "0"
    values = ", ".join(quoted(name) for name in names)
    first, second = engine.row(
        f"SELECT sum(CAST(hash({values}) AS HUGEINT)), sum(CAST(hash('second', {values}) AS HUGEINT)) FROM {relation}"
    )
    return f"{int(first):x}.{int(second):x}"


def _categories(engine: Engine, relation: str, fields: Sequence[Field], rows: int) -> dict[str, dict[str, int]]:
    """How often each value stands in the text columns that have few; those of sensitive fields are not kept."""
    texts = [one.name for one in fields if one.type.kind in ("string", "boolean") and not one.sensitive]
    if not texts:
        return {}
    estimates = ", ".join(f"approx_count_distinct({quoted(name)})" for name in texts)
    some = f"(SELECT * FROM {relation} LIMIT {ROWS_LOOKED_AT})"
    looked, *guesses = engine.row(f"SELECT count(*), {estimates} FROM {some}")
    # An estimate is wrong by a few per cent: what it lets through is counted.
    most = min(2 * CATEGORIES_MOST, 2 * looked / ROWS_PER_CATEGORY)
    found: dict[str, dict[str, int]] = {
        name: {} for name, guess in zip(texts, guesses, strict=True) if guess <= most
    }
    questions = (
        f"(SELECT {literal(name)}, CAST({quoted(name)} AS VARCHAR), count(*) FROM {relation} "
        f"WHERE {quoted(name)} IS NOT NULL GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {CATEGORIES_MOST + 1})"
        for name in found
    )
    for name, value, cells in engine.rows(" UNION ALL ".join(questions)) if found else ():
        found[name][value] = cells
    most_here = min(CATEGORIES_MOST, rows // ROWS_PER_CATEGORY)
    return {name: values for name, values in found.items() if len(values) <= most_here}


def _measure(field: Field) -> bool:
    """Whether a sum of the column means something; whole numbers are often codes."""
    return field.type.kind == "decimal"


def _exact(total: object) -> Decimal:
    return Decimal(0) if total is None else Decimal(str(total))
