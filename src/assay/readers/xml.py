"""XML of workbooks: walked event by event, and never one that declares a document type."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO
from xml.parsers import expat

from assay.readers.compound import Malformed

CHUNK_BYTES = 1 << 18

#: The namespaces of spreadsheets, in the form that all programs write and in the strict one.
_MAIN = ("http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://purl.oclc.org/ooxml/spreadsheetml/main")

XmlError = expat.ExpatError


def walk(
    file: IO[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
    cdata: Callable[[], None] | None = None,
) -> None:
    """Calls back for every element, text and CDATA section of a document.

    Raises `Malformed` where entities could be declared, and `XmlError` where it is not well formed.
    """
    parser = parser_of(start, end, text)
    if cdata is not None:
        parser.StartCdataSectionHandler = cdata
    for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


def parser_of(
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> expat.XMLParserType:
    """A parser that calls back, and refuses a document type."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = _refuse_doctype
    if end is not None:
        parser.EndElementHandler = end
    if text is not None:
        parser.CharacterDataHandler = text
    return parser


def declares_doctype(start: bytes) -> bool:
    """Whether a document's first bytes declare a document type, in which entities can grow without end."""
    plain = start.replace(b"\0", b"")  # UTF-16 is the same text with NULs between
    return b"<!DOCTYPE" in plain or b"<!ENTITY" in plain


def local(name: str) -> str:
    """An element's name without its prefix."""
    return name.rpartition(":")[2]


def check_root(name: str, attributes: dict[str, str], wanted: str) -> None:
    """Raises `Malformed` where a document's first element is not `wanted` in the namespace of spreadsheets.

    Elsewhere names are compared without their namespaces, as the fast parser does.
    """
    prefix, _, tag = name.rpartition(":")
    namespace = attributes.get(f"xmlns:{prefix}" if prefix else "xmlns")
    if tag != wanted or namespace not in _MAIN:
        raise Malformed(f"its XML begins with {tag[:40]} of {namespace}, not with {wanted} of {_MAIN[0]}")


def _refuse_doctype(*_: object) -> None:
    # Workbooks have none; entities declared in one can grow without end.
    raise Malformed("its XML declares a document type")
