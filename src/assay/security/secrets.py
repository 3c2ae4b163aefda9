"""Secrets by reference, and out of every message: `${NAME}`, `file:/path`, `aws-sm:name`."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from assay import log
from assay.errors import Misconfigured, Unavailable

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

#: What stands in place of a secret.
MASK = "****"
#: Shorter texts are not masked: they would be found in every other word.
SHORTEST = 4

#: The secrets that this process resolved.
_known: set[str] = set()


def is_reference(text: str) -> bool:
    """Whether the text says where a secret is kept."""
    return bool(_ENVIRONMENT.fullmatch(text)) or text.startswith(("file:", "aws-sm:"))


def resolve(reference: str, *, what: str) -> str:
    """The secret that a reference leads to; from now on it is masked in messages.

    `what` says in errors what the secret is for. Raises `Misconfigured` for a text that is no reference, and where
    nothing is kept there; `Unavailable` where the place did not answer.
    """
    environment = _ENVIRONMENT.fullmatch(reference)
    if environment:
        value = _of_environment(environment.group(1), what)
    elif reference.startswith("file:"):
        value = _of_file(Path(reference.removeprefix("file:")), what)
    elif reference.startswith("aws-sm:"):
        value = _of_aws(reference.removeprefix("aws-sm:"), what)
    else:
        # The text itself may be the secret, and is not repeated.
        raise Misconfigured(
            f"{what} is written in a file of the project", expected="a reference: ${NAME}, file:/path or aws-sm:name"
        )
    remember(value)
    return value


def remember(secret: str) -> None:
    """Masks a secret from now on; of a URL its password, as written and as meant."""
    found = {secret}
    if "://" in secret:
        # As a URL says, and, for a password that should have been written with %40, up to the last @.
        found = {secret.partition("://")[2].rpartition("@")[0].partition(":")[2]}
        with suppress(ValueError):
            found.add(urlsplit(secret).password or "")
        found |= {unquote(password) for password in found}
    _known.update(one for one in found if len(one) >= SHORTEST)


def redact(text: str) -> str:
    """The text with every known secret masked, the longest first."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


log.mask_with(redact)


def _of_environment(name: str, what: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise Misconfigured(f"the environment variable {name} is not set", next=f"set {name} to {what}")
    return value


def _of_file(path: Path, what: str) -> str:
    try:
        value = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misconfigured(
            f"{what} cannot be read: {reason}", file=path, expected="a file that holds it, and nothing else"
        ) from error
    if not value:
        raise Misconfigured(f"{what} is not in the file: it is empty", file=path)
    return value


def _of_aws(name: str, what: str) -> str:
    """From AWS Secrets Manager: the secret, or where the name has `#key` one value of a JSON secret."""
    name, _, key = name.partition("#")
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise Misconfigured(
            f"{what} is kept in AWS Secrets Manager, and the library for it is not installed",
            next="pip install 'assay[aws]'",
        ) from error
    try:
        text: str = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    except ClientError as error:
        raise Misconfigured(
            f"{what}: AWS Secrets Manager did not give {name}: {error.response['Error']['Code']}",
            next="see that the secret exists and that this role may read it",
        ) from error
    except BotoCoreError as error:
        raise Unavailable(
            f"{what}: AWS Secrets Manager did not answer: {error}", next="run the same command again"
        ) from error
    return text if not key else _value(text, name, key, what)


def _value(text: str, name: str, key: str, what: str) -> str:
    try:
        values: Any = json.loads(text)
        return str(values[key])
    except (ValueError, KeyError, TypeError):
        # Not chained: the error would hold the secret.
        raise Misconfigured(f"{what}: the secret {name} has no value {key}", expected="a JSON object with it") from None
