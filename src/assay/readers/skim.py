"""XML of large parts, checked to the last byte at the speed of a pattern.

A part of a workbook is a head, a long run of items (rows, texts) and a tail. The parser sees the head, the tail and
every item that is out of the ordinary. Runs of items that a pattern matches from end to end are left out: such an
item is a whole element, so the document is well formed without it exactly if it is well formed with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO
from xml.parsers import expat

CHUNK_BYTES = 1 << 20
#: An item longer than this is no item; the rest of its part is parsed.
ITEM_BYTES = 1 << 22

#: The end of the run of plain items that begins at a place of these bytes; the same place where there is none.
Plain = Callable[[bytes, int], int]


class Skimmer:
    """Feeds a part to a parser, except its plain items.

    `opening` is the tag that the items stand in and `closing` the one that ends an item, both as most writers spell
    them; where a part spells them otherwise, it is parsed as a whole. `look` sees all bytes that are parsed, cut
    behind a `>`.
    """

    def __init__(
        self, parser: expat.XMLParserType, opening: bytes, closing: bytes, plain: Plain, look: Callable[[bytes], None]
    ) -> None:
        self._parser = parser
        self._opening, self._closing = opening, closing
        self._plain, self._look = plain, look
        self._fed = 0
        self._ended = -1

    def note_end(self, tag: bytes) -> None:
        """To be called by the handler of the parser that sees `opening` or `closing`, for which `tag` stands."""
        self._ended = self._parser.CurrentByteIndex + len(tag)

    def read(self, file: IO[bytes]) -> None:
        """Reads a part to its end. Raises `XmlError` where it is not well formed, and what the handlers raise."""
        rest = file.read(CHUNK_BYTES)
        at = rest.find(self._opening)
        if at >= 0:
            at += len(self._opening)
            self._feed(rest[:at])
            rest = self._items(file, rest[at:])
        self._whole(file, rest)
        self._parser.Parse(b"", True)

    def _items(self, file: IO[bytes], window: bytes) -> bytes:
        """Reads items until none follows; what is left over."""
        at = 0
        while True:
            # Between two items, and only there: never inside a comment that quotes one.
            if self._ended == self._fed:
                at = self._plain(window, at)
            end = window.find(self._closing, at)
            if end >= 0:
                end += len(self._closing)
                self._feed(window[at:end])
                at = end
                continue
            window, at = window[at:], 0
            chunk = file.read(CHUNK_BYTES)
            if not chunk or len(window) > ITEM_BYTES:
                return window + chunk
            window += chunk

    def _whole(self, file: IO[bytes], rest: bytes) -> None:
        while rest:
            # Cut behind a tag, so that no tag is seen in two halves.
            cut = rest.rfind(b">") + 1 or len(rest)
            self._feed(rest[:cut])
            chunk = file.read(CHUNK_BYTES)
            rest = rest[cut:] + chunk
            if not chunk:
                self._feed(rest)
                return

    def _feed(self, part: bytes) -> None:
        self._fed += len(part)
        self._look(part)
        self._parser.Parse(part, False)


def below(count: int) -> bytes:
    """A pattern of the whole numbers from 0 to `count` - 1 as they are written without leading zeros."""
    if count < 1:
        return b"(?!)"
    digits = str(count - 1)
    forms = [] if len(digits) == 1 else ["[0-9]"]
    forms += ["[1-9]" + "[0-9]" * length for length in range(1, len(digits) - 1)]
    for place, digit in enumerate(digits):
        lowest = 1 if place == 0 and len(digits) > 1 else 0
        if int(digit) > lowest:
            rest = "[0-9]" * (len(digits) - place - 1)
            forms.append(f"{digits[:place]}[{lowest}-{int(digit) - 1}]{rest}")
    forms.append(digits)
    # The longest first: an alternative that fits is not left again.
    return "(?:{})".format("|".join(reversed(forms))).encode()
