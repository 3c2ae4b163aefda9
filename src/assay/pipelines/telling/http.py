"""A JSON document posted to an address: the only way by which the platform calls the web."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from assay import __version__
from assay.errors import AssayError, Misconfigured, Unavailable
from assay.security import secrets

#: Answers that say that this document is not wanted, however often it comes.
REFUSALS = frozenset({400, 413, 415, 422})


def address(setting: str, what: str) -> str:
    """The address itself, or the one that a reference leads to; `what` says in errors what it is for.

    Raises `Misconfigured` where nothing is kept there.
    """
    return secrets.resolve(setting, what=what) if secrets.is_reference(setting) else setting


class Refused(AssayError):
    """The receiver does not take this document."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is posted, and the token beside it, goes to the address that was configured and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def post(url: str, body: bytes, *, seconds: float, headers: Mapping[str, str] | None = None) -> None:
    """Posts JSON; certificates are checked, redirects are not followed, the address stands in no error.

    Raises `Refused` where the receiver does not take the document, `Unavailable` where it may take it later.
    """
    told = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"assay/{__version__}", **(headers or {})}
    try:
        request = urllib.request.Request(url, body, told, method="POST")
        with _OPENER.open(request, timeout=seconds) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        kind = Refused if error.code in REFUSALS else Unavailable
        raise kind(f"the receiver answered {error.code}", next="see what the receiver logged") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        words = getattr(reason, "strerror", None) or type(reason).__name__
        raise Unavailable(
            f"the receiver did not answer: {words}", next="see that its address is right and that it runs"
        ) from None
    except ValueError:
        raise Misconfigured("the address cannot be read", expected="http:// or https://", next="correct it") from None
