"""The file that remembers a login: readable by its owner alone, one for each project and target."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from assay.errors import Unavailable


def session_file(root: Path, target: str) -> Path:
    """Where the login to a project's target is remembered."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    name = hashlib.sha256(f"{root.resolve()}\0{target}".encode()).hexdigest()[:16]
    return Path(state) / "assay" / f"session-{name}.json"


def remembered(file: Path) -> str | None:
    """The token of the login, or None where nobody is logged in."""
    try:
        token = json.loads(file.read_text("utf-8"))["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return token if isinstance(token, str) else None


def remember(file: Path, token: str, user: str) -> None:
    """Keeps a login; the file was never readable by others, not even for a moment."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as writer:
            json.dump({"token": token, "user": user}, writer)
        fresh.replace(file)
    except OSError as error:
        raise Unavailable(f"the login cannot be remembered: {error.strerror}", where=str(file)) from error


def forget(file: Path) -> None:
    """Ends what the file remembers."""
    file.unlink(missing_ok=True)
