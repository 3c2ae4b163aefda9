"""The keys of the mask `hash`: one for each zone, wrapped by the master key, never changed by a rotation.

A key that changed would make the hashes of yesterday's export differ from today's.
"""

from __future__ import annotations

from pathlib import Path

from assay.security.keys import MASKS, ZoneKeyring, master


def mask_key(data: Path, keys: Path, zone: str) -> bytes:
    """The key of a zone, made when it is asked for the first time."""
    return ZoneKeyring(data / MASKS, master(data, keys)).current(zone).secret
