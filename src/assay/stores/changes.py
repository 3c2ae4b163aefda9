"""What a configuration would change in a store, as values: decided in one place, shown and carried out in others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql

#: The order in which statements run, so that each finds what it needs and nothing that still holds on to it.
(
    DROP_FOREIGN, DROP_KEY, COLUMN, ADD_KEY, ROLE, CREATE_SCHEMA, CREATE, ADD_FOREIGN, INDEX, GRANT, DROP_TABLE,
    DROP_SCHEMA, DROP_ROLE,
) = range(13)  # fmt: skip

#: `create` makes something new, `change` alters what stands and keeps every value, `lose` takes data away.
Effect = Literal["create", "change", "lose"]


@dataclass(frozen=True)
class Step:
    """One statement for PostgreSQL; steps of all changes run in the order of their `phase`."""

    phase: int
    statement: sql.Composed

    @property
    def text(self) -> str:
        """The statement as it is executed."""
        return self.statement.as_string(None)


@dataclass(frozen=True)
class LakeStep:
    """One thing to do with an Iceberg table: `ensure` it has the columns, `drop` it, or drop one `column` of it."""

    action: Literal["ensure", "drop", "drop_column"]
    namespace: str
    name: str
    columns: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Change:
    """One difference between the configuration and the stores.

    `words` name it, and are what `assay apply --allow` takes; `dataset` is store.name, or the zone itself;
    `note` says what it means for the rows that stand.
    """

    zone: str
    dataset: str
    effect: Effect
    words: str
    steps: tuple[Step, ...] = ()
    lake: tuple[LakeStep, ...] = ()
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "zone": self.zone,
            "dataset": self.dataset,
            "effect": self.effect,
            "change": self.words,
            "note": self.note,
            "statements": [step.text for step in self.steps],
            "lake": [
                {
                    "action": step.action,
                    "table": f"{step.namespace}.{step.name}",
                    "columns": {name: str(kind) for name, kind in step.columns},
                }
                for step in self.lake
            ],
        }


@dataclass(frozen=True)
class Remark:
    """Something about the configuration that changes no store, and the zones that it concerns."""

    words: str
    zones: frozenset[str]
