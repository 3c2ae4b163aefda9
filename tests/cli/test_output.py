"""Tables that people read and pipes can take: aligned, harmless, and no wider than their text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from assay.cli import output


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_numbers_stand_to_the_right_and_texts_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name", "amount"), [("a", Decimal("1.50")), ("bb", Decimal("-100.00")), ("c", None)])
    assert lines(capsys) == ["name   amount", "a        1.50", "bb    -100.00", "c"]


def test_a_missing_value_is_not_an_empty_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("a", "b"), [(None, "x"), ("", "y")], null="NULL")
    assert lines(capsys)[1:] == ["NULL  x", "      y"]


def test_no_line_ends_in_blanks_and_a_long_row_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("short", "long"), [("x", "y" * 500), ("x", "z")])
    found = lines(capsys)
    assert len(found) == 3
    assert all(line == line.rstrip() for line in found)


def test_a_delivered_cell_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("cell",), [("\x1b[2Jgone\r\n[bold]next[/bold]\x07\x9b1m",)])
    assert lines(capsys)[1] == r"\x1b[2Jgone\r\n[bold]next[/bold]\x07\x9b1m"


@pytest.mark.parametrize(("width", "first"), [(40, "row 1"), (200, "a")])
def test_rows_too_wide_for_the_terminal_stand_below_each_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, first: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    output.data(("a", "bb", "c"), [("x" * 30, "y" * 30, None)])
    found = lines(capsys)
    assert first in found[0]
    if width == 40:
        assert found[1:] == ["  a   " + "x" * 30, "  bb  " + "y" * 30, "  c   NULL"]
