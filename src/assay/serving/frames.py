"""What the process of a question and its parent say to each other: a kind, a length, and bytes."""

from __future__ import annotations

import struct
from typing import IO, Final

#: A request or an answer in JSON; a piece of an Arrow stream; the end of an answer; why there is none.
REQUEST: Final = b"Q"
HEAD: Final = b"H"
PIECE: Final = b"P"
END: Final = b"E"
FAILED: Final = b"F"

_HEADER = struct.Struct("!cI")
HEADER_BYTES: Final = _HEADER.size


def header(kind: bytes, length: int) -> bytes:
    """What goes before the content of a frame."""
    return _HEADER.pack(kind, length)


def parsed(head: bytes | bytearray) -> tuple[bytes, int]:
    """The kind of a frame, and how many bytes follow."""
    kind, length = _HEADER.unpack(head)
    return bytes(kind), int(length)


def send(writer: IO[bytes], kind: bytes, content: bytes | memoryview) -> None:
    """Writes a frame."""
    writer.write(header(kind, len(content)))
    writer.write(content)
    writer.flush()


def receive(reader: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Reads a frame; None at the end."""
    head = reader.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        return None
    kind, length = parsed(head)
    return kind, reader.read(length)
