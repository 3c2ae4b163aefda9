"""Personal data: what each detector takes and leaves, and when a column is spoken of."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from assay.engines.duckdb import Engine, connect
from assay.findings import Finding, masked
from assay.segments.exact import Column as Place
from assay.segments.personal import checks, columns
from assay.segments.personal.columns import CHECKED_MOST, Column, Hit, detect
from assay.segments.personal.columns import _sample as sampled
from assay.segments.personal.detectors import ANY_FORM, BARE, TELLING
from assay.segments.personal.findings import guarded, personal_data
from assay.zones.contract import Field
from assay.zones.model import ChecksFile
from assay.zones.personal import KINDS, NATIONAL_ID, covered
from assay.zones.types import FieldType

PII = Path(__file__).parents[3] / "shared" / "data" / "pii" / "presidio_research" / "tests_data"
EXPENSE = Path(__file__).parents[3] / "shared" / "data" / "expense"
SEPTEMBER = "birmingham_pcard/cusersfinainmndesktoppublish-spend-sept-2017.xls"
REAL: list[tuple[str, str, dict[tuple[str, str], int]]] = [
    (SEPTEMBER, "", {("MERCHANT NAME", "email"): 3}),
    ("birmingham_pcard/publish-spend-may-2020.xls", "", {}),
    ("calderdale_card/clean/2019-02-card.csv", "utf-8", {}),
    ("oxford_pcard/procurement-card-spending-jan-mar-2017.csv", "utf-8", {}),
    ("manchester_raw/july-2020.csv", "cp1252", {}),
    ("br_senate_ceaps/despesa_ceaps_2008.csv", "latin-1", {}),
    ("br_serenata/reimbursements_sample.csv", "utf-8", {}),
    ("nz_members/2024-Q4.xlsx", "", {}),
    ("uk_public_bodies/salford/clean/2022-07.csv", "utf-8", {}),
    ("uk_public_bodies/darlington/clean/2010-09.csv", "utf-8", {}),
]

#: Numbers that the issuers or standards publish as examples, or that were made by the rule.
TELLS = {
    "email": [
        "write to ann@example.org.", "<Ann.B+x@mail.example.co.uk>", "müller@bücher.de", "a@xn--e1afmkfd.xn--p1ai",
    ],
    "card_number": [
        "4111 1111 1111 1111", "paid by 5500-0000-0000-0004,", "378282246310005", "3782 822463 10005", "36227206271667",
        "6011000990139424", "3530111333300000", "2223003122003222",
    ],
    "iban": [
        "GB29 NWBK 6016 1331 9268 19", "to DE89370400440532013000, please", "from NL91 ABNA 0417 1643 00 in May 2024",
        "no9386011117947", "MT84MALT011000012345MTLCAST001S",
    ],
    "phone": [
        "+44 20 7946 0958", "+1 (202) 555-0143", "+49 30 901820", "call me at (96) 627-277", "Tel.: 020 7946 0958",
        "mobile no. 07700 900123", "+44 (0)20 7946 0958",
    ],
    "uk_nino": ["AB 12 34 56 C", "her NI number: AB123456C", "nino ab123456d"],
    "us_ssn": ["SSN 536-90-4399", "536-90-4399"],
    "br_cpf": ["390.533.447-05"],
    "fr_nir": ["2 95 10 99 126 111 93", "295109912611193", "253072B07300470"],
    "se_personnummer": ["811228-9874", "19811228-9874"],
}  # fmt: skip
LEAVES = {
    "email": [
        "costa @ next", "3@12.50 each", "@handle", "a@b", "accounts@example.org", "accounts.payable@example.org",
        "a..b@example.org", "a@b@c.de",
    ],
    "card_number": [
        "4111 1111 1111 1112", "1234 5678 9012 3452", "4111 11 11 1111 1111", "0000 0000 0000 0000",
        "41111111111111111", "4006381333931", "x4111111111111111", "************1111", "20240131123456",
        "4111111111111111.50",
    ],
    "iban": [
        "GB29 NWBK 6016 1331 9268 18", "DE8937040044053201300", "XX89370400440532013000", "MK12 5AB the long street 22",
    ],
    "phone": [
        "+44 20 7946", "+999 12 345 678", "+12.50", "phone 12", "telephone 01/05/2024 to 31/05/2024", "020 7946 0958",
        "hotel 1234567", "+0 1234567", "0000000000",
    ],
    "uk_nino": ["BG 12 34 56 C", "AB 12 34 56 E", "AB123456C", "DB 12 34 56 A"],
    "us_ssn": ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-1234", "2024-01-0001", "536904399"],
    "br_cpf": ["390.533.447-06", "111.111.111-11", "39053344705"],
    "fr_nir": ["2 95 10 99 126 111 94", "3 95 10 99 126 111 93", "295139912611193"],
    "se_personnummer": ["811228-9875", "811328-9874", "8112289874"],
}  # fmt: skip
#: Whole cells: valid, then with a wrong check digit or out of the range given out.
NUMBERS = {
    "uk_nhs_number": (["943 476 5870", "9434765870"], ["9434765871", "0000000000", "94347658701"]),
    "uk_nino": (["AB123456C", "ab 12 34 56 d"], ["QQ123456C", "AB12345C", "AB123456"]),
    "us_ssn": (["536904399", "536-90-4399"], ["000904399", "53690439"]),
    "br_cpf": (["39053344705"], ["39053344706", "11111111111"]),
    "de_steuer_id": (["36574261809", "36 574 261 809"], ["36574261890", "36554266806", "06574261809"]),
    "nl_bsn": (["111222333", "1112.22.333"], ["111222334", "000000000", "11122233"]),
    "se_personnummer": (["8112289874", "198112289874", "811228-9874"], ["8112289875", "8113289874"]),
    "nz_ird": (["49-091-850", "136410132", "49098576"], ["136410133", "09125568", "49-091-851"]),
    "phone": (["020 7946 0958", "(96) 627-277", "07700900123"], ["01/05/2024", "12", "0000000"]),
}


def held_in(text: str) -> set[str]:
    return {one.kind for one in TELLING for part in one.candidates(text) if one.check(part)}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(tmp_path_factory.mktemp("engine")) as made:
        yield made


def kinds(engine: Engine, cells: list[str], header: str = "ref", declared: tuple[str, ...] = ()) -> dict[str, int]:
    engine.register("cells_given", pa.table({"c": pa.array(cells, pa.string())}))
    return {hit.kind: hit.cells for hit in detect(engine, "cells_given", [Column("c", "c", (header,), declared)])}


CELLS = st.sampled_from(
    [text for texts in (*TELLS.values(), *LEAVES.values()) for text in texts]
    + [text for pair in NUMBERS.values() for texts in pair for text in texts]
    + ["", " ", " 943 476 5919 ", "x" * 5_000, "tel \u00a0020 7946 0958", "\u0661\u0662\u0663"]
) | st.text("0123456789 @+-.()aB:\u00f1\u017f", max_size=40)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(CELLS, st.integers(0, 10**19)), min_size=1, max_size=60),
    st.sampled_from(["ref", "phone", "nhs", "tax id"]),
)
def test_a_few_texts_checked_here_are_told_as_the_engine_tells_them(
    engine: Engine, cells: list[tuple[str, int]], header: str
) -> None:
    texts, numbers = zip(*cells, strict=True)
    kept = pa.array([Decimal(one) for one in numbers], pa.decimal128(38, 0))
    engine.register("cells_given", pa.table({"c": pa.array(texts, pa.string()), "n": kept}))
    both = [Column("c", "c", (header,)), Column("n", "CAST(n AS VARCHAR)", (header,), number="n")]

    def told() -> list[Hit]:
        return [replace(one, values=tuple(sorted(one.values))) for one in detect(engine, "cells_given", both)]

    here = told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_sample", lambda *given: replace(sampled(*given), whole=False))
        assert told() == here


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TELLS.items() for text in texts])
def test_a_telling_kind_is_found_anywhere_in_a_text(engine: Engine, kind: str, text: str) -> None:
    assert kind in held_in(text)
    assert kind in kinds(engine, [text, "nothing here"]), "what the engine looks for is no less than the pattern finds"


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in LEAVES.items() for text in texts])
def test_what_only_looks_like_a_kind_is_left(kind: str, text: str) -> None:
    assert kind not in held_in(text)


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_bare_number_is_of_a_kind_by_its_check(kind: str) -> None:
    (bare,) = (one for one in BARE if one.kind == kind)
    good, bad = NUMBERS[kind]
    assert [text for text in good if not (bare.pattern.fullmatch(text) and bare.check(text))] == []
    assert [text for text in bad if bare.pattern.fullmatch(text) and bare.check(text)] == []


def test_every_kind_has_a_detector_and_a_row_in_the_tables() -> None:
    assert {one.kind for one in (*TELLING, *BARE)} == set(KINDS) == TELLS.keys() | NUMBERS.keys()
    assert covered("us_ssn", (NATIONAL_ID,)) and not covered("email", (NATIONAL_ID,))


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789 @+-.()aB:ñ", max_size=40))
def test_the_engine_hands_over_whatever_the_pattern_finds(engine: Engine, text: str) -> None:
    seen = engine.row("SELECT regexp_matches(?, ?)", [text, ANY_FORM])[0]
    assert seen or not held_in(text)


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 19), st.randoms(use_true_random=False))
def test_numbers_drawn_by_lot_are_no_personal_data(engine: Engine, digits: int, lot: random.Random) -> None:
    """A tenth of them keeps Luhn's rule, an eleventh the rules by 11: so a column is judged, not a cell."""
    numbers = [str(lot.randrange(10 ** (digits - 1), 10**digits)) for _ in range(200)]
    assert kinds(engine, numbers, "order number") == {}


def test_visas_first_digit_alone_does_not_make_order_numbers_cards(engine: Engine) -> None:
    numbers = [str(4_000_000_000_000_000 + 7 * n) for n in range(500)]
    assert sum(checks.card_number(number) for number in numbers) > 25
    assert kinds(engine, numbers) == {}
    assert kinds(engine, ["4111111111111111", *["none"] * 500]) == {"card_number": 1}


def nhs_numbers(count: int) -> list[str]:
    found = (str(number) for number in range(4_000_000_000, 4_100_000_000, 7))
    return [number for number, _ in zip((n for n in found if checks.uk_nhs_number(n)), range(count), strict=False)]


def test_bare_numbers_need_a_header_that_says_so_or_nearly_the_whole_column(engine: Engine) -> None:
    numbers = nhs_numbers(40)
    assert kinds(engine, numbers) == {"uk_nhs_number": 40}
    assert kinds(engine, [*numbers, *["4000000001"] * 30, *map(str, range(4_000_000_010, 4_000_000_030))]) == {}
    assert kinds(engine, numbers[:3], "NHS no.") == {"uk_nhs_number": 3}
    assert kinds(engine, numbers[:3]) == {}
    assert kinds(engine, ["020 7946 0958", "07700 900123", "none"], "Mobile") == {"phone": 2}
    assert kinds(engine, ["020 7946 0958", "07700 900123", "none"]) == {}


def test_a_tax_number_among_companies_is_found_under_its_header(engine: Engine) -> None:
    companies = ["11222333000181", "06990590000123"] * 30
    assert kinds(engine, [*companies, "39053344705"], "CNPJ_CPF") == {"br_cpf": 1}
    assert kinds(engine, companies, "CNPJ_CPF") == {}, "the number of a company is no personal data"


def test_declared_kinds_are_not_spoken_of(engine: Engine) -> None:
    cells = ["ann@example.org", "390.533.447-05"]
    assert kinds(engine, cells) == {"email": 1, "br_cpf": 1}
    assert kinds(engine, cells, declared=("email",)) == {"br_cpf": 1}
    assert kinds(engine, cells, declared=("email", NATIONAL_ID)) == {}


FIELDS = (
    Field("remarks", FieldType("string"), ("Remarks",)),
    Field("reference", FieldType("integer"), ("Reference",)),
    Field("contact", FieldType("string"), ("Contact",), classification="restricted"),
)


def found_in(engine: Engine, rows: list[tuple[str | None, int | None]], checked: ChecksFile) -> tuple[Finding, ...]:
    remarks, references = zip(*rows, strict=True)
    engine.register("rows_given", pa.table({
        "remarks": pa.array(remarks, pa.string()),
        "reference": pa.array(references, pa.int64()),
        "contact": pa.array(["ann@example.org"] * len(rows), pa.string()),
        "_sheet": pa.array([None] * len(rows), pa.string()),
        "_row": pa.array(range(2, len(rows) + 2), pa.int64()),
    }))  # fmt: skip
    places = [Place("remarks", None, "D", "Remarks", 1), Place("reference", None, "E", "Reference", 1)]
    return personal_data(engine, "rows_given", FIELDS, checked, places)


def test_a_finding_counts_the_cells_and_shows_no_more_than_their_shape(engine: Engine) -> None:
    rows = [("fine", 1), ("ann@example.org", 4111111111111111), (None, None), ("Ask ann@example.org", 12)]
    mail, card = found_in(engine, rows, ChecksFile())
    assert mail.message == (
        "column remarks is not classified for e-mail addresses, and 2 of 3 filled cells hold them"
    )
    assert (mail.kind, mail.severity, mail.holds, mail.count) == ("personal_data", "warning", True, 2)
    assert (mail.field, mail.header) == ("remarks", "Remarks")
    assert [(str(cell), cell.found) for cell in mail.cells] == [
        ("D3", "xxx@xxxxxxx.xxx"), ("D5", "Xxx xxx@xxxxxxx.xxx"),
    ]  # fmt: skip
    assert (card.field, card.count, str(card.cells[0]), card.cells[0].found) == ("reference", 1, "E3", "9" * 16)
    assert "ann" not in json.dumps([mail.to_dict(), card.to_dict()])
    assert [field.sensitive for field in guarded(FIELDS, (mail, card))] == [True, True, True]
    assert [field.sensitive for field in guarded(FIELDS, (mail,))] == [True, False, True]


def test_a_warning_holds_nothing_and_off_finds_nothing(engine: Engine) -> None:
    rows: list[tuple[str | None, int | None]] = [("ann@example.org", None)]
    assert [one.holds for one in found_in(engine, rows, ChecksFile(personal_data="warn"))] == [False]
    assert found_in(engine, rows, ChecksFile(personal_data="off")) == ()


def test_of_very_many_texts_some_are_checked_and_that_is_said(engine: Engine) -> None:
    every = CHECKED_MOST + 500
    (finding,) = found_in(engine, [(f"p{n}@example.org", None) for n in range(every)], ChecksFile())
    assert finding.count == CHECKED_MOST and finding.message == (
        "column remarks is not classified for e-mail addresses, and at least 2,000 of 2,500 filled cells hold them; "
        "2,000 of 2,500 different texts that may hold some were checked"
    )


@pytest.mark.skipif(not PII.is_dir(), reason="the shared data folder is missing")
def test_labelled_sentences_are_told_without_a_false_alarm() -> None:
    """docs/explanation/content-checks.md has these figures."""
    labels = {"PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "CREDIT_CARD": "card_number", "US_SSN": "us_ssn"}
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for sentence in json.loads((PII / "generated_small.json").read_text(encoding="utf-8")):
        wanted = {labels[span["entity_type"]] for span in sentence["spans"] if span["entity_type"] in labels}
        found = held_in(sentence["full_text"])
        right.update(wanted & found)
        wrong.update(found - wanted)
        missed.update(wanted - found)
    assert wrong == {}
    assert right == {"card_number": 10, "phone": 5, "us_ssn": 3, "email": 2} and missed == {"phone": 1}


@pytest.mark.skipif(not PII.is_dir(), reason="the shared data folder is missing")
def test_a_table_of_invented_people_is_told_by_column(engine: Engine) -> None:
    with (PII / "FakeNameGenerator.com_100.csv").open(encoding="utf-8-sig", newline="") as file:
        people = list(csv.DictReader(file))
    names = list(people[0])
    engine.register("people", pa.table({name: pa.array([one[name] for one in people]) for name in names}))
    hits = detect(engine, "people", [Column(name, f'nullif("{name}", \'\')', (name,)) for name in names])
    found = {(hit.column, hit.kind): hit.cells for hit in hits if hit.column != "NationalID"}
    assert found == {("EmailAddress", "email"): 100, ("CCNumber", "card_number"): 100, ("TelephoneNumber", "phone"): 91}
    assert {hit.kind for hit in hits if hit.column == "NationalID"} >= {"us_ssn", "br_cpf", "fr_nir"}


@given(st.text(max_size=30))
def test_a_mask_keeps_no_letter_and_no_digit(text: str) -> None:
    assert set(masked(text)) & set("abcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWYZ012345678") == set()


@pytest.mark.skipif(not EXPENSE.is_dir(), reason="the shared data folder is missing")
@pytest.mark.parametrize(("name", "encoding", "found"), REAL)
def test_published_spending_is_quiet_but_for_what_is_there(
    engine: Engine, name: str, encoding: str, found: dict[tuple[str, str], int]
) -> None:
    """Every column as text, under no contract at all; docs/explanation/content-checks.md has all the files."""
    path = EXPENSE / name
    if path.suffix == ".csv":
        with path.open(encoding=encoding, newline="") as file:
            rows = list(csv.reader(file, delimiter=";" if encoding == "latin-1" else ","))
    else:
        book = CalamineWorkbook.from_path(path)
        rows = [[str(cell) for cell in row] for row in book.get_sheet_by_index(0).to_python()]
    header = max(range(min(len(rows), 6)), key=lambda at: sum(bool(cell) for cell in rows[at]))
    width = len(rows[header])
    body = [(row + [""] * width)[:width] for row in rows[header + 1 :]]
    engine.register("published", pa.table({f"c{at}": pa.array([row[at] for row in body]) for at in range(width)}))
    columns = [Column(rows[header][at] or f"c{at}", f"nullif(c{at}, '')", (rows[header][at],)) for at in range(width)]
    assert {(hit.column, hit.kind): hit.cells for hit in detect(engine, "published", columns)} == found
