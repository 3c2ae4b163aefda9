"""Roles of PostgreSQL for each zone: one that owns its tables and writes, one that reads them and can log in.

    DATABASE.ZONE.write   owns the zone's canonical tables; movements of the zone take it for their transaction
    DATABASE.ZONE.read    reads them, and what the zone was granted of others; the engine logs in as it
    DATABASE.movements    what every writing role may do with the records of batches

Roles belong to the whole server, so their names begin with that of the database. `assay.zone_role` tells row-level
security which zone a role is of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from assay.errors import Misconfigured
from assay.stores.changes import GRANT, ROLE, Change, Step
from assay.stores.database import Connection, short_name

if TYPE_CHECKING:
    from assay.zones.project import Publication, Zone

#: What the writing roles may do with the records; row-level security keeps each to its own zone.
_RECORDS = {
    "assay.zone_role": "SELECT",
    "assay.batch": "SELECT, UPDATE (state, moved_at, attempts, retry_at, failure, parked, period)",
    "assay.segment_run": "SELECT, INSERT",
    "assay.finding": "SELECT, INSERT",
    "assay.tally": "SELECT, INSERT",
    "assay.profile": "SELECT, INSERT, UPDATE",
    "assay.touched": "SELECT, INSERT, UPDATE",
    "assay.event": "INSERT",
    "iceberg_tables": "SELECT, UPDATE",
    "iceberg_namespace_properties": "SELECT",
}


@dataclass(frozen=True)
class ZoneRoles:
    """The names of a zone's roles."""

    zone: str
    write: str
    read: str


def roles_of(connection: Connection, zone: str) -> ZoneRoles:
    """The names of a zone's roles in the database of a connection."""
    database = connection.info.dbname
    return ZoneRoles(zone, short_name(f"{database}.{zone}.write"), short_name(f"{database}.{zone}.read"))


def movements_role(connection: Connection) -> str:
    """The name of the role whose rights every writing role has."""
    return short_name(f"{connection.info.dbname}.movements")


@contextmanager
def acting_as(tx: Connection, zone: str) -> Iterator[None]:
    """What follows is done by the writing role of a zone, which cannot touch another zone's rows.

    It lasts until the transaction ends, or the block where that comes first. Raises `Misconfigured` where the zone
    has no such role.
    """
    role = roles_of(tx, zone).write
    try:
        tx.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.InsufficientPrivilege) as error:
        raise Misconfigured(
            f"PostgreSQL has no role {role} for the movements of {zone}", next="assay apply, which makes it"
        ) from error
    yield
    tx.execute("RESET ROLE")


# --- what is to be made ----------------------------------------------------------------------------------------


def zone_steps(connection: Connection, zone: str, tables: Iterable[str] = ()) -> tuple[Step, ...]:
    """Makes a zone's roles and gives them its schema and the tables that stand; what is there already stays."""
    roles = roles_of(connection, zone)
    write, read, schema = (sql.Identifier(name) for name in (roles.write, roles.read, zone))
    group = sql.Identifier(movements_role(connection))
    made = [
        _made(roles.write, "NOLOGIN"),
        _made(roles.read, "NOLOGIN NOINHERIT"),
        sql.SQL("GRANT {} TO {}").format(group, write),
        *(sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(role) for role in (write, read)),
        sql.SQL(
            "INSERT INTO assay.zone_role (role, zone) VALUES ({0}, {2}), ({1}, {2}) "
            "ON CONFLICT (role) DO UPDATE SET zone = excluded.zone"
        ).format(*map(sql.Literal, (roles.write, roles.read, zone))),
    ]
    given = [
        sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(schema, write),
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, read),
    ]
    return (
        *(Step(ROLE, statement) for statement in made),
        *(Step(GRANT, statement) for statement in given),
        *(step for table in tables for step in table_steps(connection, zone, table)),
    )


def table_steps(connection: Connection, zone: str, table: str) -> tuple[Step, ...]:
    """Gives a table to the roles of its zone."""
    roles, place = roles_of(connection, zone), sql.Identifier(zone, table)
    return (
        Step(GRANT, sql.SQL("ALTER TABLE {} OWNER TO {}").format(place, sql.Identifier(roles.write))),
        Step(GRANT, sql.SQL("GRANT SELECT ON {} TO {}").format(place, sql.Identifier(roles.read))),
    )


def drop_steps(connection: Connection, zone: str, phase: int) -> tuple[Step, ...]:
    """Takes the roles of a removed zone away, and what they were granted elsewhere; its tables are gone by then."""
    roles = roles_of(connection, zone)
    there = _existing(connection, (roles.write, roles.read))
    names = [sql.Identifier(name) for name in (roles.write, roles.read) if name in there]
    statements = [sql.SQL("DELETE FROM assay.zone_role WHERE zone = {}").format(sql.Literal(zone))]
    for name in names:
        statements += [sql.SQL("DROP OWNED BY {}").format(name), sql.SQL("DROP ROLE {}").format(name)]
    return tuple(Step(phase, statement) for statement in statements)


def records_open(connection: Connection) -> bool:
    """Whether the writing roles may record what they do."""
    rights = {table: words.split(", ")[0] for table, words in _RECORDS.items()}
    row = connection.execute(
        "SELECT coalesce(bool_and(has_table_privilege(r.oid, t.name, t.first_right)), false) FROM pg_roles AS r, "
        "unnest(%s::text[], %s::text[]) AS t (name, first_right) WHERE r.rolname = %s",
        (list(rights), list(rights.values()), movements_role(connection)),
    ).fetchone()
    return row == (True,)


def open_records(connection: Connection) -> None:
    """Lets the writing roles record what they do, each what belongs to its zone."""
    name = movements_role(connection)
    group = sql.Identifier(name)
    connection.execute(_made(name, "NOLOGIN"))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA assay TO {}").format(group))
    for table, rights in _RECORDS.items():
        place = sql.Identifier(*table.split("."))
        connection.execute(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), place, group))


def _made(role: str, options: str) -> sql.Composed:
    """A role, where there is none of that name: another database of the server may have left it."""
    return sql.SQL(
        "DO $$ BEGIN CREATE ROLE {} {}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    ).format(sql.Identifier(role), sql.SQL(options))


# --- beside what stands ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RolesStanding:
    """What there is: the roles that exist and act for a zone as they should, and the tables that are not theirs."""

    zones: frozenset[str]
    strange: Mapping[str, tuple[str, ...]]

    def lacking(self, connection: Connection, zone: str, tables: Iterable[str]) -> list[Change]:
        """The change that a zone needs whose schema stands."""
        strange = self.strange.get(zone, ())
        if zone in self.zones and not strange:
            return []
        steps = zone_steps(connection, zone, strange if zone in self.zones else tables)
        note = "its tables belong to a role of its own, and another one reads them"
        return [Change(zone, "", "change", f"give zone {zone} its roles in PostgreSQL", steps, note=note)]


def roles_standing(connection: Connection, zones: Iterable[str]) -> RolesStanding:
    """The roles of zones as they stand, read from PostgreSQL's catalogue."""
    wanted = {zone: roles_of(connection, zone) for zone in zones}
    values = {
        "zones": list(wanted),
        "write": [one.write for one in wanted.values()],
        "read": [one.read for one in wanted.values()],
    }
    complete = frozenset(str(row[0]) for row in connection.execute(_COMPLETE, values))
    strange: dict[str, list[str]] = {}
    for zone, table in connection.execute(_STRANGE, values):
        strange.setdefault(zone, []).append(table)
    return RolesStanding(complete, {zone: tuple(tables) for zone, tables in strange.items()})


_COMPLETE = """
SELECT n.nspname::text FROM unnest(%(zones)s::text[], %(write)s::text[], %(read)s::text[]) AS z (zone, write, read)
JOIN pg_namespace AS n ON n.nspname = z.zone
JOIN pg_roles AS w ON w.rolname = z.write JOIN pg_roles AS r ON r.rolname = z.read
JOIN assay.zone_role AS wz ON wz.role = z.write AND wz.zone = z.zone
WHERE pg_has_role(CURRENT_USER, w.oid, 'USAGE') AND has_schema_privilege(w.oid, n.oid, 'CREATE')
AND has_schema_privilege(r.oid, n.oid, 'USAGE')
"""
_STRANGE = """
SELECT z.zone, c.relname::text FROM unnest(%(zones)s::text[], %(write)s::text[], %(read)s::text[])
AS z (zone, write, read) JOIN pg_namespace AS n ON n.nspname = z.zone
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
JOIN pg_roles AS w ON w.rolname = z.write JOIN pg_roles AS r ON r.rolname = z.read
WHERE c.relowner <> w.oid OR NOT has_table_privilege(r.oid, c.oid, 'SELECT') ORDER BY 1, 2
"""


def _existing(connection: Connection, names: Iterable[str]) -> set[str]:
    found = connection.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)", (list(names),))
    return {str(name) for (name,) in found}


# --- publications ----------------------------------------------------------------------------------------------

#: A column of a table, and the zone that reads it: (publisher, table, column, reader).
Granted = tuple[str, str, str, str]


def columns_granted(connection: Connection, zones: Iterable[str]) -> set[Granted]:
    """The columns that the reading roles of zones were granted in schemas of others."""
    roles = {roles_of(connection, zone).read: zone for zone in zones}
    found = connection.execute(
        "SELECT n.nspname::text, c.relname::text, a.attname::text, r.rolname::text "
        "FROM pg_roles AS r, pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
        "JOIN pg_namespace AS n ON n.oid = c.relnamespace, aclexplode(a.attacl) AS e "
        "WHERE a.attacl IS NOT NULL AND e.grantee = r.oid AND e.privilege_type = 'SELECT' AND r.rolname = ANY(%s)",
        (list(roles),),
    )
    return {(schema, table, column, roles[role]) for schema, table, column, role in found}


def columns_wanted(reader: str, publisher: Zone, publication: Publication) -> set[Granted]:
    """The columns that a zone needs to read a publication; none of one that is not in PostgreSQL, and none of one
    that hides rows or cells: of that the zone gets a copy.

    `ctid`, where a row lies, lets the engine read a table in parts at the same time.
    """
    if publication.store != "operational" or publication.hides:
        return set()
    fields = publisher.operational[publication.table].contract.fields
    chosen = publication.columns or tuple(field.name for field in fields)
    return {(publisher.name, publication.table, column, reader) for column in (*chosen, "ctid")}


def set_columns(connection: Connection, standing: set[Granted], wanted: set[Granted]) -> None:
    """Grants the columns that are wanted, and revokes the others."""
    for table, reader, columns in _by_table(connection, standing - wanted):
        connection.execute(sql.SQL("REVOKE SELECT ({}) ON {} FROM {}").format(columns, table, reader))
    for zone in sorted({(one[0], one[3]) for one in wanted - standing}):
        schema, role = sql.Identifier(zone[0]), sql.Identifier(roles_of(connection, zone[1]).read)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
    for table, reader, columns in _by_table(connection, wanted - standing):
        connection.execute(sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(columns, table, reader))


def _by_table(
    connection: Connection, columns: set[Granted]
) -> Iterator[tuple[sql.Identifier, sql.Identifier, sql.Composed]]:
    """Table, role and columns for each statement."""
    for schema, table, zone in sorted({(one[0], one[1], one[3]) for one in columns}):
        names = sorted(one[2] for one in columns if (one[0], one[1], one[3]) == (schema, table, zone))
        role = sql.Identifier(roles_of(connection, zone).read)
        yield sql.Identifier(schema, table), role, sql.SQL(", ").join(map(sql.Identifier, names))
