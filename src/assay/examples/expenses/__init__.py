"""The expenses example: a project of two zones, and a generator of its files."""

from __future__ import annotations

import shutil
from pathlib import Path

#: The invented people in whose place somebody can stand.
OWNERS = ("finance.owner@example.org", "reference.owner@example.org")


def write_example(target: Path, owner: str | None = None) -> None:
    """Copies the example project, with its generator, into `target`.

    `owner`, as YAML would write the name, owns its zones in the place of invented people.
    """
    here = Path(__file__).parent
    shutil.copytree(here / "project", target, dirs_exist_ok=True)
    shutil.copyfile(here / "generate.py", target / "generate.py")
    for path in (target / "zones").glob("*/zone.yaml") if owner is not None else ():
        text = path.read_text("utf-8")
        for invented in OWNERS:
            text = text.replace(f"owner: {invented}", f"owner: {owner}")
        path.write_text(text, "utf-8")
