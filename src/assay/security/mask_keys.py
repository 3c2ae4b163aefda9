"""The keys of the mask `hash`: one for each zone, wrapped by the master key, never changed by a rotation.

A key that changed would make the hashes of yesterday's export differ from today's.
"""

from __future__ import annotations

from pathlib import Path

from assay.security.keys import LocalMaster, ZoneKeyring

FOLDER = "masks"


def mask_key(data: Path, keys: Path, zone: str) -> bytes:
    """The key of a zone, made when it is asked for the first time."""
    folder = data / FOLDER
    wrapped = (data / "landing", folder)
    master = LocalMaster(keys, lambda: not any(next(one.glob("*/keys/*.json"), None) for one in wrapped))
    return ZoneKeyring(folder, master).current(zone).secret
