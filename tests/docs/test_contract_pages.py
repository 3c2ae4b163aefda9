"""What the pages about inferring and changing contracts show is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

console = pytest.importorskip("tests.docs.console", reason="the runner of pages is not there")
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("page", ["start-from-a-file", "change-a-contract"])
def test_the_page_happens_as_it_is_told(tmp_path: Path, page: str) -> None:
    console.Reader(tmp_path).follow(HOW_TO / f"{page}.md")
