"""Which rows of a batch break which key: asked of PostgreSQL once it has refused them, for all keys at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from psycopg import sql

from assay.errors import Rejected
from assay.findings import EXAMPLES_PER_KIND, Cell, Finding, masked
from assay.stores.canonical import Incoming, Rules, gone, names, stage
from assay.stores.database import Connection

if TYPE_CHECKING:
    from assay.zones.contract import Contract


def refused(
    connection: Connection, incoming: list[Incoming], error: Exception, rules: Rules | None = None
) -> Rejected:
    """The rejection of a batch that PostgreSQL refused with `error`, with every row that it would refuse.

    The tables stand as they were before the batch; the rows are staged here to be looked at. `rules` say which rows
    the batch would have taken away.
    """
    for one in incoming:
        stage(connection, one)
    findings: list[Finding] = []
    for one in incoming:
        findings.extend(_repeated(connection, one))
        findings.extend(_dangling(connection, one, incoming))
        findings.extend(_absent(connection, one))
        if rules is not None and rules.govern(one.table):
            findings.extend(_still_referred(connection, one, incoming, rules))
    if not findings:
        # PostgreSQL's own words name the offending values.
        secret = any(field.sensitive for one in incoming for field in one.table.contract.fields)
        diagnosis = getattr(error, "diag", None)
        detail = None if secret else getattr(diagnosis, "message_detail", None)
        constraint = getattr(diagnosis, "constraint_name", None)
        what = f"the rows break {constraint or 'a key'}" if secret else f"{error}".strip().splitlines()[0]
        findings.append(Finding("key_violation", what, expected=detail))
    return Rejected(f"PostgreSQL refused the rows: {findings[0].message}", findings)


def _key_finding(
    kind: str, message: str, columns: Iterable[str], rows: list[Any], count: int, contract: Contract
) -> Finding:
    listed = list(columns)
    secret = [contract.field(name).sensitive for name in listed]

    def shown(values: list[Any]) -> str:
        return ", ".join(masked(str(v)) if hide else str(v) for v, hide in zip(values, secret, strict=True))

    return Finding(
        kind,
        message,
        field=", ".join(listed),
        count=count,
        cells=tuple(Cell(row=row, column=None, found=shown(values), sheet=sheet) for row, sheet, *values in rows),
    )


def _repeated(connection: Connection, one: Incoming) -> list[Finding]:
    findings = []
    contract = one.table.contract
    for key in (contract.primary_key, *contract.unique_keys):
        if not key:
            continue
        rows = connection.execute(
            sql.SQL(
                "SELECT _row, _sheet, {0} FROM {1} WHERE ({0}) IN "
                "(SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1) ORDER BY {0}, _row"
            ).format(names(key), one.stage)
        ).fetchall()
        if rows:
            findings.append(
                _key_finding(
                    "duplicate_key",
                    f"{len(rows)} rows for {one.table.name} share a value of the key ({', '.join(key)})",
                    key,
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings


def _dangling(connection: Connection, one: Incoming, incoming: list[Incoming]) -> list[Finding]:
    findings = []
    for key in one.table.contract.foreign_keys:
        present = [sql.SQL("{} IS NOT NULL").format(sql.Identifier("s", column)) for column in key.columns]
        parents: list[sql.Composable] = [sql.Identifier(one.table.zone, key.table)]
        parents += [other.stage for other in incoming if other.table.name == key.table]
        for parent in parents:
            match = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("p", to), sql.Identifier("s", column))
                for column, to in zip(key.columns, key.to_columns, strict=True)
            )
            present.append(sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})").format(parent, match))
        rows = connection.execute(
            sql.SQL("SELECT _row, _sheet, {} FROM {} AS s WHERE {} ORDER BY _row").format(
                names(key.columns, "s"), one.stage, sql.SQL(" AND ").join(present)
            )
        ).fetchall()
        if rows:
            findings.append(
                _key_finding(
                    "unknown_reference",
                    f"{len(rows)} rows for {one.table.name} name a {key.table} that does not exist",
                    key.columns,
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings


_REFERRING = """
SELECT n.nspname, c.relname,
    (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(f.conkey) WITH ORDINALITY AS k (number, place)
     JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = k.number),
    (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(f.confkey) WITH ORDINALITY AS k (number, place)
     JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = k.number)
FROM pg_constraint AS f JOIN pg_class AS c ON c.oid = f.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.confrelid = %s::regclass ORDER BY 1, 2
"""


def _still_referred(
    connection: Connection, one: Incoming, incoming: list[Incoming], rules: Rules
) -> list[Finding]:
    """Rows that the batch does not bring again, and that rows of other tables need."""
    findings = []
    brought = {other.table.name: other for other in incoming}
    for schema, table, columns, to in connection.execute(_REFERRING, (one.target.as_string(None),)).fetchall():
        points = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("c", column), sql.Identifier("t", key))
            for column, key in zip(columns, to, strict=True)
        )
        staying = [points]
        other = brought.get(table)
        if other is not None and other.key:
            # What the batch itself brings anew, or takes away, does not hold a row back.
            staying.append(
                sql.SQL("NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})").format(
                    other.stage, sql.SQL(" AND ").join(
                        sql.SQL("{} = {}").format(sql.Identifier("s", n), sql.Identifier("c", n)) for n in other.key
                    )
                )
            )  # fmt: skip
            if rules.govern(other.table):
                staying.append(sql.SQL("c._source <> {}").format(sql.Literal(rules.source)))
        rows = connection.execute(
            sql.SQL(
                "SELECT NULL::bigint, NULL::text, {} FROM {} AS t WHERE {} AND EXISTS (SELECT 1 FROM {} AS c WHERE {}) "
                "ORDER BY {}"
            ).format(
                names(to, "t"), one.target, gone(one, rules), sql.Identifier(schema, table),
                sql.SQL(" AND ").join(staying), names(to, "t"),
            )
        ).fetchall()  # fmt: skip
        if rows:
            findings.append(
                _key_finding(
                    "still_referred",
                    f"{len(rows)} rows of {one.table.name} that the file no longer brings are needed by {table}",
                    to,
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings


def _absent(connection: Connection, one: Incoming) -> list[Finding]:
    findings = []
    for field in one.table.contract.fields:
        if not (field.required or field.primary_key):
            continue
        rows = connection.execute(
            sql.SQL("SELECT _row, _sheet, {0} FROM {1} WHERE {0} IS NULL ORDER BY _row").format(
                sql.Identifier(field.name), one.stage
            )
        ).fetchall()
        if rows:
            findings.append(
                _key_finding(
                    "missing_value",
                    f"{len(rows)} rows for {one.table.name} have no {field.name}",
                    [field.name],
                    rows[:EXAMPLES_PER_KIND],
                    len(rows),
                    one.table.contract,
                )
            )
    return findings
