"""The expenses example: a project of two zones, and a generator of its files."""

from __future__ import annotations

import shutil
from pathlib import Path


def write_example(target: Path) -> None:
    """Copy the example project, with its generator, into `target`."""
    here = Path(__file__).parent
    shutil.copytree(here / "project", target, dirs_exist_ok=True)
    shutil.copyfile(here / "generate.py", target / "generate.py")
