"""How rows that would be differ from those that stand, per table, with the first of them: what every preview shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from assay.engines.duckdb import Engine, literal, path_list, quoted
from assay.findings import masked
from assay.segments.relations import lake_select
from assay.stewardship.masking import MASK, Cells
from assay.stores.lake import analytical

if TYPE_CHECKING:
    from assay.segments.denormalize import Recomputed
    from assay.stores.iceberg import Iceberg
    from assay.stores.shadow_difference import Dangling, TableDifference
    from assay.zones.project import Source

#: How many rows of each kind of difference are shown.
EXAMPLES = 5
_OWN = ("_batch", "_sheet", "_row")


@dataclass(frozen=True)
class Example:
    """One row that differs: where it stands in the delivered file, and what is different."""

    kind: str
    sheet: str | None
    row: int | None
    words: str


@dataclass(frozen=True)
class Difference:
    """How the rows of a store or a table differ from what they would be."""

    store: str
    same: int
    added: int
    removed: int
    changed: int
    columns: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed or self.columns)

    def plus(self, other: Difference) -> Difference:
        """Both together, of the same store; the first examples of each."""
        return Difference(
            self.store,
            self.same + other.same,
            self.added + other.added,
            self.removed + other.removed,
            self.changed + other.changed,
            tuple(dict.fromkeys((*self.columns, *other.columns))),
            (*self.examples, *other.examples)[: 3 * EXAMPLES],
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def masked_differences(found: Sequence[Difference], cells: Callable[[str], Cells]) -> tuple[Difference, ...]:
    """The differences without the words of their examples where a dataset, by store.name, has cells not shown."""
    return tuple(
        replace(one, examples=tuple(replace(row, words=MASK if row.words else "") for row in one.examples))
        if cells(one.store).hidden
        else one
        for one in found
    )


def masked_dangling(found: Sequence[Dangling], cells: Callable[[str], Cells]) -> tuple[Dangling, ...]:
    """Rows that would refer to nothing, without the values that are not shown."""
    return tuple(
        replace(one, examples=(MASK,) * len(one.examples)) if cells(f"operational.{one.table}").hidden else one
        for one in found
    )


def canonical_difference(one: TableDifference) -> Difference:
    """The difference of a canonical table; a row that another batch made, and that is the same, is the same."""
    examples = tuple(
        Example(row.kind, row.sheet, row.row, f"{row.key}{': ' if row.words else ''}{row.words}")
        for row in one.examples
    )
    return Difference(
        f"operational.{one.table}", one.same + one.moved, one.added, one.removed, one.changed, examples=examples
    )


def lake_difference(engine: Engine, one: Recomputed, lake: Iceberg) -> Difference:
    """The difference of an analytical table: which rows it would no longer hold, and which it would."""
    fields = one.table.contract.fields
    columns = ", ".join(quoted(field.name) for field in fields)
    before = f"SELECT {columns} FROM ({lake_select(analytical(one.table), lake)})"
    files = path_list([str(file) for file in one.files])
    after = f"SELECT {columns} FROM read_parquet({files})" if one.files else f"SELECT * FROM ({before}) WHERE false"
    counts: dict[str, int] = {}
    examples: list[Example] = []
    for kind, ours, theirs in (("added", after, before), ("removed", before, after)):
        only = f"({ours} EXCEPT ALL {theirs})"
        counts[kind] = int(engine.row(f"SELECT count(*) FROM {only}")[0])
        for row in engine.rows(f"SELECT * FROM {only} ORDER BY ALL LIMIT {EXAMPLES}"):
            shown = [
                masked(str(value)) if field.sensitive and value is not None else str(value)
                for field, value in zip(fields, row, strict=True)
            ]
            examples.append(Example(kind, None, None, ", ".join(shown)))
    total = int(engine.row(f"SELECT count(*) FROM ({after})")[0])
    return Difference(
        f"analytical.{one.table.name}", total - counts["added"], counts["added"], counts["removed"], 0,
        examples=tuple(examples),
    )  # fmt: skip


def staging_difference(
    engine: Engine, source: Source, store: str, number: int, before: list[str], after: list[str]
) -> Difference:
    """The difference of a batch in a staging store: rows by where they stand in the delivered file, values by column.

    `before` and `after` are the files that hold the rows.
    """
    was, now = (_columns(engine, name, files, number) for name, files in (("was", before), ("now", after)))
    common = [name for name in now if name in was and name not in _OWN]
    apart = " OR ".join(f"w.{quoted(name)} IS DISTINCT FROM n.{quoted(name)}" for name in common) or "false"
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE compared AS SELECT coalesce(n._sheet, w._sheet) AS _sheet, "
        f"coalesce(n._row, w._row) AS _row, CASE WHEN w._batch IS NULL THEN 'added' WHEN n._batch IS NULL THEN "
        f"'removed' WHEN {apart} THEN 'changed' ELSE 'same' END AS kind, {_words(source, common)} AS words "
        f"FROM was AS w FULL JOIN now AS n ON w._row = n._row AND w._sheet IS NOT DISTINCT FROM n._sheet"
    )
    counts = dict(engine.rows("SELECT kind, count(*) FROM compared GROUP BY kind"))
    examples = engine.rows(
        "SELECT kind, _sheet, _row, CASE WHEN kind = 'changed' THEN words ELSE '' END FROM compared "
        "WHERE kind <> 'same' QUALIFY row_number() OVER (PARTITION BY kind ORDER BY _sheet, _row) "
        f"<= {EXAMPLES} ORDER BY kind, _sheet, _row"
    )
    columns = [f"+{name}" for name in now if was and name not in was]
    columns += [f"-{name}" for name in was if now and name not in now]
    return Difference(
        store,
        **{kind: int(counts.get(kind, 0)) for kind in ("same", "added", "removed", "changed")},
        columns=tuple(columns),
        examples=tuple(Example(*row) for row in examples),
    )


def _columns(engine: Engine, name: str, files: list[str], number: int) -> list[str]:
    """Makes a view of the files' rows; returns its columns, none where there is no file."""
    if not files:
        engine.run(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT CAST(NULL AS BIGINT) AS _batch, CAST(NULL AS VARCHAR) AS "
            "_sheet, CAST(NULL AS BIGINT) AS _row WHERE false"
        )
        return []
    engine.run(
        f"CREATE OR REPLACE TEMP VIEW {name} AS "
        f"SELECT * FROM read_parquet({path_list(files)}, union_by_name=true) WHERE _batch = {number}"
    )
    columns, _ = engine.table(f"SELECT * FROM {name} LIMIT 0")
    return columns


def _words(source: Source, columns: list[str]) -> str:
    """SQL: which values of a row differ, before and after; those of sensitive fields are not shown."""
    hidden = {entry.name for entry in (*source.contract.fields, *source.clean_fields) if entry.sensitive}
    parts = []
    for name in columns:
        before, after = (f"coalesce(CAST({side}.{quoted(name)} AS VARCHAR), 'nothing')" for side in ("w", "n"))
        shown = f"{literal(name + ': ')} || {before} || ' → ' || {after}"
        if name in {*hidden, "_raw"}:
            shown = literal(f"{name} differs")
        parts.append(f"CASE WHEN w.{quoted(name)} IS DISTINCT FROM n.{quoted(name)} THEN {shown} END")
    return f"concat_ws('; ', {', '.join(parts)})" if parts else "''"
