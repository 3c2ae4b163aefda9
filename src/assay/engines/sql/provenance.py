"""Adding to a conform SELECT the row and sheet of the delivered file that each of its rows came from."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NoReturn, cast

from sqlglot import exp

from assay.engines.sql.functions import aggregates
from assay.engines.sql.parse import RUNTIME_COLUMNS, cte_of, is_cte, parse, refuse, to_sql


@lru_cache(maxsize=1024)
def with_provenance(text: str, path: Path) -> str:
    """The same query in DuckDB's SQL, returning also the `_row` and `_sheet` each output row came from.

    A plain SELECT from batch returns those of its row; grouped or distinct rows return the first of theirs. A
    query that returns `_row` itself is believed, and gets an empty `_sheet` when it has none.
    """
    query = parse(text, path)
    outputs_row, outputs_sheet = (_outputs(query, name) for name in ("_row", "_sheet"))
    if outputs_row and outputs_sheet:
        return to_sql(query)
    if outputs_row:
        return to_sql(_with_empty_sheet(query))
    if not isinstance(query, exp.Select):
        _ask_for_row("the rows of a set operation have no single origin", path, query)
    alias = _batch_alias(query)
    if alias is None:
        _ask_for_row("the rows do not come from batch in the FROM of this SELECT", path, query)
    row, sheet = (exp.column(name, table=alias.copy()) for name in ("_row", "_sheet"))
    distinct = query.args.get("distinct")
    if distinct is not None and not distinct.args.get("on"):
        if query.args.get("group") or aggregates(query) or query.find(exp.Window):
            _ask_for_row("DISTINCT together with GROUP BY, an aggregate or a window", path, query)
        query.set("distinct", None)
        query.set("group", exp.Group(all=True))
        grouped = True
    else:
        grouped = bool(query.args.get("group") or query.args.get("having") or aggregates(query))
    if grouped:
        first = exp.Min(this=row.copy())
        sheet_value: exp.Expr = exp.ArgMin(this=sheet, expression=row)
        row_value: exp.Expr = first
    else:
        row_value, sheet_value = row, sheet
    query.append("expressions", exp.alias_(row_value, "_row"))
    if not outputs_sheet:
        query.append("expressions", exp.alias_(sheet_value, "_sheet"))
    return to_sql(query)


def _ask_for_row(reason: str, path: Path, node: exp.Expr) -> NoReturn:
    refuse(
        f"the row that each output row came from cannot be added: {reason}",
        path,
        node,
        expected="a SELECT from batch, optionally with joins, GROUP BY or DISTINCT",
        next="return the column _row (and _sheet) yourself",
    )


def _with_empty_sheet(query: exp.Query) -> exp.Query:
    nothing = exp.alias_(exp.cast(exp.null(), "VARCHAR"), "_sheet")
    if isinstance(query, exp.Select):
        query.append("expressions", nothing)
        return query
    return exp.select("*", nothing).from_(query.subquery("_rows"))


def _batch_alias(query: exp.Select) -> exp.Identifier | None:
    """How batch is called in the FROM of this very SELECT; a semi or anti join does not offer its columns."""
    source = query.args.get("from_")
    tables = [source.this] if source is not None else []
    for join in query.args.get("joins") or []:
        if join.kind not in ("SEMI", "ANTI"):
            tables.append(join.this)
    for table in tables:
        if _is_batch(table):
            alias = table.args.get("alias")
            return cast(exp.Identifier, alias.this if alias is not None and alias.this else table.this)
    return None


def _is_batch(node: exp.Expr) -> bool:
    return isinstance(node, exp.Table) and not node.db and node.name.lower() == "batch" and not is_cte(node)


def _outputs(query: exp.Expr, name: str) -> bool:
    """Whether the query returns a column of that name, by name or through a star."""
    if isinstance(query, exp.SetOperation):
        return _outputs(query.this, name)
    if isinstance(query, exp.Subquery):
        return _outputs(query.this, name)
    if not isinstance(query, exp.Select):
        return False
    for projection in query.expressions:
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            if _star_outputs(query, star, getattr(projection, "table", "").lower(), name):
                return True
        elif projection.alias_or_name.lower() == name:
            return True
    return False


def _star_outputs(query: exp.Select, star: exp.Star, table: str, name: str) -> bool:
    renamed = star.args.get("rename") or []
    if any(one.alias.lower() == name for one in renamed):
        return True
    if any(
        one.name.lower() == name for one in [*(star.args.get("except_") or []), *(r.this for r in renamed)]
    ):
        return False
    source = query.args.get("from_")
    tables = [source.this] if source is not None else []
    tables += [join.this for join in query.args.get("joins") or [] if join.kind not in ("SEMI", "ANTI")]
    for one in tables:
        if table and one.alias_or_name.lower() != table:
            continue
        if _is_batch(one) and name in RUNTIME_COLUMNS:
            return True
        if isinstance(one, exp.Subquery) and _outputs(one.this, name):
            return True
        if isinstance(one, exp.Table) and is_cte(one):
            cte = cte_of(one)
            # A recursive CTE outputs what its first branch does, so the walk ends there.
            if cte is not None and _outputs(cte.this, name):
                return True
    return False
