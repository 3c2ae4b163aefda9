"""A delivery goes wrong, comes back to its sender with the reasons, and is put right by a second one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.catalog import records
from assay.errors import Usage
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform, opened
from assay.pipelines.returns import batch_report, return_batch
from assay.pipelines.run import Result, ingest
from assay.zones.project import load_project

FILES = {
    "assay.yaml": "name: cards\ntargets:\n  local: {}\n",
    "zones/office/zone.yaml": "title: Office\nowner: office@example.org\n",
    "zones/office/cards/pipeline.yaml": (
        "title: Cards\nsources:\n  card:\n    files: ['*.csv']\n"
        "    period: {from: rows, sql: \"strftime(max(day), '%Y-%m')\"}\n"
    ),
    "zones/office/cards/contracts/card.odcs.yaml": """\
version: 1.0.0
apiVersion: v3.1.0
kind: DataContract
id: card
status: active
schema:
  - name: card
    quality:
      - name: positive
        type: custom
        engine: assay
        implementation: amount > 0
        customProperties: [{property: action, value: quarantine}]
    customProperties:
      - {property: drift, value: {new_column: hold, type_mismatch: reject}}
    properties:
      - {name: day, physicalName: Day, logicalType: date, required: true}
      - {name: holder, physicalName: Holder, logicalType: integer, classification: restricted}
      - {name: amount, physicalName: Amount, logicalType: number, physicalType: "decimal(12,2)"}
""",
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    root = tmp_path_factory.mktemp("cards")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with opened(load_project(root)) as running:
        apply(running)
        yield running


def deliver(platform: Platform, name: str, text: str) -> Result:
    path = platform.project.root / "post" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (result,) = ingest(platform, pipeline_of(platform, "office", "cards"), [path], None)
    return result


def test_a_rejected_file_comes_back_with_every_bad_row_and_its_correction_is_linked(
    platform: Platform, tmp_path: Path
) -> None:
    bad = "".join(f"2026-03-{day:02d},{4000 + day},n/a\n" for day in range(1, 21))
    first = deliver(platform, "march.csv", f"Day,Holder,Amount\n{bad}2026-03-31,secret-77,1.50\n").batch
    assert first.state == "rejected"

    report = batch_report(platform, first.id)
    assert (report.outcome, report.rows_total, report.rows_affected, report.batch) == ("rejected", 21, 21, first.id)
    recorded = json.dumps([f.to_dict() for _, f in records.findings(platform.connection, first.id)])
    assert "secret" not in recorded and "xxxxxx-99" in recorded

    returned = return_batch(platform, first.id, tmp_path / "march.csv")
    assert (returned.form, returned.cells, returned.more_cells) == ("rows", 21, 0)
    lines = list(csv.reader(returned.path.open()))
    assert [line[0] for line in lines[1:]] == [str(row) for row in range(2, 23)]
    assert lines[-1][2:] == ["2026-03-31", "secret-77", "1.50"]
    with pytest.raises(Usage, match="is there already"):
        return_batch(platform, first.id, tmp_path / "march.csv")

    good = f"Day,Holder,Amount\n{bad.replace('n/a', '2')}2026-03-31,77,1.50\n"
    second = deliver(platform, "March_corrected.csv", good).batch
    assert (second.state, second.replaces) == ("done", first.id)
    assert records.successors(platform.connection, [first.id, second.id]) == {first.id: second.id}

    third = deliver(platform, "march (2).csv", good + "2026-03-31,78,3\n").batch
    assert third.replaces is None, "a batch that was accepted is not replaced by the next file of its name"


def test_a_held_batch_stays_held_and_names_the_delivery_that_replaces_it(platform: Platform) -> None:
    held = deliver(platform, "april.csv", "Day,Holder,Amount,Note\n2026-04-01,1,2,x\n").batch
    assert held.state == "held" and batch_report(platform, held.id).outcome == "held"
    corrected = deliver(platform, "april-v2.csv", "Day,Holder,Amount\n2026-04-01,1,2\n").batch
    assert (corrected.state, corrected.replaces) == ("done", held.id)
    assert records.batch(platform.connection, held.id).state == "held"
    assert records.successors(platform.connection, [held.id]) == {held.id: corrected.id}


def test_rows_that_a_rule_set_aside_come_back_too(platform: Platform, tmp_path: Path) -> None:
    batch = deliver(platform, "may.csv", "Day,Holder,Amount\n2026-05-01,1,2\n2026-05-02,2,-5\n").batch
    assert batch.state == "done"
    report = batch_report(platform, batch.id)
    assert (report.outcome, report.rows_total, report.rows_affected) == ("accepted", 2, 1)
    returned = return_batch(platform, batch.id, tmp_path / "may.csv")
    lines = list(csv.reader(returned.path.open()))
    assert lines[1][0] == "3" and "positive" in lines[1][1] and lines[1][2:] == ["2026-05-02", "2", "-5"]


def test_a_batch_without_findings_has_nothing_to_return(platform: Platform, tmp_path: Path) -> None:
    batch = deliver(platform, "june.csv", "Day,Holder,Amount\n2026-06-01,1,2\n").batch
    with pytest.raises(Usage, match="nothing was found wrong"):
        return_batch(platform, batch.id, tmp_path / "june.csv")


def test_the_migrations_make_the_tables_that_the_code_knows(platform: Platform) -> None:
    from assay.catalog.schema import SCHEMA, metadata

    columns = platform.connection.execute(
        "SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = %s "
        "AND table_name <> 'alembic_version'",
        (SCHEMA,),
    ).fetchall()
    known = {(table.name, c.name, bool(c.nullable)) for table in metadata.tables.values() for c in table.columns}
    assert {one for one in columns if f"{SCHEMA}.{one[0]}" in metadata.tables} == known
    indexes = platform.connection.execute(
        "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = %s", (SCHEMA,)
    ).fetchall()
    wanted = {(table.name, str(index.name)) for table in metadata.tables.values() for index in table.indexes}
    assert wanted <= set(indexes)
