"""Which files in an ingress folder are complete."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from assay.stores.ingress import waiting


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("a,b\n1,2\n")


def names(folder: Path, patterns: object = ("*.csv",), **given: object) -> list[str]:
    given.setdefault("settled_seconds", 0.0)
    return [path.name for path in waiting(folder, patterns, **given)]  # type: ignore[arg-type]


def test_files_that_fit_a_pattern_wait_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "b.csv", "a.csv", "c.txt")
    (tmp_path / "folder.csv").mkdir()
    assert names(tmp_path) == ["a.csv", "b.csv"]


def test_a_missing_folder_has_nothing_waiting(tmp_path: Path) -> None:
    assert names(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "name", ["~$a.csv", ".a.csv", ".~lock.a.csv", "a.csv.part", "a.csv.tmp", "a.csv.filepart", "a.csv.crdownload"]
)
def test_unfinished_and_lock_files_never_wait(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    assert names(tmp_path, ("*",)) == []


def test_a_file_that_lay_still_needs_no_second_look(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")

    def never(_: float) -> None:
        raise AssertionError("looked twice")

    assert names(tmp_path, settled_seconds=0.0, sleep=never) == ["a.csv"]


def test_a_young_file_that_does_not_change_between_two_looks_is_complete(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    assert names(tmp_path, settled_seconds=1e6, sleep=lambda _: None) == ["a.csv"]


def test_a_file_that_grows_between_two_looks_waits_for_the_next_call(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "still.csv")

    def grow(_: float) -> None:
        with (tmp_path / "a.csv").open("a") as file:
            file.write("3,4\n")

    assert names(tmp_path, settled_seconds=1e6, sleep=grow) == ["still.csv"]


def test_a_copy_that_keeps_an_old_time_is_still_looked_at_twice(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    old = time.time() - 86_400
    os.utime(tmp_path / "a.csv", (old, old))

    def remove(_: float) -> None:
        (tmp_path / "a.csv").unlink()

    assert names(tmp_path, settled_seconds=3600.0, sleep=remove) == []


def test_without_a_second_look_only_settled_files_are_complete(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    assert names(tmp_path, settled_seconds=1e6, observe_seconds=0.0) == []


@pytest.mark.parametrize("marker", ["a.csv.done", "a.done"])
def test_a_declared_marker_says_that_its_file_is_complete(tmp_path: Path, marker: str) -> None:
    write(tmp_path, "a.csv", "b.csv")
    assert names(tmp_path, ("*",), done_marker=".done") == []
    (tmp_path / marker).touch()
    assert names(tmp_path, ("*",), done_marker=".done") == ["a.csv"]


def test_a_marker_may_be_declared_for_one_pattern_alone(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "b.xlsx", "a.csv.done")
    assert names(tmp_path, {"*.csv": None, "*.xlsx": ".done"}) == ["a.csv"]
