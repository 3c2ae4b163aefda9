"""The keys of the zones: which there are, and new ones for all that was landed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.errors import NotFound, nearest
from assay.pipelines.platform import Platform
from assay.stores.database import transaction


@dataclass(frozen=True)
class InUse:
    """A key of a zone, by its number, and how many landed files hang on it; None stands for no key at all."""

    zone: str
    key: int | None
    created_at: str | None
    files: int
    newest: bool


@dataclass(frozen=True)
class Rotated:
    """What a new key did to a zone: `rewrapped` files had one before, `encrypted` had none, `damaged` do not open."""

    zone: str
    key: int
    rewrapped: int
    encrypted: int
    damaged: tuple[str, ...]
    forgotten: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**vars(self), "damaged": list(self.damaged), "forgotten": list(self.forgotten)}


def show(platform: Platform) -> list[InUse]:
    """The keys of all zones that have landed anything; no key is opened for it."""
    found: list[InUse] = []
    for zone in platform.landing.zones():
        used, plain = platform.landing.usage(zone)
        files = platform.keys.listed(zone)
        found += [
            InUse(zone, file.number, file.created_at, used[file.number], file == files[0]) for file in files
        ]
        if plain:
            found.append(InUse(zone, None, None, plain, False))
    return found


def rotate(platform: Platform, zone: str | None = None) -> list[Rotated]:
    """Gives the zones, or one of them, a new key, and brings every landed file under it.

    The bytes are not encrypted anew, only the keys that they are encrypted with; a file of a version before
    encryption is encrypted now. A key that nothing needs any more is removed.
    Raises `NotFound` for a zone that has landed nothing.
    """
    zones = platform.landing.zones()
    if zone is not None and zone not in zones:
        raise NotFound(f"zone {zone} has landed nothing", expected=nearest(zone, zones) or ", ".join(zones) or None)
    return [_rotate(platform, name) for name in ([zone] if zone else zones)]


def _rotate(platform: Platform, zone: str) -> Rotated:
    done = platform.landing.renew(zone)
    with transaction(platform.connection) as tx:
        platform.record(
            tx, "keys.rotate", f"key/{zone}/{done.key}", zone=zone, rewrapped=done.rewrapped,
            encrypted=done.encrypted, damaged=len(done.damaged), forgotten=list(done.forgotten),
        )  # fmt: skip
    damaged = tuple(str(path) for path in done.damaged)
    return Rotated(zone, done.key, done.rewrapped, done.encrypted, damaged, done.forgotten)
