"""Events in any number, order and repetition make every file one batch."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from tests.orchestration.conftest import soon

from assay.catalog import records
from assay.orchestration.doors import Doors
from assay.orchestration.stop import Stop
from assay.orchestration.watch import _by_folder, _hear
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from shop_project import Shop


def storm(platform: Platform, files: int, events: int, seed: int) -> None:
    """Files arrive while two services hear of them: 30 % of the events come twice, all of them in disorder."""
    pipeline = pipeline_of(platform, "shop", "sales")
    pipeline.ingress.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    told = [number % files for number in range(int(events * 0.7))]
    told += chance.choices(told, k=events - len(told))
    chance.shuffle(told)
    services = [Doors(platform, Stop()) for _ in range(2)]
    for service in services:
        service.open()

    def write(order: list[int]) -> None:
        """Somebody who delivers: a file is there once it is told of, and stays as it is."""
        for number in order:
            path = pipeline.ingress / f"till-{number}.csv"
            if not path.exists():
                part = pipeline.ingress / f".{number}-{threading.get_ident()}.part"
                part.write_text(f"number,{number}\n")
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(part)
                part.unlink()
            for service in chance.sample(services, chance.choice((1, 1, 2))):
                _hear(service, _by_folder([pipeline]), {pipeline.ingress.resolve()})

    writers = [threading.Thread(target=write, args=(told[first::4],)) for first in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for service in services:
        service.look([pipeline])
    soon(lambda: [service.check() for service in services] and count(platform) >= files)
    for service in services:
        service.look([pipeline])
        service.close()
    batches = records.batches(platform.connection)
    assert Counter(batch.file_name for batch in batches) == {f"till-{number}.csv": 1 for number in range(files)}
    deliveries = platform.connection.execute("SELECT count(*) FROM assay.delivery").fetchone()
    landed = platform.connection.execute("SELECT count(*) FROM assay.event WHERE kind = 'landed'").fetchone()
    assert deliveries == landed == (files,)


def count(platform: Platform) -> int:
    return len(records.batches(platform.connection))


def test_a_storm_of_events_makes_every_file_one_batch(shop: Shop) -> None:
    with shop.opened() as platform:
        apply(platform)
        storm(platform, files=100, events=1_000, seed=1)


@pytest.mark.slow
def test_a_great_storm_of_events_makes_every_file_one_batch(new_shop: Callable[[], Shop]) -> None:
    with new_shop().opened() as platform:
        apply(platform)
        storm(platform, files=1_000, events=10_000, seed=2)
