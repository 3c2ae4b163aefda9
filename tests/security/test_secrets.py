"""Secrets come by reference, and no message shows one."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import Misconfigured, Unavailable
from assay.security import secrets

SECRET = "s3cr?t/with:odd@signs"


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test resolved must not mask another's text."""
    monkeypatch.setattr(secrets, "_known", set())


def test_a_variable_and_a_file_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert secrets.resolve("${MY_SECRET}", what="a test") == SECRET
    assert secrets.resolve(f"file:{tmp_path / 'secret'}", what="a test") == SECRET


def test_a_secret_in_place_of_a_reference_is_refused_and_not_repeated() -> None:
    with pytest.raises(Misconfigured, match="written in a file of the project") as caught:
        secrets.resolve(SECRET, what="the client secret")
    assert SECRET not in str(caught.value)


def test_what_is_not_there_is_said_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(Misconfigured, match="NOT_SET is not set"):
        secrets.resolve("${NOT_SET}", what="a test")
    with pytest.raises(Misconfigured, match="No such file"):
        secrets.resolve(f"file:{tmp_path / 'none'}", what="a test")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(Misconfigured, match="empty"):
        secrets.resolve(f"file:{tmp_path / 'empty'}", what="a test")


def test_without_the_library_aws_is_an_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Misconfigured) as caught:
        secrets.resolve("aws-sm:assay/postgres", what="the URL")
    assert caught.value.next == "pip install 'assay[aws]'"


class Refused(Exception):
    """As botocore's ClientError is."""

    response = {"Error": {"Code": "ResourceNotFoundException"}}


class Away(Exception):
    """As botocore's BotoCoreError is."""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A stand-in with the names of boto3 that are used; gives the secrets that it keeps."""
    kept: dict[str, str] = {}

    class Client:
        def get_secret_value(self, SecretId: str) -> dict[str, str]:
            if SecretId == "away":
                raise Away("no route")
            if SecretId not in kept:
                raise Refused
            return {"SecretString": kept[SecretId]}

    boto3, botocore = types.ModuleType("boto3"), types.ModuleType("botocore.exceptions")
    boto3.client = lambda service: Client()  # type: ignore[attr-defined]
    botocore.ClientError, botocore.BotoCoreError = Refused, Away  # type: ignore[attr-defined]
    modules = {"boto3": boto3, "botocore": types.ModuleType("botocore"), "botocore.exceptions": botocore}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return kept


def test_a_secret_of_aws_is_taken_whole_or_one_of_its_values(aws: dict[str, str]) -> None:
    aws["plain"], aws["rds"] = SECRET, '{"username": "assay", "password": "pa55word"}'
    assert secrets.resolve("aws-sm:plain", what="a test") == SECRET
    assert secrets.resolve("aws-sm:rds#password", what="a test") == "pa55word"
    with pytest.raises(Misconfigured, match="no value passwort") as caught:
        secrets.resolve("aws-sm:rds#passwort", what="a test")
    assert "pa55word" not in str(caught.value) and caught.value.__cause__ is None
    with pytest.raises(Misconfigured, match="ResourceNotFound"):
        secrets.resolve("aws-sm:other", what="a test")
    with pytest.raises(Unavailable):
        secrets.resolve("aws-sm:away", what="a test")


SECRETS = st.text(min_size=secrets.SHORTEST).filter(lambda text: "://" not in text)


@given(before=st.text(), after=st.text(), secret=SECRETS)
def test_a_known_secret_is_masked_wherever_it_stands(before: str, after: str, secret: str) -> None:
    if secret == secrets.MASK:
        return
    secrets._known.clear()
    secrets.remember(secret)
    assert secret not in secrets.redact(f"{before}{secret}{after}").replace(secrets.MASK, "\0")


def test_the_longer_of_two_secrets_goes_first() -> None:
    secrets.remember("pass")
    secrets.remember("password")
    assert secrets.redact("my password, my pass") == "my ****, my ****"


@pytest.mark.parametrize("written", ["p%40ss%2Fword", "pa55word", "p@ss/word"])
def test_of_a_url_the_password_is_masked_as_written_and_as_meant(written: str) -> None:
    url = f"postgresql://assay:{written}@db.example.org:5432/assay"
    secrets.remember(url)
    shown = secrets.redact(f"{url} and p@ss/word" if "40" in written else url)
    assert written not in shown and "p@ss/word" not in shown
    assert "db.example.org" in shown
