"""A reading process that somebody ends is no fault of the file."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay.errors import Unavailable
from assay.readers.limits import read_limited
from assay.zones.model import ReaderHints


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_reading_process_that_is_ended_from_outside_rejects_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The real process is started, and ended before it reads."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("whoever started the tests lets them and their children ignore this signal: nohup does")
    start = subprocess.Popen

    def ended(command: list[str], **options: Any) -> Any:
        return start(["sh", "-c", f"kill -{int(number)} $$", *command], **options)

    monkeypatch.setattr("assay.readers.process.subprocess.Popen", ended)
    file = tmp_path / "a.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(Unavailable, match="killed by the system"):
        read_limited(file, ReaderHints(), tmp_path / "scratch")
