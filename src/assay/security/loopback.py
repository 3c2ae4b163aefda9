"""The command line's end of a login: an address on this machine that the browser comes back to, once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

from assay.errors import Unavailable
from assay.security.oidc import Attempt, begin, finish
from assay.security.principals import User
from assay.zones.model import OidcFile

PATH: Final = "/callback"
WAIT_SECONDS: Final = 300

_PAGE: Final = b"<!doctype html><title>assay</title><p>You can close this window and go back to the terminal.</p>"


def login(config: OidcFile, send: Callable[[str], object], *, wait_seconds: float = WAIT_SECONDS) -> User:
    """Logs somebody in: `send` leads him to the provider, and the answer is awaited on 127.0.0.1.

    Raises `Denied` when he is refused, `Unavailable` when nobody comes back in time.
    """
    server = _Server()
    try:
        attempt = begin(config, f"http://127.0.0.1:{server.server_port}{PATH}")
        return finish(config, attempt, _awaited(server, attempt, send, wait_seconds))
    finally:
        server.server_close()


def _awaited(server: _Server, attempt: Attempt, send: Callable[[str], object], wait_seconds: float) -> str:
    """The address at which the browser came back."""
    server.state = attempt.state
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="login", daemon=True)
    thread.start()
    try:
        send(attempt.url)
        if not server.arrived.wait(wait_seconds):
            raise Unavailable(f"nobody came back from the login in {wait_seconds:.0f} seconds", next="assay login")
        return server.came_back
    finally:
        server.shutdown()
        thread.join()


class _Server(ThreadingHTTPServer):
    """Waits for the one request that brings the state which this login began with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = ""
        self.came_back = ""
        self.arrived = threading.Event()

    def awaits(self, path: str) -> bool:
        """Whether this is the answer; what any other page or program sends is not."""
        address = urlsplit(path)
        is_ours = address.path == PATH and parse_qs(address.query).get("state") == [self.state]
        return is_ours and not self.arrived.is_set()

    def arrive(self, path: str) -> None:
        """The answer is here, and the browser has had its page."""
        self.came_back = path
        self.arrived.set()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Takes what the browser brings; anything else that asks is sent away."""
        assert isinstance(self.server, _Server)
        if not self.server.awaits(self.path):
            self.send_error(404)
            return
        self.send_response(200)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(_PAGE))),
            ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(_PAGE)
        self.server.arrive(self.path)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address holds the code."""
