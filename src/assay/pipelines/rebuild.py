"""A dataset made anew from what was delivered, under the configuration of now or of an applied version.

A canonical table is brought together from the clean rows of its batches, an analytical one computed as a whole; each
takes the place of what stands in one transaction. The staging of a source is done again batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.catalog import events, records
from assay.errors import NotFound, Usage, nearest
from assay.pipelines.anew import Anew, all_tables, made_anew
from assay.pipelines.configurations import check_stores
from assay.pipelines.difference import Difference, masked_dangling, masked_differences
from assay.pipelines.platform import Platform
from assay.pipelines.replay import preview as replay_preview
from assay.pipelines.replay import replay
from assay.pipelines.review import BEYOND
from assay.pipelines.run import Progress, Result, alone, check_applied
from assay.pipelines.subscriptions import tell_published
from assay.pipelines.versions import under
from assay.stewardship.masking import MASK, Cells
from assay.stores.database import transaction
from assay.stores.shadow_difference import Dangling

if TYPE_CHECKING:
    from assay.zones.project import Pipeline

STORES = ("staging", "operational", "analytical")


@dataclass(frozen=True)
class Dataset:
    """A table of a zone: `staging.<source>`, `operational.<table>` or `analytical.<table>`."""

    zone: str
    store: str
    name: str
    pipeline: Pipeline

    @property
    def label(self) -> str:
        """zone.store.name"""
        return f"{self.zone}.{self.store}.{self.name}"


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild would do, or has done.

    `batches` are gone through again (`segments` of them); `passed_over` batch → why not; `rejected` batch → what a
    contract or a rule would refuse now; `dependents` are rows that would refer to nothing, which forbids it.
    """

    dataset: str
    version: str
    segments: tuple[str, ...]
    batches: tuple[int, ...]
    passed_over: dict[int, str]
    differences: tuple[Difference, ...]
    rejected: dict[int, str]
    dependents: tuple[Dangling, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        from dataclasses import asdict

        return {
            "dataset": self.dataset,
            "configuration": self.version,
            "segments": list(self.segments),
            "batches": list(self.batches),
            "passed_over": [{"batch": number, "why": why} for number, why in self.passed_over.items()],
            "differences": [one.to_dict() for one in self.differences],
            "rejected": [{"batch": number, "what": what} for number, what in self.rejected.items()],
            "dependents": [asdict(one) for one in self.dependents],
        }


def masked(found: Rebuilt, cells: Callable[[str], Cells]) -> Rebuilt:
    """What a rebuild would do, without cells that are not shown; `cells` is by store.name."""
    _, _, dataset = found.dataset.partition(".")
    refused = found.rejected if not cells(dataset).hidden else dict.fromkeys(found.rejected, MASK)
    return replace(
        found,
        differences=masked_differences(found.differences, cells),
        rejected=refused,
        dependents=masked_dangling(found.dependents, cells),
    )


def dataset_of(platform: Platform, name: str) -> Dataset:
    """The dataset of that name, ZONE.STORE.NAME; raises `Usage` or `NotFound` with the nearest."""
    parts = name.split(".")
    if len(parts) != 3 or parts[1] not in STORES:
        raise Usage(
            f"{name} is not the name of a dataset", expected="ZONE.STORE.NAME, the store one of " + ", ".join(STORES)
        )
    zone = platform.project.zones.get(parts[0])
    if zone is None:
        zones = platform.project.zones
        raise NotFound(f"there is no zone {parts[0]}", expected=nearest(parts[0], zones) or ", ".join(zones))
    for pipeline in zone.pipelines.values():
        if parts[2] in _names(pipeline, parts[1]):
            return Dataset(parts[0], parts[1], parts[2], pipeline)
    known = [known for pipeline in zone.pipelines.values() for known in _names(pipeline, parts[1])]
    raise NotFound(
        f"zone {zone.name} has no {parts[1]}.{parts[2]}",
        expected=nearest(parts[2], known) or ", ".join(sorted(known)) or "nothing there",
    )


def preview(
    platform: Platform,
    name: str,
    *,
    since: str | None = None,
    version: str | None = None,
    progress: Progress | None = None,
) -> Rebuilt:
    """What a rebuild would do; nothing is changed.

    `since` is a batch's number or a date (of delivery): only what those batches brought is made anew. Raises `Usage`
    where it does not fit the dataset, `Misconfigured` where the stores cannot take what `version` writes.
    """
    dataset, then = _chosen(platform, name, version)
    if dataset.store == "staging":
        return _staging_preview(then, dataset, since, version, progress)
    with _anew(platform, then, dataset, since, progress) as (found, _):
        return found


def rebuild(
    platform: Platform,
    name: str,
    *,
    since: str | None = None,
    version: str | None = None,
    progress: Progress | None = None,
) -> tuple[Rebuilt, list[Result]]:
    """Makes a dataset anew; raises as `preview`, and `Usage` where rows would refer to nothing.

    The results are those of the batches that were gone through again, for staging. A rebuild of staging that was cut
    short goes on where it was: batches whose rows are of the configuration already are passed over.
    """
    dataset, then = _chosen(platform, name, version)
    if dataset.store == "staging":
        return _staging(platform, then, dataset, since, version, progress)
    with _anew(platform, then, dataset, since, progress) as (found, anew):
        if found.dependents:
            one = found.dependents[0]
            raise Usage(
                f"{one.rows} rows of {one.table} (batch {one.batch}) would refer to {one.parent} "
                f"{', '.join(one.examples)}, which would be gone",
                next=f"assay rebuild {dataset.zone}.operational.{one.table}, or mend the SQL of {one.parent}",
            )
        with transaction(platform.connection) as tx:
            anew.commit(tx, "rebuild")
            body = {
                "dataset": dataset.label, "by": platform.actor, "configuration": found.version, "since": since,
                "changes": {
                    one.store: {"added": one.added, "removed": one.removed, "changed": one.changed}
                    for one in found.differences
                },
            }  # fmt: skip
            different = {one.store for one in found.differences if one.any}
            zone = platform.project.zones[dataset.zone]
            tell_published(tx, zone, different, pipeline=dataset.pipeline.name)
            events.add(tx, "rebuilt", zone=dataset.zone, pipeline=dataset.pipeline.name, body=body)
            platform.record(
                tx, "rebuild", f"dataset/{dataset.label}", zone=dataset.zone, configuration=found.version, since=since
            )
    return found, []


def worth_rebuilding(platform: Platform, applied: str | None) -> list[str]:
    """The datasets whose SQL is new, or another one than in the version `applied` before, and whose pipeline has rows:
    what stands in them is not what their SQL says, until a batch touches it."""
    before = records.configuration_files(platform.connection, applied) if applied else None
    if before is None:
        return []
    root, now = platform.project.root, platform.project.texts()
    found: list[str] = []
    for zone in platform.project.zones.values():
        for pipeline in zone.pipelines.values():
            statements = [
                (f"operational.{name}", sql)
                for source in pipeline.sources.values()
                for name, sql in source.conform.items()
            ]
            statements += [(f"analytical.{name}", table.sql) for name, table in pipeline.analytical.items()]
            files = [(name, sql.path.relative_to(root).as_posix()) for name, sql in statements]
            names = [f"{zone.name}.{name}" for name, file in files if before.get(file) != now[file]]
            if names and records.conformed(platform.connection, zone.name, pipeline.name):
                found += names
    return list(dict.fromkeys(found))


@contextmanager
def _anew(
    platform: Platform, then: Platform, dataset: Dataset, since: str | None, progress: Progress | None
) -> Iterator[tuple[Rebuilt, Anew]]:
    canonical = dataset.store == "operational"
    if since is not None and not canonical:
        raise Usage(
            "an analytical table is computed as a whole", next=f"assay rebuild {dataset.label}, without --since"
        )
    with alone(platform, dataset.zone, dataset.pipeline.name):
        batches = [
            batch
            for batch in records.conformed(platform.connection, dataset.zone, dataset.pipeline.name)
            if canonical and dataset.name in all_tables(dataset.pipeline, [batch])
        ]
        chosen = _since(platform, batches, since)
        with made_anew(
            then,
            dataset.pipeline,
            [dataset.name] if canonical else [],
            since=None if since is None else {batch.id for batch in chosen},
            named=[] if canonical else [dataset.name],
            progress=progress,
        ) as anew:
            segments = ("conform", "denormalize") if canonical else ("denormalize",)
            numbers = tuple(batch.id for batch in chosen)
            yield (
                Rebuilt(
                    dataset.label, then.project.version, segments, numbers, {}, anew.differences, {}, anew.dangling
                ),
                anew,
            )


def _staging_preview(
    then: Platform, dataset: Dataset, since: str | None, version: str | None, progress: Progress | None
) -> Rebuilt:
    chosen, passed_over = _staged(then, dataset, since)
    differences: dict[str, Difference] = {}
    rejected: dict[int, str] = {}
    for batch in chosen:
        if progress:
            progress(batch, "approve")
        one = replay_preview(then, batch.id)
        if one.verdict == "Rejected":
            rejected[batch.id] = one.findings[0].message if one.findings else "the contract refuses it"
        for found in one.differences:
            before = differences.get(found.store)
            differences[found.store] = found if before is None else before.plus(found)
    return Rebuilt(
        dataset.label, then.project.version, ("approve", "clean", "conform", "denormalize"),
        tuple(batch.id for batch in chosen), passed_over, tuple(differences.values()), rejected,
    )  # fmt: skip


def _staging(
    platform: Platform,
    then: Platform,
    dataset: Dataset,
    since: str | None,
    version: str | None,
    progress: Progress | None,
) -> tuple[Rebuilt, list[Result]]:
    check_applied(platform)
    chosen, passed_over = _staged(then, dataset, since)
    results = [replay(platform, batch.id, progress, version=version) for batch in chosen]
    rejected = {
        batch.id: result.error.what if result.error else "rejected"
        for batch, result in zip(chosen, results, strict=True)
        if result.batch.state == "rejected"
    }
    found = Rebuilt(
        dataset.label, then.project.version, ("approve", "clean", "conform", "denormalize"),
        tuple(batch.id for batch in chosen), passed_over, (), rejected,
    )  # fmt: skip
    return found, results


def _staged(then: Platform, dataset: Dataset, since: str | None) -> tuple[list[Batch], dict[int, str]]:
    """The batches of the source to go through again, in order, and those that are passed over, with the reason."""
    mode = dataset.pipeline.sources[dataset.name].load.mode
    standing = records.conformed(then.connection, dataset.zone, dataset.pipeline.name)
    mine = [batch for batch in standing if batch.source == dataset.name]
    passed_over: dict[int, str] = {}
    chosen = []
    for batch in sorted(_since(then, mine, since), key=lambda one: one.id):
        later = None
        if mode in ("snapshot", "replace"):
            later = records.overtaker(then.connection, batch, by_period=mode == "replace", states=BEYOND)
        if batch.config_version == then.project.version:
            passed_over[batch.id] = "its rows are of this configuration"
        elif later is not None:
            passed_over[batch.id] = f"batch {later} took the place of its rows"
        else:
            chosen.append(batch)
    return chosen, passed_over


def _since(platform: Platform, batches: Sequence[Batch], since: str | None) -> list[Batch]:
    if since is None:
        return list(batches)
    if since.isdecimal():
        number = records.batch(platform.connection, int(since)).id
        return [batch for batch in batches if batch.id >= number]
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise Usage(
            f"{since} is neither a batch nor a date", expected="a number, or a date such as 2026-03-31"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return [batch for batch in batches if batch.delivered_at >= moment]


def _chosen(platform: Platform, name: str, version: str | None) -> tuple[Dataset, Platform]:
    then = platform if version is None else under(platform, version)
    dataset = dataset_of(then, name)
    if then is not platform:
        check_stores(then.connection, then.project, dataset.zone)
    return dataset, then


def _names(pipeline: Pipeline, store: str) -> list[str]:
    tables = {"staging": pipeline.sources, "operational": pipeline.operational, "analytical": pipeline.analytical}
    return list(tables[store])
