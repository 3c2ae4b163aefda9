"""The pages on what the platform tells name everything that it tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from assay.pipelines.telling import openlineage
from assay.zones import freshness
from assay.zones.model import Notable
from shop_project import Shop

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def rows(page: str, heading: str) -> list[list[str]]:
    """The words in code of the first column of the table under a heading, line by line."""
    text = (REFERENCE / page).read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", line) for line in lines]


def test_every_word_that_can_be_told_is_listed() -> None:
    assert [words[0] for words in rows("notifications.md", "What can be told")] == list(get_args(Notable))


def test_the_facts_of_messages_are_listed(filled: Shop) -> None:
    from assay.catalog import events
    from assay.pipelines.telling.messages import facts

    with filled.opened() as platform:
        event = events.of_batch(platform.connection, 1, ["done"])[0]
        told = facts(platform, event)
    assert [words[0] for words in rows("notifications.md", "The facts")] == list(told)
    text = (REFERENCE / "notifications.md").read_text("utf-8")
    for name in ("event", "platform", "zone", "pipeline", "batch"):
        line = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert [word for word in told[name] if f"`{word}`" not in line] == [], name


def test_every_facet_is_listed() -> None:
    listed = {words[0] for words in rows("openlineage.md", "Facets")}
    assert listed == {*openlineage._FACETS, "assay_batch"}


def test_the_keys_of_our_own_facet_are_listed() -> None:
    schema = json.loads((REFERENCE / "openlineage-batch.json").read_text("utf-8"))
    listed = [word for words in rows("openlineage.md", "assay_batch") for word in words]
    assert listed == list(schema["$defs"]["AssayBatchRunFacet"]["allOf"][1]["properties"])
    assert openlineage.BATCH_FACET == schema["$id"] + "#/$defs/AssayBatchRunFacet"


def test_the_words_of_freshness_are_listed() -> None:
    assert [words[0] for words in rows("contracts.md", "Freshness")] == list(freshness.WATCHED)
