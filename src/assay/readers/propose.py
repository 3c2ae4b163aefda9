"""Proposals about a delimited file that nobody has declared yet: each with its evidence, and none taken by itself.

What the readers take without a word is what a file proves (a mark, valid UTF-8, one width of rows). What it only
suggests is proposed here, for a person who writes the source's options.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.errors import Rejected
from assay.readers import csv

if TYPE_CHECKING:
    from assay.zones.model import ReaderHints

#: Encodings that any bytes fit are tried last, and proposed only where the text reads like words.
_ENCODINGS = ("cp1252", "mac_roman", "cp850")
_POINT = re.compile(r"[+-]?\d{1,3}(?:,\d{3})*\.\d+|[+-]?\d+\.\d+|[+-]?\d{1,3}(?:,\d{3}){2,}")
_COMMA = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})*,\d+|[+-]?\d+,\d+|[+-]?\d{1,3}(?:\.\d{3}){2,}")
_EITHER = re.compile(r"[+-]?\d{1,3}[.,]\d{3}")
_AROUND = " \t\u00a0£$€¥()%-+"


@dataclass(frozen=True)
class Proposal:
    """The value of one option of `reader`, and what in the file speaks for it."""

    option: str
    value: str
    evidence: str


def proposals(path: Path, hints: ReaderHints) -> tuple[Proposal, ...]:
    """What the first part of a delimited file suggests for the options that the hints leave open."""
    with path.open("rb") as file:
        sample = file.read(csv.SAMPLE_BYTES)
    encoding = _encoding(path, sample, hints)
    if encoding is not None:
        text = sample.decode(encoding.value, "ignore")
        return (encoding, *_delimiter(text, hints), *_quote(text, hints))
    try:
        text = sample.decode(csv.encoding_of(path, hints)[0], "ignore").removeprefix(csv.BOM)
    except Rejected:
        return ()
    return (*_delimiter(text, hints), *_quote(text, hints))


def decimal_sign(texts: Iterable[str]) -> Literal[".", ","] | None:
    """The decimal sign that the numbers of a column show; None where they show none, or both, or could be either.

    `1,234` alone is not evidence: it may be a thousand or a little more than one.
    """
    shown: Counter[str] = Counter()
    for text in texts:
        number = text.strip(_AROUND)
        if _EITHER.fullmatch(number):
            continue
        shown["."] += _POINT.fullmatch(number) is not None
        shown[","] += _COMMA.fullmatch(number) is not None
    if shown["."] and not shown[","]:
        return "."
    return "," if shown[","] and not shown["."] else None


def _encoding(path: Path, sample: bytes, hints: ReaderHints) -> Proposal | None:
    if hints.encoding is not None:
        return None
    try:
        csv.encoding_of(path, hints)
    except Rejected as error:
        high = re.search(rb"[\x80-\xff]", sample)
        for name in _ENCODINGS if high is not None else ():
            try:
                text = sample.decode(name)
            except UnicodeDecodeError:
                continue
            words = _words(text)
            if words:
                return Proposal("encoding", name, f"{error.what}; in {name} it reads {words}")
    return None


def _words(text: str) -> str | None:
    """The first words with letters beyond ASCII, if most such characters stand in words or are currency signs."""
    odd = [match.group() for match in re.finditer(r"\w*[^\x00-\x7f]\w*", text)]
    fitting = [word for word in odd if re.fullmatch(r"[^\W\d_]{2,}|[£€¥§°©®]\w*", word)]
    if len(fitting) * 2 < len(odd):
        return None
    return ", ".join(dict.fromkeys(fitting[:20]))[:60]


def _delimiter(text: str, hints: ReaderHints) -> tuple[Proposal, ...]:
    if hints.delimiter is not None:
        return ()
    found = csv.delimiter_of(text, '"' if hints.quote is None else hints.quote, whole=len(text) < csv.SAMPLE_BYTES)
    lines = text.splitlines()[:200]
    having = sum(found in line for line in lines)
    shown = {"\t": "tab", " ": "blank"}.get(found, found)
    return (Proposal("delimiter", found, f"{shown} in {having} of {len(lines)} lines"),) if having else ()


def _quote(text: str, hints: ReaderHints) -> tuple[Proposal, ...]:
    if hints.quote is not None:
        return ()
    delimiters = re.escape("".join(csv.DELIMITERS))
    opened = Counter(re.findall(rf"(?:^|[{delimiters}])(['\"])[^'\"\n]*\1(?=[{delimiters}]|$)", text, re.MULTILINE))
    if opened["'"] > opened['"']:
        return (Proposal("quote", "'", f"{opened[chr(39)]} cells stand between single quotes"),)
    stray = re.findall(rf"[^{delimiters}\n\"]\"[^{delimiters}\n\"]", text)
    if stray and not opened['"']:
        return (Proposal("quote", "", f'{len(stray)} cells have a " inside, none stands between quotes'),)
    return ()
