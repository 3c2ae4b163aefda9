"""Single sign-on with OpenID Connect: the code flow with PKCE, for a page and for the command line.

`begin` gives the address to send the user to; `finish` takes what came back and says who it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from assay.errors import Denied, Misconfigured, Unavailable
from assay.security import secrets
from assay.security.principals import User
from assay.zones.model import OidcFile

TIMEOUT_SECONDS: Final = 15
#: How far the provider's clock may be from ours.
LEEWAY_SECONDS: Final = 60
#: Signatures that only the provider can make; none, and none by a shared secret.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True)
class Attempt:
    """A login that has begun: where the user goes, and what must come back with him."""

    url: str
    redirect_uri: str
    state: str
    nonce: str
    verifier: str = field(repr=False)


def begin(config: OidcFile, redirect_uri: str) -> Attempt:
    """Begins a login that ends at `redirect_uri`.

    Raises `Unavailable` when the provider does not answer, `Misconfigured` when it is none.
    """
    provider = discover(config.issuer)
    verifier, nonce = generate_token(64), generate_token(32)
    with _session(config, redirect_uri) as session:
        url, state = session.create_authorization_url(
            provider["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
    return Attempt(url, redirect_uri, state, nonce, verifier)


def finish(config: OidcFile, attempt: Attempt, came_back: str) -> User:
    """Who logged in, by the address at which he came back.

    Raises `Denied` when the provider or the user refused, or when what came back is not what was begun.
    """
    answer = {name: values[0] for name, values in parse_qs(urlsplit(came_back).query).items()}
    if answer.get("state") != attempt.state:
        raise Denied("the answer belongs to another login", next="assay login")
    if "error" in answer:
        reason = answer.get("error_description") or answer["error"]
        raise Denied(f"the login was refused: {reason}", next="assay login")
    provider = discover(config.issuer)
    with _session(config, attempt.redirect_uri) as session, _talking(config.issuer):
        try:
            token = session.fetch_token(
                provider["token_endpoint"], code=answer.get("code", ""), code_verifier=attempt.verifier,
                timeout=TIMEOUT_SECONDS,
            )  # fmt: skip
        except OAuthError as error:
            reason = error.description or error.error
            raise Denied(f"the provider gave no token: {reason}", next="assay login") from None
        claims = _verified(config, provider, attempt, str(token.get("id_token", "")))
        if config.groups_claim not in claims and "userinfo_endpoint" in provider:
            told = session.get(provider["userinfo_endpoint"], timeout=TIMEOUT_SECONDS).json()
            if isinstance(told, dict) and told.get("sub") == claims["sub"]:
                claims = {**told, **claims}
    return _user(config, claims)


def discover(issuer: str) -> dict[str, Any]:
    """The provider's discovery document.

    Raises `Unavailable` when it does not answer, `Misconfigured` when the document is another issuer's or lacks
    what a login needs.
    """
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    with _talking(issuer):
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        answer.raise_for_status()
        found = answer.json()
    if not isinstance(found, dict) or str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise Misconfigured(
            f"{issuer} is not the issuer that its discovery document names",
            expected="oidc.issuer as the document has it",
        )
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if name not in found:
            raise Misconfigured(f"the discovery document of {issuer} has no {name}", expected="an OpenID provider")
        if urlsplit(issuer).scheme == "https" and urlsplit(str(found[name])).scheme != "https":
            raise Misconfigured(f"{name} of {issuer} is not encrypted", expected="https")
    return found


@contextmanager
def _session(config: OidcFile, redirect_uri: str) -> Iterator[OAuth2Session]:
    secret = None
    if config.client_secret is not None:
        secret = secrets.resolve(config.client_secret, what="the client secret of the single sign-on")
    session = OAuth2Session(
        config.client_id, secret, scope=" ".join(config.scopes), redirect_uri=redirect_uri,
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if secret else "none",
    )  # fmt: skip
    try:
        yield session
    finally:
        session.close()


@contextmanager
def _talking(issuer: str) -> Iterator[None]:
    """What goes wrong on the way to the provider, as ours."""
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise Misconfigured(f"{issuer} answered {status}", expected="an OpenID provider") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Unavailable(f"the sign-on at {issuer} did not answer", next="run the same command again") from error
    except (json.JSONDecodeError, requests.RequestException) as error:
        raise Misconfigured(f"{issuer} did not answer as an OpenID provider does", expected="oidc.issuer") from error


def _verified(config: OidcFile, provider: dict[str, Any], attempt: Attempt, token: str) -> dict[str, Any]:
    """The claims of an ID token that the provider signed for us, for this login, and that still holds."""
    offered = provider.get("id_token_signing_alg_values_supported") or ["RS256"]
    keys = requests.get(provider["jwks_uri"], timeout=TIMEOUT_SECONDS)
    keys.raise_for_status()
    try:
        signed = jwt.decode(
            token, KeySet.import_key_set(keys.json()), algorithms=[name for name in ALGORITHMS if name in offered]
        )
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": provider["issuer"]},
            aud={"essential": True, "value": config.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": attempt.nonce},
        ).validate(signed.claims)
    except (JoseError, ValueError) as error:
        raise Denied(f"the ID token is not good: {error}", next="assay login") from None
    claims: dict[str, Any] = signed.claims
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims.get("azp", config.client_id) != config.client_id or (len(audiences) > 1 and "azp" not in claims):
        raise Denied("the ID token was made for another client", next="assay login")
    return claims


def _user(config: OidcFile, claims: dict[str, Any]) -> User:
    name = claims.get(config.user_claim)
    if not isinstance(name, str) or not name:
        raise Denied(
            f"the single sign-on does not say {config.user_claim}",
            next="name another claim as oidc.user_claim, or ask for its scope in oidc.scopes",
        )
    if config.user_claim == "email" and claims.get("email_verified") is not True:
        # Somebody may have typed an address that is not his.
        raise Denied(
            f"the single sign-on has not verified the address {name}",
            next="verify it there, or name another claim as oidc.user_claim",
        )
    groups = claims.get(config.groups_claim) or []
    if isinstance(groups, str):
        groups = [groups]
    return User(name, frozenset(group for group in groups if isinstance(group, str)))
