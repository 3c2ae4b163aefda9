"""The keys of a platform's zones: shown by number, made anew, and told plainly where one is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.cli import assay
from assay.errors import Misconfigured, Unavailable
from assay.security.audit import entries
from assay.security.keys import ZoneKeyring
from assay.stores.landing import Damaged, Landing
from assay.zones.project import load_project
from shop_project import OWNER, TILL, Shop


def call(shop: Shop, *words: str) -> Result:
    return CliRunner().invoke(assay, [*words, "--project", str(shop.root)], prog_name="assay")


def told(shop: Shop, *words: str) -> object:
    result = call(shop, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_no_byte_of_a_delivery_stays_readable_in_landing_or_scratch(filled: Shop) -> None:
    held = b"".join(
        path.read_bytes() for name in ("landing", "scratch", "audit")
        for path in (filled.root / "data" / name).rglob("*") if path.is_file()
    )  # fmt: skip
    assert held and b"refund" not in held and TILL.splitlines()[1].encode() not in held


def test_a_rotation_is_shown_and_recorded_and_the_batch_can_still_be_replayed(filled: Shop) -> None:
    (before,) = told(filled, "keys", "show")
    assert {**before, "created_at": None} == {
        "zone": "shop", "key": 1, "created_at": None, "files": 1, "newest": True,
    }  # fmt: skip
    (done,) = told(filled, "keys", "rotate")
    assert done == {"zone": "shop", "key": 2, "rewrapped": 1, "encrypted": 0, "damaged": [], "forgotten": [1]}
    (after,) = told(filled, "keys", "show")
    assert (after["key"], after["files"]) == (2, 1)
    with filled.opened() as platform:
        recorded = entries(platform.connection, action="keys.rotate", limit=9)
        secrets = [key.secret for key in platform.keys.known("shop")]
    assert [(one.actor, one.resource, one.zone) for one in recorded] == [(OWNER, "key/shop/2", "shop")]
    said = call(filled, "keys", "show").output + call(filled, "keys", "show", "--json").output
    assert all(secret.hex() not in said for secret in secrets)
    assert json.loads(call(filled, "replay", "1", "--json").stdout)["verdict"] == "Approved"


def test_a_zone_that_has_landed_nothing_has_no_key_to_rotate(filled: Shop) -> None:
    result = call(filled, "keys", "rotate", "--zone", "shopp")
    assert result.exit_code == 1 and "shopp has landed nothing" in str(result.exception)


def in_plain(shop: Shop) -> None:
    """Puts landing back to what a version before encryption made of the shop's delivery."""
    with shop.opened() as platform:
        (sha256,) = platform.landing.contents("shop")
        landing = platform.data / "landing/shop"
    shutil.rmtree(landing)
    path = landing / sha256[:2] / sha256
    path.parent.mkdir(parents=True)
    path.write_text(TILL)


def test_doctor_and_keys_show_tell_files_that_are_not_encrypted(filled: Shop) -> None:
    in_plain(filled)
    shown = call(filled, "keys", "show")
    assert "not encrypted" in shown.stdout and "Next: assay keys rotate" in shown.output
    assert json.loads(call(filled, "replay", "1", "--json").stdout)["verdict"] == "Approved"
    checks = {one["name"]: one for one in json.loads(call(filled, "doctor", "--json").stdout)}
    assert checks["landing"]["result"] == "look" and checks["landing"]["next"] == "assay keys rotate"
    (done,) = told(filled, "keys", "rotate")
    assert (done["encrypted"], done["damaged"]) == (1, [])
    checks = {one["name"]: one for one in json.loads(call(filled, "doctor", "--json").stdout)}
    assert checks["landing"]["result"] == "ok"
    assert json.loads(call(filled, "replay", "1", "--json").stdout)["verdict"] == "Approved"


def test_a_damaged_file_names_its_batch(filled: Shop) -> None:
    (body,) = (filled.root / "data/landing/shop/bodies").glob("??/*")
    body.chmod(0o600)
    content = body.read_bytes()
    body.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for words in (["replay", "1"], ["batch", "return", "1", "-o", str(filled.root / "back.csv")]):
        error = call(filled, *words).exception
        assert isinstance(error, Damaged), error
        assert error.what.startswith("shop/sales, batch 1 (till, till-1.csv): ") and "backup" in str(error.next)
    (head,) = (filled.root / "data/landing/shop/heads").glob("??/*")
    head.chmod(0o600)
    head.write_text("nonsense")
    result = call(filled, "keys", "rotate")
    assert result.exit_code == 1 and str(head) in result.output and "backup" in result.output


def test_a_missing_master_key_stops_deliveries_and_is_told_by_doctor(filled: Shop) -> None:
    (filled.root / "data.keys").rename(filled.root / "moved")
    late = filled.root / "till-late.csv"
    late.write_text(TILL.replace("\n1,", "\n90,"))
    result = call(filled, "ingest", str(late), "--zone", "shop", "--pipeline", "sales")
    assert isinstance(result.exception, Misconfigured) and "master key is missing" in str(result.exception)
    checks = {one["name"]: one for one in json.loads(call(filled, "doctor", "--json").stdout)}
    assert checks["landing"]["result"] == "FAILED" and "backup" in checks["landing"]["next"]
    filled.edit("assay.yaml", "{data: data,", "{data: data, keys: moved,")
    assert call(filled, "apply").exit_code == 0
    assert call(filled, "ingest", str(late), "--zone", "shop", "--pipeline", "sales").exit_code == 0


@pytest.mark.parametrize("keys", ["data", "data/keys", "data/../data/x"])
def test_the_keys_do_not_lie_in_the_data_that_they_protect(shop: Shop, keys: str) -> None:
    shop.edit("assay.yaml", "{data: data,", f"{{data: data, keys: {keys},")
    with pytest.raises(Misconfigured, match="would lie in the data folder"):
        load_project(shop.root)


def test_the_keys_lie_beside_the_data_unless_told_otherwise(shop: Shop) -> None:
    assert load_project(shop.root).target.keys == shop.root / "data.keys"
    shop.edit("assay.yaml", "{data: data,", "{data: data, keys: ../elsewhere,")
    assert load_project(shop.root).target.keys == shop.root.parent / "elsewhere"


class Service:
    """A key service of somebody else, as a cloud has one: it keeps secrets by number, and can be away."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, dict[str, str]]] = []
        self.away = False
        self.calls = 0

    def wrap(self, secret: bytes, context: dict[str, str]) -> bytes:
        self.kept.append((secret, dict(context)))
        return b"%d" % (len(self.kept) - 1)

    def unwrap(self, wrapped: bytes, context: dict[str, str]) -> bytes:
        self.calls += 1
        if self.away:
            raise Unavailable("the key service does not answer")
        secret, expected = self.kept[int(wrapped)]
        assert expected == context
        return secret


def test_any_provider_that_wraps_and_unwraps_will_do(tmp_path: Path) -> None:
    service = Service()

    def opened() -> Landing:
        return Landing(tmp_path, ZoneKeyring(tmp_path / "landing", service))

    (tmp_path / "file").write_bytes(b"content")
    store = opened()
    sha256 = store.put("zone", tmp_path / "file").sha256
    assert store.get("zone", sha256, tmp_path).read_bytes() == b"content"
    assert store.get("zone", sha256, tmp_path).read_bytes() == b"content"
    assert service.calls == 1  # a process asks once for a key
    service.away = True
    with pytest.raises(Unavailable, match="does not answer"):
        opened().get("zone", sha256, tmp_path)
    service.away = False
    opened().renew("zone")
    assert [context for _, context in service.kept] == [{"zone": "zone", "key": "1"}, {"zone": "zone", "key": "2"}]
    assert opened().get("zone", sha256, tmp_path).read_bytes() == b"content"
