"""Functions by what they do to a query: read outside it, aggregate its rows, or give another value each time."""

from __future__ import annotations

from sqlglot import exp


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


def function_name(call: exp.Expr) -> str:
    if isinstance(call, exp.Anonymous | exp.AnonymousAggFunc):
        return str(call.name).lower()
    return call.sql_name().lower() if isinstance(call, exp.Func) else call.key


def aggregates(query: exp.Select) -> bool:
    """Whether the SELECT itself aggregates: not only its subqueries or window functions."""
    places = [
        *query.expressions,
        query.args.get("having"),
        query.args.get("order"),
        query.args.get("qualify"),
    ]
    return any(
        is_aggregate(call) and call.find_ancestor(exp.Select) is query and not is_windowed(call)
        for place in places
        if place is not None
        for call in place.find_all(exp.Func)
    )


def is_aggregate(call: exp.Func) -> bool:
    return isinstance(call, exp.AggFunc) or function_name(call) in AGGREGATES


def is_windowed(call: exp.Expr) -> bool:
    node: exp.Expr = call
    while isinstance(node.parent, exp.Filter | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.parent.this is node


def unstable(call: exp.Func) -> bool:
    name = function_name(call)
    # age(x) counts from today, age(x, y) does not.
    today = name == "age" and len(list(call.iter_expressions())) < 2
    return isinstance(call, UNSTABLE_NODES) or name in UNSTABLE or today
