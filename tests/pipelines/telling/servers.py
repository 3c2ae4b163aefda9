"""Real servers on this machine for what the platform tells: one that is posted JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Posted:
    """What a receiver got; `answer` is the status that it gives from now on."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 201
        self.elsewhere: str | None = None
        self.url = ""


@contextmanager
def receiver() -> Iterator[Posted]:
    """An HTTP server that keeps what it is posted."""
    posted = Posted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.headers.append({name.lower(): value for name, value in self.headers.items()})
            if posted.answer < 300:
                posted.documents.append(json.loads(body))
            self.send_response(posted.answer)
            if posted.elsewhere:
                self.send_header("Location", posted.elsewhere)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on the tests' standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    posted.url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/lineage"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
