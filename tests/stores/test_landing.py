"""What is landed equals what arrived, byte for byte, once; and nobody without the zone's key reads it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.errors import AssayError, Misconfigured, NotFound, Unavailable
from assay.security.keys import KeyFile, keyring
from assay.security.mask_keys import mask_key
from assay.stores import objects
from assay.stores.landing import Damaged, Landing

CHUNK = objects.CHUNK_BYTES
SECRET = b"Iban;Amount\nDE89 3704 0044 0532 0130 00;12,40\n"


def store_of(folder: Path) -> Landing:
    """A landing store as a process opens it."""
    return Landing(folder / "data", keyring(folder / "data", folder / "keys"))


def put(folder: Path, content: bytes, zone: str = "zone") -> str:
    """Lands bytes; returns their SHA-256."""
    arrived = folder / "arrived.bin"
    arrived.write_bytes(content)
    return store_of(folder).put(zone, arrived).sha256


def got(folder: Path, sha256: str, zone: str = "zone") -> bytes:
    """Reads landed bytes."""
    return store_of(folder).get(zone, sha256, folder).read_bytes()


def kept(folder: Path) -> dict[str, bytes]:
    """Every file of the data folder but the keys and the lock, by its place."""
    found = (path for path in (folder / "data").rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found if path.parent.name != "keys" and path.name != ".lock"
    }  # fmt: skip


def in_plain(folder: Path, content: bytes, zone: str = "zone") -> str:
    """A file as a version before encryption left it."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / "data/landing" / zone / sha256[:2] / sha256
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o400)
    return sha256


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=4096))
@example(content=b"")
@example(content=b"\r\n" * 2)
@example(content=bytes(CHUNK))
@example(content=b"x" * (CHUNK + 1))
@example(content=b"y" * (2 * CHUNK - 1))
@example(content=b"z" * (2 * CHUNK))
def test_what_is_landed_equals_what_arrived(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("landing")
    arrived = folder / "arrived.bin"
    arrived.write_bytes(content)
    landed = store_of(folder).put("zone", arrived)
    assert got(folder, landed.sha256) == content == arrived.read_bytes()
    assert (landed.sha256, landed.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    files = kept(folder)
    assert len(files) == 2 and all(stat.S_IMODE((folder / name).stat().st_mode) == 0o400 for name in files)
    assert store_of(folder).put("zone", arrived) == landed
    assert kept(folder) == files
    assert store_of(folder).contents("zone") == [landed.sha256]


def test_nothing_in_the_data_folder_tells_what_was_delivered(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    names = "\n".join(kept(tmp_path))
    assert sha256 not in names and sha256[:12] not in names
    for content in kept(tmp_path).values():
        assert b"3704" not in content and bytes.fromhex(sha256) not in content and sha256.encode() not in content
    master = (tmp_path / "keys/master.key").read_bytes().strip()
    everything = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert master not in everything


def test_the_same_bytes_in_two_zones_look_different(tmp_path: Path) -> None:
    put(tmp_path, SECRET, "one")
    put(tmp_path, SECRET, "two")
    names = [Path(name).name for name in kept(tmp_path)]
    assert len(names) == len(set(names)) == 4
    sizes = {len(content) for name, content in kept(tmp_path).items() if "/bodies/" in name}
    assert len(set(kept(tmp_path).values())) == 4 and len(sizes) == 1


def test_another_zone_does_not_see_a_landed_file(tmp_path: Path) -> None:
    sha256 = put(tmp_path, b"mine")
    put(tmp_path, b"theirs", "other")
    with pytest.raises(Unavailable, match="is missing"):
        got(tmp_path, sha256, "other")
    assert got(tmp_path, sha256) == b"mine"


def test_the_file_that_a_reader_gets_is_its_owners_alone(tmp_path: Path) -> None:
    path = store_of(tmp_path).get("zone", put(tmp_path, SECRET), tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.parent == tmp_path


# --- damage ---------------------------------------------------------------------------------------------------------


def only(folder: Path, kind: str) -> Path:
    """The one file of a kind."""
    (found,) = (folder / "data/landing/zone" / kind).rglob("??/*")
    found.chmod(0o600)
    return found


CONTENT = bytes(range(256)) * (CHUNK // 256) * 2 + b"the end"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda body: b"X" + body[1:],
    "a bit of the first chunk": lambda body: body[:100] + bytes([body[100] ^ 1]) + body[101:],
    "a bit of the last tag": lambda body: body[:-1] + bytes([body[-1] ^ 1]),
    "cut in a chunk": lambda body: body[:-3],
    "cut between chunks": lambda body: body[: 16 + CHUNK + 16],
    "cut to nothing": lambda body: b"",
    "only the mark": lambda body: body[:16],
    "added to": lambda body: body + b"more",
    "chunks swapped": lambda body: (
        body[:16] + body[16 + CHUNK + 16 : 16 + 2 * (CHUNK + 16)] + body[16 : 16 + CHUNK + 16]
        + body[16 + 2 * (CHUNK + 16) :]
    ),
    "chunk doubled": lambda body: body[: 16 + CHUNK + 16] + body[16:],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_body_that_was_changed_is_told_and_nothing_of_it_is_left(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    sha256 = put(tmp_path, CONTENT)
    body = only(tmp_path, "bodies")
    body.write_bytes(damage(body.read_bytes()))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(Damaged, match="not what was delivered"):
        store_of(tmp_path).get("zone", sha256, scratch)
    assert list(scratch.iterdir()) == []


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_changed_bit_of_head_or_body_is_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("landing")
    sha256 = put(folder, SECRET)
    path = only(folder, data.draw(st.sampled_from(["heads", "bodies"])))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        assert got(folder, sha256) == SECRET
        # Base64 has bits at its end that mean nothing.
        assert "heads" in path.parts
        (was, wrapped), (now, as_wrapped) = (_head(text) for text in (before, bytes(content)))
        assert (was, wrapped) == (now, as_wrapped)
    except AssayError as error:
        assert isinstance(error, Damaged | Unavailable)


def test_a_changed_number_of_the_key_is_told(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    path = only(tmp_path, "heads")
    path.write_bytes(path.read_bytes().replace(b'"key": 1', b'"key": 3'))
    with pytest.raises(Damaged):
        got(tmp_path, sha256)


def _head(text: bytes) -> tuple[dict[str, object], bytes]:
    fields = json.loads(text)
    return fields, base64.b64decode(fields.pop("wrapped"))


def test_heads_that_were_exchanged_are_told(tmp_path: Path) -> None:
    one, two = put(tmp_path, b"one"), put(tmp_path, b"two")
    first, second = (tmp_path / "data/landing/zone/heads").rglob("??/*")
    text = first.read_bytes()
    for path in (first, second):
        path.chmod(0o600)
    first.write_bytes(second.read_bytes())
    second.write_bytes(text)
    for sha256 in (one, two):
        with pytest.raises(Damaged):
            got(tmp_path, sha256)


def test_a_file_of_another_zone_does_not_pass_for_ones_own(tmp_path: Path) -> None:
    """Whoever can write the data folder can copy between zones, keys and all; nothing opens under another's name."""
    sha256 = put(tmp_path, SECRET, "mine")
    (tmp_path / "data/landing/mine").rename(tmp_path / "data/landing/zone")
    with pytest.raises(Misconfigured, match="does not open the key of zone zone"):
        got(tmp_path, sha256)


def test_a_body_that_is_gone_is_told(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    only(tmp_path, "bodies").unlink()
    with pytest.raises(Unavailable, match="is missing"):
        got(tmp_path, sha256)


def test_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        store_of(tmp_path).put("zone", tmp_path / "gone")


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
        store_of(tmp_path).put("zone", arrived)
    assert kept(tmp_path) == {}


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_master_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    put(tmp_path, b"one", "one")
    put(tmp_path, b"two", "two")
    file = tmp_path / "keys/master.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="others on this machine"):
        put(tmp_path, b"three")


def test_a_missing_master_key_is_told_and_never_made_anew(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    (tmp_path / "keys").rename(tmp_path / "elsewhere")
    for act in (lambda: got(tmp_path, sha256), lambda: put(tmp_path, b"new"), lambda: put(tmp_path, b"new", "newzone")):
        with pytest.raises(Misconfigured, match="the master key is missing"):
            act()
    assert not (tmp_path / "keys").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "keys")
    assert got(tmp_path, sha256) == SECRET


@pytest.mark.parametrize("first", ["landing", "masks"])
def test_no_master_key_is_made_while_keys_of_files_or_of_masks_need_the_old_one(tmp_path: Path, first: str) -> None:
    data, keys = tmp_path / "data", tmp_path / "keys"
    if first == "landing":
        keyring(data, keys).current("zone")
    else:
        mask_key(data, keys, "zone")
    (keys / "master.key").unlink()
    for ask in (lambda: keyring(data, keys).current("other"), lambda: mask_key(data, keys, "other")):
        with pytest.raises(Misconfigured, match="the master key is missing"):
            ask()
    assert not (keys / "master.key").exists()


def test_a_wrong_master_key_is_told(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    (tmp_path / "other").mkdir()
    put(tmp_path / "other", b"other")
    (tmp_path / "keys/master.key").write_bytes((tmp_path / "other/keys/master.key").read_bytes())
    with pytest.raises(Misconfigured, match="does not open the key of zone zone, key 1"):
        got(tmp_path, sha256)
    (tmp_path / "keys/master.key").write_text("nonsense\n")
    with pytest.raises(Misconfigured, match="no master key"):
        got(tmp_path, sha256)


def test_a_missing_zone_key_is_told(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    (tmp_path / "data/landing/zone/keys/1.json").unlink()
    with pytest.raises(Unavailable, match="encrypted with its key 1, which is missing"):
        got(tmp_path, sha256)


def test_a_damaged_zone_key_is_told(tmp_path: Path) -> None:
    sha256 = put(tmp_path, SECRET)
    file = tmp_path / "data/landing/zone/keys/1.json"
    fields = json.loads(file.read_text())
    for text in ("nonsense", "[]", json.dumps({**fields, "wrapped": "?"})):
        file.write_text(text)
        with pytest.raises(Unavailable, match="cannot be read"):
            got(tmp_path, sha256)


def test_keys_are_shown_nowhere(tmp_path: Path) -> None:
    put(tmp_path, SECRET)
    (key,) = keyring(tmp_path / "data", tmp_path / "keys").known("zone")
    assert key.secret.hex() not in repr(key) and repr(key.secret) not in repr(key) and "number=1" in repr(key)


def test_deliveries_at_once_make_one_key_and_one_file(tmp_path: Path) -> None:
    arrived = tmp_path / "arrived"
    arrived.write_bytes(SECRET)
    for number in range(20):
        zone, together = f"zone{number}", threading.Barrier(8)

        def deliver(zone: str = zone, together: threading.Barrier = together) -> None:
            together.wait()
            store_of(tmp_path).put(zone, arrived)

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert [path.name for path in (tmp_path / f"data/landing/{zone}/keys").glob("*.json")] == ["1.json"]
        assert len(list((tmp_path / f"data/landing/{zone}/heads").glob("??/*"))) == 1
        assert got(tmp_path, hashlib.sha256(SECRET).hexdigest(), zone) == SECRET


def test_the_first_key_of_a_zone_gives_way_to_one_that_came_while_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = (keyring(tmp_path / "data", tmp_path / "keys") for _ in range(2))
    looked = slow._files

    def late(zone: str) -> list[KeyFile]:
        seen = looked(zone)
        monkeypatch.setattr(slow, "_files", looked)
        quick.current(zone)
        return seen

    monkeypatch.setattr(slow, "_files", late)
    assert slow.current("zone").secret == quick.current("zone").secret
    assert [key.number for key in slow.known("zone")] == [1]


# --- a new key ------------------------------------------------------------------------------------------------------


def test_a_new_key_writes_new_heads_and_no_body(tmp_path: Path) -> None:
    numbers = [put(tmp_path, b"file %d" % n) for n in range(3)]
    before = kept(tmp_path)
    bodies = {name: (tmp_path / name).stat().st_mtime_ns for name in before if "/bodies/" in name}
    done = store_of(tmp_path).renew("zone")
    assert (done.key, done.rewrapped, done.encrypted, done.damaged, done.forgotten) == (2, 3, 0, (), (1,))
    after = kept(tmp_path)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in after if "/bodies/" in name} == bodies
    assert len(after) == 6 and not any(name in before for name in after if "/heads/" in name)
    assert [got(tmp_path, sha256) for sha256 in numbers] == [b"file 0", b"file 1", b"file 2"]
    assert [path.name for path in (tmp_path / "data/landing/zone/keys").glob("*.json")] == ["2.json"]
    assert put(tmp_path, b"file 1") == numbers[1] and kept(tmp_path) == after


def test_a_key_that_a_process_has_in_hand_is_not_the_last_word(tmp_path: Path) -> None:
    """A process that read the keys before a rotation delivers and reads after it."""
    store = store_of(tmp_path)
    sha256 = put(tmp_path, SECRET)
    assert store.get("zone", sha256, tmp_path).read_bytes() == SECRET
    store_of(tmp_path).renew("zone")
    assert store.get("zone", sha256, tmp_path).read_bytes() == SECRET
    (tmp_path / "late").write_bytes(b"late")
    late = store.put("zone", tmp_path / "late").sha256
    assert got(tmp_path, late) == b"late" and store.usage("zone")[0] == {2: 2}


def test_a_rotation_waits_for_a_delivery_and_loses_none(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def deliver(number: int) -> None:
        try:
            folder = tmp_path / f"from-{number}"
            folder.mkdir()
            for each in range(25):
                (folder / "file").write_bytes(b"%d %d" % (number, each))
                store_of(tmp_path).put("zone", folder / "file")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        assert store_of(tmp_path).renew("zone").damaged == ()
    assert failures == []
    for number in range(3):
        for each in range(25):
            content = b"%d %d" % (number, each)
            assert got(tmp_path, hashlib.sha256(content).hexdigest()) == content


def test_files_of_a_version_before_encryption_stay_readable_and_are_encrypted(tmp_path: Path) -> None:
    old, new = in_plain(tmp_path, b"old"), put(tmp_path, SECRET)
    assert got(tmp_path, old) == b"old" and store_of(tmp_path).usage("zone") == ({1: 1}, 1)
    opened = store_of(tmp_path).get("zone", old, tmp_path)
    assert store_of(tmp_path).contents("zone") == sorted([old, new])
    done = store_of(tmp_path).renew("zone")
    assert (done.rewrapped, done.encrypted) == (1, 1) and store_of(tmp_path).usage("zone") == ({2: 2}, 0)
    assert got(tmp_path, old) == b"old" and got(tmp_path, new) == SECRET
    assert opened.read_bytes() == b"old"  # who reads it meanwhile goes on reading
    assert old not in "".join(kept(tmp_path)) and store_of(tmp_path).contents("zone") == sorted([old, new])


def test_a_file_of_a_version_before_encryption_that_was_changed_is_told(tmp_path: Path) -> None:
    old = in_plain(tmp_path, b"old")
    path = tmp_path / "data/landing/zone" / old[:2] / old
    path.chmod(0o600)
    path.write_bytes(b"new")
    with pytest.raises(Damaged):
        got(tmp_path, old)
    done = store_of(tmp_path).renew("zone")
    assert (done.encrypted, done.damaged) == (0, (path,)) and path.exists()


def test_a_rotation_keeps_the_old_key_while_a_file_is_damaged(tmp_path: Path) -> None:
    good, bad = put(tmp_path, b"good"), put(tmp_path, b"bad")
    store = store_of(tmp_path)
    (key,) = keyring(tmp_path / "data", tmp_path / "keys").known("zone")
    name = key.name(bytes.fromhex(bad))
    head = tmp_path / "data/landing/zone/heads" / name[:2] / name
    text = head.read_text()
    head.chmod(0o600)
    head.write_text(text.replace('"wrapped": "', '"wrapped": "AAAA'))
    done = store.renew("zone")
    assert (done.rewrapped, done.damaged, done.forgotten) == (1, (head,), ())
    assert got(tmp_path, good) == b"good"
    head.write_text(text)  # from the backup
    assert got(tmp_path, bad) == b"bad"
    assert sorted(store.renew("zone").forgotten) == [1, 2]
    assert got(tmp_path, bad) == b"bad"


class Killed(BaseException):
    """Stands for a process that ends here."""


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_rotation_or_a_delivery_that_is_cut_short_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Cut at any call that changes a name; the next rotation brings all in order and leaves no rest."""
    numbers = {put(tmp_path, b"file %d" % n): b"file %d" % n for n in range(2)}
    numbers[in_plain(tmp_path, b"old")] = b"old"
    left = steps
    for owner, name in ((os, "link"), (Path, "replace"), (Path, "unlink")):
        original = getattr(owner, name)

        def counted(*args: object, original: Callable[..., object] = original, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counted)
    try:
        store_of(tmp_path).renew("zone")
        arrived = tmp_path / "late"
        arrived.write_bytes(b"late")
        store_of(tmp_path).put("zone", arrived)
        left = 10**6
        numbers[hashlib.sha256(b"late").hexdigest()] = b"late"
    except Killed:
        left = 10**6
    for sha256, content in numbers.items():
        assert got(tmp_path, sha256) == content
    done = store_of(tmp_path).renew("zone")
    assert done.damaged == () and store_of(tmp_path).usage("zone") == ({done.key: len(numbers)}, 0)
    assert len(kept(tmp_path)) == 2 * len(numbers)
    for sha256, content in numbers.items():
        assert got(tmp_path, sha256) == content


def test_the_inventory_tells_landed_files_from_what_killed_deliveries_left(tmp_path: Path) -> None:
    first, second = put(tmp_path, b"first"), put(tmp_path, b"second")
    old = in_plain(tmp_path, b"old")
    root = tmp_path / "data/landing/zone"
    dead = root / "bodies/ab/abdead"
    dead.parent.mkdir(parents=True, exist_ok=True)
    dead.write_bytes(b"half a body")
    part = root / "heads/.0123.part"
    part.write_bytes(b"half a head")
    found = store_of(tmp_path).inventory("zone")
    assert found.landed.keys() == {first, second, old}
    assert {len(found.landed[one]) for one in (first, second)} == {2} and len(found.landed[old]) == 1
    assert set(found.strays) == {dead, part}
    head = next(path for path in found.landed[first] if "heads" in path.parts)
    head.chmod(0o600)
    head.write_bytes(b"broken")
    assert store_of(tmp_path).inventory("zone").strays == (), "the body of a damaged head may be needed"


def test_a_removed_file_leaves_nothing_and_can_be_landed_again(tmp_path: Path) -> None:
    sha256, other, old = put(tmp_path, b"first"), put(tmp_path, b"second"), in_plain(tmp_path, b"old")
    store = store_of(tmp_path)
    store.renew("zone")
    assert store.remove("zone", sha256) > len(b"first") and store.remove("zone", old) > 0
    assert not store.has("zone", sha256) and store.contents("zone") == [other]
    assert store.remove("zone", sha256) == 0
    found = store.inventory("zone")
    assert found.landed.keys() == {other} and found.strays == ()
    assert put(tmp_path, b"first") == sha256 and got(tmp_path, sha256) == b"first"
