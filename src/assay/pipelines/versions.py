"""Which configuration counts: the one that was applied last, and for a batch under way the one that it began with.

A batch goes on under the version that it began with as long as the stores still take what that version writes, and
starts anew under the one that stands where they do not, or where it failed under its own. What is derived from all
batches, the analytical tables, is always computed under the one that stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from assay.batch import Batch
from assay.catalog import events, queue, records
from assay.catalog.queue import Lease
from assay.errors import Misconfigured, NotFound
from assay.pipelines.configurations import project_of
from assay.pipelines.order import source_rank
from assay.pipelines.platform import Platform
from assay.stores.database import transaction
from assay.stores.lake import LakeTable, clean, quarantine, readable
from assay.zones.contract import Field
from assay.zones.project import OperationalTable, Project, Source, load_project


def under(platform: Platform, version: str) -> Platform:
    """The platform with the project of an applied version; raises as `configurations.project_of`."""
    return replace(platform, project=project_of(platform.connection, platform.project, version))


def present(platform: Platform) -> Platform | None:
    """The platform under the configuration that was applied last; None where none was.

    Raises `Misconfigured` where its files were not kept, or this version of assay cannot read them.
    """
    version = records.applied_version(platform.connection)
    if version is None or version == platform.project.version:
        return None if version is None else platform
    try:
        return under(platform, version)
    except NotFound:  # it was applied before files were kept, but may still lie there
        project = load_project(platform.project.folder, platform.project.target.name)
        if project.version != version:
            raise Misconfigured(f"the files of the configuration {version} were not kept", next="assay apply") from None
        return replace(platform, project=project)


# --- batches under way -----------------------------------------------------------------------------------------


def for_batch(platform: Platform, batch: Batch, lease: Lease) -> tuple[Platform, Batch]:
    """The platform under the configuration that the batch goes on with, and the batch, which may have to start anew."""
    if batch.config_version == platform.project.version:
        return platform, batch
    began, why = _began_with(platform, batch)
    if began is not None and why is None:
        return replace(platform, project=began), batch
    if batch.state == "conformed":  # what is left to do is done under the configuration that stands
        return platform, batch
    return platform, _start_anew(platform, batch, began, lease, why or "")


def _began_with(platform: Platform, batch: Batch) -> tuple[Project | None, str | None]:
    """The configuration that a batch began with, and why it cannot go on with it."""
    failed = queue.failure(platform.connection, batch.id)
    try:
        began = project_of(platform.connection, platform.project, batch.config_version)
    except Misconfigured as error:
        return None, f"this version of assay does not read it: {error.what}"
    except NotFound:
        return None, "its files were not kept"
    if failed is not None and not failed.passing:
        return began, "the batch failed under it"
    return began, unfit(began, platform.project, batch)


def unfit(began: Project, now: Project, batch: Batch) -> str | None:
    """Why the stores, as the present configuration has made them, do not take what an earlier one writes."""
    before = _source(began, batch)
    if before is None:
        return "it does not know the source"
    after = _source(now, batch)
    if after is None:
        return None  # the batch ends where its tables are still there, and else says which one is not
    for old, new in zip(_lake_tables(before), _lake_tables(after), strict=True):
        if old is not None and (new is None or not set(old.columns) <= set(new.columns)):
            return f"{(new or old).namespace}.{old.name} has other columns now"
    tables = now.zones[batch.zone].operational
    for table in (began.zones[batch.zone].operational[name] for name in before.conform):
        if table.name not in tables or not _takes(tables[table.name], table):
            return f"operational.{table.name} is another table now"
    return None


def _source(project: Project, batch: Batch) -> Source | None:
    zone = project.zones.get(batch.zone)
    pipeline = zone.pipelines.get(batch.pipeline) if zone else None
    return pipeline.sources.get(batch.source) if pipeline else None


def _lake_tables(source: Source) -> Iterator[LakeTable | None]:
    yield readable(source)
    yield quarantine(source)
    yield clean(source) if source.cleans else None


def _takes(now: OperationalTable, before: OperationalTable) -> bool:
    """Whether a canonical table takes rows that were made for what it was before."""
    there = {field.name: field for field in now.contract.fields}
    wanted = {field.name: field for field in before.contract.fields}
    return (
        all(name in there and there[name].type == field.type for name, field in wanted.items())
        and not _required(there.values()) - _required(wanted.values())
        and now.contract.primary_key == before.contract.primary_key
        and set(now.contract.unique_keys) == set(before.contract.unique_keys)
    )


def _required(fields: Iterable[Field]) -> set[str]:
    return {field.name for field in fields if field.required}


def _start_anew(platform: Platform, batch: Batch, began: Project | None, lease: Lease, why: str) -> Batch:
    """Takes a batch back to landing, under the configuration that stands; what it left in staging goes."""
    from assay.stores.iceberg import Iceberg, batch_is

    now = _source(platform.project, batch)
    before = None if began is None else _source(began, batch)
    pipeline = platform.project.zones[batch.zone].pipelines[batch.pipeline] if now else None
    with transaction(platform.connection) as tx:
        records.lock_batch(tx, batch.id, batch.state, lease)
        if batch.state != "landed":
            iceberg = Iceberg(tx, platform.data)
            for source in (now, before):
                for table in _lake_tables(source) if source else ():
                    if table is not None and iceberg.exists(table.namespace, table.name):
                        iceberg.put(table.namespace, table.name, [], replacing=batch_is(batch.id))
        rank = source_rank(pipeline, now.name) if pipeline is not None and now is not None else 0
        records.start_anew(tx, batch, platform.project.version, rank)
        body = {"from": batch.config_version, "to": platform.project.version, "why": why}
        events.add(tx, "restarted", batch=batch, body=body)
    return records.batch(platform.connection, batch.id)
