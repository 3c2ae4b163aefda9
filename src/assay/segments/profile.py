"""What the rows of a batch look like: the fingerprint of its content, and figures per column."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from assay.batch import ColumnProfile, Profile
from assay.engines.duckdb import VERSION, Engine, quoted

if TYPE_CHECKING:
    from assay.zones.contract import Field

#: A text column with more different values than this is no category.
CATEGORIES_MOST = 200
#: One whose values stand in fewer rows than this on average is none either: a key, a name.
ROWS_PER_CATEGORY = 5
#: Whether a column is one is seen in so many of its rows.
ROWS_LOOKED_AT = 10_000


def profile(engine: Engine, relation: str, fields: Sequence[Field]) -> Profile:
    """The profile of a relation (any SQL that can stand after FROM) with the columns of a contract."""
    counts = ", ".join(
        f"count({quoted(one.name)}), {f'sum({quoted(one.name)})' if _measure(one) else 'NULL'}" for one in fields
    )
    rows, *figures = engine.row(f"SELECT count(*), {counts} FROM {relation}")
    categories = _categories(engine, relation, fields) if rows else {}
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


def _categories(engine: Engine, relation: str, fields: Sequence[Field]) -> dict[str, dict[str, int]]:
    """How often each value stands in the text columns that have few; those of sensitive fields are not kept."""
    texts = [one.name for one in fields if one.type.kind in ("string", "boolean") and not one.sensitive]
    if not texts:
        return {}
    counted = ", ".join(f"count(DISTINCT {quoted(name)})" for name in texts)
    looked, *few = engine.row(f"SELECT count(*), {counted} FROM (SELECT * FROM {relation} LIMIT {ROWS_LOOKED_AT})")
    found = {}
    for name, distinct in zip(texts, few, strict=True):
        if distinct > CATEGORIES_MOST or distinct * ROWS_PER_CATEGORY > looked:
            continue
        rows = engine.rows(
            f"SELECT CAST({quoted(name)} AS VARCHAR), count(*) FROM {relation} WHERE {quoted(name)} IS NOT NULL "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {CATEGORIES_MOST + 1}"
        )
        if len(rows) <= CATEGORIES_MOST:
            found[name] = dict(rows)
    return found


def _measure(field: Field) -> bool:
    """Whether a sum of the column means something; whole numbers are often codes."""
    return field.type.kind == "decimal"


def _exact(total: object) -> Decimal:
    return Decimal(0) if total is None else Decimal(str(total))
