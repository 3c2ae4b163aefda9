"""No text that leaves is a formula, and none is lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.stewardship.formulas import neutralised, original

SIGNS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
texts = st.one_of(st.text(), st.text(alphabet=f"'{SIGNS}a1 "))


@given(texts)
def test_what_was_made_harmless_is_what_it_was_again(text: str) -> None:
    assert original(neutralised(text)) == text


@given(texts)
def test_no_text_begins_like_a_formula(text: str) -> None:
    assert not neutralised(text).startswith(tuple(SIGNS))


@given(texts, texts)
def test_two_texts_never_become_one(one: str, other: str) -> None:
    assert (neutralised(one) == neutralised(other)) == (one == other)
