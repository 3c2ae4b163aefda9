"""The quick pass in parts: the rows keep the numbers that they have in the delivered file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.engines.duckdb import Engine, connect
from assay.errors import Rejected
from assay.readers import plain
from assay.segments import quick
from assay.segments.exact import Examination
from assay.segments.examine import examine
from assay.zones.contract import Contract, Field
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

LINES = Contract(
    Path("c.yaml"), "c", "1", "active", "c",
    (Field("number", FieldType("integer"), ("number",), required=True), Field("text", FieldType("string"), ("text",))),
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "PART_BYTES", 1 << 12)
    monkeypatch.setattr(plain, "BLOCK_BYTES", 1 << 10)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with connect(tmp_path, threads=3) as made:
        yield made


def look(engine: Engine, folder: Path, texts: list[str], end: str = "\n") -> Examination:
    """Examines a file whose record n + 2 says n."""
    path = folder / "file.csv"
    lines = ["number,text", *(f"{number},{text}" for number, text in enumerate(texts))]
    path.write_bytes("".join(line + end for line in lines).encode())
    return examine(path, LINES, ReaderHints(delimiter=","), engine, folder, stamp={"_batch": 7})


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_all_parts_keep_their_numbers(engine: Engine, tmp_path: Path, end: str) -> None:
    found = look(engine, tmp_path, ["x" * (number % 7) for number in range(5000)], end)
    assert (found.way, len(found.files)) == ("quick", 3)
    assert engine.row(f"SELECT count(*), count(DISTINCT number), min(_row - number), max(_row - number) "
                      f"FROM {found.rows}") == (5000, 5000, 2, 2)  # fmt: skip
    for file in found.files:
        assert engine.row(f"SELECT min(_batch), max(_batch) FROM read_parquet('{file}')") == (7, 7)


def test_line_ends_in_cells_do_not_shift_the_numbers(engine: Engine, tmp_path: Path) -> None:
    texts = ['"two\nlines"' if number % 50 == 3 else "one" for number in range(3000)]
    found = look(engine, tmp_path, texts)
    assert (found.way, len(found.files)) == ("quick", 1)
    assert engine.row(f"SELECT count(*), min(_row - number), max(_row - number) FROM {found.rows}") == (3000, 2, 2)
    assert engine.row(f"SELECT count(*) FROM {found.rows} WHERE text = 'two\nlines'") == (60,)


def test_a_mark_at_the_start_of_a_line_stays_where_it_is(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"text,number\n" + "".join(f"\ufeffx,{number}\n" for number in range(3000)).encode())
    found = examine(path, LINES, ReaderHints(delimiter=","), engine, tmp_path)
    assert engine.row(f"SELECT count(*), min(text), max(text), max(_row - number) FROM {found.rows}") == (
        3000, "\ufeffx", "\ufeffx", 2,
    )  # fmt: skip


def test_blank_lines_are_left_to_the_exact_pass(engine: Engine, tmp_path: Path) -> None:
    found = look(engine, tmp_path, ["one", "two\n", *["three"] * 2000])
    assert found.way == "exact"
    assert engine.rows(f"SELECT _row FROM {found.rows} WHERE number IN (1, 2) ORDER BY 1") == [(3,), (5,)]


@pytest.mark.parametrize("stray", ['5" pipe', '"', 'a"b"c'])
def test_a_stray_quote_never_joins_rows(engine: Engine, tmp_path: Path, stray: str) -> None:
    texts = [*["one"] * 1000, stray, *["two"] * 1000, '"quoted"', *["three"] * 1000]
    if stray == '"':
        with pytest.raises(Rejected, match="record 1002"):
            look(engine, tmp_path, texts)
        return
    found = look(engine, tmp_path, texts)
    assert engine.row(f"SELECT count(*), min(_row - number), max(_row - number) FROM {found.rows}") == (3002, 2, 2)
    assert engine.rows(f"SELECT text FROM {found.rows} WHERE number IN (1000, 2001) ORDER BY number") == [
        (stray,), ("quoted",),
    ]  # fmt: skip
