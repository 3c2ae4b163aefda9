"""Servers that messages are sent to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import Mails, Posted, mail_server, receiver


@pytest.fixture
def mails() -> Iterator[Mails]:
    """A mail server."""
    with mail_server() as found:
        yield found


@pytest.fixture
def posted() -> Iterator[Posted]:
    """An address on the web."""
    with receiver() as found:
        yield found
