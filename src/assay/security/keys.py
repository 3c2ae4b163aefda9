"""Custody of keys: a master key wraps the zones' keys, which wrap the data keys of landed files.

The master key is the target's, in a folder of its own; the zones' keys, wrapped by it, lie with what they open. So a
copy of the data folder is complete and opens nothing, and the folder of the master key is backed up once.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from assay.errors import Misconfigured, Unavailable
from assay.security.audit import instant
from assay.security.private_files import read_private, write_private
from assay.security.verify_chain import canonical
from assay.stores.sealed import KEY_BYTES, NONCE_BYTES, ZoneKey

MASTER_KEY = "master.key"
LANDING, MASKS = "landing", "masks"


class KeyProvider(Protocol):
    """Whoever holds the master key and never gives it away; `context` must be the same for both calls.

    These are the two calls of a cloud's key service (AWS KMS: Encrypt and Decrypt, with an encryption context).
    """

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        """Encrypts a zone's key."""

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Decrypts it; raises `Misconfigured` where that is not its key, `Unavailable` where it does not answer."""


class LocalMaster:
    """A master key in a file of this machine; made the first time, if `may_make` says that nothing needs another."""

    def __init__(self, folder: Path, may_make: Callable[[], bool]) -> None:
        self._file = folder / MASTER_KEY
        self._may_make = may_make

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        """Encrypts with AES-256-GCM under a random nonce, which stands first."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._master()).encrypt(nonce, secret, canonical(context))

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Decrypts what `wrap` made."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._master()).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], canonical(context))
        except (InvalidTag, ValueError) as error:
            named = ", ".join(f"{name} {value}" for name, value in context.items())
            raise Misconfigured(
                f"the master key does not open the key of {named}", file=self._file,
                expected="the master key that the zones' keys were made under",
                next="restore the folder of the keys from your backup, or name it as `keys` of the target",
            ) from error  # fmt: skip

    def _master(self) -> bytes:
        content = read_private(self._file)
        if content is None:
            if not self._may_make():
                raise Misconfigured(
                    "the master key is missing, and landed files need it", file=self._file,
                    expected="the master key that the zones' keys were made under",
                    next="restore the folder of the keys from your backup, or name it as `keys` of the target",
                )  # fmt: skip
            write_private(self._file, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            content = read_private(self._file)  # another process may have been quicker
        try:
            master = base64.b64decode((content or b"").strip(), validate=True)
        except ValueError:
            master = b""
        if len(master) != KEY_BYTES:
            raise Misconfigured("this is no master key", file=self._file, expected=f"{KEY_BYTES} bytes in base64")
        return master


@dataclass(frozen=True)
class KeyFile:
    """A zone's key as it is kept: wrapped."""

    zone: str
    number: int
    created_at: str
    path: Path


class ZoneKeyring:
    """The keys of the zones, wrapped by the provider, in files below the landing folder."""

    def __init__(self, landing: Path, provider: KeyProvider) -> None:
        self._landing = landing
        self._provider = provider
        self._opened: dict[tuple[str, int, bytes], ZoneKey] = {}

    def current(self, zone: str) -> ZoneKey:
        """The newest key of a zone; its first is made now where it has none."""
        known = self._files(zone)
        return self._open(known[0]) if known else self._made(zone, 1)

    def known(self, zone: str) -> tuple[ZoneKey, ...]:
        """Every key of a zone, the newest first."""
        return tuple(self._open(file) for file in self._files(zone))

    def make(self, zone: str) -> ZoneKey:
        """Gives a zone a new key, from now on its newest; of two processes that do so at once, one gives way."""
        return self._made(zone, max((file.number for file in self._files(zone)), default=0) + 1)

    def _made(self, zone: str, number: int) -> ZoneKey:
        """The key of that number: a new one, or that of another process which was quicker."""
        fields = {
            "version": 1, "zone": zone, "number": number, "created_at": instant(datetime.now(UTC)),
            "wrapped": base64.b64encode(self._provider.wrap(os.urandom(KEY_BYTES), _context(zone, number))).decode(),
        }  # fmt: skip
        path = self._folder(zone) / f"{number}.json"
        write_private(path, json.dumps(fields).encode() + b"\n")
        return self._open(_told(zone, path))

    def forget(self, zone: str, needed: Iterable[int]) -> list[int]:
        """Removes the keys of a zone that nothing needs any more, but never the newest; returns their numbers."""
        kept = set(needed)
        gone = [file for file in self._files(zone)[1:] if file.number not in kept]
        for file in gone:
            file.path.unlink(missing_ok=True)
        return [file.number for file in gone]

    def listed(self, zone: str) -> list[KeyFile]:
        """The keys of a zone, the newest first; none is opened."""
        return self._files(zone)

    def _files(self, zone: str) -> list[KeyFile]:
        found = [_told(zone, path) for path in self._folder(zone).glob("*.json") if path.stem.isdecimal()]
        return sorted(found, key=lambda file: -file.number)

    def _open(self, file: KeyFile) -> ZoneKey:
        wrapped = _wrapped(file.path)
        place = (file.zone, file.number, wrapped)
        if place not in self._opened:
            secret = self._provider.unwrap(wrapped, _context(file.zone, file.number))
            self._opened[place] = ZoneKey(file.zone, file.number, secret)
        return self._opened[place]

    def _folder(self, zone: str) -> Path:
        return self._landing / zone / "keys"


def keyring(data: Path, keys: Path) -> ZoneKeyring:
    """The keyring of a target whose master key is a file in the folder `keys`."""
    return ZoneKeyring(data / LANDING, master(data, keys))


def master(data: Path, keys: Path) -> LocalMaster:
    """The master key in the folder `keys`; no new one is made while any key below `data` needs an old one."""
    wrapped = (data / LANDING, data / MASKS)
    return LocalMaster(keys, lambda: not any(next(one.glob("*/keys/*.json"), None) for one in wrapped))


def _context(zone: str, number: int) -> dict[str, str]:
    return {"zone": zone, "key": str(number)}


def _told(zone: str, path: Path) -> KeyFile:
    return KeyFile(zone, int(path.stem), str(_fields(path).get("created_at")), path)


def _wrapped(path: Path) -> bytes:
    try:
        return base64.b64decode(str(_fields(path)["wrapped"]), validate=True)
    except (ValueError, KeyError) as error:
        raise _damaged(path) from error


def _fields(path: Path) -> dict[str, object]:
    try:
        found = json.loads(read_private(path) or b"")
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> Unavailable:
    return Unavailable(
        "the key of a zone cannot be read", where=str(path), next="restore the data folder from your backup"
    )
