"""Apache Iceberg, met only here: tables whose pointer moves inside our own PostgreSQL transaction.

PyIceberg's `SqlCatalog` keeps each table's current metadata file in a row of PostgreSQL. Bound to the
connection of a segment's transaction, that row changes together with the batch's state: data and record
become visible in one step.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import Misconfigured
from assay.stores.database import Connection, advisory_key, lend
from assay.stores.lake_use import in_use_until_commit
from assay.zones.types import FieldType, TypeKind

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.types import IcebergType

#: A column of a table: name and type.
Column = tuple[str, FieldType]

PROPERTIES = {
    "format-version": "2",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "5",
    "commit.manifest.target-size-bytes": "65536",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}

#: How many snapshots a table keeps; commits grow slower with each one more.
SNAPSHOTS_KEPT = 25


class Iceberg:
    """The tables of one target, seen through one PostgreSQL connection."""

    def __init__(self, connection: Connection, data: Path) -> None:
        self._connection = connection
        self._data = data
        self._catalog = _bound_catalog(connection, data)

    def ensure(self, namespace: str, name: str, columns: Iterable[Column]) -> list[str]:
        """Creates the table or adds the columns that it lacks; returns what was done, in words."""
        from pyiceberg.exceptions import NoSuchTableError

        columns = list(columns)
        identifier = (namespace, name)
        self.lock(namespace, name)
        self._catalog.create_namespace_if_not_exists((namespace,))
        try:
            table = self._catalog.load_table(identifier)
        except NoSuchTableError:
            location = self._location(namespace, name)
            self._catalog.create_table(
                identifier, schema=_schema(columns), location=location, properties=PROPERTIES
            )
            return [f"create {namespace}.{name}"]
        done = []
        stale = {key: value for key, value in PROPERTIES.items() if table.properties.get(key) != value}
        stale.pop("format-version", None)
        if stale:
            with table.transaction() as change:
                change.set_properties(stale)
            table = self._catalog.load_table(identifier)
        existing = {field.name: field.field_type for field in table.schema().fields}
        with table.update_schema() as update:
            for column, kind in columns:
                wanted = _type(kind)
                if column not in existing:
                    update.add_column(column, wanted)
                    done.append(f"add {namespace}.{name}.{column} {kind}")
                elif existing[column] != wanted:
                    if not _widens(existing[column], wanted):
                        raise Misconfigured(
                            f"{namespace}.{name}.{column} cannot change from {existing[column]} to {wanted}",
                            expected="a wider type of the same kind",
                        )
                    update.update_column(column, wanted)
                    done.append(f"widen {namespace}.{name}.{column} to {kind}")
        return done

    def drop(self, namespace: str, name: str) -> None:
        """Takes the table out of the catalog; its folder is the caller's to delete, once the transaction is through."""
        self.lock(namespace, name)
        self._catalog.drop_table((namespace, name))

    def folder(self, namespace: str, name: str) -> Path:
        """Where the table's files lie."""
        return Path(self._location(namespace, name))

    def drop_columns(self, namespace: str, name: str, columns: Iterable[str]) -> None:
        """Takes columns out of the table's schema; its files keep what they hold until they are rewritten."""
        self.lock(namespace, name)
        with self._catalog.load_table((namespace, name)).update_schema() as update:
            for column in columns:
                update.delete_column(column)

    def exists(self, namespace: str, name: str) -> bool:
        """Whether the table is there."""
        return self._catalog.table_exists((namespace, name))

    def table(self, namespace: str, name: str) -> Table:
        """The table as the library knows it, for the modules of this room."""
        return self._catalog.load_table((namespace, name))

    def files(self, namespace: str, name: str, batch: int | None = None) -> list[str]:
        """The Parquet files of the table's current state; of one batch only, where `batch` is given."""
        table = self._catalog.load_table((namespace, name))
        scan = table.scan() if batch is None else table.scan(row_filter=batch_is(batch))
        return [plain(task.file.file_path) for task in scan.plan_files()]

    def file_count(self, namespace: str, name: str) -> int:
        """How many data files the table's current state has; none where there is no table."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            snapshot = self._catalog.load_table((namespace, name)).current_snapshot()
        except NoSuchTableError:
            return 0
        return int((snapshot and snapshot.summary and snapshot.summary.get("total-data-files")) or 0)

    def new_file(self, namespace: str, name: str, hint: str) -> Path:
        """A path for a new Parquet file of the table; it counts only once it is committed."""
        folder = Path(self._location(namespace, name)) / "data"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{hint}-{secrets.token_hex(6)}.parquet"

    def lock(self, namespace: str, name: str) -> None:
        """Keeps other writers of the table away until the transaction ends, and housekeeping from what it writes."""
        in_use_until_commit(self._connection)
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("iceberg", namespace, name),))

    def put(
        self,
        namespace: str,
        name: str,
        files: Iterable[Path],
        *,
        replacing: Any = None,
        properties: dict[str, str] | None = None,
    ) -> None:
        """Commits Parquet files, in place of the rows that `replacing` selects (a PyIceberg expression).

        `replacing=True` stands for every row of the table.
        """
        from assay.stores.iceberg_change import replace

        self.lock(namespace, name)
        table = self._catalog.load_table((namespace, name))
        if replacing is True:
            from pyiceberg.expressions import AlwaysTrue

            replacing = AlwaysTrue()
        replace(table, replacing, [str(path) for path in files], properties or {}, SNAPSHOTS_KEPT)

    def _location(self, namespace: str, name: str) -> str:
        return str(self._data / "lake" / namespace.replace(".", "/") / name)


def batch_is(batch: int) -> Any:
    """The PyIceberg expression for the rows of one batch."""
    import pyiceberg.expressions as expressions

    # The library's annotations describe its JSON form, not the positional one that it documents.
    equal: Any = expressions.EqualTo
    return equal("_batch", batch)


def set_aside_by(segment: str, batch: int) -> Any:
    """The PyIceberg expression for the rows of one batch that one segment set aside."""
    import pyiceberg.expressions as expressions

    made: Any = expressions  # as above
    return made.And(batch_is(batch), made.EqualTo("_segment", segment))


def plain(path: str) -> str:
    """A file's path without the scheme that the library may put before it."""
    return path.removeprefix("file://")


def _bound_catalog(connection: Connection, data: Path) -> SqlCatalog:
    from pyiceberg.catalog.sql import SqlCatalog
    # A Session on a Connection that is already in a transaction joins it: its commit stays ours to make.
    bound = lend(connection)

    class Bound(SqlCatalog):
        def __init__(self) -> None:
            super(SqlCatalog, self).__init__("assay", uri="postgresql+psycopg://", warehouse=str(data / "lake"))
            self.engine = bound
            self._schema_version = "v1"

    return Bound()


CATALOG_TABLES = """
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name varchar(255) NOT NULL,
    table_namespace varchar(255) NOT NULL,
    table_name varchar(255) NOT NULL,
    metadata_location varchar(1000),
    previous_metadata_location varchar(1000),
    iceberg_type varchar(5) DEFAULT 'TABLE',
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name varchar(255) NOT NULL,
    namespace varchar(255) NOT NULL,
    property_key varchar(255) NOT NULL,
    property_value varchar(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key)
);
"""


def _schema(columns: list[Column]) -> Schema:
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    return Schema(
        *(
            NestedField(field_id=number, name=name, field_type=_type(kind), required=False)
            for number, (name, kind) in enumerate(columns, start=1)
        )
    )


def _type(kind: FieldType) -> IcebergType:
    from pyiceberg import types

    if kind.kind == "decimal":
        return types.DecimalType(kind.precision or 38, kind.scale or 0)
    if kind.kind == "timestamp":
        return types.TimestamptzType() if kind.timezone else types.TimestampType()
    simple: dict[str, Any] = {
        "string": types.StringType,
        "integer": types.LongType,
        "double": types.DoubleType,
        "date": types.DateType,
        "time": types.TimeType,
        "boolean": types.BooleanType,
    }
    made: IcebergType = simple[kind.kind]()
    return made


def field_type(kind: IcebergType) -> FieldType | None:
    """The inverse of the types that tables are made with; None for one that assay does not make."""
    from pyiceberg import types

    if isinstance(kind, types.DecimalType):
        return FieldType("decimal", kind.precision, kind.scale)
    if isinstance(kind, types.TimestamptzType):
        return FieldType("timestamp", timezone=True)
    names: dict[str, TypeKind] = {
        "string": "string",
        "long": "integer",
        "double": "double",
        "date": "date",
        "timestamp": "timestamp",
        "time": "time",
        "boolean": "boolean",
    }
    found = names.get(str(kind))
    return None if found is None else FieldType(found)


def _widens(before: IcebergType, after: IcebergType) -> bool:
    from pyiceberg.types import DecimalType

    return (
        isinstance(before, DecimalType)
        and isinstance(after, DecimalType)
        and before.scale == after.scale
        and after.precision > before.precision
    )


def current_pointer(connection: Connection, namespace: str, name: str) -> str | None:
    """The metadata file that a table now has, which is another one after every change; None where it is not there."""
    found = connection.execute(
        "SELECT metadata_location FROM iceberg_tables "
        "WHERE catalog_name = 'assay' AND table_namespace = %s AND table_name = %s",
        (namespace, name),
    ).fetchone()
    return None if found is None else str(found[0])
