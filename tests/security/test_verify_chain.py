"""Any tampering with an audit chain is found, at the first bad link."""

from __future__ import annotations

import copy
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.security import checkpoints, verify_chain
from assay.security.verify_chain import (
    FIELDS,
    START,
    Checkpoint,
    Unreadable,
    badly_signed,
    canonical,
    checkpoint,
    entry_hash,
    examine,
    parsed,
)

Chain = list[dict[str, Any]]
KEY = Ed25519PrivateKey.generate()
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def linked(entries: Chain, start: int = 0) -> Chain:
    """Numbers, links and hashes the entries from index `start` on."""
    for index in range(start, len(entries)):
        entry = entries[index]
        entry["seq"] = index + 1
        entry["previous"] = entries[index - 1]["hash"] if index else START
        entry["hash"] = entry_hash(entry)
    return entries


def made(rng: random.Random, length: int) -> Chain:
    """A good chain."""
    return linked([
        {
            "at": f"2025-06-01T10:00:{n:02d}.{rng.randrange(10**6):06d}Z", "actor": rng.choice(("anna", "Jürgen")),
            "action": rng.choice(("land", "release", "apply")), "resource": f"batch/{rng.randrange(9)}",
            "outcome": rng.choice(("allow", "deny", "done")), "zone": rng.choice((None, "sales", "finance")),
            "detail": {"reason": rng.choice(("ok", "wrong \"month\"", "größer\n")), "rows": rng.randrange(99)},
        }
        for n in range(length)
    ])  # fmt: skip


def signed(chain: Chain, seq: int) -> Checkpoint:
    """A checkpoint of the chain at that entry, by way of its line."""
    return checkpoint(checkpoints._signed(KEY, seq, chain[seq - 1]["hash"]).decode())


def other(rng: random.Random, value: Any) -> Any:
    """Another value than the given one."""
    if isinstance(value, dict):
        return rng.choice(({**value, "rows": value["rows"] + 1}, {}, {**value, "more": None}, [value]))
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, str(value), float(value), None))
    if value is None:
        return rng.choice(("", "sales", False, 0))
    return rng.choice((value + "x", value[:-1], value.upper() + " ", None, value.replace("0", "1") + "0"))


# Each changes a chain and returns the seq of the first changed entry, and that of the first link that does not hold
# any more: None where all links hold, so that only what was signed can tell.

Changed = tuple[int, int | None]


def edited(rng: random.Random, chain: Chain) -> Changed:
    at, name = rng.randrange(len(chain)), rng.choice((*FIELDS, "hash"))
    chain[at][name] = other(rng, chain[at][name])
    return at + 1, at + 1


def rehashed(rng: random.Random, chain: Chain) -> Changed:
    """An edited entry with the right hash for what it says now: its follower betrays it."""
    at = rng.randrange(len(chain))
    chain[at]["actor"] += "x"
    chain[at]["hash"] = entry_hash(chain[at])
    return at + 1, at + 2 if at + 1 < len(chain) else None


def field_removed(rng: random.Random, chain: Chain) -> Changed:
    at = rng.randrange(len(chain))
    del chain[at][rng.choice((*FIELDS, "hash"))]
    return at + 1, at + 1


def field_added(rng: random.Random, chain: Chain) -> Changed:
    at = rng.randrange(len(chain))
    chain[at]["remark"] = "nothing happened"
    return at + 1, at + 1


def deleted(rng: random.Random, chain: Chain) -> Changed:
    at = rng.randrange(len(chain))
    del chain[at]
    return at + 1, at + 1 if at < len(chain) else None


def swapped(rng: random.Random, chain: Chain) -> Changed:
    first, second = sorted(rng.sample(range(len(chain)), 2))
    chain[first], chain[second] = chain[second], chain[first]
    return first + 1, first + 1


def swapped_but_numbers(rng: random.Random, chain: Chain) -> Changed:
    found = swapped(rng, chain)
    for index, entry in enumerate(chain):
        entry["seq"] = index + 1
    return found


def inserted(rng: random.Random, chain: Chain) -> Changed:
    """A new entry with the right hash and link: again its follower betrays it."""
    at = rng.randrange(len(chain))
    new = {**copy.deepcopy(chain[0]), "actor": "nobody", "seq": at + 1}
    new["previous"] = chain[at - 1]["hash"] if at else START
    new["hash"] = entry_hash(new)
    chain.insert(at, new)
    return at + 1, at + 2


def repeated(rng: random.Random, chain: Chain) -> Changed:
    at = rng.randrange(len(chain))
    chain.insert(at, chain[at])
    return at + 2, at + 2


def truncated(rng: random.Random, chain: Chain) -> Changed:
    at = rng.randrange(len(chain))
    del chain[at:]
    return at + 1, None


def forged(rng: random.Random, chain: Chain) -> Changed:
    """From some entry on everything made anew, with right hashes and links, and perhaps an entry less."""
    at = rng.randrange(len(chain))
    chain[at]["detail"] = {**chain[at]["detail"], "reason": "never happened"}
    if rng.random() < 0.5 and len(chain) > at + 1:
        del chain[rng.randrange(at + 1, len(chain))]
    linked(chain, at)
    return at + 1, None


WAYS = (
    edited, rehashed, field_removed, field_added, deleted, swapped, swapped_but_numbers, inserted, repeated, truncated,
    forged,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_random_tamperings_are_found_at_the_first_bad_link(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1000):
        length = rng.randint(2, 14)
        good = made(rng, length)
        # The last entry is always signed, as it is after every command that adds to the chain.
        marks = sorted({*rng.sample(range(1, length + 1), rng.randint(0, length - 1)), length})
        said = [signed_quickly(good, seq) for seq in marks]
        assert examine(good, said).broken is None
        chain = copy.deepcopy(good)
        way = rng.choice(WAYS)
        changed, link = way(rng, chain)
        found = examine(chain, said).broken
        told = (way.__name__, changed, link, marks, found)
        assert found is not None, told
        vouched = max((seq for seq in marks if seq < changed), default=0)
        mark = next((seq for seq in marks if seq >= changed), None)
        if link is not None and (mark is None or link <= mark):
            assert (found.since + 1, found.seq) == (link, link), told
        else:
            # What was signed tells it: at the mark itself, or behind the end where the chain does not reach it.
            assert mark is not None
            assert (found.since, found.seq) == (vouched, min(mark, len(chain) + 1)), told
            assert found.since < changed <= found.seq, told


def signed_quickly(chain: Chain, seq: int) -> Checkpoint:
    """What `checkpoint` gives; the signature is no matter of the chain."""
    return Checkpoint(seq, chain[seq - 1]["hash"], "k", b"", b"")


@pytest.mark.parametrize("way", [truncated, forged])
def test_only_what_was_signed_tells_a_lost_end_or_a_chain_made_anew(
    way: Callable[[random.Random, Chain], Changed]
) -> None:
    rng = random.Random(0)
    good = made(rng, 6)
    chain = copy.deepcopy(good)
    way(rng, chain)
    assert chain != good
    assert examine(chain).broken is None
    assert examine(chain, [signed_quickly(good, 6)]).broken is not None


def test_what_no_checkpoint_covers_is_told() -> None:
    chain = made(random.Random(0), 6)
    assert (examine(chain, [signed_quickly(chain, 4)]).vouched, examine(chain).vouched) == (4, 0)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(VALUES)
def test_the_canonical_form_reads_back_and_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    text = canonical({"value": value}).decode()
    assert parsed(text) == {"value": value}
    assert canonical(parsed(text)) == text.encode()
    if isinstance(value, dict):
        assert canonical(dict(reversed(value.items()))) == canonical(value)


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    # The sorting example of section 3.2.3, and the escapes of 3.2.2.2.
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    expected = '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'
    assert canonical(keys).decode() == expected
    assert canonical({"a": "\x0f\n\t\"\\/\x7f<", "b": [True, None, -1]}).decode() == (
        '{"a":"\\u000f\\n\\t\\"\\\\/\x7f<","b":[true,null,-1]}'
    )


@pytest.mark.parametrize("value", [1.5, 1e300, float("nan"), 2**53, "\ud800", {1: 2}, b"x", {1, 2}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical({"value": value})


@pytest.mark.parametrize("line", ["", "[]", '{"a":1,"a":2}', '{"a":NaN}', "{" * 10**5, '{"a":' * 10**5, "nonsense"])
def test_a_line_that_two_readers_could_read_differently_is_unreadable(line: str) -> None:
    with pytest.raises(Unreadable):
        parsed(line)


def test_a_wrong_signature_and_a_foreign_key_are_found() -> None:
    chain = made(random.Random(0), 3)
    good = signed(chain, 3)
    assert badly_signed([good], PEM) is None
    line = json.loads(checkpoints._signed(KEY, 3, chain[2]["hash"]))
    for name, value in (("seq", 2), ("hash", START), ("at", "2025-01-01T00:00:00.000000Z")):
        changed = checkpoint(json.dumps({**line, name: value}))
        assert "signature" in str(badly_signed([changed], PEM))
    foreign = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert "not given" in str(badly_signed([good], foreign))
    assert badly_signed([good], foreign + PEM) is None
    with pytest.raises(Unreadable):
        badly_signed([good], b"no key")


# --- the script, where assay is not installed ----------------------------------------------------------------------


def script(folder: Path, *words: str, blocked: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a copy of the script alone; with `blocked` there is no package cryptography."""
    copied = folder / "verify_chain.py"
    copied.write_text(Path(verify_chain.__file__).read_text("utf-8"), "utf-8")
    if blocked:
        (folder / "cryptography.py").write_text("raise ImportError('not here')\n")
    return subprocess.run(
        [sys.executable, str(copied), *words], cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin"}
    )


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    chain = made(random.Random(3), 9)
    lines = [json.dumps(entry, ensure_ascii=False) for entry in chain]
    (tmp_path / "chain.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    marks = b"".join(checkpoints._signed(KEY, seq, chain[seq - 1]["hash"]) for seq in (4, 9))
    (tmp_path / "marks.jsonl").write_bytes(marks)
    (tmp_path / "public.pem").write_bytes(PEM)
    return tmp_path


ALL = ("chain.jsonl", "--checkpoints", "marks.jsonl", "--public-key", "public.pem")


def test_the_script_verifies_an_export_where_assay_is_not_installed(exported: Path) -> None:
    done = script(exported, *ALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "9 entries holds together" in done.stdout and "signatures of 2 checkpoints are good" in done.stdout
    imported = re.findall(r"^ *(?:from|import) (\w+)", Path(verify_chain.__file__).read_text(), re.MULTILINE)
    assert set(imported) - sys.stdlib_module_names == {"cryptography"}


def test_the_script_says_what_it_could_not_check(exported: Path) -> None:
    assert "no public key" in script(exported, *ALL[:3]).stdout
    assert "no checkpoint" in script(exported, "chain.jsonl").stdout
    without = script(exported, *ALL, blocked=True)
    assert without.returncode == 2 and "NOT checked" in without.stdout


@pytest.mark.parametrize("way", ["edit", "byte", "cut", "checkpoint", "signature", "garbage"])
def test_the_script_finds_what_was_changed(exported: Path, way: str) -> None:
    path = exported / "chain.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if way == "edit":
        lines[4] = lines[4].replace(b'"outcome": "', b'"outcome": "x')
    elif way == "byte":
        lines[4] = lines[4].replace(b'"actor": "', b'"actor": "\xff')
    elif way == "cut":
        lines = lines[:4]
    elif way == "garbage":
        lines[4] = b"garbage\n"
    path.write_bytes(b"".join(lines))
    if way in ("checkpoint", "signature"):
        marks = [json.loads(line) for line in (exported / "marks.jsonl").read_text().splitlines()]
        marks[0]["at" if way == "signature" else "hash"] = START
        (exported / "marks.jsonl").write_text("".join(json.dumps(one) + "\n" for one in marks))
    done = script(exported, *ALL)
    assert done.returncode == 1 and "BROKEN" in done.stdout, done
    assert "Traceback" not in done.stderr
    if way in ("edit", "byte", "cut", "garbage"):
        assert "entry 5" in done.stdout
