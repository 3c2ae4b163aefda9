"""What a file suggests about itself, with its evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.readers.propose import decimal_sign, proposals
from assay.zones.project import ReaderHints


def proposed(folder: Path, content: bytes) -> dict[str, str]:
    path = folder / "file.csv"
    path.write_bytes(content)
    found = proposals(path, ReaderHints())
    assert all(one.evidence for one in found)
    return {one.option: one.value for one in found}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("naïve café;£5", "cp1252"), ("Größe;Straße", "cp1252"), ("plain;text", None), ("señor;€ 5", "cp1252")],
)
def test_an_encoding_is_proposed_where_the_text_then_reads_like_words(
    tmp_path: Path, text: str, encoding: str | None
) -> None:
    found = proposed(tmp_path, f"a;b\n{text}\n".encode("cp1252"))
    assert found.get("encoding") == encoding
    assert found["delimiter"] == ";"


def test_bytes_that_read_like_no_words_get_no_proposal(tmp_path: Path) -> None:
    assert "encoding" not in proposed(tmp_path, b"a,b\n\x81\x9d\xfe\xff,1\n")


@pytest.mark.parametrize(
    ("content", "quote"),
    [(b"a,b\n'x,y','z'\n", "'"), (b'a,b\n"x","z"\n', None), (b'a,b\n12" pipe,1\n', ""), (b"a,b\n1,2\n", None)],
)
def test_a_quote_is_proposed_where_cells_show_one(tmp_path: Path, content: bytes, quote: str | None) -> None:
    assert proposed(tmp_path, content).get("quote") == quote


def test_what_is_declared_is_not_proposed(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes("a;b\n'é';1\n".encode("cp1252"))
    assert proposals(path, ReaderHints(encoding="cp1252", delimiter=";", quote="'")) == ()


@pytest.mark.parametrize(
    ("texts", "sign"),
    [
        (["1.50", "2"], "."), (["1,50", "2"], ","), (["1.234,56"], ","), (["-£1,234.56"], "."), (["1,234"], None),
        (["1,234", "0.5"], "."), (["1,5", "0.5"], None), (["1.234.567"], ","), (["(12,50)"], ","), (["12"], None),
        (["abc", "1.2.3"], None), ([], None), (["12,5 %"], ","),
    ],
)  # fmt: skip
def test_a_decimal_sign_is_proposed_where_no_number_can_be_read_otherwise(
    texts: list[str], sign: str | None
) -> None:
    assert decimal_sign(texts) == sign
