"""assay: delivered files become trusted data, or come back with the reason."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.serving.client import Connection

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]


def connect(
    project: str | Path = ".", *, user: str | None = None, token: str | None = None, target: str | None = None
) -> AbstractContextManager[Connection]:
    """Opens a platform's data to questions: `with assay.connect("shop") as data: data.sql("SELECT ...").arrow()`.

    See `assay.serving.client.connect`.
    """
    from assay.serving import client

    return client.connect(project, user=user, token=token, target=target)
