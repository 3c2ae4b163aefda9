"""The process that runs questions: it has limits, no secrets, and of the data what a question may see.

Run by `process.Process` as `python -m assay.serving.child`. The first frame on standard input says the limits, each
further one is a question; an answer is a stream of Arrow in pieces. For every question there is a new engine, made
ready while nobody waits, and shut before the question is read.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa

from assay.engines import duckdb_gate
from assay.engines.duckdb import Engine, EngineFailed, connect, quoted
from assay.engines.narrowing import Alternatives, Condition, Value
from assay.errors import Unavailable
from assay.serving.frames import END, FAILED, HEAD, PIECE, receive, send

#: Errors of the engine that speak of the question and of the rows that it may see, and of nothing else.
_TOLD = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException,
    duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException,
    duckdb.InvalidTypeException, duckdb.TypeMismatchException, duckdb.NotImplementedException,
)  # fmt: skip
#: Address space that the process needs beside what its engine may use: libraries, stacks of threads, Arrow.
_BESIDE_BYTES = 1 << 30
#: How large a file it may write, which can only be what the engine spills.
_SPILLED = 8


def main() -> int:
    """Answers questions until there are no more."""
    reader, writer = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # what a library prints must not get into the answer
    first = receive(reader)
    if first is None:
        return 0
    limits = json.loads(first[1])
    _limit(limits)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    engines = _Engines(limits)
    send(writer, HEAD, b"{}")
    while (frame := receive(reader)) is not None:
        _allow_time(limits)
        if _answer(engines, json.loads(frame[1]), writer):
            engines.prepare()
    return 0


def _limit(limits: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    written = limits["memory_bytes"] * _SPILLED
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux: the address space of a process is not limited there
        return
    most = pages * resource.getpagesize() + limits["memory_bytes"] + _BESIDE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _allow_time(limits: dict[str, Any]) -> None:
    """Each question has its own time of the processor, on every thread."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limits["seconds"] * limits["threads"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _end_with(parent: int) -> None:
    """A question must not outlive whoever asked it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class _Engines:
    """The engine of the last question, and one that is ready for the next one over other relations.

    A question leaves nothing behind in its engine, so that the next one over the same relations may use it.
    """

    def __init__(self, limits: dict[str, Any]) -> None:
        self._limits = limits
        self._used = ExitStack()
        self._last: tuple[list[dict[str, Any]], Engine] | None = None
        self.prepare()

    def prepare(self) -> None:
        """Makes an engine ready, while nobody waits."""
        limits = self._limits
        self._stack = ExitStack()
        self._spare = self._stack.enter_context(
            connect(Path(limits["scratch"]), memory_limit=limits["memory_limit"], threads=limits["threads"])
        )

    def over(self, relations: list[dict[str, Any]]) -> tuple[Engine, bool]:
        """An engine that knows these relations and reaches nothing else; whether it is a new one."""
        if self._last is not None and self._last[0] == relations:
            return self._last[1], False
        self._used.close()
        self._used, engine, self._last = self._stack, self._spare, None
        _provide(engine, relations)
        if all(one["lasting"] for one in relations):
            engine.keep_files()
        engine.shut([file for one in relations for file in one["files"]])
        self._last = relations, engine
        return engine, True


def _answer(engines: _Engines, request: dict[str, Any], writer: IO[bytes]) -> bool:
    """Answers a question; whether that took the engine that was ready."""
    taken = True
    try:
        narrowed = _narrowed(request["relations"])
        engine, taken = engines.over(request["relations"])
        tables = {tuple(one["parts"]) for one in request["relations"]}
        duckdb_gate.check(engine, request["statement"], tables, narrowed)
        types, rows = engine.batches(request["statement"])
        send(writer, HEAD, json.dumps({"types": types}).encode())
        with pa.ipc.new_stream(_Pieces(writer), rows.schema) as stream:
            for batch in rows:
                stream.write_batch(batch)
        send(writer, END, b"")
    except BrokenPipeError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear that there is no answer
        send(writer, FAILED, json.dumps(_told(error, request)).encode())
    return taken


def _provide(engine: Engine, relations: list[dict[str, Any]]) -> None:
    for one in relations:
        *above, name = one["parts"]
        if len(above) == 2:
            engine.run(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(above[0])}")
        place = ".".join(quoted(part) for part in above)
        engine.run(f"CREATE SCHEMA IF NOT EXISTS {place}")
        engine.run(f"CREATE VIEW {place}.{quoted(name)} AS {one['select']}")


def _narrowed(relations: list[dict[str, Any]]) -> dict[duckdb_gate.Parts, Alternatives]:
    """Takes out of relations by which conditions they are narrowed: the same engine does for others."""
    found = {}
    for one in relations:
        if places := one.pop("narrowed"):
            found[tuple(one["parts"])] = tuple(
                tuple(
                    Condition(column, operator, tuple(Value(*value) for value in values))
                    for column, operator, values in place
                )
                for place in places
            )
    return found


class _Pieces:
    """A file whose every piece is a frame."""

    closed = False

    def __init__(self, writer: IO[bytes]) -> None:
        self._writer = writer

    def write(self, content: Any) -> int:
        piece = memoryview(content).cast("B")
        send(self._writer, PIECE, piece)
        return len(piece)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _told(error: BaseException, request: dict[str, Any]) -> dict[str, Any]:
    """What the parent is told of an error: the engine's words only where they can hold nothing hidden."""
    if isinstance(error, duckdb_gate.TooNarrow):
        return {"kind": "narrow"}
    if isinstance(error, duckdb_gate.Refused):
        return {"kind": "refused", "what": error.what, "offset": error.offset}
    cause = error.__cause__ if isinstance(error, EngineFailed | Unavailable) else error
    if isinstance(cause, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError):
        return {"kind": "memory"}
    if isinstance(cause, duckdb.Error) and "llocat" in str(cause) and "memory" in str(cause).lower():
        return {"kind": "memory"}
    words = str(error.what if isinstance(error, EngineFailed) else error).partition("\n")[0]
    paths = [file for one in request["relations"] for file in one["files"]]
    if (isinstance(cause, _TOLD) or isinstance(error, EngineFailed) and cause is None) and not any(
        path in words for path in paths
    ):
        return {"kind": "failed", "what": words}
    return {"kind": "failed", "what": f"the engine stopped ({type(cause).__name__})"}


if __name__ == "__main__":
    sys.exit(main())
