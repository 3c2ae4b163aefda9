"""How many decisions a second, in a world of 1,000 zones and 10,000 datasets.

    python benchmarks/decisions.py [--seconds 3] [--json]

new: every question is another one, nothing but the zones' surroundings is kept; first: their surroundings are not
parsed yet either; again: questions that were asked before, as a page with many rows asks them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace

from assay.security.decide import Context, decide
from assay.security.diff import opened_and_closed
from assay.security.matrix import matrix
from assay.security.principals import ZONE_ROLES, Principal, Segment, User
from assay.security.resources import Resource, dataset, publication
from assay.security.world import World, ZoneAccess

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
    started = time.perf_counter()
    for question in each:
        decide(world, *question)
    found = {"decisions a second, first": ZONES / (time.perf_counter() - started)}
    found["decisions a second, new"] = rate(world, questions(world, random.Random(0)), chosen.seconds)
    found["decisions a second, again"] = rate(world, itertools.cycle(each), chosen.seconds)
    started = time.perf_counter()
    entries = sum(1 for _ in matrix(world))
    found[f"seconds for the matrix of {entries} entries"] = time.perf_counter() - started
    changed = large_world()
    zones = dict(changed.zones)
    seventh = zones["zone_7"]
    zones["zone_7"] = replace(seventh, roles={**seventh.roles, "analyst": frozenset({"new"})})
    started = time.perf_counter()
    opened_and_closed(world, World(zones))
    found["seconds to compare two configurations, one zone changed"] = time.perf_counter() - started
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for case, figure in found.items():
        print(f"{case:60}{figure:12,.2f}")


def rate(world: World, asked: Iterator[Question], seconds: float) -> float:
    """Decisions a second."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for question in itertools.islice(asked, 200):
            decide(world, *question)
            count += 1
    return count / (time.perf_counter() - started)


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
