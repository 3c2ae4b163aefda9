"""What pipeline.yaml may say about reading a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.errors import Misconfigured
from assay.zones.limits import Limits, size_bytes
from assay.zones.model import PipelineFile, ReaderHints, checked
from assay.zones.yaml import read


def reader(folder: Path, text: str) -> Any:
    path = folder / "pipeline.yaml"
    body = "".join(f"      {line}\n" for line in text.splitlines())
    path.write_text(f"title: T\nsources:\n  s:\n    files: ['*.csv']\n    reader:\n{body}")
    return checked(PipelineFile, read(path)).sources["s"].reader


def test_left_out_limits_are_the_defaults() -> None:
    assert ReaderHints().limits.value() == Limits()


def test_limits_are_read_as_bytes_and_seconds(tmp_path: Path) -> None:
    found = reader(tmp_path, "limits: {memory: 2 GB, seconds: 10, unpacked: 512MiB, ratio: 50.0}")
    assert found.limits.value() == Limits(2_000_000_000, 10, 512 << 20, 50.0)


@pytest.mark.parametrize(
    ("text", "size"), [("1KB", 1000), ("1KiB", 1024), ("1.5 GB", 1_500_000_000), ("2TiB", 2 << 40), ("7B", 7)]
)
def test_a_size_is_decimal_or_binary_as_it_says(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["1", "GB", "1 gb", "-1GB", "1XB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        size_bytes(text)


def test_columns_of_fixed_width_text_are_declared(tmp_path: Path) -> None:
    found = reader(tmp_path, "format: fixed\ncolumns:\n  - {name: id, start: 1, width: 4}")
    assert [(one.name, one.start, one.width) for one in found.columns] == [("id", 1, 4)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("format: fixed", "needs `columns`"),
        ("format: csv\ncolumns: [{name: id, start: 1, width: 4}]", "not to csv"),
        ("columns: [{name: id, start: 0, width: 4}]", "start"),
        ("limits: {memory: lots}", "memory"),
        ("limits: {memori: 1GB}", "memory"),
        ("done_marker: done", "done_marker"),
        ("format: xml", "format"),
    ],
)
def test_what_a_reader_cannot_do_is_an_error_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=told) as caught:
        reader(tmp_path, text)
    assert "pipeline.yaml:" in str(caught.value) and told in str(caught.value)
