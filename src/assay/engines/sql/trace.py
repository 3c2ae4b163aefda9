"""Which rows an output row was made of: a query rewritten so that it returns, for chosen outputs, the rows it read.

Every SELECT gets one more output, the list of the rows of one table (the *target*) that went into each of its
rows: of that table's own row in a plain SELECT, of all rows of the group in a grouped one. This is how-provenance
without the operations ("lineage" in Cui, Widom and Wiener, ACM TODS 25(2), 2000, where the construction for
SELECT, GROUP BY and UNION stands). What decides only whether a row appears (WHERE, EXISTS, semi joins) is no part
of a value and is not followed. Whatever cannot be followed is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, cast

import sqlglot
from sqlglot import exp

from assay.engines.sql.functions import aggregates, function_name, is_aggregate, is_windowed, unstable
from assay.engines.sql.lineage import SEPARATOR, qualified, unflatten
from assay.engines.sql.parse import Parts, Schema, parse, refuse, to_sql

ORIGINS = "_origins"
TRACEABLE = ("operational", "staging")


@dataclass(frozen=True)
class Made:
    """A table that a SELECT makes: the statement, the DuckDB type of each column, and its primary key."""

    text: str
    path: Path
    types: Mapping[str, str]
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traced:
    """A query that returns the rows of `table` behind chosen rows; `tables` are all that could have been asked for.

    `closed` are other zones' publications, whose rows are not this zone's to see.
    """

    text: str
    table: Parts
    tables: tuple[Parts, ...]
    closed: tuple[Parts, ...]


def trace_rows(
    dataset: Parts, made: Mapping[Parts, Made], schema: Schema, condition: str | None, target: Parts | None = None
) -> Traced:
    """The query for the rows of `target` (of the first table read, when None) behind rows of a derived dataset.

    Raises `Misconfigured` for SQL that cannot be followed, with the reason, and for a target that is not read.
    """
    statement = made[dataset]
    query = qualified(statement.text, statement.path, schema)
    tables = _read(query, statement.path, made, schema)
    traceable = tuple(parts for parts in tables if parts[0] in TRACEABLE)
    closed = tuple(parts for parts in tables if len(parts) == 3)
    chosen = target or next(iter(traceable), None)
    if chosen is None or chosen not in traceable:
        names = ", ".join(".".join(parts) for parts in traceable) or "none"
        _cannot(f"it does not read {'.'.join(target) if target else 'a table whose rows are known'}",
                statement.path, query, expected=f"one of the tables that it reads: {names}")  # fmt: skip
    tracing = _Tracing(statement.path, made, schema, chosen)
    text = tracing.whole(dataset, statement, query, _condition(dataset, condition))
    return Traced(text, chosen, traceable, closed)


def _read(query: exp.Query, path: Path, made: Mapping[Parts, Made], schema: Schema) -> list[Parts]:
    """The tables whose values a query returns, in order; a derived one stands for what it is made of."""
    found: dict[Parts, None] = {}
    for table in query.find_all(exp.Table, bfs=False):
        if SEPARATOR not in table.name:
            continue
        parts = unflatten(table)
        if parts in made:
            inner = made[parts]
            found |= dict.fromkeys(_read(qualified(inner.text, inner.path, schema), inner.path, made, schema))
        else:
            found[parts] = None
    return list(found)


def condition_of(dataset: Parts, condition: str, path: Path) -> exp.Expr:
    """The condition, when it is one and nothing else."""
    query = parse(f"SELECT 1 AS one FROM {'.'.join(dataset)} WHERE {condition}", path)
    where = query.args.get("where")
    extra = {name for name, value in query.args.items() if value} - {"expressions", "from_", "where", "kind"}
    if not isinstance(query, exp.Select) or where is None or extra:
        refuse("this is more than a condition", path, query, expected="a condition such as: amount < 0")
    return cast(exp.Expr, where.this)


def condition_columns(dataset: Parts, condition: str, path: Path) -> frozenset[str]:
    """The columns that a condition on a dataset names; raises `Misconfigured` where it asks other tables, too."""
    found = condition_of(dataset, condition, path)
    inner = found.find(exp.Query, exp.Table)
    if inner is not None:
        refuse("this asks more than the dataset's own columns", path, inner, expected="a condition such as: amount < 0")
    if found.find(exp.Star) is not None:
        return frozenset({"*"})
    return frozenset(column.name.lower() for column in found.find_all(exp.Column))


def _condition(dataset: Parts, condition: str | None) -> str:
    if condition is None:
        return "true"
    return condition_of(dataset, condition, Path("your condition")).sql(dialect="duckdb", comments=False)


@dataclass
class _Tracing:
    path: Path
    made: Mapping[Parts, Made]
    schema: Schema
    target: Parts
    _inside: list[Parts] = field(default_factory=list)

    def whole(self, dataset: Parts, statement: Made, query: exp.Query, condition: str) -> str:
        """The rows of the target behind the rows of the dataset that keep the condition."""
        stored = f"{_dotted(dataset)} AS d WHERE {_under(condition, dataset)}"
        values, hidden = self._keys(query, statement)
        if hidden:
            chosen, inner = self._rerun(query, statement, stored, values), self._ungrouped(query, values)
            kept = [f"c.{_q(name)} IS NOT DISTINCT FROM t.{_q(name)}" for name in values]
        else:
            listed = "".join(f", d.{_q(name)}" for name in values)
            chosen, inner = f"SELECT DISTINCT 1 AS _one{listed} FROM {stored}", self._ungrouped(query, values)
            kept = [
                f"c.{_q(name)} IS NOT DISTINCT FROM CAST(t.{_q(name)} AS {statement.types[name]})" for name in values
            ]
        columns = ", ".join(f"o.{_q(column)} AS {_q(column)}" for column in self.schema[self.target])
        return (
            f"WITH _chosen AS ({chosen}), _traced AS ({inner}) "
            f"SELECT {columns} FROM (SELECT DISTINCT unnest(t.{ORIGINS}) AS o FROM _traced AS t "
            f"WHERE EXISTS (SELECT 1 FROM _chosen AS c WHERE {' AND '.join(['true', *kept])})) AS found"
        )

    def _keys(self, query: exp.Query, statement: Made) -> tuple[dict[str, exp.Expr], bool]:
        """The values by which an output row is known again, and whether some of them are not among its outputs.

        They are the group's key; the primary key or all outputs of a row that was not grouped; nothing where all
        rows make one.
        """
        outputs = {one.alias_or_name.lower(): one.unalias() for one in query.selects}
        known = {name: outputs[name] for name in statement.types}
        if not isinstance(query, exp.Select):
            return known, False
        self._refuse_forms(query)
        group = query.args.get("group")
        if group is None and _grouped(query):
            return {}, False
        if group is None:
            return {name: known[name] for name in statement.key or known}, False
        if group.args.get("all"):
            grouping = [one for one in outputs.values() if not _has_aggregate(one, query)]
        else:
            grouping = list(group.expressions)
        keys = {name: one for name, one in known.items() if one in grouping}
        if all(one in keys.values() for one in grouping):
            return keys, False
        return {f"_group{number}": one for number, one in enumerate(grouping)}, True

    def _rerun(self, query: exp.Query, statement: Made, stored: str, values: Mapping[str, exp.Expr]) -> str:
        """Groups whose key is not all among the outputs are found by running the query again beside the table."""
        again = cast(exp.Select, query.copy())
        for name, value in values.items():
            again.append("expressions", exp.alias_(value.copy(), name, quoted=True))
        _restore(again)
        same = " AND ".join(
            f"d.{_q(name)} IS NOT DISTINCT FROM CAST(q.{_q(name)} AS {kind})" for name, kind in statement.types.items()
        )
        listed = ", ".join(f"q.{_q(name)}" for name in values)
        return (
            f"SELECT DISTINCT {listed} FROM ({to_sql(again)}) AS q WHERE EXISTS (SELECT 1 FROM {stored} AND {same})"
        )

    def _ungrouped(self, query: exp.Query, values: Mapping[str, exp.Expr]) -> str:
        """The values and the origins of each row before any grouping: only what was chosen is gathered later."""
        if not isinstance(query, exp.Select):
            listed = "".join(f"u.{_q(name)}, " for name in values)
            inner = self._nested(query)
            _restore(inner)
            return f"SELECT {listed}u.{ORIGINS} FROM ({to_sql(inner)}) AS u"
        rows = query.copy()
        self._with(rows)
        origins = exp.alias_(self._origins(rows), ORIGINS)
        rows.set("expressions", [exp.alias_(one.copy(), name, quoted=True) for name, one in values.items()])
        rows.append("expressions", origins)
        gone = ["group", "having", "distinct", "order", "limit", "offset"]
        for clause in [*gone, "qualify"] if _grouped(query) else gone:
            rows.set(clause, None)
        _restore(rows)
        return to_sql(rows)

    def _nested(self, query: exp.Expr) -> exp.Query:
        """The query with its origins as one more output."""
        if isinstance(query, exp.Subquery):
            query.set("this", self._nested(query.this))
            return query
        if isinstance(query, exp.Union):
            return self._union(query)
        if not isinstance(query, exp.Select):
            self._refuse(f"it has {query.key.upper()}", query)
        self._refuse_forms(query)
        self._with(query)
        origins = self._origins(query)
        if query.args.get("distinct"):
            if _grouped(query):
                self._refuse("it has DISTINCT together with GROUP BY in a subquery", query)
            query.set("distinct", None)
            query.set("group", exp.Group(expressions=[one.unalias().copy() for one in query.selects]))
        if _grouped(query):
            origins = _parsed(f"flatten(list({origins.sql('duckdb')}))")
        query.append("expressions", exp.alias_(origins, ORIGINS))
        return query

    def _union(self, query: exp.Union) -> exp.Query:
        self._with(query)
        names = [one.alias_or_name for one in query.selects]
        distinct = bool(query.args.get("distinct"))
        query.set("this", self._nested(query.this))
        query.set("expression", self._nested(query.expression))
        query.set("distinct", False)
        if not distinct:
            return query
        whole = exp.select(*[exp.column(name, quoted=True) for name in names])
        gathered = _parsed(f"flatten(list({ORIGINS}))")
        whole = whole.select(exp.alias_(gathered, ORIGINS)).from_(query.subquery("_u"))
        whole.set("group", exp.Group(expressions=[exp.column(name, quoted=True) for name in names]))
        return whole

    def _with(self, query: exp.Query) -> None:
        with_ = query.args.get("with_")
        if with_ is None:
            return
        if with_.args.get("recursive"):
            self._refuse("it has WITH RECURSIVE", with_)
        for cte in with_.expressions:
            cte.set("this", self._nested(cte.this))

    def _origins(self, query: exp.Select) -> exp.Expr:
        """The list of the target's rows in one row that the FROM gives, before any grouping."""
        parts = []
        source = query.args.get("from_")
        sources = [source] if source is not None else []
        sources += [join for join in query.args.get("joins") or [] if join.kind not in ("SEMI", "ANTI")]
        for one in sources:
            found = self._source(one, one.this)
            if found is not None:
                parts.append(found)
        text = parts[0] if parts else self._empty()
        for part in parts[1:]:
            text = f"list_concat({text}, {part})"
        return _parsed(text)

    def _source(self, holder: exp.Expr, node: exp.Expr) -> str | None:
        alias = _q(node.alias_or_name)
        if isinstance(node, exp.Table):
            if node.args.get("joins"):
                self._refuse("it has a join in parentheses", node)
            if SEPARATOR not in node.name:
                return f"coalesce({alias}.{ORIGINS}, {self._empty()})"
            parts = unflatten(node)
            if parts == self.target:
                return self._row(alias)
            if parts in self.made:
                holder.set("this", self._inlined(parts, node.alias_or_name))
                return f"coalesce({alias}.{ORIGINS}, {self._empty()})"
            return None
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            node.set("this", self._nested(node.this))
            return f"coalesce({alias}.{ORIGINS}, {self._empty()})"
        if node.find(exp.Table) is not None:
            self._refuse(f"it has {node.key.upper()} over a table", node)
        return None

    def _inlined(self, parts: Parts, alias: str) -> exp.Expr:
        """A derived table in place of its name: its own SELECT, typed as its contract says."""
        if parts in self._inside:
            self._refuse(f"{'.'.join(parts)} reads itself", None)
        inner = self.made[parts]
        self._inside.append(parts)
        nested = self._nested(qualified(inner.text, inner.path, self.schema))
        self._inside.pop()
        columns = [exp.alias_(exp.cast(exp.column(c, quoted=True), kind, dialect="duckdb"), c, quoted=True)
                   for c, kind in inner.types.items()]  # fmt: skip
        return exp.select(*columns, ORIGINS).from_(nested.subquery("_made")).subquery(alias)

    def _row(self, alias: str) -> str:
        columns = ", ".join(f"'{name}': {alias}.{_q(name)}" for name in self.schema[self.target])
        # An outer join gives a row of nothing: it has no batch.
        return f"CASE WHEN {alias}._batch IS NULL THEN {self._empty()} ELSE [{{{columns}}}] END"

    def _empty(self) -> str:
        columns = ", ".join(f"{_q(name)} {kind}" for name, kind in self.schema[self.target].items())
        return f"CAST([] AS STRUCT({columns})[])"

    def _refuse_forms(self, query: exp.Select) -> None:
        distinct = query.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            self._refuse("it has DISTINCT ON", query)
        group = query.args.get("group")
        if group is not None and (
            group.args.get("grouping_sets") or group.args.get("cube") or group.args.get("rollup")
            or group.find(exp.GroupingSets, exp.Cube, exp.Rollup) is not None
        ):  # fmt: skip
            self._refuse("it has GROUPING SETS, CUBE or ROLLUP, whose totals span the groups", group)
        for projection in query.expressions:
            window = projection.find(exp.Window)
            if window is not None and window.find_ancestor(exp.Select) is query:
                self._refuse("it has a window function (OVER), whose values are made of other rows too", window)
            for call in projection.find_all(exp.Func):
                if unstable(call):
                    self._refuse(f"{function_name(call)}() does not always return the same", call)
        if query.args.get("sample") or query.find(exp.TableSample) is not None:
            self._refuse("it samples rows", query)

    def _refuse(self, reason: str, node: exp.Expr | None) -> NoReturn:
        _cannot(reason, self.path, node, expected="SELECT with joins, GROUP BY, subqueries, WITH or UNION")


def _cannot(reason: str, path: Path, node: exp.Expr | None, *, expected: str) -> NoReturn:
    refuse(f"its rows cannot be traced: {reason}", path, node, expected=expected)


def _aggregated(query: exp.Select) -> bool:
    return bool(query.args.get("having")) or aggregates(query)


def _grouped(query: exp.Select) -> bool:
    return bool(query.args.get("group")) or _aggregated(query)


def _has_aggregate(node: exp.Expr, query: exp.Select) -> bool:
    """Whether the value is an aggregate of the query's own, not of a subquery in it."""
    return any(
        is_aggregate(call) and not is_windowed(call) and call.find_ancestor(exp.Select) is query
        for call in node.find_all(exp.Func)
    )


def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect="duckdb")


def _restore(query: exp.Expr) -> None:
    """Gives each table the name again by which the engine knows it."""
    for table in query.find_all(exp.Table):
        if SEPARATOR in table.name:
            *above, name = unflatten(table)
            table.set("this", exp.to_identifier(name, quoted=True))
            table.set("db", exp.to_identifier(above[-1], quoted=True))
            table.set("catalog", exp.to_identifier(above[0], quoted=True) if len(above) > 1 else None)


def _under(condition: str, dataset: Parts) -> str:
    """The condition over the dataset as `d`: a column may be written under the table's own name."""
    node = _parsed(condition)
    for column in node.find_all(exp.Column):
        if column.table.lower() == dataset[-1]:
            column.set("table", exp.to_identifier("d"))
            column.set("db", None)
    return f"({node.sql(dialect='duckdb')})"


def _dotted(parts: Parts) -> str:
    return ".".join(_q(part) for part in parts)


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
