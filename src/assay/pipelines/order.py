"""The order of turns: a publisher before its subscribers, and a file before those whose rows refer to its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay.zones.project import Pipeline, Project


def in_order(project: Project) -> list[Pipeline]:
    """All pipelines, publishers first; zones that subscribe to each other stand in the order of their names."""
    needs = {name: {s.zone for s in zone.subscriptions} - {name} for name, zone in project.zones.items()}
    zones = [project.zones[name] for name in _ordered(needs)]
    return [zone.pipelines[name] for zone in zones for name in sorted(zone.pipelines)]


def source_order(pipeline: Pipeline) -> list[str]:
    """The pipeline's sources, so that rows which others refer to come first.

    A source waits for another when a foreign key of its tables names a table that only the other one fills.
    """
    needs: dict[str, set[str]] = {}
    for name, source in pipeline.sources.items():
        referred = {
            key.table for table in source.conform for key in pipeline.operational[table].contract.foreign_keys
        } - source.conform.keys()
        others = pipeline.sources.items()
        needs[name] = {other for other, one in others if other != name and referred & one.conform.keys()}
    return _ordered(needs)


def _ordered(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names after those that they need; a circle is broken at its first name."""
    waiting = {name: set(others) for name, others in needs.items()}
    ordered: list[str] = []
    while waiting:
        free = sorted(name for name, others in waiting.items() if not others & waiting.keys()) or [min(waiting)]
        for name in free:
            del waiting[name]
        ordered += free
    return ordered
