"""Mails, through the target's mail server."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from assay.errors import Unavailable
from assay.pipelines.telling.http import Refused
from assay.security import secrets

if TYPE_CHECKING:
    from assay.zones.model import MailFile


@dataclass(frozen=True)
class Mail:
    """A mail to one person; `id` is the same for the same message, so that a mail server can tell a repetition."""

    to: str
    subject: str
    text: str
    id: str
    at: datetime


def send(server: MailFile, mail: Mail, *, seconds: float) -> None:
    """Hands a mail to the server; each of its answers is waited for so many seconds.

    Raises `Refused` where the server will never take it, `Unavailable` where it may later, `Misconfigured` for a
    variable of the environment that is not set.
    """
    named = server.password
    password = None if named is None else secrets.resolve(named, what="the password of the mail server")
    message = _message(server, mail)
    try:
        with _connected(server, seconds) as session:
            if server.user is not None and password is not None:
                session.login(server.user, password)
            session.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise Unavailable(f"the mail server refused the login ({error.smtp_code})", next=_LOOK) from None
    except smtplib.SMTPRecipientsRefused as error:
        raise _answered(next(iter(error.recipients.values()))[0]) from None
    except smtplib.SMTPResponseException as error:
        raise _answered(error.smtp_code) from None
    except (OSError, smtplib.SMTPException) as error:
        words = getattr(error, "strerror", None) or type(error).__name__
        raise Unavailable(f"the mail server did not answer: {words}", next=_LOOK) from None


_LOOK = "see that `mail` of the target in assay.yaml is right and that the server runs"


def _answered(code: int) -> Refused | Unavailable:
    return (Refused if code >= 500 else Unavailable)(f"the mail server answered {code}", next=_LOOK)


def _connected(server: MailFile, seconds: float) -> smtplib.SMTP:
    if server.security == "tls":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=seconds, context=ssl.create_default_context())
    session = smtplib.SMTP(server.host, server.port, timeout=seconds)
    if server.security == "starttls":
        try:
            session.starttls(context=ssl.create_default_context())
        except BaseException:
            with suppress(OSError):
                session.close()
            raise
    return session


def _message(server: MailFile, mail: Mail) -> EmailMessage:
    message = EmailMessage()
    try:
        message["From"] = server.sender
        message["To"] = mail.to
        message["Subject"] = " ".join(mail.subject.split())
        message["Date"] = format_datetime(mail.at)
        message["Message-ID"] = f"<{mail.id}@{server.sender.rpartition('@')[2]}>"
        # Nobody's out-of-office note comes back.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
    except (ValueError, UnicodeError):
        raise Refused(f"{mail.to!r} is no mail address", next="correct the name in zone.yaml") from None
    return message
