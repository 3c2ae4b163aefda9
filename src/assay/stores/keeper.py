"""Runs one PostgreSQL server and stops it when its last user is gone.

Started detached by `postgres_server`, as `python -S -E keeper.py <json>`; standard library only, so that it
starts at once and stays small. Every process that uses the server holds a shared lock on `users.lock`; the
keeper waits for the exclusive one. The kernel drops the locks of a killed process too, so the exclusive lock
is granted exactly when nobody is left, however they left.

The keeper itself holds `keeper.lock` (a descriptor inherited already locked), which tells others it lives.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any

FAST_SECONDS = 30.0
IMMEDIATE_SECONDS = 10.0


class _Leave(Exception):
    """A signal says there is no more waiting to do."""


class _Server:
    """The postmaster: our child, or one whose own keeper was killed (`adopt`, by process id)."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.pid = int(order.get("adopt") or 0)
        if self.pid:
            return
        account = order["account"]
        identity: dict[str, Any] = {}
        if account is not None:
            # The child changes folder before it drops the privileges: no parent folder must be open to it.
            identity = {"user": account[0], "group": account[1], "extra_groups": []}
        self.child = subprocess.Popen(
            order["command"],
            cwd=order["data"],
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            umask=0o077,
            start_new_session=True,
            **identity,
        )
        self.pid = self.child.pid

    def gone(self) -> bool:
        if self.child is not None:
            return self.child.poll() is not None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def stop(self) -> None:
        """Fast shutdown; harder where that does not end."""
        steps = ((signal.SIGINT, FAST_SECONDS), (signal.SIGQUIT, IMMEDIATE_SECONDS), (signal.SIGKILL, 5.0))
        for how, seconds in steps:
            if self.gone():
                return
            try:
                os.kill(self.pid, how)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not self.gone():
                time.sleep(0.01)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise _Leave


def main(order: dict[str, Any]) -> int:
    """Keep the server of `order` until nobody uses it."""
    os.set_inheritable(order["keeper_fd"], False)
    users = os.open(order["users"], os.O_RDWR | os.O_CLOEXEC)
    if os.fork():
        os._exit(0)  # the starter must not have to reap us
    try:
        server = _Server(order)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"keeper: cannot run {order['command'][0]}: {error}", file=sys.stderr, flush=True)
        return 1
    try:
        # A server that ends by itself ends its keeper too: the next user starts both again.
        signal.signal(signal.SIGCHLD, _leave)
        signal.signal(signal.SIGTERM, _leave)
        if not server.gone():
            fcntl.flock(users, fcntl.LOCK_EX)
    except _Leave:
        pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
