"""Settings that stand in the environment: a secret is named in a file, `${NAME}`, and never written there."""

from __future__ import annotations

import os
import re

from assay.errors import Misconfigured


def resolved(value: str, meaning: str) -> str:
    """The value itself, or what the environment holds for `${NAME}`; `meaning` says what it is, for the error.

    Raises `Misconfigured` for a variable that is not set.
    """
    match = re.fullmatch(r"\$\{(\w+)\}", value)
    if match is None:
        return value
    found = os.environ.get(match.group(1))
    if not found:
        raise Misconfigured(
            f"the environment variable {match.group(1)} is not set", next=f"set {match.group(1)} to {meaning}"
        )
    return found
