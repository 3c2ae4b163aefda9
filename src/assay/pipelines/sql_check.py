"""Every SELECT of a project read against the columns that it may use, before any data meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from assay.engines.sql import output_columns, references, row_condition
from assay.errors import Misconfigured
from assay.pipelines import refresh
from assay.pipelines.names import columns

if TYPE_CHECKING:
    from assay.zones.contract import Contract
    from assay.zones.project import AnalyticalTable, OperationalTable, Project, Publication, Sql, Zone


def check_sql(project: Project) -> None:
    """Reads every SELECT of the project and proves that what is refreshed in part may be.

    Raises `Misconfigured` with every problem found.
    """
    problems: list[Misconfigured] = []
    for zone in project.zones.values():
        for check in _checks(project, zone):
            try:
                check()
            except Misconfigured as error:
                problems.extend(error.problems or (error,))
    raise_all(problems, "SQL files have a problem")


def raise_all(problems: list[Misconfigured], what: str) -> None:
    """Raises the problem, or all of them as one; nothing when there is none."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Misconfigured(f"{len(problems)} {what}", problems=problems)


def _checks(project: Project, zone: Zone) -> Iterator[Callable[[], None]]:
    known = refresh.schema(project, zone)
    for table in zone.analytical.values():

        def analytical(table=table) -> None:  # type: ignore[no-untyped-def]
            references(table.sql.text, table.sql.path)
            _covers(table.sql, known, table.contract)
            refresh.driving(project, zone, table)

        yield analytical
    for entry in zone.access:
        if entry.rows is not None:
            known_columns = [name for name, _ in columns(zone, entry.store, entry.table)]
            yield lambda entry=entry, known=known_columns: row_condition(  # type: ignore[misc]
                entry.rows, known, zone.path, entry.line
            )
    for source in zone.sources.values():
        seen = refresh.batch_schema(project, zone, source.name)
        for name, statement in source.conform.items():
            contract = zone.operational[name].contract
            yield lambda statement=statement, seen=seen, contract=contract: _covers(  # type: ignore[misc]
                statement, seen, contract
            )
    for publication in zone.publications.values():
        yield lambda publication=publication: _check_rows(zone, publication)  # type: ignore[misc]


def _check_rows(zone: Zone, publication: Publication) -> None:
    if publication.rows is not None:
        tables: Mapping[str, OperationalTable | AnalyticalTable] = (
            zone.operational if publication.store == "operational" else zone.analytical
        )
        columns = [field.name for field in tables[publication.table].contract.fields]
        row_condition(publication.rows, columns, zone.path, publication.line)


def _covers(statement: Sql, known: refresh.Schema, contract: Contract) -> None:
    found = output_columns(statement.text, statement.path, known)
    wanted = [field.name for field in contract.fields]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Misconfigured(
            f"the SELECT does not give {', '.join(missing)}",
            file=statement.path,
            expected="the columns of the contract: " + ", ".join(wanted),
        )
