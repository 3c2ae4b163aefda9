"""Single sign-on against a provider that runs: who comes back, and every way in which nobody does."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import oidc_provider_mock
import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from assay.errors import Denied, Misconfigured, Unavailable
from assay.security import oidc, secrets
from assay.security.loopback import login
from assay.zones.model import OidcFile

REDIRECT = "http://127.0.0.1:1/callback"
ANNA = {"email": "anna@example.org", "email_verified": True, "groups": ["Sales", "Berlin"]}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider's address; it listens on this machine only, and knows Anna."""
    with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
        issuer = f"http://localhost:{server.server_port}"
        knows(issuer, "anna", **ANNA)
        yield issuer


def knows(issuer: str, sub: str, **claims: Any) -> None:
    """Tells the provider of a user."""
    requests.put(f"{issuer}/users/{quote(sub)}", json=claims, timeout=10).raise_for_status()


def settings(issuer: str, **more: Any) -> OidcFile:
    """The configuration of a client of the provider, with a secret."""
    return OidcFile(**{"issuer": issuer, "client_id": "assay", "client_secret": "${CLIENT_SECRET}", **more})


@pytest.fixture(autouse=True)
def client_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has the variable that the configuration names."""
    monkeypatch.setenv("CLIENT_SECRET", "of the client")
    monkeypatch.setattr(secrets, "_known", set())


def signed_in(url: str, sub: str = "anna") -> str:
    """What a browser does: the user logs in at the provider and is sent back; the address he arrives at."""
    answer = requests.post(url, data={"sub": sub}, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def test_who_logged_in_comes_back_with_name_and_groups(provider: str) -> None:
    config = settings(provider)
    attempt = oidc.begin(config, REDIRECT)
    user = oidc.finish(config, attempt, signed_in(attempt.url))
    assert (user.name, user.groups) == ("anna@example.org", {"Sales", "Berlin"})


def test_the_command_line_waits_on_this_machine_for_the_browser(provider: str) -> None:
    pages: list[requests.Response] = []

    def browser(url: str) -> None:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        assert urlsplit(back).hostname == "127.0.0.1"
        for stray in ("/", "/favicon.ico", "/callback", "/callback?state=guess&code=x"):
            pages.append(requests.get(back.replace("/callback", "") + stray, timeout=10))
        pages.append(requests.get(signed_in(url), timeout=10))

    user = login(settings(provider), lambda url: threading.Thread(target=browser, args=(url,)).start())
    assert user.name == "anna@example.org"
    assert [page.status_code for page in pages] == [404, 404, 404, 404, 200]
    assert "no-store" in pages[-1].headers["Cache-Control"]


def test_nobody_coming_back_is_said(provider: str) -> None:
    with pytest.raises(Unavailable, match="nobody came back"):
        login(settings(provider), lambda url: None, wait_seconds=0.2)


def test_a_provider_that_is_away_leaves_no_server_behind() -> None:
    before = threading.active_count()
    with pytest.raises(Unavailable):
        login(settings("http://127.0.0.1:9"), lambda url: None)
    assert threading.active_count() == before


def test_the_request_carries_a_challenge_a_state_and_a_nonce_of_its_own(provider: str) -> None:
    first, second = (oidc.begin(settings(provider), REDIRECT) for _ in range(2))
    asked = {name: values[0] for name, values in parse_qs(urlsplit(first.url).query).items()}
    assert asked["code_challenge_method"] == "S256" and asked["response_type"] == "code"
    assert first.verifier not in first.url and first.verifier not in repr(first)
    assert len({first.state, second.state, first.nonce, second.nonce, first.verifier, second.verifier}) == 6


def test_the_answer_to_another_login_is_refused(provider: str) -> None:
    config = settings(provider)
    mine, other = oidc.begin(config, REDIRECT), oidc.begin(config, REDIRECT)
    with pytest.raises(Denied, match="another login"):
        oidc.finish(config, mine, signed_in(other.url))


def test_a_code_that_was_used_is_refused(provider: str) -> None:
    config = settings(provider)
    attempt = oidc.begin(config, REDIRECT)
    back = signed_in(attempt.url)
    oidc.finish(config, attempt, back)
    with pytest.raises(Denied, match="no token"):
        oidc.finish(config, attempt, back)


def test_a_user_who_says_no_is_denied(provider: str) -> None:
    config = settings(provider)
    attempt = oidc.begin(config, REDIRECT)
    back = f"{REDIRECT}?{urlencode({'state': attempt.state, 'error': 'access_denied'})}"
    with pytest.raises(Denied, match="access_denied"):
        oidc.finish(config, attempt, back)


@pytest.mark.parametrize(
    ("claims", "what"),
    [
        ({"email": "x@example.org"}, "not verified"),
        ({"email": "x@example.org", "email_verified": False}, "not verified"),
        ({"email": "x@example.org", "email_verified": "true"}, "not verified"),
        ({}, "does not say email"),
        ({"email": ["x@example.org"], "email_verified": True}, "does not say email"),
    ],
)
def test_an_address_counts_only_when_it_is_verified(provider: str, claims: dict[str, Any], what: str) -> None:
    knows(provider, "somebody", **claims)
    config = settings(provider)
    attempt = oidc.begin(config, REDIRECT)
    with pytest.raises(Denied, match=what):
        oidc.finish(config, attempt, signed_in(attempt.url, "somebody"))


def test_another_claim_can_be_the_name_and_one_group_is_a_list_of_one(provider: str) -> None:
    knows(provider, "ben", team="Sales")
    config = settings(provider, user_claim="sub", groups_claim="team")
    attempt = oidc.begin(config, REDIRECT)
    user = oidc.finish(config, attempt, signed_in(attempt.url, "ben"))
    assert (user.name, user.groups) == ("ben", {"Sales"})


@pytest.mark.parametrize("issuer", ["http://example.org", "ftp://example.org", "http://127.0.0.1.example.org/", ""])
def test_a_provider_elsewhere_must_be_encrypted(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        settings(issuer)


def test_a_client_secret_is_a_reference() -> None:
    with pytest.raises(ValueError, match="client_secret"):
        settings("https://login.example.org", client_secret="hunter2hunter2")


# --- a provider that lies ------------------------------------------------------------------------------------


class Forger:
    """A provider whose documents and tokens a test makes."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})
        self.issuer = ""
        self.document: dict[str, Any] = {}
        self.token: Any = {}
        self.nonce = ""

    def claims(self, **more: Any) -> dict[str, Any]:
        """Good claims, with some changed; None leaves one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": "assay", "sub": "anna", "iat": now, "exp": now + 300,
                "nonce": self.nonce, **ANNA}  # fmt: skip
        return {name: value for name, value in {**good, **more}.items() if value is not None}

    def signed(self, claims: dict[str, Any], key: Any = None, algorithm: str = "RS256") -> str:
        """An ID token."""
        return jwt.encode({"alg": algorithm, "kid": "one"}, claims, key or self.key, algorithms=[algorithm])


@pytest.fixture
def forger() -> Iterator[Forger]:
    made = Forger()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(made.document if "openid" in self.path else {"keys": [made.key.as_dict(private=False)]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"access_token": "x", "token_type": "Bearer", "id_token": made.token})

        def _answer(self, value: Any) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with _served(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        made.issuer = f"http://127.0.0.1:{port}"
        made.document = {
            "issuer": made.issuer, "authorization_endpoint": f"{made.issuer}/authorize",
            "token_endpoint": f"{made.issuer}/token", "jwks_uri": f"{made.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }  # fmt: skip
        yield made


@contextmanager
def _served(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def finished(forger: Forger, make: Any) -> Any:
    """The end of a login whose ID token `make` made."""
    config = settings(forger.issuer, client_secret=None)
    attempt = oidc.begin(config, REDIRECT)
    forger.nonce = attempt.nonce
    forger.token = make()
    return oidc.finish(config, attempt, f"{REDIRECT}?{urlencode({'state': attempt.state, 'code': 'c'})}")


def test_a_good_token_is_taken(forger: Forger) -> None:
    assert finished(forger, lambda: forger.signed(forger.claims())).name == "anna@example.org"
    both = {"aud": ["assay", "other"], "azp": "assay"}
    assert finished(forger, lambda: forger.signed(forger.claims(**both))).name == "anna@example.org"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "http://127.0.0.1:1"}, {"aud": "other"}, {"aud": ["assay", "other"]}, {"azp": "other"},
        {"exp": 1}, {"exp": None}, {"iat": None}, {"nonce": "of another login"}, {"nonce": None}, {"sub": None},
        {"aud": None}, {"iss": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_for_another_time_place_or_login_is_refused(forger: Forger, wrong: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        finished(forger, lambda: forger.signed(forger.claims(**wrong)))


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_that_the_provider_did_not_sign_is_refused(forger: Forger) -> None:
    other = RSAKey.generate_key(2048, {"kid": "one"})

    def unsigned() -> str:
        return f"{_part({'alg': 'none'})}.{_part(forger.claims())}."

    def signed_with_the_public_key() -> str:
        """The classic: the public key taken for a shared secret."""
        text = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(forger.claims())}"
        made = hmac.digest(forger.key.as_pem(private=False), text.encode(), "sha256")
        return f"{text}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"

    def changed() -> str:
        head, _, signature = forger.signed(forger.claims()).split(".")
        return f"{head}.{_part(forger.claims(email='root@example.org'))}.{signature}"

    for make in (
        lambda: forger.signed(forger.claims(), other),
        unsigned,
        signed_with_the_public_key,
        changed,
        lambda: "",
        lambda: "nonsense",
    ):
        with pytest.raises(Denied):
            finished(forger, make)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"issuer": "http://127.0.0.1:1"}, "is not the issuer"),
        ({"token_endpoint": None}, "has no token_endpoint"),
        ({"jwks_uri": None}, "has no jwks_uri"),
    ],
)
def test_a_document_of_another_issuer_or_without_what_is_needed_is_refused(
    forger: Forger, change: dict[str, Any], what: str
) -> None:
    document = {name: value for name, value in {**forger.document, **change}.items() if value is not None}
    forger.document = document
    with pytest.raises(Misconfigured, match=what):
        oidc.begin(settings(forger.issuer), REDIRECT)
