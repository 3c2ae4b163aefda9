"""The page about one's own PostgreSQL, done against a real server."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.console import Command, Reader

from assay.stores.postgres_server import running

PAGE = Path(__file__).parents[2] / "docs/how-to/connect-your-own-postgres.md"


def test_the_target_of_the_page_runs_on_a_server_named_by_the_environment(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    targets = re.search(r"^    ```yaml\n(.*?)^    ```$", text, re.M | re.S)
    commands = re.findall(r"^    (assay .*--target shared)$", text, re.M)
    assert targets is not None and len(commands) == 3
    yaml = re.sub(r"^    ", "", targets.group(1), flags=re.M).replace("/srv/assay/data", str(tmp_path / "data"))
    with running(tmp_path / "server") as url:
        reader = Reader(tmp_path, ASSAY_POSTGRES=url)
        reader.run(Command("assay init shop", ["wrote shop", "..."]))
        reader.folder = tmp_path / "shop"
        settings = reader.folder / "assay.yaml"
        people = settings.read_text("utf-8").partition("\n\n")[2]
        settings.write_text(f"name: shop\n{yaml}\n{people}", "utf-8")
        for command in commands:
            reader.run(Command(command, ["..."]))
        assert not (reader.folder / ".assay/postgres").exists()
    del reader.environment["ASSAY_POSTGRES"]
    reader.run(Command(commands[-1], ["…ASSAY_POSTGRES is not set", "..."], code=1))
