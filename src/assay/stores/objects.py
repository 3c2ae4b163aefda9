"""Files on the machine's own disk: copied, hashed and made visible in one step."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import AssayError, NotFound, Unavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

#: How much of a file is copied at a time: what is read, hashed, encrypted and written fits a processor's cache.
CHUNK_BYTES = 256 << 10


def copy_hashed(source: Path, into: Path, written: Callable[[bytes, bool], Buffer]) -> tuple[str, int]:
    """Copies `source` to the new file `into`, piece by piece, hashing what was read; it is durable afterwards.

    `written` says what to write for a piece of `CHUNK_BYTES`; the last, of which it is told, may be shorter or empty.
    Returns the SHA-256 (hex) and the size in bytes of what was read. Where it fails there is no new file.
    """
    digest = hashlib.sha256()
    size = 0
    folder = into.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as reader, into.open("xb") as writer:
            before = os.fstat(reader.fileno())
            piece, last = reader.read(CHUNK_BYTES), False
            while not last:
                following = reader.read(CHUNK_BYTES)
                last = not following
                digest.update(piece)
                size += len(piece)
                writer.write(written(piece, last))
                piece = following
            writer.flush()
            os.fsync(writer.fileno())
            after = os.fstat(reader.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
            raise Unavailable(
                f"{source.name} changed while it was being copied", next="deliver it again when it is complete"
            )
    except OSError as error:
        into.unlink(missing_ok=True)
        raise translated(error, folder if error.errno in FULL else source) from error
    except AssayError:
        into.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return digest.hexdigest(), size


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(temporary: Path, final: Path) -> None:
    """Gives a complete temporary file its name, read-only; a file that is already there stays."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o400)
        if final.exists():
            temporary.unlink()
            return
        temporary.replace(final)
        sync_folder(final.parent)
    except OSError as error:
        raise translated(error, final) from error


def settle_folder(temporary: Path, final: Path) -> None:
    """Gives a complete temporary folder its name; a folder that is already there stays."""
    try:
        temporary.rename(final)
    except OSError as error:
        if not final.is_dir():
            raise translated(error, final) from error


def remove_folder(folder: Path) -> None:
    """Removes a folder that nothing needs, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


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
