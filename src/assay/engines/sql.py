"""What assay understands of a zone's SQL: what it reads, what it returns, and where each value comes from.

The SQL is DuckDB's dialect and is met through SQLGlot only here. Everything fails closed: a form that cannot be
followed is refused by name, with the file and the line, instead of being guessed at. Names of tables and columns
are compared and returned in lower case, as DuckDB ignores their case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from assay.errors import Misconfigured

Parts: TypeAlias = tuple[str, ...]
"""A table as it is written: ("batch",), ("operational", "x"), ("reference", "published", "currency")."""
Schema: TypeAlias = Mapping[Parts, Mapping[str, str]]
"""The columns of each table that may be read, with their DuckDB types."""
ForeignKeys: TypeAlias = tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...]
Tables: TypeAlias = Mapping[str, tuple[tuple[str, ...], tuple[str, ...], ForeignKeys]]
"""Operational tables: columns, primary key, and foreign keys as (columns, to table, to columns)."""

STORES = ("staging", "operational", "analytical")
ALLOWED = "batch, staging.<source>, operational.<table>, analytical.<table> or <zone>.published.<name>"
BATCH: Parts = ("batch",)
RUNTIME_COLUMNS = {
    "_batch": "BIGINT",
    "_row": "BIGINT",
    "_sheet": "VARCHAR",
    "_file": "VARCHAR",
    "_period": "VARCHAR",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Functions that read the machine, the session or another table from inside an expression.
READING_FUNCTIONS = _words(
    "getenv getvariable current_setting nextval currval query query_table read_text read_blob read_csv "
    "read_csv_auto read_json read_json_auto read_parquet parquet_scan glob stats write_log"
)
# Aggregates that SQLGlot parses as functions it does not know.
AGGREGATES = _words(
    "any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null "
    "arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor "
    "bitstring_agg bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg first "
    "fsum geomean geometric_mean group_concat histogram histogram_exact kahan_sum kurtosis kurtosis_pop last list "
    "listagg mad max max_by mean median min min_by mode product quantile quantile_cont quantile_disc regr_avgx "
    "regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile sem "
    "skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop var_samp "
    "variance"
)
# What DuckDB marks as volatile or constant within one query only, and its aliases.
UNSTABLE = _words(
    "random rand setseed uuid uuidv4 uuidv7 gen_random_uuid now today ago transaction_timestamp current_date "
    "current_time current_timestamp current_datetime current_localtime current_localtimestamp localtime "
    "localtimestamp get_current_time get_current_timestamp current_user current_role session_user user "
    "current_database current_catalog current_schema current_schemas current_query current_query_id "
    "current_connection_id current_transaction_id txid_current in_search_path pg_postmaster_start_time "
    "pg_conf_load_time nextval currval sleep_ms error stats write_log getvariable getenv current_setting "
    "reservoir_quantile utc_date utc_time utc_timestamp"
)
UNSTABLE_NODES = (
    exp.Rand,
    exp.Uuid,
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.CurrentUser,
)
_SEPARATOR = "$"  # never part of a name in a project, so a joined name cannot be mistaken for another


@dataclass(frozen=True)
class Reference:
    """One table that a query reads, in lower case."""

    parts: Parts

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Hop:
    """One foreign key followed: `table`.`columns` point to `to_table`.`to_columns`."""

    table: str
    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]


@dataclass(frozen=True)
class JoinedTable:
    """A joined operational table, and the foreign keys that lead to it from the driving table."""

    name: str
    path: tuple[Hop, ...]


@dataclass(frozen=True)
class Driving:
    """The proof that a query may be refreshed in part.

    `columns` maps each refresh column of the output to its column in the driving `table`; `joined` are the
    operational tables reached from it; `publications` are tables of other zones, whose changes have no path
    back to the driving table.
    """

    table: str
    columns: Mapping[str, str]
    joined: tuple[JoinedTable, ...]
    publications: tuple[Reference, ...] = ()


# --- reading -------------------------------------------------------------------------------------------------


def parse(text: str, path: Path) -> exp.Query:
    """The one SELECT (or UNION, INTERSECT, EXCEPT of SELECTs) that the file holds."""
    try:
        statements = [one for one in sqlglot.parse(text, dialect="duckdb") if one is not None]
    except SqlglotError as error:
        details: list[dict[str, Any]] = getattr(error, "errors", None) or [{}]
        line = details[0].get("line")
        reason = details[0].get("description") or str(error).splitlines()[0]
        raise Misconfigured(
            f"the SQL cannot be read: {reason}", file=path, line=line, expected="one SELECT in DuckDB's SQL"
        ) from error
    statements = [one for one in statements if not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        _refuse(f"the file holds {len(statements)} statements", path, expected="exactly one SELECT")
    statement: exp.Expression = cast(exp.Expression, statements[0])
    while isinstance(statement, exp.Subquery) and statement.is_wrapper:
        statement = statement.this
    if not isinstance(statement, exp.Select | exp.SetOperation):
        _refuse(f"the statement is {statement.key.upper()}", path, statement, expected="exactly one SELECT")
    into = statement.find(exp.Into)
    if into is not None:
        _refuse("SELECT INTO writes a table", path, into, expected="a SELECT that only reads")
    parameter = statement.find(exp.Placeholder, exp.Parameter, exp.SessionParameter)
    if parameter is not None:
        _refuse("the SQL has a parameter", path, parameter, expected="a SELECT that is complete in itself")
    return statement


def references(text: str, path: Path) -> tuple[Reference, ...]:
    """Every table that the query reads, each once, in order of appearance; names of its own CTEs left out."""
    found: dict[Reference, None] = {}
    query = parse(text, path)
    _refuse_reading_functions(query, path)
    for table in query.find_all(exp.Table, bfs=False):
        if not _is_cte(table):
            found[Reference(_parts(table, path))] = None
    return tuple(found)


def _refuse_reading_functions(query: exp.Expr, path: Path) -> None:
    for call in query.find_all(exp.Func):
        name = _function_name(call)
        if name in READING_FUNCTIONS or name.startswith("read_") or isinstance(call, exp.ReadCSV):
            _refuse(f"{name}() reads outside the zone's tables", path, call, expected=f"reads of {ALLOWED}")


def _parts(table: exp.Table, path: Path) -> Parts:
    """The reference that a table node stands for, when it is one of those allowed."""
    if not isinstance(table.this, exp.Identifier):
        name = _function_name(table.this) if isinstance(table.this, exp.Func) else table.this.sql("duckdb")
        _refuse(f"the table function {name} is not allowed", path, table, expected=f"reads of {ALLOWED}")
    parts = tuple(part.name.lower() for part in table.parts)
    match parts:
        case ("batch",) | ("staging" | "operational" | "analytical", _) | (_, "published", _):
            return parts
    _refuse(f'"{".".join(parts)}" is not a table of this zone', path, table, expected=f"reads of {ALLOWED}")


def _is_cte(table: exp.Table) -> bool:
    """True when the name is that of a CTE visible where it stands: an own CTE hides a table of the same name."""
    if table.db or not isinstance(table.this, exp.Identifier):
        return False
    name = table.name.lower()
    inside: exp.Expr = table
    node = table.parent
    while node is not None:
        with_ = node.args.get("with_")
        if isinstance(with_, exp.With) and inside is not with_ and _names(with_.expressions, name):
            return True
        if isinstance(node, exp.With):
            # A CTE sees those before it; itself (and, when recursive, every sibling) only under RECURSIVE.
            index = next((i for i, cte in enumerate(node.expressions) if cte is inside), 0)
            visible = node.expressions if node.args.get("recursive") else node.expressions[:index]
            if _names(visible, name):
                return True
        inside, node = node, node.parent
    return False


def _names(ctes: list[exp.CTE], name: str) -> bool:
    return any(cte.alias.lower() == name for cte in ctes)


# --- provenance ----------------------------------------------------------------------------------------------


def with_provenance(text: str, path: Path) -> str:
    """The same query in DuckDB's SQL, returning also the `_row` and `_sheet` each output row came from.

    A plain SELECT from batch returns those of its row; grouped or distinct rows return the first of theirs. A
    query that returns `_row` itself is believed, and gets an empty `_sheet` when it has none.
    """
    query = parse(text, path)
    outputs_row, outputs_sheet = (_outputs(query, name) for name in ("_row", "_sheet"))
    if outputs_row and outputs_sheet:
        return _text(query)
    if outputs_row:
        return _text(_with_empty_sheet(query))
    if not isinstance(query, exp.Select):
        _ask_for_row("the rows of a set operation have no single origin", path, query)
    alias = _batch_alias(query)
    if alias is None:
        _ask_for_row("the rows do not come from batch in the FROM of this SELECT", path, query)
    row, sheet = (exp.column(name, table=alias.copy()) for name in ("_row", "_sheet"))
    distinct = query.args.get("distinct")
    if distinct is not None and not distinct.args.get("on"):
        if query.args.get("group") or _aggregates(query) or query.find(exp.Window):
            _ask_for_row("DISTINCT together with GROUP BY, an aggregate or a window", path, query)
        query.set("distinct", None)
        query.set("group", exp.Group(all=True))
        grouped = True
    else:
        grouped = bool(query.args.get("group") or query.args.get("having") or _aggregates(query))
    if grouped:
        first = exp.Min(this=row.copy())
        sheet_value: exp.Expr = exp.ArgMin(this=sheet, expression=row)
        row_value: exp.Expr = first
    else:
        row_value, sheet_value = row, sheet
    query.append("expressions", exp.alias_(row_value, "_row"))
    if not outputs_sheet:
        query.append("expressions", exp.alias_(sheet_value, "_sheet"))
    return _text(query)


def _ask_for_row(reason: str, path: Path, node: exp.Expr) -> NoReturn:
    _refuse(
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
    return isinstance(node, exp.Table) and not node.db and node.name.lower() == "batch" and not _is_cte(node)


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
        if isinstance(one, exp.Table) and _is_cte(one):
            cte = _cte(one)
            # A recursive CTE outputs what its first branch does, so the walk ends there.
            if cte is not None and _outputs(cte.this, name):
                return True
    return False


def _cte(table: exp.Table) -> exp.CTE | None:
    node: exp.Expr | None = table
    while node is not None:
        with_ = node if isinstance(node, exp.With) else node.args.get("with_")
        for cte in with_.expressions if isinstance(with_, exp.With) else []:
            if cte.alias.lower() == table.name.lower() and cte not in _ancestors(table):
                return cast(exp.CTE, cte)
        node = node.parent
    return None


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _aggregates(query: exp.Select) -> bool:
    """Whether the SELECT itself aggregates: not only its subqueries or window functions."""
    places = [
        *query.expressions,
        query.args.get("having"),
        query.args.get("order"),
        query.args.get("qualify"),
    ]
    return any(
        _is_aggregate(call) and call.find_ancestor(exp.Select) is query and not _is_windowed(call)
        for place in places
        if place is not None
        for call in place.find_all(exp.Func)
    )


def _is_aggregate(call: exp.Func) -> bool:
    return isinstance(call, exp.AggFunc) or _function_name(call) in AGGREGATES


def _is_windowed(call: exp.Expr) -> bool:
    node: exp.Expr = call
    while isinstance(node.parent, exp.Filter | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.parent.this is node


# --- columns -------------------------------------------------------------------------------------------------


def output_columns(text: str, path: Path, schema: Schema) -> tuple[str, ...]:
    """The names of the columns that the query returns, in order, with stars expanded."""
    return tuple(projection.alias_or_name.lower() for projection in _qualified(text, path, schema).selects)


def identity_columns(text: str, path: Path, schema: Schema) -> dict[str, str]:
    """Output column → column of batch, for each output that is that column unchanged."""
    query = _qualified(text, path, schema)
    if not isinstance(query, exp.Select):
        return {}
    found: dict[str, str] = {}
    scope = traverse_scope(query)[-1]
    for projection in query.selects:
        column = projection.unalias()
        if isinstance(column, exp.Column):
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and _unflatten(source) == BATCH:
                found[projection.alias_or_name.lower()] = column.name.lower()
    return found


def column_lineage(text: str, path: Path, schema: Schema) -> dict[str, tuple[tuple[Parts, str], ...]]:
    """Output column → the (table, column) pairs its value is computed from, through CTEs, subqueries and joins.

    Columns that only decide which rows there are (WHERE, ON, GROUP BY) are not part of a value.
    """
    query = _qualified(text, path, schema)
    scopes = traverse_scope(query)
    homes: dict[int, Scope] = {}
    for scope in scopes:  # innermost first, so a column of a subquery belongs to the subquery
        for node in scope.walk():
            homes.setdefault(id(node), scope)
    trace = _Trace(homes)
    return {
        projection.alias_or_name.lower(): tuple(dict.fromkeys(trace.output(scopes[-1], index)))
        for index, projection in enumerate(query.selects)
    }


class _Trace:
    """Follows a column back to the tables it was read from."""

    def __init__(self, homes: Mapping[int, Scope]) -> None:
        self._homes = homes
        self._open: set[tuple[int, int]] = set()  # outputs being followed: a recursive CTE meets itself

    def output(self, scope: Scope, index: int) -> list[tuple[Parts, str]]:
        """The origins of one output of a scope, by position."""
        key = (id(scope.expression), index)
        if key in self._open:
            return []
        self._open.add(key)
        try:
            return self._output(scope, index)
        finally:
            self._open.discard(key)

    def _output(self, scope: Scope, index: int) -> list[tuple[Parts, str]]:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            name = expression.selects[index].alias_or_name
            found: list[tuple[Parts, str]] = []
            for branch in scope.set_operation_scopes:
                position = index
                if expression.args.get("by_name"):
                    names = [one.alias_or_name for one in cast(exp.Query, branch.expression).selects]
                    if name not in names:
                        continue
                    position = names.index(name)
                found += self.output(branch, position)
            return found
        if isinstance(expression, exp.Query):
            return self._values(expression.selects[index], scope)
        return self._values(expression, scope)  # unnest(...), values(...): any of their columns

    def _values(self, node: exp.Expr, scope: Scope) -> list[tuple[Parts, str]]:
        found: list[tuple[Parts, str]] = []
        for column in node.find_all(exp.Column, bfs=False):
            found += self._column(column, self._homes.get(id(column), scope))
        return found

    def _column(self, column: exp.Column, scope: Scope | None) -> list[tuple[Parts, str]]:
        while scope is not None:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table):
                return [(_unflatten(source), column.name.lower())]
            if isinstance(source, Scope):
                return self._through(source, column.name)
            scope = scope.parent
        return []

    def _through(self, scope: Scope, name: str) -> list[tuple[Parts, str]]:
        if not isinstance(scope.expression, exp.Query):
            return self._values(scope.expression, scope.parent or scope)
        names = [one.alias_or_name for one in scope.expression.selects]
        return self.output(scope, names.index(name)) if name in names else []


def _qualified(text: str, path: Path, schema: Schema) -> exp.Query:
    """The query with every star expanded and every column under its table's alias, or Misconfigured."""
    query = parse(text, path)
    _refuse_reading_functions(query, path)
    _refuse_unfollowable(query, path)
    known = {parts: {name.lower(): kind for name, kind in schema[parts].items()} for parts in schema}
    if BATCH in known:
        known[BATCH] = {**known[BATCH], **{k: v for k, v in RUNTIME_COLUMNS.items() if k not in known[BATCH]}}
    _flatten(query, path, known)
    mapping = MappingSchema(
        {_SEPARATOR.join(parts): dict(columns) for parts, columns in known.items()},
        dialect="duckdb",
        normalize=False,
    )
    try:
        qualified = qualify(query, schema=mapping, dialect="duckdb", quote_identifiers=False)
    except OptimizeError as error:
        reason = str(error).splitlines()[0]
        # SQLGlot knows the column's line only in words.
        _, _, rest = reason.partition("Line: ")
        number = rest.split(",")[0]
        raise Misconfigured(
            reason.split(". Line:")[0],
            file=path,
            line=int(number) if number.isdigit() else None,
            expected="columns of the tables in the FROM",
        ) from error
    except SqlglotError as error:
        raise Misconfigured(f"the SQL cannot be followed: {error}", file=path) from error
    for row in qualified.find_all(exp.TableColumn):  # its columns would escape the book-keeping
        _refuse(f'"{row.name}" is a whole row', path, row, expected="columns by name, or *")
    return qualified


def _refuse_unfollowable(query: exp.Query, path: Path) -> None:
    for node in query.find_all(exp.Columns, exp.Pivot):
        what = "COLUMNS(...)" if isinstance(node, exp.Columns) else "PIVOT"
        _refuse(f"{what} hides which columns are read", path, node, expected="columns by name, or *")
    for position, projection in enumerate(query.selects, 1):
        if not isinstance(projection, exp.Alias | exp.Column | exp.Star):
            said = projection.sql("duckdb")
            _refuse(f"output {position} has no name: {said}", path, projection, expected=f"{said} AS <name>")


def _flatten(query: exp.Query, path: Path, known: Schema) -> None:
    """Give each table one flat name: SQLGlot's schema wants every table at the same depth."""
    written: set[Parts] = set()
    for table in list(query.find_all(exp.Table)):
        if _is_cte(table):
            continue
        parts = _parts(table, path)
        if parts not in known:
            names = ", ".join(sorted(".".join(one) for one in known))
            _refuse(f'there is no table "{".".join(parts)}"', path, table, expected=f"one of {names}")
        written.add(parts)
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(parts[-1])))
        table.set("this", exp.to_identifier(_SEPARATOR.join(parts), quoted=True))
        table.set("db", None)
        table.set("catalog", None)
    for column in query.find_all(exp.Column):
        prefix = tuple(part.name.lower() for part in column.parts[:-1])
        if len(prefix) > 1 and prefix in written:  # operational.x.code: the alias alone says it
            column.set("db", None)
            column.set("catalog", None)


def _unflatten(table: exp.Table) -> Parts:
    return tuple(table.name.split(_SEPARATOR))


# --- refresh in part -----------------------------------------------------------------------------------------


def refresh_proof(text: str, path: Path, schema: Schema, by: tuple[str, ...], tables: Tables) -> Driving:
    """Prove that recomputing only the rows of the touched `by` values gives what a full refresh gives.

    It holds when each output row is made of rows of one driving table that share its `by` values: then no
    row outside those values can change it. Whatever does not show this plainly is refused.
    """
    _Proof(path, tables).refuse_forms(parse(text, path))
    query = cast(exp.Select, _qualified(text, path, schema))
    return _Proof(path, tables).driving(query, tuple(name.lower() for name in by))


class _Proof:
    def __init__(self, path: Path, tables: Tables) -> None:
        self._path = path
        self._tables = tables

    def refuse(self, reason: str, node: exp.Expr | None = None) -> NoReturn:
        _refuse(
            f"it cannot be shown that a refresh in part equals a full one: {reason}",
            self._path,
            node,
            expected="one SELECT from an operational table, joined along its foreign keys",
            next="set `refresh: full`, or simplify the query",
        )

    def refuse_forms(self, query: exp.Query) -> None:
        if not isinstance(query, exp.Select):
            self.refuse(f"it is a set operation ({query.key.upper()})", query)
        if query.args.get("with_"):
            self.refuse("it has a CTE (WITH)", query)
        for node in query.walk():
            if node is not query and isinstance(node, exp.Query):
                self.refuse("it has a subquery", node)
            if isinstance(node, exp.Window):
                self.refuse("it has a window function (OVER)", node)
            if isinstance(node, exp.Unnest | exp.Lateral | exp.Values | exp.Explode):
                self.refuse(f"it has {node.key.upper()}", node)
            if isinstance(node, exp.TableSample):
                self.refuse("it samples rows", node)
            if isinstance(node, exp.Func) and _unstable(node):
                self.refuse(f"{_function_name(node)}() does not always return the same", node)
        for clause in ("limit", "offset", "fetch", "qualify", "windows", "sample"):
            if query.args.get(clause):
                self.refuse(f"it has {clause.upper()}", query)
        distinct = query.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            self.refuse("it has DISTINCT ON", query)

    def driving(self, query: exp.Select, by: tuple[str, ...]) -> Driving:
        source = query.args.get("from_")
        if source is None or not isinstance(source.this, exp.Table):
            self.refuse("it has no table in its FROM", query)
        parts = _unflatten(source.this)
        if parts[0] != "operational" or len(parts) != 2 or parts[1] not in self._tables:
            self.refuse(f'its FROM is "{".".join(parts)}", not an operational table', source)
        alias = source.this.alias_or_name
        joined, publications = self._joins(query, alias, parts[1])
        return Driving(parts[1], self._by(query, alias, by), joined, publications)

    def _joins(
        self, query: exp.Select, alias: str, driving: str
    ) -> tuple[tuple[JoinedTable, ...], tuple[Reference, ...]]:
        paths: dict[str, tuple[str, tuple[Hop, ...]]] = {alias: (driving, ())}
        seen = {alias}
        joined: list[JoinedTable] = []
        publications: list[Reference] = []
        for join in query.args.get("joins") or []:
            parts = _unflatten(join.this)
            name = ".".join(parts)
            if join.method or join.side not in ("", "LEFT") or join.kind not in ("", "INNER", "OUTER"):
                said = " ".join(word for word in (join.method, join.side, join.kind) if word)
                self.refuse(f"{name} is joined by {said} JOIN, only INNER and LEFT are followed", join)
            pairs = self._equalities(join, name, seen)
            if len(parts) == 3:
                publications.append(Reference(parts))
            elif parts[0] == "operational" and parts[1] in self._tables:
                origin, hop = self._hop(join, parts[1], pairs, paths)
                path = (*paths[origin][1], hop)
                paths[join.this.alias_or_name] = (parts[1], path)
                joined.append(JoinedTable(parts[1], path))
            else:
                self.refuse(f"{name} is neither an operational table nor a publication", join)
            seen.add(join.this.alias_or_name)
        return tuple(joined), tuple(dict.fromkeys(publications))

    def _equalities(self, join: exp.Join, name: str, seen: set[str]) -> list[tuple[str, str, str]]:
        """(earlier alias, its column, column of the joined table) for each part of the ON."""
        condition = join.args.get("on")
        if condition is None:
            self.refuse(f"{name} is joined without a condition", join)
        alias = join.this.alias_or_name
        pairs: list[tuple[str, str, str]] = []
        for part in condition.unnest().flatten() if isinstance(condition.unnest(), exp.And) else [condition]:
            equality = part.unnest()
            sides = (equality.left, equality.right) if isinstance(equality, exp.EQ) else ()
            columns = [side.unnest() for side in sides]
            if len(columns) != 2 or not all(isinstance(one, exp.Column) for one in columns):
                self.refuse(f"{name} is joined on {part.sql('duckdb')}, not on equality of columns", join)
            left, right = cast(list[exp.Column], columns)
            if left.table == alias:
                left, right = right, left
            if right.table != alias or left.table not in seen:
                self.refuse(f"{part.sql('duckdb')} does not join {name} to a table before it", join)
            pairs.append((left.table, left.name.lower(), right.name.lower()))
        return pairs

    def _hop(
        self,
        join: exp.Join,
        name: str,
        pairs: list[tuple[str, str, str]],
        paths: Mapping[str, tuple[str, tuple[Hop, ...]]],
    ) -> tuple[str, Hop]:
        origins = {pair[0] for pair in pairs}
        if len(origins) != 1 or not origins <= paths.keys():
            self.refuse(f"operational.{name} is not joined to exactly one operational table", join)
        origin = origins.pop()
        table = paths[origin][0]
        wanted = {(one, other) for _, one, other in pairs}
        primary_key = {column.lower() for column in self._tables[name][1]}
        for columns, to_table, to_columns in self._tables[table][2]:
            mine, theirs = _lower(columns), _lower(to_columns)
            same = to_table.lower() == name and set(zip(mine, theirs, strict=True)) == wanted
            if same and primary_key and set(theirs) == primary_key:
                return origin, Hop(table, mine, name, theirs)
        self.refuse(
            f"operational.{name} is not joined by a foreign key of operational.{table} to its primary key",
            join,
        )

    def _by(self, query: exp.Select, alias: str, by: tuple[str, ...]) -> dict[str, str]:
        if not by:
            self.refuse("no column to refresh by is named", query)
        outputs = {one.alias_or_name.lower(): one.unalias() for one in query.selects}
        group = query.args.get("group")
        if group is not None and group.find(exp.GroupingSets, exp.Cube, exp.Rollup) is not None:
            self.refuse("it has GROUPING SETS, CUBE or ROLLUP, whose totals span the groups", group)
        if group is None and (_aggregates(query) or query.args.get("having")):
            self.refuse("it aggregates all rows without GROUP BY", query)
        found: dict[str, str] = {}
        for name in by:
            column = outputs.get(name)
            if column is None:
                self.refuse(f'"{name}" is not among its outputs ({", ".join(outputs)})', query)
            if not isinstance(column, exp.Column) or column.table != alias:
                self.refuse(f'"{name}" is not a bare column of the table in its FROM', query)
            if group is not None and not group.args.get("all") and column not in group.expressions:
                self.refuse(f'"{name}" is not in its GROUP BY', group)
            found[name] = column.name.lower()
        return found


def _unstable(call: exp.Func) -> bool:
    name = _function_name(call)
    # age(x) counts from today, age(x, y) does not.
    today = name == "age" and len(list(call.iter_expressions())) < 2
    return isinstance(call, UNSTABLE_NODES) or name in UNSTABLE or today


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


# --- shared --------------------------------------------------------------------------------------------------


def _function_name(call: exp.Expr) -> str:
    if isinstance(call, exp.Anonymous | exp.AnonymousAggFunc):
        return str(call.name).lower()
    return call.sql_name().lower() if isinstance(call, exp.Func) else call.key


def _text(query: exp.Query) -> str:
    return query.sql(dialect="duckdb", comments=False)


def _line(node: exp.Expr | None) -> int | None:
    """The first line that SQLGlot remembers in or under a node."""
    lines = [one.meta["line"] for one in node.walk() if "line" in one.meta] if node is not None else []
    return min(lines) if lines else None


def _refuse(
    what: str,
    path: Path,
    node: exp.Expr | None = None,
    *,
    expected: str | None = None,
    next: str | None = None,
) -> NoReturn:
    raise Misconfigured(what, file=path, line=_line(node), expected=expected, next=next)
