"""What each kind of personal data looks like in a text.

Two sorts. What is telling by itself (an e-mail address, a card number) is found anywhere in a text. A bare number
is telling only together: as a whole cell, in a column whose header says so or most of whose cells pass the check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assay.segments.personal import checks

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Telling:
    """A kind that is found anywhere in a text.

    `form` is what the engine looks for (RE2; no less than `pattern` finds), `pattern` has the candidate as its
    first group. `share` is which part of a column's different candidates must pass: well above what chance passes.
    """

    kind: str
    form: str
    pattern: re.Pattern[str]
    check: Check
    share: float

    def candidates(self, text: str) -> Iterator[str]:
        """The parts of a text that look like the kind."""
        if self.kind == "iban":
            yield from _ibans(self.pattern, text)
            return
        for match in self.pattern.finditer(text):
            yield match.group(1)


@dataclass(frozen=True)
class Bare:
    """A kind whose numbers look like many others: whole cells of a column only.

    `words` are those of a header that tell it. `checked` says that the number has a check digit, without which
    the header must tell.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Check
    words: re.Pattern[str]
    checked: bool = True


#: Where a header tells: which part of the different values that look like the kind must pass. Where it does not:
#: which part of all different values.
SHARE_TOLD, SHARE_UNTOLD = 0.5, 0.9
#: With fewer different values than this, an untold column tells nothing.
DIFFERENT_LEAST = 10

_BEFORE, _AFTER = r"(?<![\w./+-])", r"(?![\w-]|[.,/][0-9])"
_MARK = r"[ .:)(#]*(?:(?:no|nr|num|number|is|at|on)\b[ .:#]*)?"
_PHONE_WORDS = (
    r"tel|telephone|phone|mobile|mob|cell|cellphone|fax|whatsapp|telefon|telefone|telefono|telefoon|celular|handy|"
    r"call(?: (?:me|us|him|her|them))?(?: back)?(?= (?:at|on))"
)
# RE2 has no look-ahead, and needs none: what it finds is looked at again.
_PHONE_FORM = _PHONE_WORDS.replace("(?= (?:at|on))", "")
_NINO_WORDS = r"ni|nino|national insurance"


def _anywhere(core: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    return re.compile(f"{_BEFORE}({core}){_AFTER}", flags)


def _whole(core: str) -> re.Pattern[str]:
    return re.compile(core, re.ASCII)


def _said(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b")


_CARD = r"[0-9](?:[ -]?[0-9]){12,18}"
_NINO_SPACED = r"[A-Z]{2} ?[0-9]{2} [0-9]{2} [0-9]{2} ?[A-D]"
_SSN = r"[0-9]{3}-[0-9]{2}-[0-9]{4}"
_CPF = r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}"
_NIR = r"[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
_PERSONNUMMER = r"(?:19|20)?[0-9]{6}[-+][0-9]{4}"

TELLING: tuple[Telling, ...] = (
    Telling(
        "email",
        r"[^\s@<>(),;:]@[^\s@<>(),;:]+\.",
        re.compile(
            r"(?<![^\s<>()\[\],;:\"'])([^\s@<>()\[\],;:\"']+@(?:[^\W_](?:(?:[^\W_]|-)*[^\W_])?\.)+(?:[^\W\d_]{2,}|xn--[a-z0-9-]+))(?![\w@])"
        ),
        checks.email,
        0.0,
    ),
    Telling("card_number", rf"\b{_CARD}\b", _anywhere(_CARD), checks.card_number, 0.5),
    Telling(
        "iban",
        r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11}",
        re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}))"),
        checks.iban,
        0.05,
    ),
    Telling(
        "phone",
        r"\+\(?[0-9][0-9 ().\-/]{5,18}[0-9]",
        re.compile(r"(?<![\w+])(\+\(?[0-9][0-9 ().\-/]{5,18}[0-9])(?![\w+])"),
        checks.phone,
        0.5,
    ),
    Telling(
        "phone",
        rf"(?i:\b(?:{_PHONE_FORM}){_MARK}[(]?[0-9][0-9 ().\-/]{{5,18}}[0-9])",
        re.compile(rf"\b(?:{_PHONE_WORDS}){_MARK}([(]?[0-9][0-9 ().\-/]{{5,18}}[0-9])(?!\w)", re.IGNORECASE),
        checks.phone_like,
        0.5,
    ),
    Telling("uk_nino", rf"\b{_NINO_SPACED}\b", _anywhere(_NINO_SPACED), checks.uk_nino, 0.5),
    Telling(
        "uk_nino",
        rf"(?i:\b(?:{_NINO_WORDS}){_MARK}[A-Z]{{2}}[0-9]{{6}}[A-D]\b)",
        re.compile(rf"\b(?:{_NINO_WORDS}){_MARK}([A-Z]{{2}}[0-9]{{6}}[A-D]){_AFTER}", re.IGNORECASE),
        checks.uk_nino,
        0.5,
    ),
    Telling("us_ssn", rf"\b{_SSN}\b", _anywhere(_SSN), checks.us_ssn, 0.5),
    Telling("br_cpf", rf"\b{_CPF}\b", _anywhere(_CPF), checks.br_cpf, 0.1),
    Telling("fr_nir", rf"\b{_NIR}\b", _anywhere(_NIR), checks.fr_nir, 0.1),
    Telling("se_personnummer", rf"\b{_PERSONNUMMER}\b", _anywhere(_PERSONNUMMER), checks.se_personnummer, 0.1),
)

BARE: tuple[Bare, ...] = (
    Bare(
        "phone",
        _whole(r"\+?[(]?[0-9][0-9 ().\-/]{5,20}[0-9]"),
        checks.phone_like,
        _said(r"tel|telephone|phone|mobile|mob|cell|cellphone|fax|whatsapp|telefon|telefone|telefono|telefoon|celular"),
        checked=False,
    ),
    Bare("uk_nino", _whole(r"[A-Za-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d]"), checks.uk_nino,
         _said(r"ni|nino|national insurance|n i")),
    Bare("uk_nhs_number", _whole(r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}"), checks.uk_nhs_number, _said("nhs")),
    Bare("us_ssn", _whole(r"[0-9]{3}-?[0-9]{2}-?[0-9]{4}"), checks.us_ssn, _said("ssn|social security"),
         checked=False),
    Bare("br_cpf", _whole(r"[0-9]{11}"), checks.br_cpf, _said("cpf")),
    Bare("de_steuer_id", _whole(r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}"), checks.de_steuer_id,
         _said(r"steuer ?id|steuer ?nummer|steuer ?identifikationsnummer|idnr|tax id|tin")),
    Bare("nl_bsn", _whole(r"[0-9]{9}|[0-9]{4}\.[0-9]{2}\.[0-9]{3}"), checks.nl_bsn,
         _said("bsn|burgerservicenummer|sofinummer")),
    Bare("se_personnummer", _whole(r"(?:19|20)?[0-9]{6}[-+]?[0-9]{4}"), checks.se_personnummer,
         _said("personnummer|person ?nr|personal identity number")),
    Bare("nz_ird", _whole(r"[0-9]{2,3}-?[0-9]{3}-?[0-9]{3}"), checks.nz_ird, _said("ird")),
)  # fmt: skip

#: What the engine looks for: some candidate of any telling kind.
ANY_FORM = "|".join(one.form for one in TELLING)


def plain(header: str) -> str:
    """A header's words in small letters with single blanks between them."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    return re.sub(r"[\W_]+", " ", spaced).casefold().strip()


def _ibans(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """At each place that may begin an account number, the longest part that is one, or the whole that is none.

    Words may follow a number whose groups are parted by blanks, so its end is not seen before it is checked.
    """
    past = 0
    for match in pattern.finditer(text):
        if match.start() < past:
            continue
        whole = match.group(1)
        ends = [at for at in range(len(whole), 14, -1) if at == len(whole) or not whole[at].isalnum()]
        if len(whole) < len(text) - match.start() and text[match.start() + len(whole)].isalnum():
            ends = ends[1:]
        found = next((whole[:at] for at in ends if checks.iban(whole[:at])), whole)
        past = match.start() + len(found)
        yield found
