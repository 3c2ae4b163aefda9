"""The audit chain of a platform: what it is verified against, and how it leaves as files for an auditor."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import NotFound, Usage
from assay.pipelines.platform import Platform
from assay.security.audit import chain
from assay.security.checkpoints import PUBLIC_KEY, ChainBroken, read_checkpoints
from assay.security.verify_chain import Break, Unreadable, badly_signed, examine
from assay.stores.objects import disk_failures_as_ours


@dataclass(frozen=True)
class Verified:
    """What `verify` found: `vouched` is the last entry that a checkpoint vouches for, of `entries` in all.

    `problem` is what is wrong in words, None for an intact chain; `broken` is its place in the chain, where it has one.
    """

    entries: int
    vouched: int
    checkpoints: int
    problem: str | None
    broken: Break | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        place = None if self.broken is None else {"from": self.broken.since + 1, "to": self.broken.seq}
        return {
            "intact": self.problem is None, "entries": self.entries, "vouched": self.vouched,
            "checkpoints": self.checkpoints, "problem": self.problem, "first_bad": place,
        }  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """The files of an export; the last two are None where nothing has been signed yet."""

    chain: Path
    entries: int
    checkpoints: Path | None
    public_key: Path | None


def verify(platform: Platform, checkpoints: Path | None = None, public_key: Path | None = None) -> Verified:
    """Follows the whole chain and compares it with the checkpoints, the platform's own or copies kept elsewhere.

    Raises `NotFound` for a file that is not there, `Usage` for one that holds no key.
    """
    for path in (checkpoints, public_key):
        if path is not None and not path.is_file():
            raise NotFound("there is no such file", where=str(path))
    own = public_key is None
    public_key = public_key or platform.project.target.keys / PUBLIC_KEY
    try:
        # Before the chain: what is signed later may speak of entries that come later.
        signed = read_checkpoints(checkpoints or platform.checkpoints)
    except ChainBroken as error:
        return Verified(0, 0, 0, f"{error.where}: {error.what}", None)
    found = examine(chain(platform.connection), signed)
    problem = None if found.broken is None else found.broken.words
    if signed and problem is None:
        if own and not public_key.is_file():
            problem = f"the signatures cannot be checked: there is no {public_key}"
        else:
            try:
                problem = badly_signed(signed, public_key.read_bytes())
            except Unreadable as error:
                raise Usage(str(error), where=str(public_key), expected="Ed25519 public keys, PEM") from error
    return Verified(found.entries, found.vouched, len(signed), problem, found.broken)


def export(platform: Platform, into: Path) -> Exported:
    """Writes the chain to a new file of JSON lines, and beside it the checkpoints and their public key.

    Raises `Usage` when a file of that name is there.
    """
    beside = {
        into.with_name(f"{into.stem}.checkpoints.jsonl"): platform.checkpoints,
        into.with_name(f"{into.stem}.public.pem"): platform.project.target.keys / PUBLIC_KEY,
    }
    for path in (into, *beside):
        if path.exists():
            raise Usage("the file is there already", where=str(path), next="name another file")
    made: list[Path | None] = []
    with disk_failures_as_ours():
        for path, origin in beside.items():  # before the chain: see `verify`
            made.append(path if origin.exists() else None)
            if origin.exists():
                shutil.copyfile(origin, path)
        entries = 0
        with into.open("x", encoding="utf-8") as file:
            for entry in chain(platform.connection):
                if isinstance(entry, Unreadable):
                    raise ChainBroken(f"an entry cannot be exported: {entry}", next="assay verify audit")
                # Not in the canonical form, which an entry that somebody changed may not have.
                file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n")
                entries += 1
    return Exported(into, entries, *made)
