"""Whatever is delivered: it comes back with the values that were sent, or it is rejected. Never anything else.

The mutations are replayable. A run with another seed, or one mutation of a run again:

    ASSAY_MUTATION_SEED=7 pytest tests/segments/test_gate_properties.py
    ASSAY_MUTATION=7:123 pytest tests/segments/test_gate_properties.py -k mutated

Ten thousand and more: `pytest tests/segments/test_gate_properties.py -m slow`.
"""

from __future__ import annotations

import csv
import io
import os
import random
import secrets
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from damages import damaged_workbook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_reading import read_csv, read_records, read_sheet, same

from assay.engines.duckdb import Engine, connect
from assay.errors import Rejected
from assay.findings import Finding
from assay.readers import plain
from assay.segments import quick as quick_pass
from assay.segments.exact import Examination
from assay.segments.examine import examine
from assay.zones.contract import Contract, Field
from assay.zones.model import ReaderHints
from assay.zones.types import FieldType

SHARED = Path(__file__).parents[3] / "shared" / "data"
KINDS = {
    "id": FieldType("integer"), "text": FieldType("string"), "code": FieldType("string"),
    "whole": FieldType("integer"), "money": FieldType("decimal", 18, 4), "wide": FieldType("decimal", 38, 10),
    "ratio": FieldType("double"), "day": FieldType("date"), "moment": FieldType("timestamp"),
    "clock": FieldType("time"), "flag": FieldType("boolean"),
}  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """How a table is written as text, and what its contract says about that."""

    delimiter: str = ","
    quoting: int = csv.QUOTE_MINIMAL
    end: str = "\n"
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str | None = None
    day: str = "%Y-%m-%d"
    null: str = ""
    yes: str = "true"
    no: str = "false"
    title: bool = False

    def contract(self) -> Contract:
        common = {"null_words": (self.null,) if self.null else ()}
        number = {"decimal_sign": self.decimal, "thousands_sign": self.thousands}
        more: dict[str, dict[str, Any]] = {
            "id": {"required": True}, "whole": {"thousands_sign": self.thousands}, "money": number, "wide": number,
            "ratio": {"decimal_sign": self.decimal}, "day": {"formats": (self.day,)},
            "flag": {"true_words": (self.yes,), "false_words": (self.no,)},
        }  # fmt: skip
        fields = [Field(name, kind, (name,), **common, **more.get(name, {})) for name, kind in KINDS.items()]
        return Contract(Path("c.yaml"), "c", "1", "active", "c", tuple(fields))

    def hints(self) -> ReaderHints:
        return ReaderHints(encoding=self.encoding, delimiter=self.delimiter)

    def text(self, name: str, value: Any) -> str:
        """A value as this dialect writes it."""
        if value is None:
            return self.null
        if isinstance(value, bool):
            return self.yes if value else self.no
        if isinstance(value, str):
            return value
        if isinstance(value, datetime):
            return f"{_dated(value, '%Y-%m-%d')} {value.time().isoformat('microseconds')}"
        if isinstance(value, date):
            return _dated(value, self.day)
        if isinstance(value, time):
            return value.isoformat("seconds")
        if isinstance(value, float):
            return repr(value).replace(".", self.decimal)
        plain = str(value) if isinstance(value, int) else format(value, "f")
        sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
        whole, point, fraction = digits.partition(".")
        if self.thousands and name != "id":
            whole = f"{int(whole):,}".replace(",", self.thousands)
        return f"{sign}{whole}{self.decimal if point else ''}{fraction}"

    def write(self, table: Sequence[Sequence[Any]]) -> bytes:
        out = io.StringIO(newline="")
        # The library does not quote a line end that is not the file's own.
        stray = any("\r" in value or "\n" in value for row in table for value in row if isinstance(value, str))
        quoting = csv.QUOTE_ALL if stray else self.quoting
        writer = csv.writer(out, delimiter=self.delimiter, quoting=quoting, lineterminator=self.end)  # type: ignore[arg-type]
        if self.title:
            writer.writerow(["A title above"])
        writer.writerow(KINDS)
        for row in table:
            writer.writerow([self.text(name, value) for name, value in zip(KINDS, row, strict=True)])
        return out.getvalue().encode(self.encoding)


def _dated(value: date, pattern: str) -> str:
    """strftime, which does not pad the years before 1000."""
    parts = {"%Y": f"{value.year:04d}", "%m": f"{value.month:02d}", "%d": f"{value.day:02d}",
             "%-m": str(value.month), "%-d": str(value.day)}  # fmt: skip
    for part, text in parts.items():
        pattern = pattern.replace(part, text)
    return pattern


DAYS = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%-d/%-m/%Y", "%Y%m%d")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine"), threads=2) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deliveries")


def passed(engine: Engine, found: Examination) -> list[tuple[int, tuple[Any, ...]]]:
    return [(row[-1], row[:-2]) for row in engine.rows(f"SELECT * FROM {found.rows} ORDER BY _row")]


def equal(some: Sequence[tuple[int, tuple[Any, ...]]], others: Sequence[tuple[int, tuple[Any, ...]]]) -> bool:
    return len(some) == len(others) and all(
        a == b and all(same(one, other) for one, other in zip(row, another, strict=True))
        for (a, row), (b, another) in zip(some, others, strict=True)
    )


def decided(
    engine: Engine, path: Path, contract: Contract, hints: ReaderHints, **more: Any
) -> tuple[list[tuple[int, tuple[Any, ...]]] | None, tuple[Finding, ...]]:
    """The rows that the gate lets pass, or None, and what it said."""
    try:
        found = examine(path, contract, hints, engine, path.parent, **more)
    except Rejected as error:
        return None, error.findings
    return (None if found.refused else passed(engine, found)), found.findings


# --- any table comes back as it was ------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["007", "1E5", "SEP1", '"', '""', "a\nb", "a\r\nb", "a\rb", " padded ", "\u00a0", "NULL", "-", "=1+1", "'x",
     "a,b;c\td|e", "12345678901234567890", "true", "2026-01-05", "\ufeff", "\u2028", "e\u0301", "𝄞", "\\",
     "\\N", "#N/A"]
)  # fmt: skip


def moneys(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    units = st.integers(-most, most).map(Decimal) | st.just(Decimal("-0"))
    return units.map(lambda number: number.scaleb(-scale))


ROWS = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.none() | TEXTS,
    st.none() | st.integers(0, 10**12).map(lambda number: f"{number:014d}"),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | moneys(18, 4),
    st.none() | moneys(28, 10),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.dates(),
    st.none() | st.datetimes(),
    st.none() | st.times().map(lambda value: value.replace(microsecond=0)),
    st.none() | st.booleans(),
)
DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from(",;\t|~"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"]),
    decimal=st.sampled_from(".,"),
    thousands=st.sampled_from([None, "'", " "]),
    day=st.sampled_from(DAYS),
    null=st.sampled_from(["", "NULL", "-", "n/a"]),
    yes=st.sampled_from(["true", "Y", "ja", "Straße"]),
    no=st.sampled_from(["no", "0", "nein"]),
    title=st.booleans(),
)


def encodable(row: tuple[Any, ...], encoding: str) -> tuple[Any, ...]:
    return tuple(v.encode(encoding, "ignore").decode(encoding) if isinstance(v, str) else v for v in row)


def arriving(value: Any, null: str) -> Any:
    """A value as it must arrive: an empty text and the declared null word are nothing."""
    return None if value == "" or (isinstance(value, str) and null and value.strip(" \t\u00a0") == null) else value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(table=st.lists(ROWS, min_size=1, max_size=4), dialect=DIALECTS)
def test_any_table_written_as_text_comes_back_equal(
    engine: Engine, folder: Path, table: list[tuple[Any, ...]], dialect: Dialect
) -> None:
    """Every dialect that is declared is read; both passes, where the quick one has no doubt, give the same rows."""
    table = [encodable(row, dialect.encoding) for row in table]
    path = folder / "table.csv"
    path.write_bytes(dialect.write(table))
    contract, hints = dialect.contract(), dialect.hints()
    first = 3 if dialect.title else 2
    sent = [(number, tuple(arriving(one, dialect.null) for one in row)) for number, row in enumerate(table, first)]
    exact, findings = decided(engine, path, contract, hints, ways=("exact",))
    assert exact is not None and equal(exact, sent), findings
    quick, _ = decided(engine, path, contract, hints, ways=("quick",))
    assert quick is None or equal(quick, sent)
    assert read_csv(path.read_bytes(), contract, dialect.encoding, dialect.delimiter) is not None


SHEET_ROWS = st.tuples(
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.none() | TEXTS,
    st.none() | st.integers(0, 10**12).map(lambda number: f"{number:014d}"),
    st.none() | st.integers(-(10**15) + 1, 10**15 - 1),
    st.none() | moneys(15, 4),
    st.none() | moneys(15, 10),
    st.none() | st.floats(-1e300, 1e300, allow_subnormal=False).map(lambda number: float(f"{number:.14g}")),
    st.none() | st.dates(min_value=date(1900, 3, 1)),
    st.none() | st.datetimes(min_value=datetime(1900, 3, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.none() | st.times().map(lambda value: value.replace(microsecond=0)),
    st.none() | st.booleans(),
)


def write_workbook(path: Path, table: Sequence[Sequence[Any]], dialect: Dialect, *, typed: bool) -> None:
    """The table with cells typed as Excel types them, or with everything as text."""
    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm:ss"}) as book:
        clock = book.add_format({"num_format": "hh:mm:ss"})
        sheet = book.add_worksheet("Lines")
        sheet.write_row(0, 0, list(KINDS))
        for number, row in enumerate(table, start=1):
            for column, (name, value) in enumerate(zip(KINDS, row, strict=True)):
                if value is None:
                    continue
                if isinstance(value, str) or not typed:
                    sheet.write_string(number, column, dialect.text(name, value))
                elif isinstance(value, bool):
                    sheet.write_boolean(number, column, value)
                elif isinstance(value, time):
                    sheet.write_datetime(number, column, value, clock)
                elif isinstance(value, date):
                    sheet.write_datetime(number, column, value)
                else:
                    sheet.write_number(number, column, float(value))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(table=st.lists(SHEET_ROWS, min_size=1, max_size=4), dialect=DIALECTS, typed=st.booleans())
def test_any_table_written_as_workbook_comes_back_equal_or_is_rejected(
    engine: Engine, folder: Path, table: list[tuple[Any, ...]], dialect: Dialect, typed: bool
) -> None:
    path = folder / "table.xlsx"
    write_workbook(path, table, dialect, typed=typed)
    rows, findings = decided(engine, path, dialect.contract(), ReaderHints())
    sent = [(number, tuple(arriving(one, dialect.null) for one in row)) for number, row in enumerate(table, 2)]
    assert rows is None or equal(rows, sent), (rows, findings)
    assert rows is not None, findings
    exact, said = decided(engine, path, dialect.contract(), ReaderHints(), ways=("exact",))
    assert exact is not None and equal(exact, sent), said


# --- a damaged file is never approved with changed values ----------------------------------------------------------

MUTATIONS = 200
WORKBOOK_MUTATIONS = 30
SLOW_MUTATIONS = 10_000
SLOW_WORKBOOK_MUTATIONS = 3_000


def numbers(seed: str, count: int) -> Iterator[tuple[str, random.Random]]:
    """The names of a run's mutations, each with the randomness that replays it."""
    one = os.environ.get("ASSAY_MUTATION")
    for name in [one] if one else [f"{seed}:{number}" for number in range(count)]:
        yield name, random.Random(name)


def some_values(chance: random.Random) -> dict[str, Any]:
    """A value of each kind."""
    words = ["Smith", 'O"Neil', "a,b", "x;y", "two\nlines", "é€", "007", "", " ", "1E5", "-5", "true"]
    return {
        "id": chance.randint(0, 999),
        "text": chance.choice(words),
        "code": f"{chance.randint(0, 9999):06d}",
        "whole": chance.choice([0, -7, 1234567, None]),
        "money": Decimal(chance.randint(-(10**7), 10**7)).scaleb(-chance.randint(0, 4)),
        "wide": Decimal(chance.randint(-(10**27), 10**27)).scaleb(-10),
        "ratio": chance.choice([0.5, -2.25, 1e21, 3e-7, None]),
        "day": date.fromordinal(chance.randint(1, 3652059)),
        "moment": datetime(chance.randint(1, 9999), 1, 31, 23, 59, 59, chance.choice([0, 5])),
        "clock": time(chance.randint(0, 23), 30, 15),
        "flag": chance.choice([True, False, None]),
    }


def some_dialect(chance: random.Random) -> Dialect:
    return Dialect(
        delimiter=chance.choice(",;\t|"),
        quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        end=chance.choice(["\n", "\n", "\r\n"]),
        encoding=chance.choice(["utf-8", "utf-8", "utf-8", "cp1252", "latin-1", "utf-16"]),
        decimal=chance.choice(".,"),
        thousands=chance.choice([None, None, "'"]),
        day=chance.choice(DAYS),
        null=chance.choice(["", "", "NULL", "-"]),
        title=chance.random() < 0.1,
    )


def mutated(data: bytes, dialect: Dialect, chance: random.Random) -> bytes:
    """One damage of the kinds that transport, editors and people do."""
    at = chance.randrange(len(data) + 1)
    special = chance.choice([dialect.delimiter, '"', "\n", "\r", "\0", dialect.decimal, "0", "-", " ", "\ufeff", "'"])
    way = chance.randrange(14)
    if way == 0:
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(flipped)
    if way == 1:
        return data[:at]
    if way == 2:
        return data[:at] + data[at + chance.randint(1, 8) :]
    if way in (3, 4):
        return data[:at] + special.encode(dialect.encoding, "ignore") + data[at:]
    if way in (5, 6):
        unit = special.encode(dialect.encoding, "ignore") or b","
        places = [i for i in range(len(data)) if data.startswith(unit, i)]
        gone = chance.choice(places) if places else at
        return data[:gone] + data[gone + len(unit) :]
    if way == 7:
        return data[:at] + data[at // 2 : at] + data[at:]
    if way == 8:
        return data + dialect.end.encode(chance.choice(["utf-8", "utf-16", "cp1252"]))
    return _rearranged(data, dialect, chance, way)


def _rearranged(data: bytes, dialect: Dialect, chance: random.Random, way: int) -> bytes:
    """Whole lines and columns moved, doubled or lost."""
    text = io.StringIO(data.decode(dialect.encoding, "replace"), newline="")
    records = list(csv.reader(text, delimiter=dialect.delimiter))
    if not records or not records[0]:
        return data
    one, other = (chance.randrange(len(records[-1]) or 1) for _ in range(2))
    touched = records if chance.random() < 0.5 else records[: chance.randint(1, len(records))]
    if way == 9:
        for record in touched:
            if max(one, other) < len(record):
                record[one], record[other] = record[other], record[one]
    elif way == 10:
        for record in touched:
            del record[one : one + 1]
    elif way == 11:
        for record in touched:
            record[other:other] = record[one : one + 1]
    elif way == 12:
        records.insert(chance.randrange(len(records) + 1), chance.choice(records))
    else:
        del records[chance.randrange(len(records))]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=dialect.delimiter, quoting=dialect.quoting, lineterminator=dialect.end).writerows(records)  # type: ignore[arg-type]
    return out.getvalue().encode(dialect.encoding, "replace")


def narrowed(contract: Contract, kept: Sequence[str]) -> Contract:
    return replace(contract, fields=tuple(field for field in contract.fields if field.name in kept))


def mutate_texts(engine: Engine, folder: Path, seed: str, count: int) -> None:
    outcomes = {"approved": 0, "rejected": 0, "quick": 0}
    for name, chance in numbers(seed, count):
        dialect = some_dialect(chance)
        kept = ["id", *chance.sample(sorted(set(KINDS) - {"id"}), chance.randint(1, 4))]
        kept = [kind for kind in KINDS if kind in kept]
        table = [some_values(chance) for _ in range(chance.randint(1, 5))]
        data = _written(table, kept, dialect)
        for _ in range(chance.choice([1, 1, 1, 2])):
            data = mutated(data, dialect, chance) or b"\n"
        path = folder / "mutated.csv"
        path.write_bytes(data)
        contract, hints = narrowed(dialect.contract(), kept), dialect.hints()
        expected = read_csv(data, contract, dialect.encoding, dialect.delimiter)
        told = f"replay with ASSAY_MUTATION={name} and -k mutated: {dialect} {data!r}"
        exact, findings = decided(engine, path, contract, hints, ways=("exact",))
        with pytest.MonkeyPatch.context() as patched:
            # Half of the files are read in two parts, whatever their size.
            patched.setattr(quick_pass, "PART_BYTES", chance.choice([1, 1 << 24]))
            patched.setattr(plain, "BLOCK_BYTES", chance.choice([1, 16, 64]))
            quick, _ = decided(engine, path, contract, hints, ways=("quick",))
        assert exact is None or (expected is not None and equal(exact, expected)), f"{told}\n{exact}\n{expected}"
        assert quick is None or (exact is not None and equal(quick, exact)), f"{told}\n{quick}\n{exact}\n{findings}"
        assert exact is not None or findings, f"rejected without a reason: {told}"
        outcomes["approved" if exact is not None else "rejected"] += 1
        outcomes["quick"] += quick is not None
    if count > 100 and "ASSAY_MUTATION" not in os.environ:
        # Neither the gate nor the damages are so strict that nothing is left to compare.
        assert min(outcomes.values()) > count / 50, outcomes


def _written(table: Sequence[dict[str, Any]], kept: Sequence[str], dialect: Dialect) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=dialect.delimiter, quoting=dialect.quoting, lineterminator=dialect.end)  # type: ignore[arg-type]
    if dialect.title:
        writer.writerow(["A title above"])
    writer.writerow(kept)
    writer.writerows([dialect.text(kind, row[kind]) for kind in kept] for row in table)
    return out.getvalue().encode(dialect.encoding, "ignore")


def test_a_mutated_text_file_is_never_approved_with_changed_values(engine: Engine, folder: Path) -> None:
    """And what the quick pass approves, the exact pass approves as the same rows."""
    mutate_texts(engine, folder, os.environ.get("ASSAY_MUTATION_SEED", "1"), MUTATIONS)


@pytest.mark.slow
def test_ten_thousand_mutated_text_files_are_never_approved_with_changed_values(engine: Engine, folder: Path) -> None:
    seed = os.environ.get("ASSAY_MUTATION_SEED") or secrets.token_hex(4)
    print(f"ASSAY_MUTATION_SEED={seed}")
    mutate_texts(engine, folder, seed, SLOW_MUTATIONS)


# --- workbooks -------------------------------------------------------------------------------------------------

SHEET_KINDS = ("id", "text", "code", "whole", "money", "flag")


def read_workbook(path: Path) -> list[list[str]] | None:
    """The same workbook by another library, with its typed cells as plain texts; None where that cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sheet = openpyxl.load_workbook(path, data_only=True).worksheets[0]
        records = [[_cell_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    except Exception:  # whatever that library says of a broken file: it is no table
        return None
    width = max(map(len, records), default=0)
    return [[*record, *[""] * (width - len(record))] for record in records]


def _cell_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(f"{value:.15g}"), "f")
    raise ValueError("a kind of cell that none of the fields takes")


def mutate_workbooks(engine: Engine, folder: Path, seed: str, count: int) -> None:
    """What is approved are the values that another library reads in the damaged file. Where that refuses the file, for
    something that concerns no value, they are those of a plain reading of its XML. Where both refuse, so does the gate.

    A damage inside a value that leaves a sound workbook makes another workbook, of which nobody can tell that it is
    not the one that was meant: it is approved with the values that it holds.
    """
    outcomes = dict.fromkeys(("as sent", "as damaged", "rejected"), 0)
    contract = narrowed(Dialect().contract(), SHEET_KINDS)
    for name, chance in numbers(f"{seed}w", count):
        table = [some_values(chance) for _ in range(chance.randint(1, 4))]
        sent = [tuple(row[kind] for kind in SHEET_KINDS) for row in table]
        path = folder / "mutated.xlsx"
        with xlsxwriter.Workbook(str(path)) as book:
            sheet = book.add_worksheet("Lines")
            sheet.write_row(0, 0, SHEET_KINDS)
            for number, row in enumerate(sent, start=1):
                for column, value in enumerate(row):
                    if value is not None:
                        sheet.write(number, column, float(value) if isinstance(value, Decimal) else value)
        path.write_bytes(damaged_workbook(path.read_bytes(), chance))
        rows, findings = decided(engine, path, contract, ReaderHints())
        told = f"replay with ASSAY_MUTATION={name} and -k workbook: {path.read_bytes()!r}"
        whole = [(number, tuple(arriving(one, "") for one in row)) for number, row in enumerate(sent, start=2)]
        records = read_workbook(path) or read_sheet(path)
        expected = None if records is None else read_records(records, contract)
        if rows is None:
            assert findings, f"rejected without a reason: {told}"
            outcomes["rejected"] += 1
        else:
            assert expected is not None and equal(bordered(rows), bordered(expected)), f"{told}\n{rows}\n{expected}"
            outcomes["as sent" if equal(rows, whole) else "as damaged"] += 1
    if count > 50 and "ASSAY_MUTATION" not in os.environ:
        # Neither the gate nor the damages are so strict that nothing is left to compare.
        assert min(outcomes.values()) > count / 50, outcomes
    print(outcomes)


def bordered(rows: Sequence[tuple[int, tuple[Any, ...]]]) -> list[tuple[int, tuple[Any, ...]]]:
    """Rows without the blanks at the borders of texts: the format leaves open whether they count (`xml:space`)."""
    stripped = ((number, (v.strip() if isinstance(v, str) else v for v in row)) for number, row in rows)
    return [(number, tuple(None if v == "" else v for v in row)) for number, row in stripped]


def test_a_mutated_workbook_is_never_approved_with_changed_values(engine: Engine, folder: Path) -> None:
    mutate_workbooks(engine, folder, os.environ.get("ASSAY_MUTATION_SEED", "1"), WORKBOOK_MUTATIONS)


@pytest.mark.slow
def test_thousands_of_mutated_workbooks_are_never_approved_with_changed_values(engine: Engine, folder: Path) -> None:
    seed = os.environ.get("ASSAY_MUTATION_SEED") or secrets.token_hex(4)
    print(f"ASSAY_MUTATION_SEED={seed}")
    mutate_workbooks(engine, folder, seed, SLOW_WORKBOOK_MUTATIONS)


# --- files of others ---------------------------------------------------------------------------------------------

OTHERS = sorted(
    path
    for folder in ("expense", "torture")
    for path in (SHARED / folder).rglob("*")
    if path.is_file() and path.suffix.casefold() in (".csv", ".tsv", ".psv", ".txt")
)


@pytest.mark.skipif(not OTHERS, reason=f"the files of others are not at {SHARED}")
def test_both_passes_read_the_files_of_others_as_the_same_rows(engine: Engine, folder: Path) -> None:
    """Under a contract that takes every column of the first record as text: what the quick pass lets pass, the exact
    pass lets pass as the same rows, and a plain reading finds the same."""
    agreed = 0
    for path in OTHERS:
        written = _as_texts(path)
        if written is None:
            continue
        contract, hints, delimiter, encoding = written
        exact, findings = decided_in(engine, path, folder, contract, hints, ("exact",))
        quick, _ = decided_in(engine, path, folder, contract, hints, ("quick",))
        assert quick is None or (exact is not None and equal(quick, exact)), path
        assert exact is not None or findings, path
        if exact is not None:
            plain = read_csv(path.read_bytes(), contract, encoding, delimiter)
            assert plain is not None and equal(exact, plain), path
        agreed += quick is not None
    assert agreed > len(OTHERS) / 4


def decided_in(
    engine: Engine, path: Path, folder: Path, contract: Contract, hints: ReaderHints, ways: Any
) -> tuple[list[tuple[int, tuple[Any, ...]]] | None, tuple[Finding, ...]]:
    try:
        found = examine(path, contract, hints, engine, folder, ways=ways)
    except Rejected as error:
        return None, error.findings
    return (None if found.refused else passed(engine, found)), found.findings


def _as_texts(path: Path) -> tuple[Contract, ReaderHints, str, str] | None:
    """A contract for the file's own first record; None where that names no columns."""
    data = path.read_bytes()
    encoding = "utf-8" if _is_utf8(data) else "cp1252"
    try:
        first = data.decode(encoding).lstrip("\ufeff").splitlines()[0]
    except (UnicodeError, IndexError):
        return None
    delimiter = max(",;\t|", key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    headers = [" ".join(name.split()).casefold() for name in names]
    if not all(headers) or len(set(headers)) < len(headers):
        return None
    fields = tuple(Field(f"f{at}", FieldType("string"), (name,)) for at, name in enumerate(names))
    hints = ReaderHints(format="csv", encoding=encoding, delimiter=delimiter, header_row=1)
    return Contract(path, "c", "1", "active", "c", fields), hints, delimiter, encoding


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
