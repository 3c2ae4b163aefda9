"""What zone.yaml may say of a publication, and what subscribers are promised by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.errors import Misconfigured
from assay.zones.project import Publication, load_project
from shop_project import FILES

CONTRACT = """\
version: 3.0.0
apiVersion: v3.1.0
kind: DataContract
id: shop.sold
status: active
schema:
  - name: sold
    properties:
      - {name: number, logicalType: string, primaryKey: true, required: true, classification: public}
      - {name: amount, logicalType: number, physicalType: 'decimal(12,2)', classification: internal}
"""


def offering(root: Path, publication: str, **more: str) -> Publication:
    """The publication `sold` of the shop's sales, from these settings."""
    files = {**FILES, "assay.yaml": "name: shop\ntargets:\n  local: {}\n", **more}
    files["zones/shop/zone.yaml"] += f"publications:\n  sold:\n    dataset: operational.sale\n{publication}"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_project(root).zones["shop"].publications["sold"]


def test_without_a_contract_of_its_own_it_promises_what_the_table_does_of_its_columns(tmp_path: Path) -> None:
    found = offering(tmp_path, "    columns: [number, month]\n")
    assert [(one.name, one.required) for one in found.contract.fields] == [("number", True), ("month", True)]
    assert (found.contract.id, found.contract.version) == ("shop.sold", "1.0.0")
    assert found.contract.primary_key == ("number",) and found.contract.foreign_keys == () and not found.hides


def test_a_key_that_is_not_offered_or_masked_is_promised_no_more(tmp_path: Path) -> None:
    found = offering(tmp_path, "    masks: {number: redact, amount: 'null', goods: hash}\n")
    assert found.contract.primary_key == () and found.hides
    required = {one.name: one.required for one in found.contract.fields}
    assert required == {"number": True, "month": True, "goods": True, "amount": False, "note": False}


def test_a_contract_of_its_own_says_columns_classes_and_version(tmp_path: Path) -> None:
    place = {"zones/shop/publications/sold.odcs.yaml": CONTRACT}
    found = offering(tmp_path, "    contract: publications/sold.odcs.yaml\n", **place)
    assert found.columns == ("number", "amount") and found.contract.version == "3.0.0"
    assert [one.classification for one in found.contract.fields] == ["public", "internal"]


@pytest.mark.parametrize(
    ("publication", "contract", "what", "expected"),
    [
        ("    columns: [numbr]\n", None, "operational.sale has no column numbr", "number"),
        ("    masks: {numbr: hash}\n", None, "masks numbr, which it does not offer", "number"),
        ("    masks: {amount: partial}\n", None, "operational.sale.amount is decimal", "redact or null"),
        ("    masks: {amount: blur}\n", None, "", "'partial', 'hash', 'redact' or 'null'"),
        ("    consumers: [shopp]\n", None, "names the zone shopp, which does not exist", "shop"),
        ("    auto_approve: {zones: [shopp]}\n", None, "names the zone shopp, which does not exist", "shop"),
        ("    auto_approve: {}\n", None, "`classification` or `zones`", None),
        ("    columns: [number]\n    contract: publications/sold.odcs.yaml\n", CONTRACT, "one of the two", None),
        ("    contract: publications/sold.odcs.yaml\n", CONTRACT.replace("name: amount", "name: sum"), "no column sum",
         None),
        ("    contract: publications/sold.odcs.yaml\n", CONTRACT.replace("(12,2)", "(14,2)"),
         "amount is decimal", "decimal"),
        ("    contract: publications/sold.odcs.yaml\n", CONTRACT.replace("amount", "note").replace(
            "number, physicalType: 'decimal(12,2)'", "string, required: true"), "note is required", "not required"),
        ("    columns: [number]\n", CONTRACT, "no publication has the contract publications/sold.odcs.yaml",
         "contract: publications/sold.odcs.yaml"),
    ],
)  # fmt: skip
def test_what_the_table_does_not_bear_out_is_said(
    tmp_path: Path, publication: str, contract: str | None, what: str, expected: str | None
) -> None:
    more = {} if contract is None else {"zones/shop/publications/sold.odcs.yaml": contract}
    with pytest.raises(Misconfigured) as refused:
        offering(tmp_path, publication, **more)
    assert what in str(refused.value)
    assert expected is None or expected in str(refused.value.expected) or expected in str(refused.value)
    assert ".yaml" in str(refused.value.where)
