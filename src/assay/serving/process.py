"""The parent's side of the process that runs questions: it starts it, hears it, and ends it when it must."""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from assay.engines.sql.gate import refused
from assay.errors import AssayError, Unavailable, Usage
from assay.serving.frames import END, FAILED, HEAD, HEADER_BYTES, PIECE, REQUEST, parsed, send
from assay.serving.relations import Relation
from assay.stewardship.limited import clean_environment

#: Address space counts against the limit, so libraries must not reserve what they do not use.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}

_PIPE_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a question may cost: its time, the engine's memory (as DuckDB writes it, and in bytes), and threads."""

    seconds: float
    memory_limit: str
    memory_bytes: int
    threads: int


class TooNarrow(Exception):
    """The rows of relations may not be all that the question uses; the process is ready to be asked again."""


class Process:
    """A process that runs one question after the other; it is ended by whatever goes wrong."""

    def __init__(self, scratch: Path, limits: Limits) -> None:
        self._limits = limits
        #: Where the files of its questions are written, under names that come again.
        self.folder = scratch / token_hex(8)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "assay.serving.child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**clean_environment(), **_FRUGAL},
                start_new_session=True,  # a terminal's Ctrl-C is for us, who end it then
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"the process for questions cannot be started: {error.strerror}") from error
        assert self._child.stdin is not None and self._child.stdout is not None
        self._input, self._output = self._child.stdin, self._child.stdout.fileno()
        _widen(self._output)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._left = 60.0
        self._ready = False
        self._send({**asdict(limits), "scratch": str(scratch)})

    @property
    def alive(self) -> bool:
        """Whether it can take a question."""
        return self._child.poll() is None

    def ask(self, statement: str, relations: Iterable[Relation], seconds: float | None = None) -> list[str]:
        """Puts a question; returns the types of the answer's columns, once it has begun.

        Raises `Usage` for a question that is refused or does not run, `Unavailable` for one that costs too much,
        `TooNarrow` where it has to be asked over whole relations.
        """
        if not self._ready:
            self._frame(statement)
            self._ready = True
        self._left = seconds or self._limits.seconds
        self._send({"statement": statement, "relations": [asdict(one) for one in relations]})
        kind, content = self._frame(statement)
        assert kind == HEAD
        types: list[str] = json.loads(content)["types"]
        return types

    def piece(self, statement: str) -> bytearray:
        """The next piece of the answer's Arrow stream; empty at its end."""
        kind, content = self._frame(statement)
        return content if kind == PIECE else bytearray()

    def end(self) -> None:
        """Ends the process, whatever it is at."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._selector.close()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not sent any more
                    pass

    def _send(self, request: dict[str, Any]) -> None:
        try:
            send(self._input, REQUEST, json.dumps(request).encode())
        except OSError:
            raise self._ended() from None

    def _frame(self, statement: str) -> tuple[bytes, bytearray]:
        kind, length = parsed(self._read(HEADER_BYTES))
        content = self._read(length)
        if kind == FAILED:
            raise self._failure(statement, json.loads(content))
        assert kind in (HEAD, PIECE, END)
        return kind, content

    def _read(self, length: int) -> bytearray:
        """So many bytes; only the time of waiting for them counts."""
        found = bytearray(length)
        place, rest = memoryview(found), length
        while rest:
            since = time.monotonic()
            heard = self._selector.select(max(self._left, 0))
            self._left -= time.monotonic() - since
            if not heard:
                self.end()
                raise Unavailable(
                    f"the question took longer than {self._limits.seconds:g} seconds", where="your statement",
                    next="ask for less: fewer rows or columns, or a narrower condition",
                )  # fmt: skip
            more = os.readv(self._output, [place[length - rest :]])
            if not more:
                raise self._ended()
            rest -= more
        return found

    def _ended(self) -> AssayError:
        code = self._child.wait()
        self.end()
        if -code == signal.SIGXCPU:
            return Unavailable("the question took too much time of the processor", where="your statement")
        return self._too_large()

    def _too_large(self) -> AssayError:
        return Unavailable(
            f"the question needs more than the {self._limits.memory_limit} of memory that it may use",
            where="your statement", next="ask for less, or raise memory_limit of the target in assay.yaml",
        )  # fmt: skip

    def _failure(self, statement: str, told: dict[str, Any]) -> Exception:
        if told["kind"] == "narrow":
            return TooNarrow()
        if told["kind"] == "memory":
            self.end()
            return self._too_large()
        if told["kind"] == "refused":
            offset = told["offset"]
            if offset is not None:  # the engine counts bytes
                offset = len(statement.encode()[:offset].decode(errors="ignore"))
            return refused(statement, told["what"], offset)
        return Usage(f"the statement did not run: {told['what']}", where="your statement")


def _widen(pipe: int) -> None:
    """Lets more of an answer wait in the pipe, where the system can: fewer turns for large ones."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
