"""`assay up`: files that arrive become data by themselves, whatever ends meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.orchestration.conftest import Service, deliver, soon, states

from assay.catalog import misfits, records
from assay.errors import Unavailable
from assay.pipelines.plan import apply
from assay.pipelines.query import ask
from shop_project import PEOPLE, Shop

Start = Callable[..., Service]


@pytest.fixture
def applied(shop: Shop) -> Shop:
    with shop.opened() as platform:
        apply(platform)
    return shop


def all_done(shop: Shop, count: int) -> bool:
    with suppress(Unavailable):  # the server may be on its way back
        return Counter(states(shop).values()) == {"done": count}
    return False


def finished(service: Service) -> set[int]:
    """The batches of which it said that their last segment is done."""
    return {line["batch"] for line in service.said if line.get("segment") == "denormalize"}


def sold(shop: Shop) -> list[str]:
    with shop.opened() as platform:
        return sorted(row[0] for row in ask(platform, "SELECT number FROM operational.sale", "shop")[1])


def test_a_file_that_arrives_becomes_data(applied: Shop, start: Start) -> None:
    deliver(applied, "till-before.csv", 1)
    service = start()
    service.says("ready")
    soon(lambda: states(applied).get("till-before.csv") == "done", service.text)
    deliver(applied, "till-after.csv", 2)
    soon(lambda: all_done(applied, 2), service.text)
    assert sold(applied) == ["1", "2"]
    assert service.says("shop/sales: watching ingress/shop/sales")
    assert finished(service) == {1, 2}
    assert service.end() == 0
    assert service.said[-1]["message"] == "stopped"


def test_what_cannot_be_taken_in_stops_nothing_and_is_said_once(applied: Shop, start: Start) -> None:
    deliver(applied, "readme.txt")
    service = start()
    service.says("readme.txt is not taken in: no source expects a file named readme.txt")
    deliver(applied, "till-1.csv")
    soon(lambda: all_done(applied, 1), service.text)
    with applied.opened() as platform:
        assert [Path(one.path).name for one in misfits.on_record(platform.connection)] == ["readme.txt"]
        (applied.root / "ingress/shop/sales/readme.txt").unlink()
        soon(lambda: not misfits.on_record(platform.connection), service.text)
    assert sum("readme.txt" in line["message"] for line in service.said) == 1


def test_a_folder_that_appears_later_is_watched(applied: Shop, start: Start) -> None:
    service = start()
    service.says("(the folder is not there yet)")
    service.says("ready")
    deliver(applied, "till-1.csv")
    soon(lambda: all_done(applied, 1), service.text)


def test_where_the_file_system_tells_nothing_folders_are_looked_into(applied: Shop, start: Start) -> None:
    path = applied.root / "assay.yaml"
    path.write_text(path.read_text().replace("{data: data", "{data: data, watch: poll"))
    with applied.opened() as platform:
        apply(platform)
    service = start()
    service.says("ready")
    deliver(applied, "till-1.csv")
    soon(lambda: all_done(applied, 1), service.text)


def test_a_configuration_that_is_applied_later_is_picked_up(shop: Shop, start: Start) -> None:
    deliver(shop, "till-1.csv")
    service = start()
    service.says("no configuration is applied yet")
    service.says("ready")
    with shop.opened() as platform:
        apply(platform)
    soon(lambda: all_done(shop, 1), service.text)
    shop.edit("pipeline.yaml", 'files: ["till*.csv"]', 'files: ["till*.csv", "cash*.csv"]')
    deliver(shop, "cash-1.csv", 2)
    service.says("cash-1.csv is not taken in")
    with shop.opened() as platform:
        apply(platform)
    soon(lambda: all_done(shop, 2), service.text)


def test_files_at_work_do_not_count_until_they_are_applied(applied: Shop, start: Start) -> None:
    applied.write("pipeline.yaml", "title: [unfinished")
    deliver(applied, "till-1.csv")
    service = start()
    service.says("the project's files have mistakes, and do not count until they are applied")
    soon(lambda: finished(service) == {1}, service.text)


def test_a_worker_that_is_killed_is_replaced_and_its_batches_go_on(applied: Shop, start: Start) -> None:
    service = start("--workers", "1")
    service.says("ready")
    victim = service.crew()[0]
    for number in range(6):
        deliver(applied, f"till-{number}.csv", number)
    soon(lambda: "approve" in _begun(applied))
    os.kill(victim, signal.SIGKILL)
    service.says("worker 1 ended by signal 9; another one takes its place")
    soon(lambda: all_done(applied, 6), service.text)
    assert sold(applied) == [str(number) for number in range(6)]


def _begun(shop: Shop) -> set[str]:
    with shop.opened() as platform:
        found = platform.connection.execute("SELECT segment FROM assay.event WHERE kind = 'started'").fetchall()
    return {str(row[0]) for row in found}


def test_the_crew_of_a_service_that_is_killed_leaves_and_the_next_service_goes_on(applied: Shop, start: Start) -> None:
    service = start()
    service.says("ready")
    crew = service.crew()
    for number in range(6):
        deliver(applied, f"till-{number}.csv", number)
    soon(lambda: "approve" in _begun(applied))
    service.kill()
    soon(lambda: not any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in crew))
    again = start()
    soon(lambda: all_done(applied, 6), again.text)
    assert sold(applied) == [str(number) for number in range(6)]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_service_that_is_told_to_end_finishes_its_segment_and_leaves_no_lease(applied: Shop, start: Start) -> None:
    service = start()
    service.says("ready")
    for number in range(6):
        deliver(applied, f"till-{number}.csv", number)
    soon(lambda: "approve" in _begun(applied))
    assert service.end() == 0
    with applied.opened() as platform:
        held = platform.connection.execute("SELECT count(*) FROM assay.batch WHERE lease_owner IS NOT NULL").fetchone()
        left = platform.connection.execute("SELECT count(*) FROM assay.worker").fetchone()
        failed = platform.connection.execute("SELECT count(*) FROM assay.batch WHERE failure IS NOT NULL").fetchone()
    assert held == left == failed == (0,)
    again = start()
    soon(lambda: all_done(applied, 6), again.text)


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_two_services_share_the_work_and_no_batch_is_done_twice(applied: Shop, start: Start, workers: int) -> None:
    """That a segment is done with a batch once is also kept by PostgreSQL: nobody must have met that refusal."""
    services = [start("--workers", str(workers // 2)) for _ in range(2)]
    for service in services:
        service.says("ready")

    def write(first: int) -> None:
        for number in range(first, first + 4):
            deliver(applied, f"till-{number}.csv", number)

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    soon(lambda: all_done(applied, 8), lambda: "\n--\n".join(service.text() for service in services))
    with applied.opened() as platform:
        landed = platform.connection.execute("SELECT count(*), count(DISTINCT batch_id) FROM assay.delivery").fetchone()
        kinds = Counter(
            row[0] for row in platform.connection.execute("SELECT kind FROM assay.event WHERE batch_id IS NOT NULL")
        )
        assert records.batches(platform.connection, states=("landed",)) == []
    assert landed == (8, 8)
    assert kinds["landed"] == kinds["done"] == 8 and not kinds["failed"] and not kinds["rejected"]


def test_postgresql_that_is_killed_is_started_again_and_the_service_goes_on(shop: Shop, start: Start) -> None:
    shop.write("assay.yaml", f"name: shop\ntargets:\n  local: {{data: data}}\n{PEOPLE}")
    with shop.opened() as platform:
        apply(platform)
        service = start()
        service.says("ready")
        deliver(shop, "till-0.csv", 0)
        soon(lambda: len(finished(service)) == 1, service.text)
        postmaster = int((shop.root / "data/postgres/data/postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    for number in range(1, 4):
        deliver(shop, f"till-{number}.csv", number)
    soon(lambda: len(finished(service)) == 4, service.text)
    assert sold(shop) == ["0", "1", "2", "3"]
    assert service.process.poll() is None
    assert not [line for line in service.said if "ended" in line["message"]], service.text()
