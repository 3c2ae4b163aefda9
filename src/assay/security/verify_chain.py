"""Verifies an audit chain: the whole check in one file, which also runs where assay is not installed.

    python verify_chain.py chain.jsonl --checkpoints checkpoints.jsonl --public-key audit.public.pem

Python's standard library is enough for the chain; signatures are checked by the package `cryptography`.
Exit codes: 0 intact, 1 broken, 2 something that was asked for could not be checked.

An entry is a JSON object of `FIELDS` and `hash`. The hash is SHA-256, in hex, over the entry without it, in the
canonical form of RFC 8785. `previous` is the hash of the entry before; that of the first is `START`. A checkpoint
is a signed statement that the chain had a hash at a seq: it finds what a chain cannot say of itself, that its end
is gone or that it was made anew from some entry on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

FIELDS = ("seq", "at", "actor", "action", "resource", "outcome", "zone", "detail", "previous")
START = "0" * 64
CHECKPOINT_FIELDS = ("version", "seq", "hash", "at", "key_id")

#: Whole numbers beyond this are not the same in every JSON library, so RFC 8785 does not have them.
INTEGER_MOST = 2**53 - 1
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Break:
    """Where a chain is broken: entry `seq` is the first that is not as it was, or has been lost.

    Where only a checkpoint tells that a chain lost its end or was made anew, the first changed entry is one of
    `since` + 1 to `seq`.
    """

    seq: int
    since: int
    words: str


@dataclass(frozen=True)
class Examined:
    """What a chain is: how far it holds together, the last entry that a checkpoint vouches for, and where it breaks.

    `entries` is the seq, `hash` the hash of the last good entry.
    """

    entries: int
    hash: str
    vouched: int
    broken: Break | None


@dataclass(frozen=True)
class Checkpoint:
    """What was signed: at this seq the chain had this hash."""

    seq: int
    hash: str
    key_id: str
    message: bytes
    signature: bytes


class Unreadable(Exception):
    """A line is not an entry, a checkpoint or a key."""


# --- the canonical form and the hash ------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    """A JSON value in the form of RFC 8785: keys in the order of UTF-16, no blanks, UTF-8.

    Raises `ValueError` for what has no such form, and for numbers with a fraction, which entries do not have.
    """
    text = json.dumps(_ordered(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key is not a text")
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list | tuple):
        return [_ordered(one) for one in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int) and abs(value) <= INTEGER_MOST:
        return value
    raise ValueError(f"a value of type {type(value).__name__} has no canonical form here")


def entry_hash(entry: Mapping[str, Any]) -> str:
    """The hash of an entry: of all its fields but the hash itself."""
    return hashlib.sha256(canonical({name: entry[name] for name in FIELDS})).hexdigest()


def parsed(line: str) -> dict[str, Any]:
    """One line of an export. A key that stands twice is refused: two readers could see two different entries."""
    try:
        found = json.loads(line, object_pairs_hook=_unique, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not one JSON object: {error}") from error
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refused(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


# --- the chain ----------------------------------------------------------------------------------------------------


def examine(
    entries: Iterable[Mapping[str, Any] | Unreadable],
    checkpoints: Sequence[Checkpoint] = (),
    *,
    after: tuple[int, str] = (0, START),
) -> Examined:
    """Follows a chain to its first bad link, and compares it with what was signed.

    `after` is the seq and the hash of the entry that the first one continues, where that is not the chain's start.
    """
    signed: dict[int, set[str]] = {}
    for one in checkpoints:
        signed.setdefault(one.seq, set()).add(one.hash)
    last, previous = after
    vouched = 0
    for entry in entries:
        words = _problem(entry, last + 1, previous)
        if words is not None:
            return Examined(last, previous, vouched, Break(last + 1, last, words))
        assert not isinstance(entry, Unreadable)
        last, previous = last + 1, entry["hash"]
        if last in signed:
            if signed[last] != {previous}:
                words = f"entry {last} is not the one that was signed"
                return Examined(last - 1, entry["previous"], vouched, Break(last, vouched, words))
            vouched = last
    beyond = max(signed, default=0)
    if beyond > last:
        words = f"entry {last + 1} is missing: the chain ends at {last}, a checkpoint was signed at {beyond}"
        return Examined(last, previous, vouched, Break(last + 1, vouched, words))
    return Examined(last, previous, vouched, None)


def _problem(entry: Mapping[str, Any] | Unreadable, expected: int, previous: str) -> str | None:
    """What is wrong with the entry that should be number `expected`."""
    if isinstance(entry, Unreadable):
        return f"entry {expected} cannot be read: {entry}"
    if entry.keys() != {*FIELDS, "hash"}:
        return f"entry {expected} has other fields than an entry has"
    seq = entry["seq"]
    if isinstance(seq, bool) or not isinstance(seq, int):
        return f"entry {expected} has no number"
    if seq != expected:
        return f"entry {expected} is missing: entry {seq} stands in its place"
    if entry["previous"] != previous:
        return f"entry {expected} does not continue entry {expected - 1}"
    try:
        right = entry["hash"] == entry_hash(entry)
    except (ValueError, RecursionError) as error:
        return f"entry {expected} cannot be hashed: {error}"
    return None if right else f"entry {expected} was changed: it does not have the hash that it carries"


# --- checkpoints --------------------------------------------------------------------------------------------------


def checkpoint(line: str) -> Checkpoint:
    """One line of a file of checkpoints.

    Raises `Unreadable` for anything else.
    """
    found = parsed(line)
    seq, digest, key_id = (found.get(name) for name in ("seq", "hash", "key_id"))
    if found.keys() != {*CHECKPOINT_FIELDS, "signature"} or found["version"] != 1:
        raise Unreadable("not a checkpoint of version 1")
    if isinstance(seq, bool) or not isinstance(seq, int) or seq < 1:
        raise Unreadable("a checkpoint without a number")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest) or not isinstance(key_id, str):
        raise Unreadable("a checkpoint without a hash or a key")
    try:
        signature = base64.b64decode(found["signature"], validate=True)
        message = signed_message(found)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"a checkpoint without a signature: {error}") from error
    return Checkpoint(seq, digest, key_id, message, signature)


def signed_message(fields: Mapping[str, Any]) -> bytes:
    """The bytes that a checkpoint's signature is over."""
    return b"assay.audit.checkpoint\0" + canonical({name: fields[name] for name in CHECKPOINT_FIELDS})


def key_id_of(raw: bytes) -> str:
    """The name of a public key, from its 32 bytes."""
    return hashlib.sha256(raw).hexdigest()[:16]


def badly_signed(checkpoints: Iterable[Checkpoint], pem: bytes) -> str | None:
    """What is wrong with the signatures, by the Ed25519 public keys in a PEM text; None when all are good.

    Raises `ImportError` where the package cryptography is missing, `Unreadable` for a text without such keys.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys: dict[str, Ed25519PublicKey] = {}
    for block in re.findall(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", pem, re.DOTALL):
        try:
            key = load_pem_public_key(block + b"\n")
        except ValueError as error:
            raise Unreadable(f"a public key cannot be read: {error}") from error
        if isinstance(key, Ed25519PublicKey):
            keys[key_id_of(key.public_bytes_raw())] = key
    if not keys:
        raise Unreadable("there is no Ed25519 public key in it")
    for one in checkpoints:
        if one.key_id not in keys:
            return f"the checkpoint at entry {one.seq} was signed by the key {one.key_id}, which was not given"
        try:
            keys[one.key_id].verify(one.signature, one.message)
        except InvalidSignature:
            return f"the signature of the checkpoint at entry {one.seq} is wrong"
    return None


# --- the command --------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Verifies the files that the command line names, and prints what was found."""
    import argparse  # only the script needs it

    parser = argparse.ArgumentParser(description="Verify an exported audit chain of assay.")
    parser.add_argument("chain", type=Path, help="the exported chain, JSON lines")
    parser.add_argument("--checkpoints", type=Path, help="the checkpoints, JSON lines")
    parser.add_argument("--public-key", type=Path, help="the public keys of the checkpoints, PEM")
    given = parser.parse_args(arguments)
    if given.public_key and not given.checkpoints:
        parser.error("--public-key needs --checkpoints: nothing else is signed")
    try:
        checkpoints = _checkpoints(given.checkpoints)
        pem = given.public_key.read_bytes() if given.public_key else None
        # A byte that is no UTF-8 is an entry that was changed, not a file that cannot be read.
        with given.chain.open(encoding="utf-8", errors="surrogateescape") as lines:
            examined = examine(_entries(lines), checkpoints)
    except (OSError, UnicodeDecodeError) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    except Unreadable as error:
        print(f"BROKEN: {error}")
        return 1
    code = _tell(examined)
    return max(code, _signatures(checkpoints, pem)) if code != 1 else 1


def _entries(lines: Iterable[str]) -> Iterator[Mapping[str, Any] | Unreadable]:
    for line in lines:
        try:
            yield parsed(line)
        except Unreadable as error:
            yield error


def _checkpoints(path: Path | None) -> list[Checkpoint]:
    if path is None:
        return []
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            found.append(checkpoint(line))
        except Unreadable as error:
            raise Unreadable(f"{path.name}, line {number}: {error}") from error
    return found


def _tell(examined: Examined) -> int:
    if examined.broken is not None:
        broken = examined.broken
        print(f"BROKEN: {broken.words}")
        if broken.seq > broken.since + 1:
            print(f"the first changed entry is one of {broken.since + 1} to {broken.seq}")
        return 1
    print(f"the chain of {examined.entries} entries holds together")
    if examined.vouched < examined.entries:
        print(f"no checkpoint vouches for the entries after {examined.vouched}: what stood there may have been cut off")
    return 0


def _signatures(checkpoints: Sequence[Checkpoint], pem: bytes | None) -> int:
    if not checkpoints:
        print("signatures were not checked: there is no checkpoint")
        return 0
    if pem is None:
        print("signatures were not checked: no public key was given")
        return 0
    try:
        words = badly_signed(checkpoints, pem)
    except ImportError:
        print("signatures were NOT checked: the package cryptography is not installed")
        return 2
    except Unreadable as error:
        print(f"signatures were NOT checked: {error}")
        return 2
    if words is not None:
        print(f"BROKEN: {words}")
        return 1
    print(f"the signatures of {len(checkpoints)} checkpoints are good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
