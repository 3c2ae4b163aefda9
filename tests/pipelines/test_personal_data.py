"""Personal data in a column that is not classified for it waits for a steward, and is shown to nobody."""

from __future__ import annotations

import json
from pathlib import Path

from assay.batch import Batch
from assay.catalog import records
from assay.findings import Finding
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.review import decide
from assay.pipelines.run import ingest
from shop_project import Shop

NOTE = "- {name: note, physicalName: Note, logicalType: string}"
SECRETS = ("ann.lee@example.org", "4111 1111 1111 1111", "bo@example.org")


def deliver(platform: Platform, folder: Path, *notes: str) -> Batch:
    file = folder / f"till-{abs(hash(notes))}.csv"
    lines = [f"{number},2025-03-01,tea,1.50,{note}" for number, note in enumerate(notes, start=100)]
    file.write_text("\n".join(["No.,Sold on,Goods,Amount,Note", *lines, ""]))
    (result,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [file], None)
    return result.batch


def told(platform: Platform, batch: Batch) -> list[Finding]:
    return [found for _, found in records.findings(platform.connection, batch.id) if found.kind == "personal_data"]


def test_a_batch_with_addresses_in_its_remarks_is_held_until_released(shop: Shop, tmp_path: Path) -> None:
    with shop.opened() as platform:
        apply(platform)
        batch = deliver(platform, tmp_path, f"ask {SECRETS[0]}", "paid", f"card {SECRETS[1]}", SECRETS[2])
        assert batch.state == "held"
        mail, card = told(platform, batch)
        assert mail.message == "column note is not classified for e-mail addresses, and 2 of 4 filled cells hold them"
        assert [(str(cell), cell.found) for cell in mail.cells] == [
            ("E2", "xxx xxx.xxx@xxxxxxx.xxx"), ("E5", "xx@xxxxxxx.xxx"),
        ]  # fmt: skip
        assert (str(card.cells[0]), card.cells[0].found) == ("E4", "xxxx 9999 9999 9999 9999")
        kept = json.dumps([mail.to_dict(), card.to_dict()])
        assert [secret for secret in SECRETS if secret in kept] == []

        steward = Platform(platform.project, platform.url, platform.connection, "steward")
        assert decide(steward, batch.id, "release", "customers asked for it").batch.state == "done"


def test_a_classified_column_passes_and_so_does_one_that_declares_the_kind(shop: Shop, tmp_path: Path) -> None:
    shop.edit("till.odcs.yaml", NOTE, NOTE.replace("string}", "string, classification: confidential}"))
    with shop.opened() as platform:
        apply(platform)
        batch = deliver(platform, tmp_path, *SECRETS)
        assert batch.state == "done" and told(platform, batch) == []
    declared = "string, customProperties: [{property: personalData, value: [email]}]}"
    shop.restore()
    shop.edit("till.odcs.yaml", NOTE, NOTE.replace("string}", declared))
    with shop.opened() as platform:
        apply(platform)
        batch = deliver(platform, tmp_path, "eve@example.org")
        assert batch.state == "done" and told(platform, batch) == []
        batch = deliver(platform, tmp_path, "eve@example.org", SECRETS[1])
        assert batch.state == "held" and [one.count for one in told(platform, batch)] == [1]


def test_the_figures_kept_of_a_batch_hold_no_value_of_such_a_column(shop: Shop, tmp_path: Path) -> None:
    with shop.opened() as platform:
        apply(platform)
        deliver(platform, tmp_path, *["gift"] * 20)
        deliver(platform, tmp_path, *[SECRETS[0]] * 20)
        kept = str(platform.connection.execute("SELECT to_jsonb(p)::text FROM assay.profile AS p").fetchall())
        assert "gift" in kept and SECRETS[0] not in kept


def test_a_source_that_only_warns_is_not_held(shop: Shop, tmp_path: Path) -> None:
    shop.edit("sales/pipeline.yaml", "load: {mode: upsert}", "load: {mode: upsert}\n    checks: {personal_data: warn}")
    with shop.opened() as platform:
        apply(platform)
        batch = deliver(platform, tmp_path, *SECRETS)
        assert batch.state == "done" and len(told(platform, batch)) == 2
