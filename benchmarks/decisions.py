"""How many decisions a second, in a world of 1,000 zones and 10,000 datasets.

    python benchmarks/decisions.py [--seconds 3] [--json]

first: one question in each zone, nothing kept yet; new: every question about another user or dataset; again: questions
that were asked before. Questions that differ only in names which no policy mentions are asked of Cedar once; of Cedar
alone: each question is asked. Seconds are of processor time, for the machine may be shared.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from assay.security import decide as deciding
from assay.security.decide import Context, decide
from assay.security.diff import opened_and_closed
from assay.security.matrix import matrix
from assay.security.principals import ZONE_ROLES, Principal, Segment, User
from assay.security.resources import Resource, dataset, publication
from assay.security.world import World, ZoneAccess
from assay.zones.project import PolicyText

ZONES, TABLES = 1000, 10

Question = tuple[Principal, str, Resource, Context]


def main() -> None:
    """Measures and prints a line per case, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    world = large_world()
    each = [next(questions(world, random.Random(zone), zone)) for zone in range(ZONES)]
    started = time.process_time()
    for question in each:
        decide(world, *question)
    found = {"decisions a second, first": ZONES / (time.process_time() - started)}
    found["decisions a second, new"] = rate(world, questions(world, random.Random(0)), chosen.seconds)
    found["decisions a second, again"] = rate(world, itertools.cycle(each), chosen.seconds)
    own = with_policies(world)
    found["decisions a second, new, zones with policies"] = rate(own, questions(own, random.Random(0)), chosen.seconds)
    alone = of_cedar(questions(world, random.Random(2)))
    found["decisions a second, of Cedar alone"] = rate(world, alone, chosen.seconds)
    started = time.process_time()
    entries = sum(1 for _ in matrix(world))
    found[f"seconds for the matrix of {entries} entries"] = time.process_time() - started
    changed = large_world()
    zones = dict(changed.zones)
    seventh = zones["zone_7"]
    zones["zone_7"] = replace(seventh, roles={**seventh.roles, "analyst": frozenset({"new"})})
    started = time.process_time()
    opened_and_closed(world, replace(changed, zones=zones))
    found["seconds to compare two configurations, one zone changed"] = time.process_time() - started
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for case, figure in found.items():
        print(f"{case:60}{figure:12,.2f}")


def rate(world: World, asked: Iterator[Question], seconds: float) -> float:
    """Decisions a second."""
    count, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        for question in itertools.islice(asked, 200):
            decide(world, *question)
            count += 1
    return count / (time.process_time() - started)


def of_cedar(asked: Iterator[Question]) -> Iterator[Question]:
    """The questions, each of which will find nothing kept."""
    for question in asked:
        deciding._decided.cache_clear()
        deciding._slice.cache_clear()
        yield question


def large_world() -> World:
    """Zones with five people each, ten datasets and a publication that three others were granted."""
    fields = {f"field_{number}": frozenset({"internal"}) for number in range(15)}
    zones = {}
    for number in range(ZONES):
        name = f"zone_{number}"
        roles = {role: frozenset({f"{role}{number}"}) for role in ZONE_ROLES}
        datasets = {("operational", f"table_{table}"): fields for table in range(TABLES)}
        readers = frozenset(f"zone_{(number + step) % ZONES}" for step in (1, 2, 3))
        zones[name] = ZoneAccess(name, roles, datasets, {"offer": fields}, {"offer": readers})
    return World(zones, frozenset({"root"}), frozenset({"auditor"}))


def with_policies(world: World) -> World:
    """The same world, a policy of its own in every zone."""
    zones = {}
    for name, zone in world.zones.items():
        text = f'@id("own") forbid (principal == User::"x", action == Action::"read", resource in Zone::"{name}");'
        zones[name] = replace(zone, policies=(PolicyText(text, Path("own.cedar")),))
    return replace(world, zones=zones)


def questions(world: World, lot: random.Random, only: int | None = None) -> Iterator[Question]:
    """Endlessly other questions: users, segments, datasets and publications of all zones, by lot."""
    for turn in itertools.count():
        number = lot.randrange(ZONES) if only is None else only
        zone = f"zone_{number}"
        where = dataset(zone, "operational", f"table_{lot.randrange(TABLES)}_{turn}")
        user = User(f"{lot.choice(['owner', 'steward', 'analyst'])}{number}")
        yield lot.choice([
            (user, "read", where, Context()),
            (user, "see", where, Context(field_class="restricted")),
            (Segment(zone, "conform"), "read", where, Context()),
            (User(f"analyst{lot.randrange(ZONES)}-{turn}"), "read", publication(zone, "offer"), Context()),
        ])  # fmt: skip


if __name__ == "__main__":
    main()
