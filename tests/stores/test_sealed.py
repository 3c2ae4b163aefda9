"""An encrypted file is what its page says, so that it can be opened without assay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assay.stores.objects import CHUNK_BYTES, copy_hashed
from assay.stores.sealed import MAGIC, TAG_BYTES, Broken, Sealer, ZoneKey, unseal


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 1])
def test_a_sealed_file_opens_by_the_description_of_its_format(tmp_path: Path, size: int) -> None:
    content, key, context = os.urandom(size), os.urandom(32), b"context"
    (tmp_path / "plain").write_bytes(content)
    copy_hashed(tmp_path / "plain", tmp_path / "sealed", Sealer(key, context))
    body = (tmp_path / "sealed").read_bytes()
    assert body[: len(MAGIC)] == MAGIC
    step = 256 * 1024 + TAG_BYTES
    chunks = [body[at : at + step] for at in range(len(MAGIC), len(body), step)]
    opened = b"".join(
        AESGCM(key).decrypt(number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]), chunk, context)
        for number, chunk in enumerate(chunks)
    )
    assert opened == content
    unseal(tmp_path / "sealed", key, context, tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == content


def test_another_key_or_context_opens_nothing(tmp_path: Path) -> None:
    key = os.urandom(32)
    (tmp_path / "plain").write_bytes(b"content")
    copy_hashed(tmp_path / "plain", tmp_path / "sealed", Sealer(key, b"one"))
    for wrong, context in ((os.urandom(32), b"one"), (key, b"two")):
        with pytest.raises(Broken):
            unseal(tmp_path / "sealed", wrong, context, tmp_path / "opened")
        assert not (tmp_path / "opened").exists()


def test_a_zones_key_wraps_for_its_zone_and_context_alone() -> None:
    secret = os.urandom(32)
    key, other = ZoneKey("one", 1, secret), ZoneKey("two", 1, secret)
    wrapped = key.wrap(b"content", b"context")
    assert key.unwrap(wrapped, b"context") == b"content" and wrapped != key.wrap(b"content", b"context")
    for opener, given, context in ((other, wrapped, b"context"), (key, wrapped, b"x"), (key, wrapped[:9], b"context")):
        with pytest.raises(Broken):
            opener.unwrap(given, context)
    assert key.name(b"content") == key.name(b"content") != other.name(b"content")
