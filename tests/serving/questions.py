"""Questions of all kinds over the tables of the small shop, generated: most run, some end with an error."""

from __future__ import annotations

import random
from collections.abc import Iterator

#: The columns of what is asked, hidden tables and columns that are not there included.
TABLES = {
    "operational.sale": ("number", "month", "goods", "amount", "note", "_batch", "_row", "nothing"),
    "operational.goods": ("code", "_source", "_row"),
    "analytical.by_month": ("month", "goods", "lines", "amount"),
    "annex.published.codes": ("code",),
    "staging.till": ("number", "note"),
    "annex.operational.sale": ("number", "note"),
    "annex.published.sales": ("number",),
    "quarantine.till": ("_reason",),
    "nowhere.operational.sale": ("number",),
}
#: Only some tables are hidden or not there, else nearly every question would end there.
_WEIGHTS = (8, 4, 6, 3, 1, 1, 1, 1, 1)
_AGGREGATES = (
    "count({0})", "count(DISTINCT {0})", "min({0})", "max({0})", "list({0} ORDER BY {0})", "mode({0})",
    "any_value({0})",
    "string_agg({0}, ',' ORDER BY {0})", "sum(length({0}::VARCHAR))", "histogram({0})", "approx_count_distinct({0})",
    "arg_max({0}, {1})", "first({0} ORDER BY {1})", "quantile_disc({0}, 0.5)", "sum({0})", "avg({0})", "median({0})",
)  # fmt: skip
_SCALARS = (
    "{0}", "upper({0})", "{0}::VARCHAR || '!'", "coalesce({0}::VARCHAR, 'none')", "{0}::INTEGER", "{0}::DATE",
    "TRY_CAST({0} AS INTEGER)", "hash({0})", "typeof({0})", "{0} IS NULL", "[{0}, {0}]", "{{'x': {0}}}",
    "CASE WHEN {0}::VARCHAR > 'm' THEN 1 ELSE 1 / 0 END", "length({0}::VARCHAR)", "md5({0}::VARCHAR)", "error({0})",
    "to_json({0})", "strptime({0}::VARCHAR, '%Y')", "regexp_extract({0}::VARCHAR, '[0-9]+')",
)  # fmt: skip
_CONDITIONS = (
    "{0} = 'salt'", "{0} LIKE '%gift%'", "{0} IS NOT NULL", "{0}::VARCHAR < 'n'", "amount < 0",
    "amount BETWEEN 1 AND 3",
    "{0} IN ('tea', 'salt', '****')", "{0}::INTEGER > 1", "TRY_CAST({0} AS INTEGER) > 1", "length({0}::VARCHAR) > 4",
    "error({0}) IS NULL", "{0}::DATE IS NULL", "_row > 2", "true",
)  # fmt: skip


def questions(seed: int, count: int) -> Iterator[str]:
    """So many questions, the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _question(chance, 2)


def _question(chance: random.Random, depth: int) -> str:
    table, columns = _table(chance)
    form = chance.randrange(11)
    one, two = chance.choice(columns), chance.choice(columns)
    where = "" if chance.random() < 0.4 else f" WHERE {_condition(chance, columns)}"
    if form == 0:
        return f"SELECT * FROM {table}{where}"
    if form == 1:
        return f"SELECT {chance.choice(_AGGREGATES).format(one, two)} FROM {table}{where}"
    if form == 2:
        return f"SELECT {one}, count(*) FROM {table}{where} GROUP BY ALL ORDER BY ALL"
    if form == 3:
        made, most = chance.choice(_AGGREGATES).format(one, two), chance.randrange(3)
        return f"SELECT {two}, {made} AS made FROM {table}{where} GROUP BY ALL HAVING count(*) > {most} ORDER BY ALL"
    if form == 4:
        return f"SELECT {chance.choice(_SCALARS).format(one)} FROM {table}{where} LIMIT {chance.randrange(5)}"
    if form == 5:
        other, there = _table(chance)
        kind = chance.choice(("JOIN", "LEFT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"))
        return f"SELECT * FROM {table} AS a {kind} {other} AS b ON a.{one}::VARCHAR = b.{chance.choice(there)}::VARCHAR"
    if form == 6:
        return f"SELECT {one}, row_number() OVER (ORDER BY {one}, {two}), lag({two}) OVER (ORDER BY {one}) FROM {table}"
    if form == 7 and depth:
        return f"WITH x AS ({_question(chance, depth - 1)}) SELECT count(*) FROM x"
    if form == 8 and depth:
        return f"SELECT count(*) FROM {table} WHERE EXISTS ({_question(chance, depth - 1)})"
    if form == 9:
        forms = ("DESCRIBE {}", "SHOW TABLES", "SUMMARIZE {}", "EXPLAIN SELECT * FROM {}")
        return chance.choice(forms).format(table)
    return f"SELECT t FROM {table} AS t{where}"


def _table(chance: random.Random) -> tuple[str, tuple[str, ...]]:
    return chance.choices(list(TABLES.items()), _WEIGHTS)[0]


def _condition(chance: random.Random, columns: tuple[str, ...]) -> str:
    return chance.choice(_CONDITIONS).format(chance.choice(columns))
