"""The steward's gates of a project: every kind of finding and every rule that one names is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.errors import Misconfigured, nearest
from assay.pipelines.sql_check import raise_all
from assay.stewardship.kinds import KINDS
from assay.zones.yaml import read

if TYPE_CHECKING:
    from assay.zones.project import Pipeline, Project


def check_gates(project: Project) -> None:
    """Raises `Misconfigured` for every name under `steward.kinds` that no finding can have."""
    problems = [
        problem
        for zone in project.zones.values()
        for pipeline in zone.pipelines.values()
        for problem in _unknown(pipeline)
    ]
    raise_all(problems, "names of findings are unknown")


def _unknown(pipeline: Pipeline) -> list[Misconfigured]:
    rules = {rule.name for source in pipeline.sources.values() for rule in source.contract.rules}
    known = {kind.name for kind in KINDS} | rules
    strange = [name for name in pipeline.gate.kinds if name not in known]
    if not strange:
        return []
    document = read(pipeline.path)
    return [
        Misconfigured(
            f"no finding is of the kind {name}, and no rule has that name",
            file=pipeline.path,
            line=document.line("steward", "kinds", name),
            expected=nearest(name, known) or "a kind of docs/reference/findings.md, or the name of a rule",
        )
        for name in strange
    ]
