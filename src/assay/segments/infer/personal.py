"""Columns that seem to hold personal data: by what the gate would find in them, and by the words of their headers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from assay.engines import profile
from assay.engines.duckdb import Engine
from assay.segments.infer.typing import Typed
from assay.segments.personal.columns import Column, detect
from assay.zones.contract_draft import Guess
from assay.zones.personal import KINDS

CLASSIFICATION = "restricted"
#: From which part of a column's cells masked card numbers count; the gate does not look for them.
SHARE = 0.5
MASKED_CARD = r"[0-9 -]{0,8}[*xX#][*xX# -]{3,}[0-9]{4}"
_SURE = re.compile(
    r"\b(?:first name|last name|surname|forename|given name|family name|full name|maiden name|e ?mail|phone|telephone|"
    r"mobile|iban|passport|birth|birthday|dob|ssn|social security|national insurance|nino|card holder|cardholder|"
    r"card number|card no|home address|street|gender|salary|nachname|vorname|geburtsdatum|cpf|congressperson)\b"
)
_PERSON = re.compile(
    r"\b(?:employee|member|minister|claimant|traveller|traveler|passenger|applicant|patient|customer|person|holder|"
    r"buyer|approver|officer|contact|senador|deputado|staff)\b"
)
_NAME = re.compile(r"\bname\b")
_NO_PERSON = re.compile(
    r"\b(?:merchant|supplier|vendor|company|body|organi[sz]ation|organistion|authority|product|file|sheet|project|"
    r"department|directorate|service|scheme|account|brand|bank|country|city|party|type|"
    r"category|count|amount|number of|travel|accommodation|costs?|expenses?|total|spend|fee|vat)\b"
)


def classify(engine: Engine, relation: str, headers: Mapping[int, str], typed: Mapping[int, Typed]) -> dict[int, Guess]:
    """A classification for each column that seems personal; the cells themselves are never shown as evidence."""
    texts = [number for number in headers if typed[number].is_text and typed[number].facts.filled]
    found: dict[int, Guess] = {}
    whole = [n for n in headers if typed[n].field.type.kind == "integer" and typed[n].facts.filled]
    looked_at = [Column(str(number), f"t{number}", (headers[number],)) for number in sorted({*texts, *whole})]
    for hit in detect(engine, relation, looked_at):
        least = "at least " if hit.checked < hit.candidates else ""
        evidence = f"{least}{hit.cells:,} of {typed[int(hit.column)].facts.filled:,} cells hold {KINDS[hit.kind]}"
        found.setdefault(int(hit.column), _guess(evidence))
    for number, count in zip(texts, profile.matching(engine, relation, [(n, MASKED_CARD) for n in texts]), strict=True):
        filled = typed[number].facts.filled
        if count >= filled * SHARE and number not in found:
            found[number] = _guess(f"{count:,} of {filled:,} cells look like masked card numbers")
    for number, header in headers.items():
        words = _said(header)
        if number not in found and words and (typed[number].is_text or _SURE.search(_plain(header))):
            if typed[number].field.type.kind not in ("decimal", "double", "boolean"):
                found[number] = _guess(f'the header says "{words}"')
    return found


def masked(text: str) -> str:
    """A text with its letters and digits hidden and its form kept, as evidence may show it."""
    return re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))


def hidden(evidence: str) -> str:
    """Evidence with every text from a cell, which stands in double quotes, masked."""
    return re.sub(r'"([^"]*)"', lambda match: f'"{masked(match.group(1))}"', evidence)


def _guess(evidence: str) -> Guess:
    return Guess("classification", CLASSIFICATION, f"personal data? {evidence}")


def _said(header: str) -> str | None:
    """The words of a header that speak of a person; None when it speaks of something else."""
    plain = _plain(header)
    sure = _SURE.search(plain)
    if sure:
        return sure.group()
    if _NO_PERSON.search(plain):
        return None
    person = _PERSON.search(plain) or _NAME.fullmatch(plain.strip())
    return person.group() if person else None


def _plain(header: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    return re.sub(r"[\W_]+", " ", spaced).casefold().strip()
