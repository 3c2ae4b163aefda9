"""Landing: delivered bytes, untouched, encrypted with a key of their zone. No person reads here; `approve` does.

    landing/ZONE/bodies/ab/ab…   the bytes of a file, encrypted with a data key of its own; the name is drawn by lot
    landing/ZONE/heads/cd/cd…    which body it is, with the data key and the SHA-256 of the bytes, wrapped by the
                                 zone's key; the name is a keyed hash (HMAC) of that SHA-256
    landing/ZONE/ab/ab…          a file as versions before encryption left it, named by its SHA-256

A file has been landed once its head is there. A new zone key needs new heads only; no body is written again.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay.errors import AssayError, Unavailable
from assay.stores.database import Connection, advisory_key
from assay.stores.objects import copy_hashed, disk_failures_as_ours, settle
from assay.stores.sealed import KEY_BYTES, Broken, Sealer, ZoneKey, unseal

HEADS, BODIES = "heads", "bodies"


class ZoneKeys(Protocol):
    """Whoever keeps the keys of the zones."""

    def current(self, zone: str) -> ZoneKey:
        """The key for what is landed now; the first is made when it is asked for."""

    def known(self, zone: str) -> Sequence[ZoneKey]:
        """Every key of the zone, the newest first."""

    def make(self, zone: str) -> ZoneKey:
        """A new key, from now on the newest."""

    def forget(self, zone: str, needed: Iterable[int]) -> list[int]:
        """Removes the keys that are not needed, but never the newest; returns their numbers."""


class Damaged(AssayError):
    """A landed file is not what was delivered; it is told, never used."""


@dataclass(frozen=True)
class Landed:
    """A file in landing: what was delivered, by its hash, and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Renewed:
    """What a new key did to a zone: heads wrapped anew, old files encrypted, files that do not open, keys removed."""

    key: int
    rewrapped: int
    encrypted: int
    damaged: tuple[Path, ...]
    forgotten: tuple[int, ...]


@dataclass(frozen=True)
class Inventory:
    """What lies in a zone's folder: the files of each landed file, by SHA-256, and those that no head leads to.

    `strays` is empty where a head does not open: then a body that none leads to may be that of a damaged one.
    """

    landed: Mapping[str, tuple[Path, ...]]
    strays: tuple[Path, ...]


@dataclass(frozen=True)
class _Head:
    """A head: the number of the zone's key, the body's name, and what is wrapped."""

    key: int
    body: str
    wrapped: bytes


class Landing:
    """The landed files of all zones, a folder each, below the target's data folder."""

    def __init__(self, data: Path, keys: ZoneKeys) -> None:
        self._root = data / "landing"
        self._keys = keys

    def put(self, zone: str, source: Path) -> Landed:
        """Takes a file in, encrypting and hashing it while it is copied; the same bytes are kept once."""
        with self._held(zone, fcntl.LOCK_SH), disk_failures_as_ours():
            return self._put(zone, source)

    def get(self, zone: str, sha256: str, folder: Path) -> Path:
        """The delivered bytes, in the clear: a new file in `folder`, which is the caller's to remove.

        Raises `Unavailable` where the file or its key is missing, `Damaged` where it is not what was delivered.
        """
        into = folder / f"landed-{secrets.token_hex(8)}"
        try:
            with disk_failures_as_ours():
                # A new key may take the head from under us: then there is another.
                if not any(self._decrypt(zone, sha256, into) for _ in range(2)):
                    self._take_plain(zone, sha256, into)
        except Broken as error:
            raise Damaged(
                f"a landed file of zone {zone} is damaged: it is not what was delivered",
                where=str(self._root / zone), expected=f"SHA-256 {sha256}",
                next="restore the data folder from your backup, or deliver the file again",
            ) from error  # fmt: skip
        return into

    def renew(self, zone: str) -> Renewed:
        """Gives a zone a new key and brings every file under it: wraps heads anew, encrypts what was not encrypted.

        Deliveries of the zone wait meanwhile. Interrupted, the next call does the rest. Keys that nothing needs any
        more are removed, unless a file is damaged: what a backup gives back in its place may need them.
        """
        with self._held(zone, fcntl.LOCK_EX), disk_failures_as_ours():
            key = self._keys.make(zone)
            damaged: list[Path] = []
            rewrapped = encrypted = 0
            for path in list(self._heads(zone)):
                try:
                    rewrapped += self._rewrap(zone, path, key)
                except Broken:
                    damaged.append(path)
            for path in list(self._plain(zone)):
                if self._put(zone, path).sha256 == path.name:
                    path.unlink()
                    encrypted += 1
                else:
                    damaged.append(path)  # and what it holds now has been kept under its own name
            self._sweep(zone)
            forgotten = [] if damaged else self._keys.forget(zone, self.usage(zone)[0])
            return Renewed(key.number, rewrapped, encrypted, tuple(damaged), tuple(forgotten))

    def zones(self) -> list[str]:
        """The zones that have landed anything."""
        return sorted(path.name for path in self._root.iterdir() if path.is_dir()) if self._root.is_dir() else []

    def usage(self, zone: str) -> tuple[Counter[int], int]:
        """How many files of a zone hang on each key of it, by number; and how many are not encrypted."""
        used: Counter[int] = Counter()
        for path in self._heads(zone):
            try:
                used[_read(path).key] += 1
            except (Broken, FileNotFoundError):
                continue
        return used, sum(1 for _ in self._plain(zone))

    def contents(self, zone: str) -> list[str]:
        """The SHA-256 of every landed file of a zone."""
        keys = {key.number: key for key in self._keys.known(zone)}
        heads = [_read(path) for path in self._heads(zone)]
        encrypted = [_opened(head, keys[head.key])[1].hex() for head in heads]
        return sorted([*encrypted, *(path.name for path in self._plain(zone))])

    def has(self, zone: str, sha256: str) -> bool:
        """Whether a file with these bytes has been landed."""
        return self._find(zone, sha256) is not None or (self._root / zone / sha256[:2] / sha256).exists()

    def inventory(self, zone: str) -> Inventory:
        """Every file of a zone's folder; a new key waits meanwhile, deliveries do not."""
        with self._held(zone, fcntl.LOCK_SH), disk_failures_as_ours():
            # Bodies before heads: a body is there before its head is.
            bodies = list((self._root / zone / BODIES).glob("??/*"))
            parts = list((self._root / zone).rglob(".*.part"))
            keys = {key.number: key for key in self._keys.known(zone)}
            landed: dict[str, tuple[Path, ...]] = {path.name: (path,) for path in self._plain(zone)}
            broken = False
            for path in self._heads(zone):
                try:
                    head = _read(path)
                    sha256 = _opened(head, keys[head.key])[1].hex()
                except (Broken, KeyError):
                    broken = True
                except FileNotFoundError:
                    continue
                else:
                    landed[sha256] = (*landed.get(sha256, ()), path, self._body(zone, head.body))
            led = {path for files in landed.values() for path in files}
            strays = () if broken else (*(path for path in bodies if path not in led), *parts)
            return Inventory(landed, tuple(strays))

    def remove(self, zone: str, sha256: str) -> int:
        """Removes a landed file, its head first; returns how many bytes that freed, 0 where it is gone already."""
        freed = 0
        with self._held(zone, fcntl.LOCK_SH), disk_failures_as_ours():
            for key in self._keys.known(zone):
                path = self._head(zone, key.name(bytes.fromhex(sha256)))
                if path.exists():
                    body = self._body(zone, _read(path).body)
                    freed += _unlinked(path) + _unlinked(body)
            return freed + _unlinked(self._root / zone / sha256[:2] / sha256)

    # --- one file -------------------------------------------------------------------------------------------------

    def _put(self, zone: str, source: Path) -> Landed:
        key, data_key, name = self._keys.current(zone), os.urandom(KEY_BYTES), secrets.token_hex(16)
        body = self._body(zone, name)
        sha256, size = copy_hashed(source, body, Sealer(data_key, _context(zone, name)))
        body.chmod(0o400)
        if not self._settled(zone, key, data_key + bytes.fromhex(sha256), name):
            body.unlink()
        return Landed(sha256, size)

    def _settled(self, zone: str, key: ZoneKey, content: bytes, body: str) -> bool:
        """Gives a body its head, by which it has been landed; False where the same bytes had been before."""
        final = self._head(zone, key.name(content[KEY_BYTES:]))
        if final.exists():
            return False
        fields = {
            "version": 1, "key": key.number, "body": body,
            "wrapped": base64.b64encode(key.wrap(content, _context(zone, body))).decode(),
        }  # fmt: skip
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{secrets.token_hex(8)}.part")
        with temporary.open("x") as writer:
            writer.write(json.dumps(fields) + "\n")
            writer.flush()
            os.fsync(writer.fileno())
        settle(temporary, final)
        return True

    def _find(self, zone: str, sha256: str) -> tuple[ZoneKey, Path] | None:
        for key in self._keys.known(zone):
            path = self._head(zone, key.name(bytes.fromhex(sha256)))
            if path.exists():
                return key, path
        return None

    def _decrypt(self, zone: str, sha256: str, into: Path) -> bool:
        """Whether the file has a head; then it is decrypted into `into`."""
        found = self._find(zone, sha256)
        if found is None:
            return False
        key, path = found
        try:
            head = _read(path)
        except FileNotFoundError:
            return False
        data_key, content = _opened(head, key)
        if content.hex() != sha256 or head.key != key.number:
            raise Broken
        body = self._body(zone, head.body)
        if not body.exists():
            raise _missing(zone, sha256, body)
        unseal(body, data_key, _context(zone, head.body), into)
        return True

    def _take_plain(self, zone: str, sha256: str, into: Path) -> None:
        """A file that is not encrypted, under a name of its own: its encryption must not take it from its reader."""
        path = self._root / zone / sha256[:2] / sha256
        with suppress(FileNotFoundError):
            with path.open("rb") as reader:
                if hashlib.file_digest(reader, "sha256").hexdigest() != sha256:
                    raise Broken
            os.link(path, into)
            return
        used, _ = self.usage(zone)
        lost = used.keys() - {key.number for key in self._keys.known(zone)}
        if lost:
            numbers = ", ".join(map(str, sorted(lost)))
            raise Unavailable(
                f"landed files of zone {zone} are encrypted with its key {numbers}, which is missing",
                where=str(self._root / zone), next="restore the data folder from your backup",
            )  # fmt: skip
        raise _missing(zone, sha256, self._root / zone)

    def _rewrap(self, zone: str, path: Path, key: ZoneKey) -> int:
        head = _read(path)
        if head.key == key.number:
            return 0
        old = next((one for one in self._keys.known(zone) if one.number == head.key), None)
        if old is None:
            raise Broken
        data_key, content = _opened(head, old)
        self._settled(zone, key, data_key + content, head.body)
        path.unlink()
        return 1

    # --- folders --------------------------------------------------------------------------------------------------

    @contextmanager
    def _held(self, zone: str, how: int) -> Iterator[None]:
        """Deliveries share the zone; a new key has it alone. A dead process holds nothing."""
        folder = self._root / zone
        with disk_failures_as_ours():
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _head(self, zone: str, name: str) -> Path:
        return self._root / zone / HEADS / name[:2] / name

    def _body(self, zone: str, name: str) -> Path:
        return self._root / zone / BODIES / name[:2] / name

    def _heads(self, zone: str) -> Iterator[Path]:
        return (path for path in (self._root / zone / HEADS).glob("??/*") if not path.name.startswith("."))

    def _plain(self, zone: str) -> Iterator[Path]:
        return (path for path in (self._root / zone).glob("??/*") if len(path.name) == 64)

    def _sweep(self, zone: str) -> None:
        """Removes what killed deliveries left; nobody delivers now."""
        needed = set()
        for path in self._heads(zone):
            try:
                needed.add(_read(path).body)
            except Broken:
                return  # a body that no head leads to may be that of a damaged one
        left = [path for path in (self._root / zone / BODIES).glob("??/*") if path.name not in needed]
        for path in (*left, *(self._root / zone).rglob(".*.part")):
            path.unlink(missing_ok=True)


def _context(zone: str, body: str) -> bytes:
    """What a body and its head are bound to: neither opens in another zone, nor with the other's partner."""
    return f"assay landing 1\0{zone}\0{body}".encode()


def _read(path: Path) -> _Head:
    try:
        fields = json.loads(path.read_bytes())
        if fields["version"] != 1:
            raise Broken
        return _Head(int(fields["key"]), str(fields["body"]), base64.b64decode(fields["wrapped"], validate=True))
    except (ValueError, KeyError, TypeError) as error:
        raise Broken from error


def _opened(head: _Head, key: ZoneKey) -> tuple[bytes, bytes]:
    """The data key and the SHA-256 in a head."""
    content = key.unwrap(head.wrapped, _context(key.zone, head.body))
    return content[:KEY_BYTES], content[KEY_BYTES:]


def keep(connection: Connection, zone: str, sha256: str) -> None:
    """Until the transaction ends, no landed file with these bytes is removed."""
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_lock(zone, sha256),))


def keep_away(connection: Connection, zone: str, sha256: str) -> None:
    """Until the transaction ends, nobody records a delivery of these bytes."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_lock(zone, sha256),))


def _lock(zone: str, sha256: str) -> int:
    return advisory_key("landed file", zone, sha256)


def _unlinked(path: Path) -> int:
    """Removes a file; returns its size in bytes, 0 where it is gone."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size


def _missing(zone: str, sha256: str, where: Path) -> Unavailable:
    return Unavailable(
        f"the landed file {sha256[:12]} of zone {zone} is missing", where=str(where),
        next="restore the data folder from your backup, or deliver the file again",
    )  # fmt: skip
