"""Where OpenLineage events go: a file of JSON lines, or a receiver on the web."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.errors import Unavailable
from assay.pipelines.telling.http import address, post
from assay.security import secrets

if TYPE_CHECKING:
    from assay.zones.model import LineageFile

Document = dict[str, Any]


class Receiver(Protocol):
    """Takes documents in order, each as a whole."""

    def take(self, document: Document, seconds: float) -> None:
        """Takes a document, in at most so many seconds.

        Raises `Unavailable` or `Misconfigured` where it cannot now, `Refused` where it never will.
        """


def receiver_of(setting: LineageFile, root: Path) -> Receiver:
    """The receiver that a target names; raises `Misconfigured` for a variable that is not set."""
    if setting.file is not None:
        return LineFile(root / setting.file)
    assert setting.url is not None
    token = None if setting.token is None else secrets.resolve(setting.token, what="the token of the lineage receiver")
    return Web(address(setting.url, "the address of the lineage receiver"), token)


class LineFile:
    """A file that grows by a line for each document; only its owner reads it.

    What a killed process wrote of a line is taken away: that document was not taken, and comes again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, document: Document, seconds: float) -> None:
        line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                _cut_torn_line(descriptor)
                file.write(line)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise Unavailable(
                f"the lineage file cannot be written: {error.strerror}", where=str(self._path),
                next="free some space, or correct `lineage.file` of the target in assay.yaml",
            ) from error  # fmt: skip


def _cut_torn_line(descriptor: int) -> None:
    end = os.fstat(descriptor).st_size
    at = end
    while at > 0:
        start = max(0, at - 65536)
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at < end:
        os.ftruncate(descriptor, at)


class Web:
    """A receiver that is posted each document."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def take(self, document: Document, seconds: float) -> None:
        post(self._url, json.dumps(document).encode(), seconds=seconds, headers=self._headers)
