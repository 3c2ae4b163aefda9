"""Nothing that a user can set, type or meet is without its place in the documentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from assay.zones import contract

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


def _hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = _hooks()


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    """The reference pages as they are published."""
    return {page.stem: HOOKS.on_page_markdown(page.read_text("utf-8")) for page in REFERENCE.glob("*.md")}


@pytest.mark.parametrize(("path", "command"), list(HOOKS.leaf_commands()), ids=lambda value: str(value))
def test_every_command_says_what_it_does_and_gives_an_example(
    path: str, command: object, reference: dict[str, str]
) -> None:
    text, example = HOOKS.help_and_example(command)
    assert text.split("\n\n")[0].endswith("."), f"{path} has no sentence of help"
    assert example.startswith(path.split()[0]), f"{path} has no example"
    assert f"## {path}\n\n{text}" in reference["commands"]


def test_every_setting_has_its_meaning(reference: dict[str, str]) -> None:
    keys = list(HOOKS.setting_keys())
    assert len(keys) > 30
    assert [key for key in keys if not key[2]] == []
    assert [key for _, key, _ in keys if f"| `{key.split('.')[-1]}` |" not in reference["settings"]] == []


@pytest.mark.parametrize("words", [contract.FIELD_EXTRAS, contract.SCHEMA_EXTRAS, {"action": str}], ids=str)
def test_every_word_of_assay_in_a_contract_has_its_meaning(words: dict[str, type], reference: dict[str, str]) -> None:
    assert [word for word in words if f"\n| `{word}` |" not in reference["contracts"]] == []


def test_every_word_in_the_reference_of_contracts_is_known(reference: dict[str, str]) -> None:
    extras = reference["contracts"].partition("## Words of assay")[2].partition("## Drift")[0]
    told = {line.split("`")[1] for line in extras.splitlines() if line.startswith("| `")}
    assert told == {*contract.FIELD_EXTRAS, *contract.SCHEMA_EXTRAS, "action"}


def test_every_error_has_its_meaning(reference: dict[str, str]) -> None:
    family = list(HOOKS.error_family())
    assert len(family) >= 7
    for one in family:
        assert one.__doc__, one
        assert f"| `{one.__name__}` | {one.exit_code} |" in reference["errors"]
        assert f"\n| {one.exit_code} |" in reference["errors"], f"exit code {one.exit_code} is not explained"
