"""The engine's errors as ours."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from assay.engines.duckdb import connect
from assay.errors import Unavailable


@pytest.mark.parametrize("password", ["hunter2", "hun%40ter2", "hun@ter2"])
def test_a_postgres_that_is_not_there_is_unavailable_and_its_password_is_not_printed(
    tmp_path: Path, password: str
) -> None:
    with connect(tmp_path) as engine, pytest.raises(Unavailable) as caught:
        engine.attach_postgres(f"postgresql://somebody:{password}@127.0.0.1:1/nothing")
    assert str(caught.value).startswith("PostgreSQL did not answer: co")
    # The chain of causes is printed with a trace: the engine's own exception must not be in it.
    said = "".join(traceback.format_exception(caught.value))
    assert "ter2" not in said and "somebody" not in said.replace('f"postgresql://somebody', "")
