"""Every kind of finding has its words, and the reference page holds them all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import assay
from assay.segments.exact import REASONS, REMARKS
from assay.stewardship.kinds import KINDS, kind_of, reference_page

SOURCE = Path(assay.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"
#: Calls that make a finding, and which argument is its kind.
MAKERS = {"Finding": 0, "answered": 1, "_answered": 1, "_key_finding": 0, "unreadable": None, "odd": 0}
#: Where the kind is a variable: the functions that pass on the kind of their caller, or of a table.
PASSED_ON = {("readers/locate.py", "kind"), ("segments/exact.py", "kind"), ("segments/exact.py", "name"),
             ("segments/conform.py", "kind")}  # fmt: skip


def made_kinds() -> Iterator[tuple[str, ast.expr]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", None))
            if not isinstance(node, ast.Call) or name not in MAKERS:
                continue
            place = MAKERS[name]
            named = [word.value for word in node.keywords if word.arg == "kind"]
            if named or place is not None and len(node.args) > place:
                yield path.relative_to(SOURCE).as_posix(), named[0] if named else node.args[place or 0]


def test_every_kind_that_the_code_makes_is_in_the_table() -> None:
    made = list(made_kinds())
    known = {kind.name for kind in KINDS}
    constants = {str(one.value) for _, one in made if isinstance(one, ast.Constant)}
    assert len(constants) > 15, "the search finds the places where findings are made"
    assert constants | REASONS.keys() | REMARKS.keys() <= known
    variables = {(path, ast.unparse(one)) for path, one in made if not isinstance(one, ast.Constant)}
    assert {one for one in variables if one[0].startswith(("readers/locate", "segments/"))} <= PASSED_ON


def test_no_kind_stands_twice() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names))


def test_words_for_the_sender_name_only_what_a_report_knows() -> None:
    known = {"column": "c", "expected": "e", "count": "3"}
    for kind in KINDS:
        assert kind.sender.format(**known) and (kind.says or "").format(**known) is not None


def test_a_kind_of_another_version_still_has_words() -> None:
    assert kind_of("something_new").title == "something new"


def test_the_reference_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page()
