"""What is kept of an error that stopped a batch: no cell that is more than internal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.catalog import queue
from assay.errors import AssayError, Misconfigured, Unavailable
from assay.examples.expenses import write_example
from assay.pipelines.kept import kept_words
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.run import ingest
from assay.zones.project import Project, load_project
from shop_project import TILL, Shop

CONVERSION = "the SQL did not run: Conversion Error: Could not convert string 'Quimby' to INT32"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("example")
    write_example(folder)
    return load_project(folder)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (Misconfigured(f"{CONVERSION} when casting from source column employee_no"),
         "the SQL did not run: Conversion Error in column employee_no; the value is not kept"),
        (Misconfigured("the rules did not run: Invalid Input Error: no such person: Quimby"),
         "the rules did not run: Invalid Input Error; the value is not kept"),
        (Misconfigured('the SQL did not run: Binder Error: Referenced column "employe" not found'),
         'the SQL did not run: Binder Error: Referenced column "employe" not found'),
        (Misconfigured("the SQL is missing", file="clean/card.sql"), "the SQL is missing"),
        (Unavailable("the disk is full"), "the disk is full"),
        (AssayError("Conversion Error: Quimby"), "AssayError"),
        (ValueError("Quimby"), "ValueError"),
    ],
)  # fmt: skip
def test_words_that_may_quote_a_cell_are_left_out(example: Project, error: Exception, kept: str) -> None:
    assert kept_words(error, example, "corporate_finance") == kept


def test_where_all_cells_are_internal_the_engines_words_stay(example: Project) -> None:
    assert kept_words(Misconfigured(CONVERSION), example, "reference") == CONVERSION
    assert kept_words(ValueError("Quimby"), example, "a zone that is gone") == "ValueError"


def test_a_zone_that_is_granted_restricted_cells_meets_them_too(tmp_path: Path) -> None:
    write_example(tmp_path)
    finance, reference = (tmp_path / f"zones/{name}/zone.yaml" for name in ("corporate_finance", "reference"))
    finance.write_text(finance.read_text() + "publications: {employee: {dataset: operational.employee}}\n")
    asked = "subscriptions: [{publication: corporate_finance.employee, purpose: a study}]\n"
    reference.write_text(reference.read_text() + asked)
    found = kept_words(Misconfigured(CONVERSION), load_project(tmp_path), "reference")
    assert found == "the SQL did not run: Conversion Error; the value is not kept"


@pytest.mark.parametrize("restricted", [True, False])
def test_the_record_of_a_batch_keeps_a_value_only_where_it_is_internal(
    new_shop: Callable[[], Shop], restricted: bool
) -> None:
    shop = new_shop()
    if restricted:
        shop.edit("till.odcs.yaml", "physicalName: Note, ", "physicalName: Note, classification: restricted, ")
    shop.edit("conform/till/sale.sql", "amount, note", "amount, note::INTEGER::VARCHAR AS note")
    (shop.root / "till-1.csv").write_text(TILL)
    with shop.opened() as platform:
        apply(platform)
        with pytest.raises(Misconfigured, match="'gift'"):
            ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / "till-1.csv"], None)
        failure = queue.failure(platform.connection, 1)
    assert failure is not None and failure.parked and failure.error["error"] == "Misconfigured"
    assert failure.error["what"].startswith("the SQL did not run: Conversion Error")
    assert ("gift" in str(failure.error)) is not restricted
