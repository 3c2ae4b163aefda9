"""The types that a field can have, and their names in each store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TypeKind = Literal["string", "integer", "decimal", "double", "date", "timestamp", "time", "boolean", "object"]

_DUCKDB = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "time": "TIME",
    "boolean": "BOOLEAN",
    "object": "JSON",
}
_POSTGRES = {
    "string": "text",
    "integer": "bigint",
    "double": "double precision",
    "date": "date",
    "timestamp": "timestamp",
    "time": "time",
    "boolean": "boolean",
    "object": "jsonb",
}


@dataclass(frozen=True)
class FieldType:
    """A field's type; `precision` and `scale` belong to decimals, `timezone` to timestamps."""

    kind: TypeKind
    precision: int | None = None
    scale: int | None = None
    timezone: bool = False

    @property
    def duckdb(self) -> str:
        """The type in DuckDB's SQL."""
        if self.kind == "decimal":
            return f"DECIMAL({self.precision},{self.scale})"
        if self.kind == "timestamp" and self.timezone:
            return "TIMESTAMPTZ"
        return _DUCKDB[self.kind]

    @property
    def postgres(self) -> str:
        """The type in PostgreSQL, as `format_type` prints it."""
        if self.kind == "decimal":
            return f"numeric({self.precision},{self.scale})"
        if self.kind == "timestamp" and self.timezone:
            return "timestamptz"
        return _POSTGRES[self.kind]

    @property
    def numeric(self) -> bool:
        """Whether a sum of the field means something exact: integers and decimals."""
        return self.kind in ("integer", "decimal")

    def __str__(self) -> str:
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return {"string": "text", "double": "number", "integer": "whole number"}.get(self.kind, self.kind)
