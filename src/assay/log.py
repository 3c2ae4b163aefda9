"""Logs: a line for each thing that happens, with the batch and the segment in which it happens.

Modules log through the standard library, `logging.getLogger(__name__)`; nothing is printed before `start`. What a
line is about comes from `about` or from `extra=`. No value of a delivered file and no secret stands in a line: an
exception appears as its type and the places in the code, never with its text.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO, get_args

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = get_args(Form)

#: How many places in the code an exception shows, the innermost last.
PLACES_MOST = 8

#: What takes secrets out of a line.
_masks: list[Callable[[str], str]] = []

_about: ContextVar[Mapping[str, Any]] = ContextVar("about")
#: What every record of the standard library carries; anything else came as `extra=`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_ASSAY = logging.getLogger("assay")
# Without it the standard library would print warnings of a command that was not asked to log.
_ASSAY.addHandler(logging.NullHandler())


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """What the lines logged inside are about: `batch`, `segment`, `zone`, `pipeline`, `source`, ..."""
    token = _about.set({**_about.get({}), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def mask_with(mask: Callable[[str], str]) -> None:
    """Lets `mask` take secrets out of every line, from now on."""
    if mask not in _masks:
        _masks.append(mask)


def _masked(line: str) -> str:
    for mask in _masks:
        line = mask(line)
    return line


def start(form: Form, stream: TextIO | None = None) -> None:
    """Prints what happens from now on, a line each, to standard error or `stream`; of libraries warnings only."""
    stop()
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.getLogger().addHandler(handler)
    _ASSAY.setLevel(logging.INFO)


def start_service(stream: TextIO | None = None) -> None:
    """As `start`, in the form that fits: text on a terminal, JSON lines elsewhere; a form that was chosen stays."""
    if not started():
        chosen = stream or sys.stderr
        start("text" if chosen.isatty() else "json", chosen)


def started() -> bool:
    """Whether lines are printed."""
    return any(isinstance(handler, _Handler) for handler in logging.getLogger().handlers)


def stop() -> None:
    """Prints nothing any more."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    _ASSAY.setLevel(logging.NOTSET)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, to be told from those that others add."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] == "assay" or record.levelno >= logging.WARNING

    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written (the terminal is gone) stops no batch."""


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What a record is about, besides its message."""
    extra = {name: value for name, value in vars(record).items() if name not in _OWN and not name.startswith("_")}
    return {**_about.get({}), **extra}


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-PLACES_MOST:]
    return [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno}" for frame in frames]


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["places"] = _places(record.exc_info[2])
        return _masked(json.dumps(line, default=str, ensure_ascii=False))


class _Text(logging.Formatter):
    """One line for people: when, what it is about, what happened."""

    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record)
        at = datetime.fromtimestamp(record.created).astimezone()
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        line = f"{at:%Y-%m-%d %H:%M:%S} {level}{_subject(facts)}{record.getMessage()}"
        if record.exc_info and record.exc_info[0] is not None:
            line += f" ({record.exc_info[0].__name__} at {' > '.join(_places(record.exc_info[2]))})"
        # A name of a file may hold signs that would begin another line, or move the cursor.
        return _masked("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line))


def _subject(facts: Mapping[str, Any]) -> str:
    words = []
    if "batch" in facts:
        words.append(f"batch {facts['batch']}")
    if "segment" in facts:
        words.append(str(facts["segment"]))
    place = "/".join(str(facts[name]) for name in ("zone", "pipeline") if name in facts)
    words += [f"({place})"] if place else []
    return f"{' '.join(words)}: " if words else ""
