"""How a client proves itself at the token endpoint: one method at a time, each a line in `AUTH_METHODS`.

`read_credentials` takes what was sent apart without judging it; `authenticate` judges. All failures of a known client
share one public sentence.
"""

import base64
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import unquote_plus

from authz import entropy
from authz.clients.certificates import Authorities, Certificate, is_published, matches
from authz.clients.client import Client
from authz.errors import InvalidClient, InvalidRequest
from authz.jose import (
    ASYMMETRIC,
    LEEWAY,
    JwtError,
    Profile,
    import_jwks,
    read_unverified,
    verify_jwt,
)
from authz.values import value

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_ASSERTION_LIFETIME = timedelta(minutes=10)
REFUSED = "client authentication failed"
TLS_METHODS = ("tls_client_auth", "self_signed_tls_client_auth")
AUTH_METHODS: tuple[str, ...] = (
    # `none` first: the C# client takes the first entry when it has no registration answer (MCP-AS-22).
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    *TLS_METHODS,
)
"""Those of TLS work where a proxy hands over certificates (`offered_methods`)."""
FAPI_METHODS = frozenset({"private_key_jwt", *TLS_METHODS})
SIGNING_ALGORITHMS = ASYMMETRIC
FAPI_ALGORITHMS = ("PS256", "ES256", "Ed25519", "EdDSA")
"""FAPI 2.0 §5.4; `EdDSA` is the older name of `Ed25519`, with the one curve that is taken anywhere here."""
PARAMETERS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
"""What a request authenticates with, besides its headers: never stored."""
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,2048}")


@value(frozen=True)
class Credentials:
    """What the request carried; at most one of `secrets` and `assertion`."""

    client_id: str
    secrets: tuple[str, ...] = ()
    """Readings of the one secret that was sent: form-decoded and raw (MCP-AS-87)."""
    assertion: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r})"


@value(frozen=True)
class Proof:
    """A client is who it says. `replay` is set for an assertion, which may be used once."""

    method: str
    replay: tuple[str, datetime] | None = None
    """The key to remember it by and until when."""


def read_credentials(
    authorization: str | None,
    *,
    client_id: str | None,
    client_secret: str | None,
    client_assertion: str | None,
    client_assertion_type: str | None,
) -> Credentials:
    """Raises InvalidRequest for two methods at once or malformed ones, InvalidClient when nobody is named."""
    basic = _basic(authorization)
    if (
        sum(
            (
                basic is not None and bool(basic[0][1]),
                client_secret is not None,
                client_assertion is not None,
            )
        )
        > 1
    ):
        raise InvalidRequest("use one client authentication method", reason="two_auth_methods")
    named = None if basic is None else {reading[0] for reading in basic}
    if client_id is not None and named is not None and client_id not in named:
        raise InvalidRequest("client_id does not match", reason="client_id_mismatch")
    if client_assertion is not None:
        if client_assertion_type != ASSERTION_TYPE:
            raise InvalidRequest(
                "client_assertion_type is not supported", reason="assertion_type_unsupported"
            )
        credentials = _from_assertion(client_assertion, client_id)
        if named is not None and credentials.client_id not in named:
            raise InvalidRequest("client_id does not match", reason="client_id_mismatch")
        return credentials
    if basic is not None:
        chosen = client_id if client_id is not None else basic[0][0]
        # A public client that sends `Basic id:` proves nothing and claims nothing (MCP-AS-22).
        secrets = tuple(dict.fromkeys(secret for _, secret in basic if secret))
        return Credentials(chosen, secrets or ((client_secret,) if client_secret else ()))
    if client_id is None:
        raise InvalidClient("the client is not named", reason="client_missing")
    return Credentials(client_id, (client_secret,) if client_secret else ())


def authenticate(
    client: Client,
    credentials: Credentials,
    *,
    issuer: str,
    token_endpoint: str,
    keys: Sequence[object],
    certificate: Certificate | None = None,
    authorities: Authorities | None = None,
    now: datetime,
) -> Proof:
    """Judge the credentials. `keys` are the client's public keys, already imported. Raises InvalidClient."""
    if credentials.assertion is not None:
        return _assertion(client, credentials.assertion, issuer, token_endpoint, keys, now)
    if credentials.secrets:
        return _secret(client, credentials.secrets, now)
    if not client.auth_methods.isdisjoint(TLS_METHODS):
        return _certificate(client, certificate, authorities or Authorities(), keys, now)
    if "none" not in client.auth_methods:
        raise InvalidClient(REFUSED, reason="client_unauthenticated")
    return Proof("none")


def offered_methods(*, certificates: bool, authorities: bool) -> tuple[str, ...]:
    """The methods that work in an installation: with certificates from a proxy, with authorities for them."""
    missing = {*(() if certificates else TLS_METHODS), *(() if authorities else TLS_METHODS[:1])}
    return tuple(method for method in AUTH_METHODS if method not in missing)


def takes_certificate(client: Client) -> bool:
    """Whether a certificate that came with its request means anything."""
    return (
        client.requires_certificate
        or client.fapi
        or not client.auth_methods.isdisjoint(TLS_METHODS)
    )


def _certificate(
    client: Client,
    certificate: Certificate | None,
    authorities: Authorities,
    keys: Sequence[object],
    now: datetime,
) -> Proof:
    if certificate is None:
        raise InvalidClient(REFUSED, reason="certificate_missing")
    if "self_signed_tls_client_auth" in client.auth_methods:
        if not is_published(certificate, keys):
            raise InvalidClient(REFUSED, reason="certificate_not_registered")
        return Proof("self_signed_tls_client_auth")
    if not authorities.issued(certificate, now):
        raise InvalidClient(REFUSED, reason="certificate_not_trusted")
    if not matches(certificate, client.metadata):
        raise InvalidClient(REFUSED, reason="certificate_of_another")
    return Proof("tls_client_auth")


def _secret(client: Client, presented: tuple[str, ...], now: datetime) -> Proof:
    valid = [s.digest for s in client.secrets if s.expires_at is None or now < s.expires_at]
    # Every stored secret is compared, so that the time does not tell which one matched.
    digests = [entropy.digest(text) for text in presented]
    hits = [entropy.equal(stored, sent) for stored in valid for sent in digests]
    if not any(hits) or not client.is_confidential:
        raise InvalidClient(REFUSED, reason="secret_wrong")
    if client.auth_methods.isdisjoint({"client_secret_basic", "client_secret_post"}):
        raise InvalidClient(REFUSED, reason="auth_method_not_registered")
    return Proof("client_secret")


def _assertion(
    client: Client,
    assertion: str,
    issuer: str,
    token_endpoint: str,
    keys: Sequence[object],
    now: datetime,
) -> Proof:
    if "private_key_jwt" not in client.auth_methods:
        raise InvalidClient(REFUSED, reason="auth_method_not_registered")
    audiences = {issuer, token_endpoint} if client.names_token_endpoint else {issuer}
    profile = Profile(
        # Absence is fine, another explicit type is not (JB-21).
        typ=frozenset({None, "jwt", "client-authentication+jwt"}),
        algorithms=_algorithms(client),
        issuer=client.id,
        audiences=frozenset(audiences),
        max_lifetime=MAX_ASSERTION_LIFETIME,
        required=frozenset({"jti"}),
        audience_is_text=client.fapi,
    )
    try:
        claims = verify_jwt(assertion, keys, profile, now)  # type: ignore[arg-type]
    except JwtError as error:
        raise InvalidClient(REFUSED, reason=error.reason) from None
    if claims["sub"] != client.id:
        raise InvalidClient(REFUSED, reason="jwt_sub")
    if len(claims["jti"]) > 256:
        raise InvalidClient(REFUSED, reason="jwt_jti")
    key = entropy.digest(
        "\x00".join((client.tenant_id, "client_assertion", client.id, claims["jti"]))
    )
    # Remembered for exactly as long as it would be accepted: the same constant on both sides.
    until = datetime.fromtimestamp(int(claims["exp"]), tz=now.tzinfo) + LEEWAY * 2
    return Proof("private_key_jwt", (key, until))


def _algorithms(client: Client) -> tuple[str, ...]:
    declared = client.metadata.get("token_endpoint_auth_signing_alg")
    allowed = FAPI_ALGORITHMS if client.fapi else SIGNING_ALGORITHMS
    return tuple(a for a in allowed if declared in (None, a))


def import_client_keys(document: object) -> Sequence[object]:
    """Keys of a JWK Set. Raises InvalidClient."""
    try:
        return import_jwks(document, algorithms=SIGNING_ALGORITHMS)
    except JwtError as error:
        raise InvalidClient(REFUSED, reason=error.reason) from None


def _from_assertion(assertion: str, client_id: str | None) -> Credentials:
    try:
        _, claims = read_unverified(assertion)
    except JwtError as error:
        raise InvalidClient(REFUSED, reason=error.reason) from None
    subject = claims.get("sub")
    # No identifier has other characters, and PostgreSQL refuses to be asked for some of them.
    if not isinstance(subject, str) or not _CLIENT_ID.fullmatch(subject):
        raise InvalidClient(REFUSED, reason="jwt_sub")
    if client_id is not None and client_id != subject:
        raise InvalidClient(REFUSED, reason="assertion_of_other_client")
    return Credentials(subject, assertion=assertion)


def _basic(authorization: str | None) -> list[tuple[str, str]] | None:
    """The readings of a Basic header, form-decoded first (RFC 6749 §2.3.1), then as most clients send it."""
    if authorization is None:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidRequest("the Authorization header is not Basic", reason="authorization_scheme")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # of three kinds: not ASCII, not base64, not UTF-8
        raise InvalidRequest(
            "the Authorization header is malformed", reason="basic_malformed"
        ) from None
    client_id, colon, secret = text.partition(":")
    decoded = unquote_plus(client_id), unquote_plus(secret)
    # NUL, which PostgreSQL refuses in text, is there after decoding if it was before.
    if not colon or not client_id or any("\x00" in it for it in decoded):
        raise InvalidRequest("the Authorization header is malformed", reason="basic_malformed")
    return [decoded] if decoded == (client_id, secret) else [decoded, (client_id, secret)]
