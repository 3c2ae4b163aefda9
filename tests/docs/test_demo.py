"""`make demo` prints what the README shows, twice in a row, and leaves no server behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.console import first_missing

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.touch()  # the environment is the one that runs this test
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "left by an earlier demo").touch()
    done = subprocess.run(
        ["make", "-s", "demo", f"BIN={Path(sys.executable).parent}", f"READY={ready}", f"DEMO={folder}"],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    shown = re.search(r"^```text\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    assert shown is not None
    assert first_missing(["...", *shown.group(1).splitlines()], done.stdout) is None, done.stdout
    assert not (folder / "left by an earlier demo").exists()
    assert not (folder / ".assay/postgres/data/postmaster.pid").exists(), "a server was left running"
