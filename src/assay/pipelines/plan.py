"""plan and apply: what the configuration would change, and doing it in one transaction."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.catalog import events, records, upkeep
from assay.errors import Misconfigured, Unavailable
from assay.pipelines import walls
from assay.pipelines.comparing import Plan, planned
from assay.pipelines.platform import Platform
from assay.pipelines.published import concerned
from assay.pipelines.subscriptions import follow, record_changes
from assay.pipelines.telling.readers import register
from assay.pipelines.telling.tell import tell_at_the_end
from assay.stores.changes import LakeStep
from assay.stores.data_folder import claim
from assay.stores.database import Connection, DatabaseFailed, execute, hold, transaction
from assay.zones.project import version_of

if TYPE_CHECKING:
    from assay.zones.project import Project

#: How long `apply` waits for pipelines that are at work.
WAIT_SECONDS = 60


def plan(platform: Platform) -> Plan:
    """Computes the changes; nothing is changed.

    Raises `Misconfigured` with every part of the configuration that cannot be carried out, file and line.
    """
    from assay.pipelines.access import access_changes

    with transaction(platform.connection) as tx:
        found = _with_subscribers(platform, tx)
        return replace(found, access=access_changes(platform))


def apply(platform: Platform, *, allowed_losses: frozenset[str] = frozenset()) -> Plan:
    """Carries the plan out in one transaction and records the configuration's version.

    Raises `Misconfigured` when a change would lose data and is not among `allowed_losses`, `Unavailable` when a
    pipeline of the zones concerned is at work for longer than a minute.
    """
    folders: list[Path] = []
    project = platform.project
    with transaction(platform.connection) as tx:
        hold(tx, "apply", seconds=WAIT_SECONDS)
        found = _with_subscribers(platform, tx)
        _refuse_losses(found, allowed_losses)
        if _hold_pipelines(tx, platform.project, found):
            # What they did while we waited counts.
            found = _with_subscribers(platform, tx)
            _refuse_losses(found, allowed_losses)
        walls.prepare(tx)
        _carry_out(tx, platform.data, found, folders)
        asked = follow(platform, tx)
        walls.finish(tx, project)
        if found.applied != found.version:
            words = [change.words for change in found.changes]
            records.add_configuration(tx, found.version, platform.actor, words, _files_of(project))
            register(tx, project)
            events.add(tx, "applied", body={"version": found.version, "by": platform.actor, "changes": words})
        record_changes(platform, tx, asked)
        if found.changes or found.applied != found.version:
            platform.record(
                tx, "apply", f"configuration/{found.version}", zone=None, applied_before=found.applied,
                changes=len(found.changes), losing=list(found.losing),
            )  # fmt: skip
    identity = upkeep.identity(platform.connection)
    if identity is not None:
        claim(platform.data, identity)
    granted = [one for one in asked if one.state == "granted"]
    if granted:
        from assay.pipelines.grants import verify

        with suppress(Unavailable):  # what could not be tried now the service tries soon
            verify(platform, granted)
    if asked:
        tell_at_the_end(platform)
    for folder in folders:  # only now: until the commit a failure must find every file where it was
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _files_of(project: Project) -> dict[str, str]:
    """The files that are kept of what is applied; raises `Misconfigured` where they are not those that were read."""
    found = project.texts()
    if version_of(found) != project.version:
        raise Misconfigured(
            "the project's files were changed while they were applied", file=project.root,
            expected="the files that were checked", next="assay plan, then assay apply",
        )  # fmt: skip
    return found


def _with_subscribers(platform: Platform, tx: Connection) -> Plan:
    """What is planned, with what it means for subscribers; raises `Misconfigured` for what would break them."""
    from assay.pipelines.sql_check import raise_all

    found = planned(tx, platform.project)
    about = concerned(platform, tx, found.applied)
    raise_all(list(about.problems), "publications would break for their subscribers")
    return replace(found, changes=found.changes + about.dropped, remarks=found.remarks + about.remarks)


def _refuse_losses(found: Plan, allowed: frozenset[str]) -> None:
    refused = [words for words in found.losing if words not in allowed]
    if refused:
        strange = sorted(allowed - set(found.losing))
        named = " ".join(f'--allow "{words}"' for words in found.losing)
        raise Misconfigured(
            "this would lose data: " + "; ".join(refused)
            + (f" (nothing is called {', '.join(strange)})" if strange else ""),
            expected="the contract, column or zone back in the project, or its loss named",
            next=f"assay apply {named}",
        )


def _hold_pipelines(tx: Connection, project: Project, found: Plan) -> bool:
    """Waits until no pipeline of a zone concerned is at work; returns whether there was any to wait for.

    A batch on its way was prepared for the tables as they are.
    """
    concerned = {change.zone for change in found.changes if change.effect != "create"}
    for zone in sorted(concerned & project.zones.keys()):
        for pipeline in sorted(project.zones[zone].pipelines):
            try:
                hold(tx, "pipeline", zone, pipeline, seconds=WAIT_SECONDS)
            except Unavailable as error:
                raise Unavailable(
                    f"{zone}/{pipeline} is at work, and its tables are to change",
                    next="assay apply, when it has finished",
                ) from error
    return bool(concerned)


def _carry_out(tx: Connection, data: Path, found: Plan, folders: list[Path]) -> None:
    steps = sorted(
        ((step, change) for change in found.changes for step in change.steps), key=lambda pair: pair[0].phase
    )
    for step, change in steps:
        try:
            execute(tx, step.statement)
        except DatabaseFailed as error:
            raise DatabaseFailed(f"could not {change.words}: {error.what}", where=step.text) from error
    lake = [step for change in found.changes for step in change.lake]
    if lake:
        folders += _carry_out_lake(tx, data, lake)


def _carry_out_lake(tx: Connection, data: Path, steps: list[LakeStep]) -> set[Path]:
    """Changes the lake's catalog in the same transaction; returns the folders that nothing needs any more."""
    from assay.stores.iceberg import Iceberg

    iceberg = Iceberg(tx, data)
    gone: set[Path] = set()
    for step in steps:
        folder = iceberg.folder(step.namespace, step.name)
        if step.action == "drop":
            iceberg.drop(step.namespace, step.name)
            gone.add(folder)
        elif step.action == "drop_column":
            iceberg.drop_columns(step.namespace, step.name, [name for name, _ in step.columns])
        else:
            iceberg.ensure(step.namespace, step.name, step.columns)
            gone.discard(folder)
    return gone
