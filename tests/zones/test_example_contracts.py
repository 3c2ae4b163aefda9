"""Every contract that assay writes is one of the standard, by the standard's own JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from assay.examples.expenses import write_example
from assay.zones.yaml import read

SCHEMAS = Path(__file__).parents[3] / "shared" / "data" / "conformance" / "odcs" / "schema"
EXAMPLE = Path(__file__).parents[2] / "src" / "assay" / "examples" / "expenses" / "project"
CONTRACTS = sorted(path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*.odcs.yaml"))

pytestmark = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the shared data folder is missing")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example") / "project"
    write_example(folder)
    return folder


def problems(contract: dict[str, Any]) -> list[str]:
    """What the JSON Schema of the contract's own version says against it."""
    schema = json.loads((SCHEMAS / f"odcs-json-schema-{contract['apiVersion']}.json").read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(contract)]


def test_the_example_has_contracts_of_every_kind() -> None:
    assert {path.split("/")[-2] for path in CONTRACTS} >= {"contracts", "operational", "analytical"}


@pytest.mark.parametrize("path", CONTRACTS)
def test_a_written_contract_keeps_the_schema_of_its_version(written: Path, path: str) -> None:
    contract = read(written / path).value
    assert contract["apiVersion"] == "v3.1.0"
    assert problems(contract) == []


def test_the_schema_does_find_what_is_wrong(written: Path) -> None:
    contract = read(written / CONTRACTS[0]).value
    assert problems({**contract, "colour": "blue"}) and problems({**contract, "schema": "none"})
