"""Taking batches back after they are done: the stores become what they would be, had they never been delivered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.catalog import events, records
from assay.errors import Usage
from assay.pipelines.anew import Anew, all_tables, made_anew
from assay.pipelines.difference import Difference, masked_dangling, masked_differences
from assay.pipelines.landing import named_source, pipeline_of
from assay.pipelines.movement import leave_staging
from assay.pipelines.platform import Platform
from assay.pipelines.run import Progress, alone
from assay.pipelines.subscriptions import tell_published
from assay.stewardship.masking import Cells
from assay.stores.database import transaction
from assay.stores.shadow_difference import Dangling

if TYPE_CHECKING:
    from assay.zones.project import Zone


@dataclass(frozen=True)
class Withdrawal:
    """What withdrawing batches would do, or has done.

    `differences` are those of canonical and analytical tables; `dependents` rows of other batches that refer to rows
    that would go, which forbids it; `later` other batch → how many of the rows stand as that one made them;
    `publications` those whose dataset would change, each with the zones that subscribe to it.
    """

    batches: tuple[Batch, ...]
    differences: tuple[Difference, ...]
    dependents: tuple[Dangling, ...]
    later: dict[int, int]
    publications: dict[str, tuple[str, ...]]

    @property
    def blocking(self) -> tuple[int, ...]:
        """The batches whose rows refer to rows that would go."""
        return tuple(sorted({one.batch for one in self.dependents}))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        from dataclasses import asdict

        return {
            "batches": [batch.id for batch in self.batches],
            "differences": [one.to_dict() for one in self.differences],
            "dependents": [asdict(one) for one in self.dependents],
            "later": [{"batch": number, "rows": rows} for number, rows in sorted(self.later.items())],
            "publications": [{"publication": name, "subscribers": list(z)} for name, z in self.publications.items()],
        }


def masked(found: Withdrawal, cells: Callable[[str], Cells]) -> Withdrawal:
    """What a withdrawal would do, without cells that are not shown; `cells` is by store.name."""
    return replace(
        found,
        differences=masked_differences(found.differences, cells),
        dependents=masked_dangling(found.dependents, cells),
    )


def preview(platform: Platform, numbers: Sequence[int], progress: Progress | None = None) -> Withdrawal:
    """What withdrawing the batches would do; nothing is changed.

    Raises `Usage` for batches that are not done, or not of one pipeline.
    """
    with _without(platform, numbers, progress) as (found, _):
        return found


def withdraw(
    platform: Platform, numbers: Sequence[int], reason: str, progress: Progress | None = None
) -> Withdrawal:
    """Takes the effect of batches out of every store, in one transaction; what they overwrote comes back.

    Raises as `preview`, and `Usage` where rows of other batches refer to theirs.
    """
    started = time.monotonic()
    with _without(platform, numbers, progress) as (found, anew):
        _refuse_dependents(found)
        counts = {
            one.store: {"added": one.added, "removed": one.removed, "changed": one.changed}
            for one in found.differences
        }
        with transaction(platform.connection) as tx:
            for batch in found.batches:
                records.lock_batch(tx, batch.id, "done")
            anew.commit(tx, f"{found.batches[0].id}-withdraw")
            for batch in found.batches:
                leave_staging(platform, tx, named_source(platform, batch), batch.id)
                records.add_decision(tx, batch.id, "withdraw", platform.actor, reason)
                detail = {"with": [one.id for one in found.batches if one.id != batch.id], "changes": counts}
                records.add_run(tx, batch.id, "withdraw", "done", time.monotonic() - started, detail)
                records.move(tx, batch.id, "done", "withdrawn")
                events.add(tx, "withdrawn", batch=batch, body={"by": platform.actor, "reason": reason})
            first = found.batches[0]
            different = {one.store for one in found.differences if one.any}
            tell_published(tx, platform.project.zones[first.zone], different, pipeline=first.pipeline)
            for batch in found.batches:
                platform.record(tx, "withdraw", f"batch/{batch.id}", zone=batch.zone, reason=reason)
    return found


@contextmanager
def _without(
    platform: Platform, numbers: Sequence[int], progress: Progress | None
) -> Iterator[tuple[Withdrawal, Anew]]:
    batches = _withdrawable(platform, numbers)
    first = batches[0]
    pipeline = pipeline_of(platform, first.zone, first.pipeline)
    zone = platform.project.zones[first.zone]
    with (
        alone(platform, first.zone, first.pipeline),
        made_anew(
            platform, pipeline, all_tables(pipeline, batches), leaving=batches, progress=progress
        ) as anew,
    ):
        found = Withdrawal(
            tuple(batches),
            anew.differences,
            anew.dangling,
            anew.shared,
            _publications(platform, zone, {one.store for one in anew.differences if one.any}),
        )
        yield found, anew


def _withdrawable(platform: Platform, numbers: Sequence[int]) -> list[Batch]:
    batches = [records.batch(platform.connection, number) for number in sorted(set(numbers))]
    for batch in batches:
        if batch.state != "done":
            raise Usage(f"batch {batch.id} is {batch.state}: only one that is done can be withdrawn", next=_next(batch))
    if len({(batch.zone, batch.pipeline) for batch in batches}) > 1:
        raise Usage(
            "these batches are of several pipelines", next="withdraw those of one pipeline, then those of the next"
        )
    return batches


def _next(batch: Batch) -> str:
    steps = {
        "held": f'assay review reject {batch.id} --reason "..."',
        "rejected": f"assay batch show {batch.id}",
        "withdrawn": f"assay batch show {batch.id}",
        "replaced": f"assay batch show {batch.id}",
    }
    return steps.get(batch.state, "assay run")


def _refuse_dependents(found: Withdrawal) -> None:
    if not found.dependents:
        return
    one = found.dependents[0]
    numbers = " ".join(str(number) for number in sorted({*(b.id for b in found.batches), *found.blocking}))
    examples = ", ".join(one.examples)
    raise Usage(
        f"rows of {'batch' if len(found.blocking) == 1 else 'batches'} "
        f"{', '.join(str(number) for number in found.blocking)} refer to rows that would go: {one.rows} rows of "
        f"{one.table} (batch {one.batch}) to {one.parent} {examples}{' …' if one.rows > len(one.examples) else ''}",
        expected="those batches withdrawn too, or delivered again without these rows",
        next=f'assay withdraw {numbers} --reason "..."',
    )


def _publications(platform: Platform, zone: Zone, changed: set[str]) -> dict[str, tuple[str, ...]]:
    return {
        f"{zone.name}.{name}": tuple(
            other.name
            for other in platform.project.zones.values()
            if any(subscription.publication == f"{zone.name}.{name}" for subscription in other.subscriptions)
        )
        for name, publication in zone.publications.items()
        if publication.dataset in changed
    }
