"""Files on the machine's own disk: copied, hashed and made visible in one step."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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
        raise translated(error, folder if error.errno in FULL else source) from error
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


#: What a disk says when no more can be written: it is full, or a quota or a limit of the process is reached.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What a disk or its permissions say that no line of this program can have caused.
_OUTSIDE = FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


@contextmanager
def disk_failures_as_ours() -> Iterator[None]:
    """A full, read-only, closed or broken disk becomes an error of assay; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OUTSIDE:
            raise
        raise translated(error, error.filename) from error


def translated(error: OSError, path: Path | str | None) -> AssayError:
    """An operating-system error as one of ours."""
    where = None if path is None else str(path)
    if error.errno in FULL:
        return Unavailable("the disk is full", where=where, next="free some space and run the same command again")
    if error.errno == errno.ENOENT:
        return NotFound("there is no such file", where=where)
    return Unavailable(f"the file could not be used: {error.strerror}", where=where)
