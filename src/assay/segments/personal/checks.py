"""Whether a text that looks like a number of some kind is one: check digits, lengths, issuers, numbering plans.

The libraries are met here only, and imported when a text is to be checked.
"""

from __future__ import annotations

import re

# Leading digits (from, to) and lengths, after ISO/IEC 7812 and the issuers' published ranges as Wikipedia's
# "Payment card number" collects them in 2026; what ended (Diners enRoute, Laser, Switch) is left out.
_ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (300, 305, (14, 16, 19)),  # Diners Club
    (36, 36, (14, 16, 19)),
    (38, 39, (14, 16, 19)),
    (6011, 6011, (16, 19)),  # Discover
    (644, 659, (16, 19)),
    (3528, 3589, (16, 19)),  # JCB
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (81, 81, (16, 17, 18, 19)),
    (5018, 5018, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    (5020, 5020, (13, 14, 15, 16, 17, 18, 19)),
    (5038, 5038, (13, 14, 15, 16, 17, 18, 19)),
    (6304, 6304, (13, 14, 15, 16, 17, 18, 19)),
    (6759, 6763, (13, 14, 15, 16, 17, 18, 19)),
    (2200, 2204, (16, 17, 18, 19)),  # Mir
)
#: How the digits of a card stand in groups when they do.
_GROUPS = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 4, 5), (6, 13), (8, 8)})
#: Prefixes that were never given out, and the order of letters: HM Revenue & Customs, manual NIM39110.
_NINO = re.compile(
    r"(?!BG|GB|KN|NK|NT|TN|ZZ)[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z][0-9]{6}[A-D]", re.ASCII | re.IGNORECASE
)
#: Mailboxes of a role, after RFC 2142 and what companies put on their invoices.
_ROLES = frozenset(
    "abuse accounting accounts admin administration ar ap billing bookings contact customer customerservice "
    "donotreply enquiries faq feedback finance ftp hello help helpdesk hostmaster hr info invoice invoices jobs legal "
    "mail mailbox marketing media news newsletter no noc noreply office order orders payable payables payments post "
    "postmaster press privacy purchasing receipts reception reply reservations sales security service services "
    "support team usenet webmaster welcome www".split()
)
_DATE = re.compile(r"(?:^|[^0-9])[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}|[0-9]{4}[./-][0-9]{1,2}[./-][0-9]{1,2}")


def card_number(text: str) -> bool:
    """Luhn's check digit, and a length that the issuer of the leading digits gives out.

    Thirteen or fourteen digits that check as an article number or as the number of a Brazilian company are those.
    """
    from stdnum import ean, luhn
    from stdnum.br import cnpj

    groups = tuple(len(group) for group in re.split("[ -]", text))
    digits = re.sub("[ -]", "", text)
    if len(groups) > 1 and groups not in _GROUPS:
        return False
    issued = any(low <= int(digits[: len(str(low))]) <= high and len(digits) in of for low, high, of in _ISSUERS)
    if not issued or len(set(digits)) == 1 or not luhn.is_valid(digits):
        return False
    return not (len(digits) == 13 and ean.is_valid(digits)) and not (len(digits) == 14 and cnpj.is_valid(digits))


def iban(text: str) -> bool:
    """The country's length and structure, and the remainder by 97 (ISO 13616)."""
    from stdnum import iban as library

    return library.is_valid(text)


def phone(text: str) -> bool:
    """A number with its country code, in the numbering plan of that country (ITU-T E.164)."""
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False


def phone_like(text: str) -> bool:
    """Seven to fifteen digits, which are no date: where words say that a telephone number stands there."""
    digits = re.sub("[^0-9]", "", text)
    return 7 <= len(digits) <= 15 and len(set(digits)) > 1 and not _DATE.search(text)


def email(text: str) -> bool:
    """The lengths that RFC 5321 allows, and no dot where RFC 5322 has none; mailboxes of a role are nobody's."""
    name, _, host = text.rpartition("@")
    if len(name) > 64 or len(host) > 253 or ".." in text or name.startswith(".") or name.endswith("."):
        return False
    return not all(part in _ROLES for part in re.split("[._+-]", name.casefold()))


def uk_nino(text: str) -> bool:
    """The letters that are given out; the number has no check digit."""
    return _NINO.fullmatch(text.replace(" ", "")) is not None


def uk_nhs_number(text: str) -> bool:
    """The remainder by 11, as the NHS Data Dictionary has it."""
    from stdnum.gb import nhs

    return nhs.is_valid(text) and _several(text)


def us_ssn(text: str) -> bool:
    """Area, group and serial that are given out; the number has no check digit."""
    from stdnum.us import ssn

    return ssn.is_valid(text)


def br_cpf(text: str) -> bool:
    """Both check digits."""
    from stdnum.br import cpf

    return cpf.is_valid(text) and _several(text)


def de_steuer_id(text: str) -> bool:
    """The check digit (ISO/IEC 7064, 11,10) and the rule how often a digit repeats."""
    from stdnum.de import idnr

    return idnr.is_valid(text)


def fr_nir(text: str) -> bool:
    """Sex, month and the key, a remainder by 97."""
    from stdnum.fr import nir

    digits = re.sub("[ .]", "", text)
    month = int(digits[3:5])
    return digits[0] in "12" and (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and nir.is_valid(digits)


def nl_bsn(text: str) -> bool:
    """The eleven test."""
    from stdnum.nl import bsn

    return bsn.is_valid(text) and _several(text)


def se_personnummer(text: str) -> bool:
    """A date of birth and Luhn's check digit."""
    from stdnum.se import personnummer

    return personnummer.is_valid(text)


def nz_ird(text: str) -> bool:
    """The range that is given out and the remainder by 11, as Inland Revenue specifies it."""
    from stdnum.nz import ird

    return ird.is_valid(text) and _several(text)


def _several(text: str) -> bool:
    """Whether more than one digit occurs: 000 000 0000 keeps many a rule, and is nobody's number."""
    return len(set(re.sub("[^0-9]", "", text))) > 1
