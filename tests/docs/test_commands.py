"""What the pages tell their readers to type does what they say."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from tests.docs.console import Command, Reader, first_missing, mentioned, steps

from assay.cli import assay

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TUTORIAL = ROOT / "docs/tutorials/expenses.md"


def test_the_tutorial_happens_as_it_is_told(tmp_path: Path) -> None:
    Reader(tmp_path).follow(TUTORIAL)


def test_the_tutorial_of_the_service_happens_as_it_is_told(tmp_path: Path) -> None:
    Reader(tmp_path).follow(ROOT / "docs/tutorials/service.md")


def test_the_readmes_commands_are_those_of_the_tutorial() -> None:
    """They are run there; the README's first one is run by test_demo.py."""
    told = {step.words for step in steps(TUTORIAL) if isinstance(step, Command)}
    short = [step.words for step in steps(ROOT / "README.md") if isinstance(step, Command)]
    assert short[0] == "make demo" and len(short) == 4
    assert {words for line in short[1:] for words in line.split(" && ")} <= told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    for line in mentioned(page):
        command: click.Command = assay
        words = shlex.split(line)[1:]
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        known |= {"--help", "-h"}
        assert {word for word in words if word.startswith("-")} <= known, line


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (["a  b", "c"], "a b\n\n────\nc\n", None),
        (["a", "...", "c"], "a\nb\nb\nc\n", None),
        (["a", "..."], "a\nb\n", None),
        (["at … by me"], "at 12:30 by me", None),
        (["a …"], "a", None),
        (["b", "a"], "a\nb", "b"),
        (["a", "c"], "a\nb\nc", "c"),
        (["a", "...", "d"], "a\nb\nc", "d"),
        (["a"], "a\nb", "(nothing more, but there is:) b"),
    ],
)
def test_shown_output_is_compared_in_order(shown: list[str], printed: str, missing: str | None) -> None:
    assert first_missing(shown, printed) == missing
