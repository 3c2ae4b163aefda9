"""Checkpoints: signed lines in a file that say what the audit chain was, beside the database that holds it.

A chain that lost its end, or was made anew, still holds together; what was signed before tells it.
Whoever can write the database, the file and the signing key can forge all three: copies of the file and of the
public key belong where he cannot write.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import AssayError, Misconfigured
from assay.security.audit import chain, instant
from assay.security.private_files import read_private, write_private
from assay.security.verify_chain import (
    START,
    Checkpoint,
    Unreadable,
    canonical,
    checkpoint,
    examine,
    key_id_of,
    signed_message,
)
from assay.stores.database import Connection
from assay.stores.objects import disk_failures_as_ours

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNING_KEY = "audit.signing.pem"
PUBLIC_KEY = "audit.public.pem"
#: More than one checkpoint takes.
_TAIL_BYTES = 4096


class ChainBroken(AssayError):
    """The audit chain is not what it was."""


def vouch(connection: Connection, file: Path, keys: Path) -> None:
    """Signs the last entry of the chain into `file`, with the key in the folder `keys`, if the chain has grown.

    The first time it makes the key. What is signed was followed from the last checkpoint on.
    Raises `ChainBroken` when the chain does not continue it, `Misconfigured` when the key is gone.
    """
    with disk_failures_as_ours(), _held(file) as descriptor:
        last = _last(descriptor)
        after = (0, START) if last is None else (last.seq, last.hash)
        found = examine(chain(connection, after=None if last is None else last.seq), after=after)
        if found.broken is not None:
            raise ChainBroken(
                f"the audit chain was changed behind its last checkpoint: {found.broken.words}",
                where=str(file), next="assay verify audit",
            )  # fmt: skip
        if found.entries > after[0]:
            key = _signing_key(keys, new=last is None)
            os.write(descriptor, _signed(key, found.entries, found.hash))
            os.fsync(descriptor)


def read_checkpoints(file: Path) -> list[Checkpoint]:
    """The checkpoints of a file in order; none where there is no file.

    Raises `ChainBroken` for a line that is none.
    """
    with disk_failures_as_ours():
        try:
            lines = file.read_bytes().split(b"\n")[:-1]  # what a killed process left behind the last line is none
        except FileNotFoundError:
            return []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(checkpoint(line.decode("utf-8", "replace")))
        except Unreadable as error:
            raise ChainBroken(f"the line is no checkpoint: {error}", where=f"{file}:{number}") from error
    return found


@contextmanager
def _held(file: Path) -> Iterator[int]:
    """The open file, one process at a time."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _last(descriptor: int) -> Checkpoint | None:
    """The last checkpoint; what a killed process left of another is taken away."""
    size = os.fstat(descriptor).st_size
    start = max(size - _TAIL_BYTES, 0)
    tail = os.pread(descriptor, _TAIL_BYTES, start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        os.ftruncate(descriptor, start + len(whole))
    if not whole:
        return None
    try:
        return checkpoint(whole.splitlines()[-1].decode("utf-8", "replace"))
    except Unreadable as error:
        raise ChainBroken(f"the last line of the checkpoints is none: {error}", next="assay verify audit") from error


def _signing_key(folder: Path, *, new: bool) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    path = folder / SIGNING_KEY
    content = read_private(path)
    if content is None and new:
        made = Ed25519PrivateKey.generate()
        write_private(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        content = read_private(path)  # another process may have been quicker
    if content is None:
        raise Misconfigured(
            "the key that signs the checkpoints of the audit chain is gone", file=path,
            expected="the key that signed the earlier ones", next="restore the folder of the keys from your backup",
        )  # fmt: skip
    try:
        key = load_pem_private_key(content, password=None)
    except ValueError as error:
        raise Misconfigured("the key that signs checkpoints cannot be read", file=path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured("the key that signs checkpoints is of another kind", file=path, expected="Ed25519")
    public = folder / PUBLIC_KEY
    if not public.exists():
        write_private(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key


def _signed(key: Ed25519PrivateKey, seq: int, digest: str) -> bytes:
    fields = {
        "version": 1, "seq": seq, "hash": digest, "at": instant(datetime.now(UTC)),
        "key_id": key_id_of(key.public_key().public_bytes_raw()),
    }  # fmt: skip
    signature = base64.b64encode(key.sign(signed_message(fields))).decode()
    return canonical({**fields, "signature": signature}) + b"\n"
