"""The order of turns: a publisher before its subscribers, and a file before those whose rows refer to its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay.zones.project import Pipeline, Project


def in_order(project: Project) -> list[Pipeline]:
    """All pipelines, publishers first; zones that subscribe to each other stand in the order of their names."""
    needs = {name: {s.zone for s in zone.subscriptions} - {name} for name, zone in project.zones.items()}
    zones = [project.zones[name] for rank in _ranks(needs) for name in rank]
    return [zone.pipelines[name] for zone in zones for name in sorted(zone.pipelines)]


def source_order(pipeline: Pipeline) -> list[str]:
    """The pipeline's sources, so that rows which others refer to come first.

    A source waits for another when a foreign key of its tables names a table that only the other one fills.
    """
    return [name for rank in _ranks(_needs(pipeline)) for name in rank]


def source_rank(pipeline: Pipeline, source: str) -> int:
    """How many turns a source waits for those whose rows its rows refer to: 0 for one that waits for none."""
    return next(number for number, names in enumerate(_ranks(_needs(pipeline))) if source in names)


def _needs(pipeline: Pipeline) -> dict[str, set[str]]:
    needs: dict[str, set[str]] = {}
    for name, source in pipeline.sources.items():
        referred = {
            key.table for table in source.conform for key in pipeline.operational[table].contract.foreign_keys
        } - source.conform.keys()
        others = pipeline.sources.items()
        needs[name] = {other for other, one in others if other != name and referred & one.conform.keys()}
    return needs


def _ranks(needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Names after those that they need, those that need the same turns together; a circle is broken at its first."""
    waiting = {name: set(others) for name, others in needs.items()}
    ranks: list[list[str]] = []
    while waiting:
        free = sorted(name for name, others in waiting.items() if not others & waiting.keys()) or [min(waiting)]
        for name in free:
            del waiting[name]
        ranks.append(free)
    return ranks
