"""The wish that a process ends: heard by a signal, seen by every loop, and waited for beside other things."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Iterable


class Stop:
    """Set once; what waits on it, also on descriptors beside it, wakes at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def on_signals(self, *numbers: signal.Signals) -> None:
        """Lets signals set it; only the main thread may ask for that."""
        for number in numbers:
            signal.signal(number, lambda *_: self.set())

    def set(self) -> None:
        """Says that the process is to end."""
        self._event.set()
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, b".")  # stays unread: whoever waits later is not kept waiting

    def is_set(self) -> bool:
        """Whether it was said."""
        return self._event.is_set()

    def wait_on(self) -> None:
        """Waits for nothing else."""
        select.select([self._reading], [], [])

    def wait(self, seconds: float, *, beside: Iterable[int] = ()) -> bool:
        """Waits for it, for a while, and for something to read from descriptors `beside` it; whether it was said."""
        select.select([self._reading, *beside], [], [], seconds)
        return self.is_set()
