"""Real servers on this machine for what the platform tells: one that is posted JSON, one that takes mails."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


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


@dataclass
class Mails:
    """What a mail server took; `answers` are given to the next mails in the place of taking them."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.encrypted.append(session.ssl is not None)
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.taken.append(made)
        self.recipients += envelope.rcpt_tos
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, how: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == b"p@ss word", handled=False)


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1, `server.pem`, and its key."""
    place, key = folder / "server.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(place)],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(place), str(key)


@contextmanager
def mail_server(certificate: tuple[str, str] | None = None) -> Iterator[Mails]:
    """A mail server; with a certificate (its file and its key's) it asks for STARTTLS and a login."""
    mails = Mails()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as free:  # the library wants to know its port beforehand
        mails.port = free.getsockname()[1]
    controller = Controller(
        mails, hostname="127.0.0.1", port=mails.port, tls_context=context, require_starttls=context is not None,
        authenticator=mails.authenticate, auth_required=context is not None,
    )  # fmt: skip
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()
