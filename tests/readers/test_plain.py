"""Which files a fast reader must read as the exact one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.readers import plain
from assay.readers.dialect import Dialect

COMMA = Dialect("utf-8", ",", '"', False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,2\n\n\n", True), (b"a,b\r\n1,2", True), (b"", True), (b"\na,b\n", False),
        (b"a,b\n\n1,2\n", False), (b"a,b\r\n\r\n1,2\r\n", False), (b"a\rb\r", False), (b"a\r\nb\n", False),
        (b"a,\0\n", False), (b"a,\xff\n", False), (b"a,\xc3\xa9\n", True), (b"a,\xc3\n", False),
        # Blanks between a quote and the border of its cell, which DuckDB's reader drops.
        (b'a, "b"\n', False), (b' "a",b\n', False), (b'a\n "b"\n', False), (b'"a" ,b\n', False), (b'a,"b" \n', False),
        (b'a,"b"  ', False), (b'"a" "b"\n', False), (b'a,b "c"\n', True), (b'"a ","b"\n', True), (b'" a","b"\n', True),
        (b'"say ""a"" to","b"\n', True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("block", [1, 2, 3, 1 << 20])
def test_plain_holds_at_any_border_between_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, expected: bool, block: int
) -> None:
    monkeypatch.setattr(plain, "BLOCK_BYTES", block)
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    assert plain.is_plain(path, COMMA) is expected


def test_blanks_beside_quotes_do_not_matter_where_nothing_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b'a, "b"\n')
    assert plain.is_plain(path, Dialect("utf-8", ",", "", False))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("block", [8, 64, 1 << 20])
def test_parts_hold_the_whole_file_and_know_the_lines_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, block: int
) -> None:
    monkeypatch.setattr(plain, "BLOCK_BYTES", block)
    path = tmp_path / "file.csv"
    lines = [b'"two\nlines",%d\n' % number if number % 9 == 3 else b"one,%d\n" % number for number in range(200)]
    path.write_bytes(b"".join(lines))
    parts = list(plain.cut(path, COMMA, tmp_path, count))
    assert 1 <= len(parts) <= count
    assert b"".join(part.path.read_bytes() for part in parts) == path.read_bytes()
    above = 0
    for part in parts:
        assert part.lines_before == above
        above += part.lines
        assert part.lines == part.path.read_bytes().count(b"\n")
        assert part.path.read_bytes().count(b'"') % 2 == 0


@pytest.mark.parametrize("end", [b"x,\0\n", b"x,\xff\n", b'x, "y"\n', b"x,y\r\n"])
def test_a_file_that_is_not_plain_at_its_end_has_no_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr(plain, "BLOCK_BYTES", 64)
    path = tmp_path / "file.csv"
    path.write_bytes(b"one,two\n" * 100 + end)
    given = plain.cut(path, COMMA, tmp_path, 2)
    assert next(given).lines < 100
    with pytest.raises(plain.NotPlain):
        next(given)
