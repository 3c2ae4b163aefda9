"""The shared texts of an xlsx workbook: how many there are, and that each is read as it is written."""

from __future__ import annotations

import re
import zipfile
from xml.parsers import expat

from assay.readers.compound import Malformed
from assay.readers.skim import Skimmer
from assay.readers.xml import check_root, local, parser_of

#: A pattern of a text without anything to be parsed; a `>` may end what only the parser knows to be no text.
TEXT = rb"(?:[^<>&\x00-\x1f]++|[\t\n]|&(?:amp|lt|gt|quot|apos);)*+"
_PLAIN = re.compile(rb'(?:<si><t(?: xml:space="preserve")?+>' + TEXT + rb"</t></si>)++")
_WITHIN = {"si": ("t", "r", "rPh", "phoneticPr", "extLst"), "is": ("t", "r", "rPh", "phoneticPr", "extLst"),
           "r": ("t", "rPr"), "rPh": ("t",), "t": ()}  # fmt: skip


def count(archive: zipfile.ZipFile, part: str | None) -> int:
    """How many shared texts there are. Raises `Malformed` where one is not read as it is written."""
    if part is None:
        return 0
    scan = _TextsScan()
    with archive.open(part) as file:
        try:
            scan.skimmer.read(file)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise Malformed(f"the XML of its texts is broken behind text {scan.count}: {what}") from error
    return scan.count


class Text:
    """A text with its runs: only what stands in elements `t` is read, so nothing may stand elsewhere."""

    def __init__(self, tag: str) -> None:
        self._above = [tag]

    def start(self, tag: str) -> None:
        allowed = _WITHIN.get(self._above[-1])
        if allowed is not None and tag not in allowed:
            raise Malformed(f"a text holds an element {tag} where none belongs")
        self._above.append(tag)

    def end(self) -> None:
        self._above.pop()

    def characters(self, data: str) -> None:
        if self._above[-1] in ("si", "is", "r", "rPh") and data.strip():
            raise Malformed("a text has characters outside of its parts")


class _TextsScan:
    def __init__(self) -> None:
        self.count = 0
        self._depth = 0
        self._text: Text | None = None
        parser = parser_of(self._start, self._end, self._characters)
        parser.XmlDeclHandler = self._declared
        self.skimmer = Skimmer(parser, b"<si>", b"</si>", self._plain, lambda _: None)

    def _declared(self, _: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.casefold() not in ("utf-8", "us-ascii"):
            raise Malformed(f"its texts are written in {encoding}; workbooks are read in UTF-8")

    def _plain(self, window: bytes, at: int) -> int:
        found = _PLAIN.match(window, at)
        if found is None:
            return at
        run = found[0]
        if not run.isascii():
            try:
                run.decode("utf-8")
            except UnicodeDecodeError:
                return at
        self.count += run.count(b"<si>")
        return found.end()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = local(name)
        self._depth += 1
        if self._depth == 1:
            check_root(name, attributes, "sst")
        if self._text is not None:
            self._text.start(tag)
        elif tag == "si":
            if self._depth != 2:
                raise Malformed("its shared texts are not in one list")
            self._text = Text("si")

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._text.characters(data)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._text is not None:
            if self._depth == 1:
                self._text = None
                self.count += 1
                self.skimmer.note_end(b"</si>")
            else:
                self._text.end()
