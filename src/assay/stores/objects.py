"""Files on the machine's own disk: copied, hashed and made visible in one step."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from pathlib import Path

from assay.errors import AssayError, NotFound, Unavailable

CHUNK_BYTES = 1 << 20


def copy_hashed(source: Path, folder: Path) -> tuple[str, int, Path]:
    """Copies `source` into `folder` while hashing it, durable on disk under a temporary name.

    Returns the SHA-256 (hex), the size in bytes and the temporary file.
    """
    digest = hashlib.sha256()
    size = 0
    temporary = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as reader, temporary.open("xb") as writer:
            before = os.fstat(reader.fileno())
            while chunk := reader.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
            after = os.fstat(reader.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
            raise Unavailable(
                f"{source.name} changed while it was being copied", next="deliver it again when it is complete"
            )
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise translated(error, source) from error
    except AssayError:
        temporary.unlink(missing_ok=True)
        raise
    return digest.hexdigest(), size, temporary


def settle(temporary: Path, final: Path) -> None:
    """Gives a complete temporary file its name, read-only; a file that is already there stays."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o400)
        if final.exists():
            temporary.unlink()
            return
        temporary.replace(final)
        descriptor = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise translated(error, final) from error


def translated(error: OSError, path: Path) -> AssayError:
    """An operating-system error as one of ours."""
    if error.errno == errno.ENOSPC:
        return Unavailable("the disk is full", where=str(path), next="free some space and run the command again")
    if error.errno == errno.ENOENT:
        return NotFound("there is no such file", where=str(path))
    return Unavailable(f"the file could not be used: {error.strerror}", where=str(path))
