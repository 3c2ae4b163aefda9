"""The order in which pipelines take their turn: a publisher before those that subscribe to it."""

from __future__ import annotations

from assay.zones.project import Pipeline, Project


def in_order(project: Project) -> list[Pipeline]:
    """All pipelines, publishers first; zones that subscribe to each other stand in the order of their names."""
    waiting = {name: {s.zone for s in zone.subscriptions} - {name} for name, zone in project.zones.items()}
    ordered: list[Pipeline] = []
    while waiting:
        free = sorted(name for name, needs in waiting.items() if not needs & waiting.keys()) or [min(waiting)]
        for name in free:
            del waiting[name]
            ordered += [project.zones[name].pipelines[key] for key in sorted(project.zones[name].pipelines)]
    return ordered
