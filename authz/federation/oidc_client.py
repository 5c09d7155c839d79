"""What we are at an OpenID provider: a confidential client that proves itself and turns a code into tokens.

The tokens live for as long as a sign-in takes: none is stored, logged or handed on (MCP-AS-98).
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7523.assertion import private_key_jwt_sign
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from authz import entropy
from authz.clock import numeric_date
from authz.errors import ConfigurationError
from authz.federation.connector import MISCONFIGURED, OUT_OF_ORDER, SignInRefused, Tools
from authz.federation.oidc_discovery import Provider
from authz.federation.oidc_requests import Told, ask
from authz.federation.oidc_settings import OidcSettings
from authz.jose import ASYMMETRIC, JwtError, fitting, import_private_key
from authz.secretstores import StoreUnavailable

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME = timedelta(minutes=1)
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_ACCESS_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_CODE = re.compile(r"[\x20-\x7e]{1,4096}")
_ERRORS = frozenset(
    {
        *("invalid_client", "invalid_grant", "invalid_request", "invalid_scope"),
        *("unauthorized_client", "unsupported_grant_type"),
    }
)
"""RFC 6749 §5.2. Any other word of theirs stays theirs."""


@dataclass(frozen=True)
class Tokens:
    """What a code was good for."""

    id_token: str
    access_token: str | None

    def __repr__(self) -> str:
        return "Tokens(***)"


def redeem(
    tools: Tools,
    settings: OidcSettings,
    provider: Provider,
    *,
    code: str,
    verifier: str,
    redirect_uri: str,
    now: datetime,
) -> Tokens:
    """Spend the code. Raises SignInRefused."""
    if not _CODE.fullmatch(code):
        raise SignInRefused("code_malformed")
    form = prepare_token_request(
        "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier
    )
    headers, form = _authenticated(tools, settings, provider, form, now)
    told = tools.network.run_blocking(
        ask(tools.network, "token", provider.token_endpoint, form=form, headers=headers)
    )
    return _tokens(told)


def _authenticated(
    tools: Tools, settings: OidcSettings, provider: Provider, form: str, now: datetime
) -> tuple[dict[str, str], str]:
    if settings.client_auth == "private_key_jwt":
        assertion = _assertion(tools, settings, provider, now)
        proof = f"client_assertion_type={quote_plus(_ASSERTION_TYPE)}&client_assertion={assertion}"
        return {}, f"{form}&client_id={quote_plus(settings.client_id)}&{proof}"
    try:
        secret = _secret(tools, settings.client_secret).decode()
    except UnicodeDecodeError:
        raise SignInRefused("client_secret_unusable", MISCONFIGURED) from None
    client_id = settings.client_id
    if settings.client_auth == "client_secret_basic":
        # Form-encoded before they are joined (RFC 6749 §2.3.1): the library leaves that to us.
        client_id, secret = quote_plus(client_id), quote_plus(secret)
    auth = ClientAuth(client_id, secret, settings.client_auth)
    _, headers, body = auth.prepare("POST", provider.token_endpoint, {}, form)
    return headers, body


def _assertion(tools: Tools, settings: OidcSettings, provider: Provider, now: datetime) -> str:
    data = _secret(tools, settings.private_key)
    try:
        key = import_private_key(data)
        thumbprint = _certificate_thumbprint(data)
    except (JwtError, ValueError):
        raise SignInRefused("private_key_unusable", MISCONFIGURED) from None
    usable = fitting(key, ASYMMETRIC)
    # RS256 is what everybody takes who takes RSA keys at all.
    algorithm = settings.assertion_algorithm or ("RS256" if "RS256" in usable else usable[0])
    if algorithm not in usable:
        raise SignInRefused("private_key_algorithm", MISCONFIGURED)
    header = {"kid": settings.key_id or key.kid or key.thumbprint()}
    if thumbprint is not None:
        header["x5t#S256"] = thumbprint
    to_issuer = settings.assertion_audience == "issuer"
    return str(
        private_key_jwt_sign(
            key,
            settings.client_id,
            provider.issuer if to_issuer else provider.token_endpoint,
            alg=algorithm,
            claims={"jti": entropy.new_id("jti")},
            header=header,
            issued_at=numeric_date(now),
            expires_in=int(_ASSERTION_LIFETIME.total_seconds()),
        )
    )


def _certificate_thumbprint(data: bytes) -> str | None:
    """How Entra ID finds the certificate that was uploaded (`x5t#S256`, RFC 7515 §4.1.8)."""
    if _CERTIFICATE not in data:
        return None
    digest = load_pem_x509_certificate(data[data.index(_CERTIFICATE) :]).fingerprint(SHA256())
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _secret(tools: Tools, reference: str | None) -> bytes:
    """Read at each use: a secret that was renewed needs no restart."""
    try:
        return tools.resolve_secret(reference or "")
    except StoreUnavailable:
        raise SignInRefused("secret_store_unavailable", OUT_OF_ORDER, is_ours=True) from None
    except ConfigurationError as error:
        raise SignInRefused("client_secret_missing", MISCONFIGURED) from error


def _tokens(told: Told) -> Tokens:
    if told.status != 200:
        error = told.members.get("error")
        if not isinstance(error, str) or error not in _ERRORS:
            raise SignInRefused("token_refused")
        ours = error in {"invalid_client", "unauthorized_client"}
        refusal = f"token_{error}"
        raise SignInRefused(refusal, MISCONFIGURED) if ours else SignInRefused(refusal)
    id_token, access_token = told.members.get("id_token"), told.members.get("access_token")
    if not isinstance(id_token, str):
        raise SignInRefused("id_token_missing")
    if access_token is None:
        return Tokens(id_token, None)
    if not isinstance(access_token, str) or not _ACCESS_TOKEN.fullmatch(access_token):
        raise SignInRefused("token_malformed")
    kind = told.members.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise SignInRefused("token_type")
    return Tokens(id_token, access_token)
