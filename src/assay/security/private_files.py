"""Files that hold keys: in a folder that only its owner enters, made whole or not at all, and never in Git."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from assay.errors import Misconfigured
from assay.stores.objects import disk_failures_as_ours, sync_folder


def read_private(path: Path) -> bytes | None:
    """The content of a file of keys, None where there is none.

    Raises `Misconfigured` when other users of the machine may read or change it.
    """
    with disk_failures_as_ours():
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & 0o077:
                    raise Misconfigured(
                        f"others on this machine can use the key ({mode & 0o777:o})", file=path,
                        expected="a file that its owner alone can read and write", next=f"chmod 600 {path}",
                    )  # fmt: skip
                return file.read()
        except FileNotFoundError:
            return None


def write_private(path: Path, content: bytes) -> bool:
    """Makes a new file of keys; False where one of that name is there, which stays as it is."""
    with disk_failures_as_ours():
        folder = path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("# Keys are never committed.\n*\n")
        temporary = folder / f".{secrets.token_hex(8)}.part"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike a renaming, this never takes another's place
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        sync_folder(folder)
    return True
