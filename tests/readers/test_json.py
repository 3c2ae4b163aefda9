"""JSON and JSON Lines: every number as written, every key once."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import Rejected
from assay.readers import json as reader
from assay.readers.grid import Kind


def written(folder: Path, text: str, name: str = "file.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_stay_as_they_are_written(tmp_path: Path, rows: Any, kinds: Any) -> None:
    numbers = ["0.10", "1E5", "-0", "12345678901234567890.123456789", "1e-7"]
    grid = reader.read(written(tmp_path, '[{"n": ' + '}, {"n": '.join(numbers) + "}]"))
    assert rows(grid)[1:] == [[number] for number in numbers]
    assert {kind for (kind,) in kinds(grid)[1:]} == {Kind.NUMBER}
    assert grid.typed


def test_keys_are_columns_in_the_order_of_their_first_appearance(tmp_path: Path, rows: Any, kinds: Any) -> None:
    grid = reader.read(written(tmp_path, '[{"b": "x", "a": true}, {"c": "", "a": null}]'))
    assert rows(grid) == [["b", "a", "c"], ["x", "true", None], [None, "", ""]]
    assert kinds(grid)[1:] == [[Kind.TEXT, Kind.BOOLEAN, Kind.EMPTY], [Kind.EMPTY, Kind.EMPTY, Kind.TEXT]]
    assert grid.table["row"].to_pylist() == [0, 1, 2]


def test_a_nested_value_is_its_json_text(tmp_path: Path, rows: Any) -> None:
    grid = reader.read(written(tmp_path, '[{"a": {"é": [1.50, "x", null, false]}}]'))
    assert rows(grid)[1] == ['{"é": [1.50, "x", null, false]}']


def test_lists_of_cells_are_rows(tmp_path: Path, rows: Any) -> None:
    grid = reader.read(written(tmp_path, '[["id", "n"], ["007", 1.0], ["008"]]'))
    assert rows(grid) == [["id", "n"], ["007", "1.0"], ["008", None]]
    assert grid.table["row"].to_pylist() == [1, 2, 3]


def test_records_stand_where_the_hint_says(tmp_path: Path, read: Any, rows: Any) -> None:
    path = written(tmp_path, '{"meta": {"n": 1}, "data": {"items": [{"id": 1}]}}')
    assert rows(read(path, records="data.items")[0]) == [["id"], ["1"]]


@pytest.mark.parametrize("records", [None, "data", "items"])
def test_a_document_that_is_no_list_names_the_lists_inside(tmp_path: Path, read: Any, records: str | None) -> None:
    path = written(tmp_path, '{"data": {"items": [{"id": 1}]}}')
    with pytest.raises(Rejected) as caught:
        read(path, records=records)
    assert "data.items" in str(caught.value.expected)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"a": 1, "b": 2, "a": 3}]', '"a" is given twice'),
        ('[{"a": NaN}]', "NaN"),
        ('[{"a": 1}, 2]', "record 2 is a number"),
        ('[{"a": 1}, [2]]', "record 2 is a list"),
        ('["x"]', "record 1 is a text"),
        ('[{"a": 1} {"a": 2}]', "','"),
        ('[{"a": 1},', "line 1"),
        ('[{"a": 1}', "line 1"),
        ('[{"a": 1}] x', "Extra data"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ', "line 1"),
        (" ", "empty"),
    ],
)
def test_what_is_no_list_of_records_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Rejected, match=told):
        reader.read(written(tmp_path, text))


def test_each_line_is_a_record_with_its_own_number(tmp_path: Path, read: Any, rows: Any) -> None:
    path = written(tmp_path, '{"a": 1.0}\n\n{"a": "x\\ny", "b": 2}\r\n', "file.jsonl")
    (grid,) = read(path)
    assert rows(grid) == [["a", "b"], ["1.0", None], ["x\ny", "2"]]
    assert grid.table["row"].to_pylist() == [0, 1, 3]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="line 2") as caught:
        reader.read_lines(written(tmp_path, '{"a": 1}\n{"a": \n'))
    assert caught.value.findings[0].cells[0].row == 2


def test_too_many_different_keys_are_refused(tmp_path: Path) -> None:
    records = ({f"k{line}-{number}": 1 for number in range(1_000)} for line in range(20))
    path = written(tmp_path, "\n".join(map(json.dumps, records)))
    with pytest.raises(Rejected, match="different keys"):
        reader.read_lines(path)


VALUES = st.one_of(
    st.none(), st.booleans(), st.text(max_size=6), st.integers(), st.decimals(allow_nan=False, allow_infinity=False)
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), min_size=1))
def test_every_value_comes_back(tmp_path_factory: Any, records: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("json") / "file"
    path.write_text(reader.dump([*records]), encoding="utf-8")
    table = reader.read(path).table.to_pylist()
    names = [table[0][f"c{index}"] for index in range(sum(key.startswith("c") for key in table[0]) - 1)]
    for record, row in zip(records, table[1:], strict=True):
        for index, name in enumerate(names):
            text, kind = row[f"c{index}"], row[f"k{index}"]
            if name not in record:
                assert (text, kind) == (None, Kind.EMPTY)
            elif record[name] is None:
                assert (text, kind) == ("", Kind.EMPTY)
            elif isinstance(record[name], bool):
                assert (text, kind) == (str(record[name]).lower(), Kind.BOOLEAN)
            elif isinstance(record[name], (int, Decimal)):
                assert (Decimal(text), kind) == (record[name], Kind.NUMBER)
            else:
                assert (text, kind) == (record[name], Kind.TEXT)
