"""What is landed equals what arrived, byte for byte, once."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.errors import NotFound, Unavailable
from assay.stores import objects
from assay.stores.landing import Landing

CHUNK = objects.CHUNK_BYTES


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=4096))
@example(content=b"")
@example(content=b"\r\n" * 2)
@example(content=bytes(CHUNK))
@example(content=b"x" * (CHUNK + 1))
@example(content=b"y" * (2 * CHUNK - 1))
def test_what_is_landed_equals_what_arrived(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("landing")
    arrived = folder / "arrived.bin"
    arrived.write_bytes(content)
    store = Landing(folder / "data")
    landed = store.put("zone", arrived)
    assert store.get("zone", landed.sha256).read_bytes() == content == arrived.read_bytes()
    assert (landed.sha256, landed.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert stat.S_IMODE(landed.path.stat().st_mode) == 0o400
    again = folder / "again.bin"
    again.write_bytes(content)
    assert store.put("zone", again) == landed
    assert [path for path in (folder / "data").rglob("*") if path.is_file()] == [landed.path]


def test_another_zone_does_not_see_a_landed_file(tmp_path: Path) -> None:
    arrived = tmp_path / "a"
    arrived.write_bytes(b"mine")
    store = Landing(tmp_path / "data")
    landed = store.put("zone", arrived)
    with pytest.raises(Unavailable, match="is missing"):
        store.get("other", landed.sha256)


def test_a_file_that_grows_while_it_is_copied_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = tmp_path / "growing"
    arrived.write_bytes(b"x" * CHUNK)
    real = hashlib.sha256

    class Hash:
        """Hashes; after the first piece the sender writes on, after the second no more."""

        def __init__(self) -> None:
            self._inner, self._pieces = real(), 0

        def update(self, chunk: bytes) -> None:
            self._inner.update(chunk)
            self._pieces += 1
            if self._pieces == 1:
                with arrived.open("ab") as file:
                    file.write(b", and more")

    monkeypatch.setattr(objects.hashlib, "sha256", Hash)
    with pytest.raises(Unavailable, match="changed while it was being copied"):
        Landing(tmp_path / "data").put("zone", arrived)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Landing(tmp_path / "data").put("zone", tmp_path / "gone")
