"""The kinds of personal data that assay looks for: the words that contracts and findings share."""

from __future__ import annotations

from collections.abc import Collection

#: Each kind, and what a message calls it.
KINDS = {
    "email": "e-mail addresses",
    "phone": "telephone numbers",
    "card_number": "payment card numbers",
    "iban": "bank account numbers (IBAN)",
    "uk_nino": "British national insurance numbers",
    "uk_nhs_number": "British NHS numbers",
    "us_ssn": "American social security numbers",
    "br_cpf": "Brazilian tax numbers of persons (CPF)",
    "de_steuer_id": "German tax numbers (Steuer-ID)",
    "fr_nir": "French social security numbers (NIR)",
    "nl_bsn": "Dutch citizen numbers (BSN)",
    "se_personnummer": "Swedish personal numbers",
    "nz_ird": "New Zealand tax numbers (IRD)",
}
#: Stands in a contract for every kind of a country.
NATIONAL_ID = "national_id"
_OF_NO_COUNTRY = frozenset({"email", "phone", "card_number", "iban"})

#: What a contract may name.
WORDS = (*KINDS, NATIONAL_ID)


def covered(kind: str, declared: Collection[str]) -> bool:
    """Whether a column that declares these words is known to hold the kind."""
    return kind in declared or (NATIONAL_ID in declared and kind not in _OF_NO_COUNTRY)
