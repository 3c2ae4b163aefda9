"""An operation without a row in the permission table fails here."""

from __future__ import annotations

from collections.abc import Iterator

import click

from assay.cli import assay
from assay.flow import SEGMENTS, STORES
from assay.pipelines import names
from assay.security import cedar, permissions, segments
from assay.security.resources import PUBLISHED


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from _commands(found, (*path, name))
        else:
            yield " ".join((*path, name))


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    assert set(permissions.COMMANDS) == set(_commands(assay))


def test_every_movement_has_a_row_and_reaches_its_two_ends() -> None:
    assert list(permissions.SEGMENTS) == [movement.segment for movement in SEGMENTS]
    for movement in SEGMENTS:
        reach = segments.reach(movement.segment)
        assert movement.source in reach.reads and movement.target in reach.writes


def test_a_segment_reaches_beyond_its_two_ends_only_for_quarantine_and_for_what_sql_may_name() -> None:
    for movement in SEGMENTS:
        reach = segments.reach(movement.segment)
        assert reach.writes - {movement.target} <= {"quarantine"}
        runs_sql = movement.segment in ("conform", "denormalize")
        assert reach.reads - {movement.source} <= ({"clean", "operational", "analytical"} if runs_sql else set())
    assert [name for name in segments.REACH if "landing" in segments.reach(name).reads] == ["approve"]


def test_every_store_that_sql_can_name_has_a_row() -> None:
    assert {*names.STORES, *STORES, PUBLISHED} - {"staging"} <= permissions.SQL.keys()


def test_an_operation_without_needs_says_why() -> None:
    for door in permissions.DOORS.values():
        for name, operation in door.items():
            assert operation.needs or operation.why, name
            for need in operation.needs:
                assert need.resource in permissions.ACTIONS[need.action], name


def test_the_actions_of_the_table_are_those_of_the_schema() -> None:
    text = "".join(
        f'permit (principal, action == Action::"{action}", resource is {kind});\n'
        for action, kinds in permissions.ACTIONS.items()
        for kind in sorted(kinds)
    )
    assert cedar.schema_errors(text) == []
    declared = {line.split()[1] for line in str(cedar.schema()).splitlines() if line.startswith("action ")}
    assert {name.strip('"') for name in declared} == permissions.ACTIONS.keys()
