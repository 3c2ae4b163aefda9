"""Encrypted files and the keys that open them: AES-256-GCM by OpenSSL, in chunks, so that a file of any size streams.

A file is `MAGIC` and then chunks, each of `CHUNK_BYTES` (the last may be shorter, and is there for an empty file
too) and a tag. The nonce of a chunk is its number and whether it is the last: the STREAM construction of Hoang,
Reyhanitabar, Rogaway and Vizár (2015). So a chunk that was changed, moved, doubled or lost is found, and so is a file
that was cut off or added to. The key of a file, the *data key*, is used for this file alone, which makes such nonces
safe; it is kept wrapped by the key of its zone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from assay.stores.objects import CHUNK_BYTES

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MAGIC = b"assay sealed 1\n\0"


class Broken(Exception):
    """What was encrypted does not open: it was changed, or this is not its key."""


@dataclass(frozen=True)
class ZoneKey:
    """A key of a zone; its number is 1, 2, 3 in the order in which the zone got them."""

    zone: str
    number: int
    secret: bytes = field(repr=False)

    def wrap(self, content: bytes, context: bytes) -> bytes:
        """Encrypts something short; `context` must be given again to open it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, content, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Opens what `wrap` made.

        Raises `Broken` where it was changed, or has another key or context.
        """
        try:
            return self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise Broken from error

    def name(self, content: bytes) -> str:
        """The name under which something is kept: the same for the same content, and telling nothing to others."""
        mac = HMAC(self._naming, SHA256())
        mac.update(content)
        return mac.finalize().hex()

    @cached_property
    def _wrapping(self) -> AESGCM:
        return AESGCM(self._derived(b"wrap"))

    @cached_property
    def _naming(self) -> bytes:
        return self._derived(b"name")

    def _derived(self, purpose: bytes) -> bytes:
        """A key for one purpose; the zone's key itself is used for nothing else."""
        info = b"assay zone key, to " + purpose + b"\0" + self.zone.encode()
        return HKDFExpand(SHA256(), KEY_BYTES, info).derive(self.secret)


class Sealer:
    """Encrypts the pieces of one file, as `objects.copy_hashed` hands them over."""

    def __init__(self, data_key: bytes, context: bytes) -> None:
        self._cipher = AESGCM(data_key)
        self._context = context
        self._number = 0
        self._sealed = bytearray(CHUNK_BYTES + TAG_BYTES)

    def __call__(self, piece: bytes, last: bool) -> bytes | memoryview:
        """The next chunk as it is written; valid until the next call."""
        size = len(piece) + TAG_BYTES
        chunk = memoryview(self._sealed)[:size]
        self._cipher.encrypt_into(_nonce(self._number, last), piece, self._context, chunk)
        self._number += 1
        return MAGIC + chunk if self._number == 1 else chunk


def unseal(path: Path, data_key: bytes, context: bytes, into: Path) -> None:
    """Decrypts a file into a new one, which only its owner can read; each chunk is written once it is known as good.

    Raises `Broken` where the file is not what was sealed; then there is no new file.
    """
    cipher = AESGCM(data_key)
    plain = memoryview(bytearray(CHUNK_BYTES))
    try:
        with path.open("rb") as reader, open(os.open(into, _NEW, 0o600), "wb") as writer:
            if reader.read(len(MAGIC)) != MAGIC:
                raise Broken
            number, chunk = 0, reader.read(CHUNK_BYTES + TAG_BYTES)
            while chunk:
                following = reader.read(CHUNK_BYTES + TAG_BYTES)
                content = plain[: max(len(chunk) - TAG_BYTES, 0)]
                cipher.decrypt_into(_nonce(number, not following), chunk, context, content)
                writer.write(content)
                number, chunk = number + 1, following
            if not number:
                raise Broken
    except (InvalidTag, ValueError) as error:
        into.unlink(missing_ok=True)
        raise Broken from error
    except BaseException:
        into.unlink(missing_ok=True)
        raise


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(NONCE_BYTES - 1, "big") + bytes([last])
