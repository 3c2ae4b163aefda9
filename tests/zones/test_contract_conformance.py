"""Contracts that others made: each loads, or is refused with the place and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.errors import Misconfigured
from assay.zones.contract import load_contract, load_contracts
from assay.zones.yaml import read

FIXTURES = Path(__file__).parents[3] / "shared" / "data" / "conformance" / "datacontract_cli_fixtures"
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared data folder is missing")

#: ODCS v3 file → (datasets, fields) that it has.
LOADED = {
    "api/weather-service.odcs.yaml": (1, 11),
    "athena-iceberg/iceberg_example.odcs.yaml": (1, 6),
    "bigquery/datacontract_with_quality_rules.odcs.yaml": (1, 1),
    "bigquery/export/datacontract.odcs.yaml": (1, 31),
    "bigquery/import/datacontract.yaml": (1, 21),
    "changelog/integration/changelog_integration_v1.yaml": (1, 4),
    "changelog/unit/changelog_unit_v1.yaml": (1, 4),
    "custom/export_model/datacontract.odcs.yaml": (2, 5),
    "databricks-unity/import/datacontract.yaml": (1, 7),
    "dbml/datacontract.odcs.yaml": (2, 9),
    "dbt/import/expected/manifest_empty_columns_filtered.odcs.yaml": (1, 0),
    "dbt/import/expected/manifest_jaffle_duckdb.odcs.yaml": (5, 27),
    "dqx/datacontract_missing_quality.odcs.yaml": (1, 14),
    "excel/shipments-odcs.yaml": (1, 8),
    "export/datacontract.large.odcs.yaml": (2, 14),
    "export/datacontract.odcs.yaml": (1, 3),
    "great-expectations/datacontract_quality_column.yaml": (1, 2),
    "great-expectations/datacontract_quality_yaml.yaml": (1, 1),
    "great-expectations/odcs.yaml": (1, 2),
    "import/football-datacontract.yml": (1, 0),
    "import/json/product_simple.datacontract.yaml": (1, 2),
    "kafka/datacontract_avro.yaml": (1, 4),
    "lint/invalid_multiple_schema_errors.odcs.yaml": (1, 1),
    "lint/valid.odcs.yaml": (1, 8),
    "local-json-complex/datacontract.yaml": (1, 5),
    "odcs_v3/full-example.odcs.yaml": (1, 4),
    "oracle/datacontract-oracle-odcs.yaml": (1, 26),
    "postgres-export-physical-name/datacontract.yaml": (1, 3),
    "pydantic-model/expected/models.odcs.yaml": (1, 15),
    "quality-dimensions/datacontract.yaml": (1, 2),
    "quality-id/datacontract.yaml": (1, 2),
    **{
        f"quality-sql-dialects/{name}.yaml": (1, 4)
        for name in ("api", "azure", "dataframe", "duckdb", "mysql", "postgres", "redshift", "snowflake")
    },
    "row-filter/datacontract.yaml": (1, 3),
    "single-pk-export/datacontract.yaml": (1, 3),
    "snowflake/import/datacontract.yaml": (1, 29),
    "sodacl/datacontract.odcs.yaml": (2, 4),
    "sodacl/datacontract_numeric_retention.odcs.yaml": (1, 2),
}
#: ODCS v3 file → what is wrong with it, in which line, and what was expected there.
REFUSED = {
    "lint/invalid.odcs.yaml": ("the key status is missing", 1, "status"),
    "lint/odcs_with_extra_top_level.yaml": ("unknown key change_management", 7, "one of: apiVersion"),
    "postgres/odcs_case_sensitive.odcs.yaml": ("unknown key isNullable", 17, "required"),
    "postgres/servicelevels.odcs.yaml": ("unknown key isNullable", 17, "required"),
}


def contracts() -> list[tuple[str, dict[str, object]]]:
    files = sorted([*FIXTURES.rglob("*.yaml"), *FIXTURES.rglob("*.yml")])
    return [(str(path.relative_to(FIXTURES)), read(path).value) for path in files]


def test_the_table_here_names_every_odcs_file_there() -> None:
    odcs = {name for name, value in contracts() if str(value.get("apiVersion", "")).startswith("v3")}
    assert odcs == {*LOADED, *REFUSED}


@pytest.mark.parametrize("name", LOADED)
def test_an_odcs_contract_of_another_tool_loads(name: str) -> None:
    found = load_contracts(FIXTURES / name)
    assert (len(found), sum(len(contract.fields) for contract in found)) == LOADED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_contract_with_a_fault_is_refused_with_its_line(name: str) -> None:
    what, line, expected = REFUSED[name]
    with pytest.raises(Misconfigured) as caught:
        load_contracts(FIXTURES / name)
    assert (caught.value.what, caught.value.line) == (what, line)
    assert (caught.value.expected or "").startswith(expected)


def test_a_contract_of_the_older_format_is_told_what_it_is() -> None:
    older = [name for name, value in contracts() if "dataContractSpecification" in value]
    assert len(older) > 20
    for name in older:
        with pytest.raises(Misconfigured, match="Data Contract Specification file") as caught:
            load_contract(FIXTURES / name)
        assert "apiVersion v3.1.0" in (caught.value.expected or "")
        assert caught.value.line is not None
